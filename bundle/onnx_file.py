"""A tower's file as onnxruntime takes it without copying: its large tables stay in the file.

Decisions
- onnxruntime maps tensors that lie in a file beside the model, and copies those within it. So it is
  given the model without its large tables, and told that they lie in that very file, at the place
  where they are: a table of a million rows is in memory once, however many workers serve from it.
  Measured with a table of 900,000 x 64: 1 MB of a worker's own for 440, open in 10 ms for 820.
- Only the way down to the tensors is read, and only what is copied is understood; a file that is
  built otherwise is handed over as it is, and it is for onnxruntime to say what is wrong with it.
- A model that itself names a file beside it is such a one, and is refused there.

The file is a protobuf message: fields of a key (number and kind) and a value, messages among them.

    model = read_model(path)      # bytes, and whether they refer to `path`
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

LARGE = 1 << 20  # bytes of a tensor that is left in the file
# Field numbers of onnx.proto: of a model, of its graph, and of a tensor.
GRAPH, TENSOR = 7, 5
RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 9, 13, 14
ENTRY_KEY, ENTRY_VALUE = 1, 2
IN_A_FILE = 1  # of DATA_LOCATION
NUMBER, EIGHT_BYTES, MESSAGE, FOUR_BYTES = 0, 1, 2, 5  # kinds of values


class _OtherwiseBuiltError(ValueError):
    """A file that is not read any further."""


@dataclass(frozen=True)
class _Field:
    number: int
    start: int  # of the key
    value: int  # where it begins
    end: int


def read_model(path: Path) -> tuple[bytes, bool]:
    """A model for a session, and whether the session needs the folder of `path` for its tables."""
    with path.open("rb") as file:
        if path.stat().st_size < LARGE:
            return file.read(), False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _without_tables(content, path.name), True
            except (_OtherwiseBuiltError, IndexError):
                return content[:], False


def _without_tables(content: mmap.mmap, name: str) -> bytes:
    def tensor(field: _Field) -> bytes:
        return _tensor_without_data(content, field, name)

    def graph(field: _Field) -> bytes:
        return _copied(content, field.value, field.end, TENSOR, tensor)

    return _copied(content, 0, len(content), GRAPH, graph)


def _copied(
    content: mmap.mmap, start: int, end: int, number: int, changed: Callable[[_Field], bytes]
) -> bytes:
    """A message in which the fields of one number are changed."""
    parts = [
        _message(number, changed(field))
        if field.number == number
        else content[field.start : field.end]
        for field in _fields(content, start, end)
    ]
    return b"".join(parts)


def _tensor_without_data(content: mmap.mmap, tensor: _Field, name: str) -> bytes:
    parts, place = [], None
    for field in _fields(content, tensor.value, tensor.end):
        if field.number in (EXTERNAL_DATA, DATA_LOCATION):
            raise _OtherwiseBuiltError
        if field.number == RAW_DATA and field.end - field.value >= LARGE:
            place = {"location": name, "offset": field.value, "length": field.end - field.value}
        else:
            parts.append(content[field.start : field.end])
    if place:
        parts += [_message(EXTERNAL_DATA, _entry(key, str(value))) for key, value in place.items()]
        parts.append(_number(DATA_LOCATION << 3 | NUMBER) + _number(IN_A_FILE))
    return b"".join(parts)


def _fields(content: mmap.mmap, start: int, end: int) -> Iterator[_Field]:
    place = start
    while place < end:
        key, value = _read_number(content, place)
        kind = key & 7
        if kind == MESSAGE:
            length, value = _read_number(content, value)
            after = value + length
        elif kind == NUMBER:
            _, after = _read_number(content, value)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            after = value + (8 if kind == EIGHT_BYTES else 4)
        else:
            raise _OtherwiseBuiltError
        if after > end:
            raise _OtherwiseBuiltError
        yield _Field(key >> 3, place, value, after)
        place = after


def _read_number(content: mmap.mmap, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    number = shift = 0
    while True:
        byte = content[place]
        number |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return number, place
        if shift > 63:
            raise _OtherwiseBuiltError


def _number(number: int) -> bytes:
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _message(number: int, content: bytes) -> bytes:
    return _number(number << 3 | MESSAGE) + _number(len(content)) + content


def _entry(key: str, value: str) -> bytes:
    return _message(ENTRY_KEY, key.encode()) + _message(ENTRY_VALUE, value.encode())

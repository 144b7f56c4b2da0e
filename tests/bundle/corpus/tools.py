"""The attacker's tools."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bundle.files import describe_files
from corpus.attack import Target


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())


def save(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document))


def edit(path: Path, **fields: object) -> None:
    save(path, load(path) | fields)


def drop(path: Path, field: str) -> None:
    document = load(path)
    del document[field]
    save(path, document)


def append(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


def flip_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def edit_files(manifest: Path, file: str, **fields: object) -> None:
    document = load(manifest)
    next(entry for entry in document["files"] if entry["path"] == file).update(fields)
    save(manifest, document)


def rename_entry(target: Target, path: str) -> None:
    edit_files(target.bundle / "bundle.json", "MODEL_CARD.md", path=path)


def drop_entry(manifest: Path, file: str) -> None:
    document = load(manifest)
    document["files"] = [entry for entry in document["files"] if entry["path"] != file]
    save(manifest, document)
    (manifest.parent / file).unlink()


def reseal(manifest: Path) -> None:
    """Give every listed file its present length and hash."""
    document = load(manifest)
    entries = describe_files(manifest.parent, [entry["path"] for entry in document["files"]])
    save(manifest, document | {"files": [entry.model_dump() for entry in entries]})


def reseal_bundle(target: Target) -> None:
    reseal(target.bundle / "bundle.json")


def reseal_index(target: Target) -> None:
    reseal(target.index / "index.json")


def edit_features(target: Target, change: Callable[[dict[str, Any]], object]) -> None:
    schema = load(target.bundle / "features.json")
    change(schema)
    save(target.bundle / "features.json", schema)
    reseal_bundle(target)


def map_vocabulary(
    target: Target, moved: str, entries_V: np.ndarray | None = None, name: str = ""
) -> None:
    """Move a vocabulary into a file of its own; these entries, or its own."""
    file = f"vocabulary.{name or moved}.npy"
    own = load(target.bundle / "features.json")["vocabularies"][moved]
    np.save(target.bundle / file, np.array(own, "S") if entries_V is None else entries_V)
    manifest = load(target.bundle / "bundle.json")
    manifest["files"].append({"path": file, "bytes": 0, "sha256": "0" * 64})
    save(target.bundle / "bundle.json", manifest)
    edit_features(target, lambda schema: schema["vocabularies"].pop(moved))


def edit_attributes(target: Target, change: Callable[[list[dict[str, Any]]], object]) -> None:
    document = load(target.index / "attributes.json")
    change(document["attributes"])
    save(target.index / "attributes.json", document)
    reseal_index(target)


def vectors_of(target: Target) -> np.ndarray:
    return np.load(target.index / "item_vectors.npy")


def save_array(target: Target, name: str, array: np.ndarray) -> None:
    np.save(target.index / name, array)
    reseal_index(target)


def save_delta_array(target: Target, name: str, array: np.ndarray) -> None:
    np.save(target.delta / name, array)
    reseal(target.delta / "delta.json")


def save_header(target: Target, header: str) -> None:
    content = io.BytesIO()
    content.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    (target.index / "item_vectors.npy").write_bytes(content.getvalue())
    reseal_index(target)

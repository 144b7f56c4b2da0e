"""The keys that a worker accepts; they follow their file without a restart.

Decisions
- A caller's key is compared with every hash, each in constant time: how long it takes says nothing
  about which keys there are.
- The file is looked at when a key is asked for, at most once a second. So a revoked key is refused
  a second later, and nothing runs in the background.
- A file that cannot be read changes nothing: a slip in an edit must not lock the shop out. It is
  logged as an error once, and tried again at each look, since what mends it (a mount, a disk) may
  leave the file as it was. A service does not start with such a file.
- Any change of the file moves its ctime; its mtime stays when its owner changes, or in a copy.
- No keys at all is a choice that must be spelled out, and only for callers on this machine.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from collections.abc import Callable
from pathlib import Path

from service.access.keys import Key, KeysError, digest_of, read_keys
from service.settings import Settings

log = logging.getLogger(__name__)

LOOK_S = 1.0
NO_KEYS = (
    "CSMF_KEYS_FILE is empty: make a key with `csmf-keys new NAME --role operate --file keys.json`"
    " and add --keys-file keys.json; or add --anonymous loopback, to serve anybody on this machine"
)


class KeyRing:
    """The keys of a file. Raises KeysError if it cannot be read at first.

    `on_read` is told of each later reading whether it was in vain.
    """

    def __init__(self, file: Path, on_read: Callable[[bool], None] = lambda _: None) -> None:
        self._file, self._on_read = file, on_read
        self._seen = _signature(file)  # before reading: a change meanwhile is read again
        self._keys = read_keys(file)
        self._looked = time.monotonic()
        self._complained = ""

    @property
    def keys(self) -> tuple[Key, ...]:
        """Those accepted now."""
        if time.monotonic() - self._looked >= LOOK_S:
            self._look()
        return self._keys

    def find(self, token: str) -> Key | None:
        """The key that a caller shows, if it is one of ours."""
        digest, found = digest_of(token), None
        for key in self.keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def _look(self) -> None:
        self._looked = time.monotonic()
        now = _signature(self._file)
        if now == self._seen:
            return
        try:
            self._keys = read_keys(self._file)
        except KeysError as error:
            self._seen = ()  # the same file may come back
            self._complain(str(error))
            self._on_read(True)
        else:
            self._seen, self._complained = now, ""
            self._on_read(False)
            log.info("keys in force: %s", ", ".join(f"{key.name} {key.role}" for key in self._keys))

    def _complain(self, text: str) -> None:
        if text != self._complained:
            log.error("the keys stay as they are: %s", text)
            self._complained = text


def open_ring(
    settings: Settings, on_read: Callable[[bool], None] = lambda _: None
) -> KeyRing | None:
    """The keys to ask for; None where everybody may call. Raises KeysError."""
    if settings.keys_file:
        if settings.anonymous:
            raise KeysError("CSMF_ANONYMOUS: expected empty where CSMF_KEYS_FILE asks for keys")
        return KeyRing(Path(settings.keys_file), on_read)
    if not settings.anonymous:
        raise KeysError(NO_KEYS)
    if not is_loopback(settings.host):
        raise KeysError(
            f"CSMF_ANONYMOUS: expected CSMF_HOST to be a loopback address as 127.0.0.1,"
            f" got {settings.host}; to be reached from elsewhere, set CSMF_KEYS_FILE"
        )
    return None


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _signature(file: Path) -> tuple[int, ...]:
    try:
        seen = file.stat()
    except OSError:
        return ()
    return seen.st_ino, seen.st_ctime_ns, seen.st_size

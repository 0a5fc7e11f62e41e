"""Author ids as keyed hashes: the store never holds a name, and whoever has the key file can still find one's labels.

HMAC-SHA-256 (RFC 2104) under a random key that is made at first use and readable by its owner alone.
"""

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

KEY_BYTES: Final = 32
HASH_HEX_DIGITS: Final = 32
# Parts of our own that act are no persons: their name stays readable in the audit log.
SERVICE_PREFIX: Final = "service:"


class KeyFileError(ValueError):
    """A key file that cannot be used; the text names it and what to do."""


class AuthorKey:
    """Hashes names under one key, which no repr shows."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash(self, kind: str, name: str) -> str:
        """32 hex digits for a name; `kind` keeps a post and an author of one name apart."""
        message = kind.encode() + b"\0" + name.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:HASH_HEX_DIGITS]

    def author(self, name: str) -> str:
        """The hash of a person's name; what begins with `service:` stays as it is."""
        return name if name.startswith(SERVICE_PREFIX) else self.hash("author", name)

    @property
    def fingerprint(self) -> str:
        """Tells whether a store was written under this key, and nothing of the key."""
        return self.hash("fingerprint", "")


def load_author_key(path: Path) -> AuthorKey:
    """The key in `path`; made there with mode 0600 where the file does not exist. Raises KeyFileError."""
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o007:
            raise KeyFileError(f"key file {path} can be read by everybody: chmod 600 {path}")
        key = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"key file {path}: {error.strerror}") from error
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"key file {path} holds {len(key)} bytes, not {KEY_BYTES}: put the right one back")
    return AuthorKey(key)


def _make(path: Path) -> None:
    """Whole or not at all: a crash in between must not leave an empty key, nor a second maker another one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:  # somebody else was faster, and theirs counts
            return
    finally:
        Path(temporary).unlink()

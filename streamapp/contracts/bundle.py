"""A model on disk: written whole or not at all, read only if every file is what the manifest says.

Must not know what is inside the files.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from streamapp.contracts.manifest import (
    MANIFEST_FILE,
    BundleFile,
    Manifest,
    decode_manifest,
    encode_manifest,
)

_CHUNK_BYTES = 1 << 20


class BundleError(ValueError):
    """A bundle that cannot be used or written; the text names the folder, the file and why."""


class Bundle(Struct, frozen=True):
    """A verified bundle: the folder and its manifest."""

    folder: Path
    manifest: Manifest

    def path(self, name: str) -> Path:
        """Where the bundle's file `name` is. Raises BundleError for a file that the manifest does not
        list.
        """
        if name not in self.manifest.files:
            raise BundleError(f"bundle {self.folder}: {name} is not in its manifest")
        return self.folder / name


def write_bundle(folder: Path, manifest: Manifest, files: Mapping[str, bytes | Path]) -> Bundle:
    """Writes `files` and the manifest (its `files` filled in here) as the new folder `folder`.

    Everything goes into a temporary folder beside it, the manifest last, and one rename makes it visible.
    Raises BundleError where `folder` exists already: a bundle is never changed after it was written.
    """
    if folder.exists():
        raise BundleError(f"bundle {folder}: exists already, and a bundle is never overwritten")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        listed = {name: _write_file(temporary, name, content) for name, content in sorted(files.items())}
        complete = msgspec.structs.replace(manifest, files=listed)
        _write_file(temporary, MANIFEST_FILE, encode_manifest(complete), reserved=True)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except OSError as error:
        raise BundleError(f"bundle {folder}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Bundle(folder, complete)


def read_bundle(folder: Path) -> Bundle:
    """The bundle in `folder`, after every listed file was found with its size and SHA-256.

    Raises BundleError for a missing or changed file, a name that leaves the folder, or a manifest that this
    release does not read. Files that the manifest does not list are left alone and never opened.
    """
    try:
        raw = (folder / MANIFEST_FILE).read_bytes()
    except OSError as error:
        raise BundleError(f"bundle {folder}: {MANIFEST_FILE}: {error.strerror}") from error
    try:
        manifest = decode_manifest(raw)
    except ValueError as error:
        raise BundleError(f"bundle {folder}: {MANIFEST_FILE}: {error}") from error
    for name, expected in manifest.files.items():
        _verify_file(folder, name, expected)
    return Bundle(folder, manifest)


def _verify_file(folder: Path, name: str, expected: BundleFile) -> None:
    _check_name(folder, name)
    path = folder / name
    try:
        if path.is_symlink():
            raise BundleError(f"bundle {folder}: {name}: is a link, and a link may lead out of the bundle")
        size_bytes = path.stat().st_size
        if size_bytes != expected.size_bytes:
            raise BundleError(f"bundle {folder}: {name}: {size_bytes} bytes, expected {expected.size_bytes}")
        found = _sha256(path)
    except OSError as error:
        raise BundleError(f"bundle {folder}: {name}: {error.strerror}") from error
    if found != expected.sha256:
        raise BundleError(f"bundle {folder}: {name}: SHA-256 {found}, expected {expected.sha256}")


def _check_name(folder: Path, name: str) -> None:
    plain = name not in ("", ".", "..") and not set(name) & set("/\\\0:")
    if not plain or name == MANIFEST_FILE:
        raise BundleError(f"bundle {folder}: {name!r}: not a plain file name")


def _write_file(folder: Path, name: str, content: bytes | Path, *, reserved: bool = False) -> BundleFile:
    if not reserved:
        _check_name(folder, name)
    path = folder / name
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content)
    # Without it a power cut after the rename could leave a visible bundle with empty files.
    with path.open("rb") as written:
        os.fsync(written.fileno())
    return BundleFile(_sha256(path), path.stat().st_size)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()

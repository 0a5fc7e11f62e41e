"""Bundles between the model store and this machine: published manifest last, fetched and verified, kept by digest.

The store is a folder or any fsspec URL. What comes from it is untrusted until every file has the size and SHA-256 that
the manifest says, the manifest the digest that the announcement says, and, with a public key, the signature holds.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, TypeVar

import fsspec
import stamina
from platformdirs import user_cache_path

from streamapp.contracts.bundle import Bundle, BundleError, read_bundle
from streamapp.contracts.champion import Champion
from streamapp.contracts.manifest import MANIFEST_FILE, decode_manifest, encode_manifest
from streamapp.inference.signatures import (
    MOST_SIGNATURE_BYTES,
    SIGNATURE_FILE,
    BundleSigner,
    BundleVerifier,
)

T = TypeVar("T")

ATTEMPTS: Final = 4
CHUNK_BYTES: Final = 1 << 20
MOST_MANIFEST_BYTES: Final = 4 << 20
KEPT_BUNDLES: Final = 6
ABANDONED_SECONDS: Final = 24 * 3600.0
_FETCHING: Final = ".fetch-"


class StoreError(OSError):
    """The store does not answer, or does not have the file; the text names the URL. Worth another try later."""


class ModelStore:
    """Fetches bundles into `cache` (by default the user's cache folder); safe for several workers on one machine."""

    def __init__(
        self, cache: Path | None = None, attempts: int = ATTEMPTS, verifier: BundleVerifier | None = None
    ) -> None:
        self.cache = cache or user_cache_path("streamapp") / "bundles"
        self._attempts = attempts
        self._verifier = verifier

    def fetch(self, champion: Champion) -> Bundle:
        """The champion's verified bundle, from the local copy where there is one.

        Raises BundleError where it is not what was announced, StoreError where the store does not give it or this
        machine cannot keep it.
        """
        try:
            return self._fetched(champion)
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"folder of fetched bundles {self.cache}: {error}") from error

    def _fetched(self, champion: Champion) -> Bundle:
        local = self.cache / champion.bundle_digest
        if local.is_dir():
            try:
                bundle = self._checked(local, champion)
            except BundleError:
                shutil.rmtree(local, ignore_errors=True)  # a broken copy; the store has the true one
            else:
                os.utime(local)
                return bundle
        if not champion.bundle_url:
            raise StoreError(
                f"bundle {champion.model_version} (digest {champion.bundle_digest[:12]}) was announced without a "
                "place to fetch it from, and neither the settings' bundle nor a local copy is it"
            )
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_FETCHING, dir=self.cache) as temporary:
            folder = Path(temporary) / "bundle"
            folder.mkdir()
            self._download(champion, folder)
            self._checked(folder, champion)
            try:
                folder.rename(local)
            except OSError:
                if not local.is_dir():  # else another worker was faster, with the same content
                    raise
        return self._checked(local, champion)

    def tidy(self, keep: Collection[str]) -> None:
        """Delete the copies used longest ago beyond `KEPT_BUNDLES`, never one whose digest is in `keep`, and what a
        killed process left half fetched.
        """
        if not self.cache.is_dir():
            return
        by_use = sorted(
            (path for path in self.cache.iterdir() if path.is_dir()), key=_used_at_seconds, reverse=True
        )
        kept = 0
        for path in by_use:
            if path.name.startswith(_FETCHING):
                if time.time() - _used_at_seconds(path) > ABANDONED_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
            elif path.name in keep or kept < KEPT_BUNDLES:
                kept += 1
            else:
                shutil.rmtree(path, ignore_errors=True)

    def _download(self, champion: Champion, folder: Path) -> None:
        url = champion.bundle_url.rstrip("/")
        system, root = _open_store(url)
        _copy_out(system, root, MANIFEST_FILE, folder, MOST_MANIFEST_BYTES, self._attempts)
        try:
            manifest = decode_manifest((folder / MANIFEST_FILE).read_bytes())
        except ValueError as error:
            raise BundleError(f"bundle {url}: {MANIFEST_FILE}: {error}") from error
        if manifest.digest != champion.bundle_digest:
            raise BundleError(
                f"bundle {url}: its digest is {manifest.digest}, announced was {champion.bundle_digest}"
            )
        if self._verifier is not None:
            self._download_signature(url, system, root, folder)
        for name, expected in manifest.files.items():
            if "/" in name or "\\" in name or name.startswith(".") or name == SIGNATURE_FILE:
                raise BundleError(f"bundle {url}: {name!r}: not a plain file name")
            _copy_out(system, root, name, folder, expected.size_bytes, self._attempts)

    def _download_signature(self, url: str, system: Any, root: str, folder: Path) -> None:
        try:
            _copy_out(system, root, SIGNATURE_FILE, folder, MOST_SIGNATURE_BYTES, self._attempts)
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):  # it is published before the manifest
                raise BundleError(f"bundle {url}: it is not signed ({SIGNATURE_FILE} is missing)") from error
            raise

    def _checked(self, folder: Path, champion: Champion) -> Bundle:
        bundle = read_bundle(folder)
        if bundle.manifest.digest != champion.bundle_digest:
            raise BundleError(
                f"bundle {folder}: its digest is {bundle.manifest.digest}, announced was {champion.bundle_digest}"
            )
        if self._verifier is not None:
            self._verifier.check(bundle, folder / SIGNATURE_FILE)
        return bundle


def publish_bundle(
    folder: Path, store_url: str, attempts: int = ATTEMPTS, signer: BundleSigner | None = None
) -> str:
    """Puts the bundle in `folder` into the store and returns its URL there: every file first, the manifest last.
    With a signer, its signature stands beside the manifest before that is there.

    All of it is read back and compared. A bundle that is there already is left as it is, so that a second call after a
    crash only adds what is missing. Raises BundleError for a folder that is no bundle, StoreError for a store that
    does not take or keep it.
    """
    bundle = read_bundle(folder)
    digest = bundle.manifest.digest
    store = store_url if "://" in store_url else str(Path(store_url).absolute())  # readers stand elsewhere
    url = f"{store.rstrip('/')}/{bundle.manifest.model_version}-{digest[:12]}"
    system, root = _open_store(url)
    _asked(url, lambda: system.makedirs(root, exist_ok=True), attempts)
    for name, expected in bundle.manifest.files.items():
        place = f"{root}/{name}"
        if not _holds(system, place, expected.sha256):
            _asked(f"{url}/{name}", lambda: system.put_file(str(folder / name), place), attempts)  # noqa: B023
            _must_hold(system, place, expected.sha256, attempts)
    raw = encode_manifest(bundle.manifest)
    if signer is not None:
        if (folder / MANIFEST_FILE).read_bytes() != raw:
            raise BundleError(
                f"bundle {folder}: {MANIFEST_FILE} is not as it will be published: cannot be signed"
            )
        _publish_signature(system, root, bundle, signer, attempts)
    place = f"{root}/{MANIFEST_FILE}"
    wanted = hashlib.sha256(raw).hexdigest()
    if not _holds(system, place, wanted):
        _asked(f"{url}/{MANIFEST_FILE}", lambda: system.pipe_file(place, raw), attempts)
        _must_hold(system, place, wanted, attempts)
    return url


def _publish_signature(system: Any, root: str, bundle: Bundle, signer: BundleSigner, attempts: int) -> None:
    """A signature of this key that is there already stays: no two signatures of an elliptic key are the same."""
    with tempfile.TemporaryDirectory(prefix="signature-") as temporary:
        local = Path(temporary) / SIGNATURE_FILE
        try:
            _copy_out(system, root, SIGNATURE_FILE, local.parent, MOST_SIGNATURE_BYTES, attempts)
            signer.verifier.check(bundle, local)
            return
        except BundleError:
            pass  # of another key, or cut
        except StoreError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        signer.sign(bundle, local)
        place, raw = f"{root}/{SIGNATURE_FILE}", local.read_bytes()
        _asked(place, lambda: system.pipe_file(place, raw), attempts)
        _must_hold(system, place, hashlib.sha256(raw).hexdigest(), attempts)


def _used_at_seconds(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another worker tidied it away
        return 0.0


def _open_store(url: str) -> tuple[Any, str]:
    try:
        system, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise StoreError(f"model store {url}: {error}") from error
    return system, root


def _copy_out(system: Any, root: str, name: str, folder: Path, most_bytes: int, attempts: int) -> None:
    """In pieces, and never more than the manifest promised: a store that is not ours could fill the disk."""

    def copy() -> None:
        left = most_bytes
        with system.open(f"{root}/{name}", "rb") as source, (folder / name).open("wb") as target:
            while piece := source.read(CHUNK_BYTES):
                left -= len(piece)
                if left < 0:
                    raise BundleError(f"bundle {root}: {name}: more than the {most_bytes} bytes expected")
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())

    _asked(f"{root}/{name}", copy, attempts)


def _holds(system: Any, place: str, sha256: str) -> bool:
    digest = hashlib.sha256()
    try:
        with system.open(place, "rb") as source:
            while piece := source.read(CHUNK_BYTES):
                digest.update(piece)
    except FileNotFoundError:
        return False
    except Exception as error:
        raise StoreError(f"model store {place}: {type(error).__name__}: {error}") from error
    return digest.hexdigest() == sha256


def _must_hold(system: Any, place: str, sha256: str, attempts: int) -> None:
    def look() -> None:
        if not _holds(system, place, sha256):
            raise StoreError(f"model store {place}: what was written does not read back the same")

    _asked(place, look, attempts)


def _asked(what: str, ask: Callable[[], T], attempts: int) -> T:
    """The store's answer after at most `attempts` tries. Clients of stores raise errors of their own kinds."""
    try:
        for attempt in stamina.retry_context(on=_worth_another_try, attempts=attempts, wait_max=5.0):
            with attempt:
                return ask()
    except (BundleError, StoreError):
        raise
    except Exception as error:
        raise StoreError(f"model store {what}: {type(error).__name__}: {error}") from error
    raise AssertionError("a retry ends with an answer or an error")


def _worth_another_try(error: Exception) -> bool:
    return not isinstance(error, BundleError | FileNotFoundError | PermissionError)

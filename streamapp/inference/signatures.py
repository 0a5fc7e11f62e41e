"""Signatures of bundles: an elliptic key signs the manifest and its files, and who has its public half can tell.

By sigstore's model-signing (the extra `signing`), so that its own command verifies our bundles too; nothing is asked
of a network. Must not know the store or who announced what.
"""

import tempfile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from streamapp.contracts.bundle import Bundle, BundleError
from streamapp.contracts.manifest import MANIFEST_FILE

if TYPE_CHECKING:
    from model_signing import hashing

# The name that the tool gives it by itself. It stands beside the manifest, which cannot list what covers it.
SIGNATURE_FILE: Final = "model.sig"
MOST_SIGNATURE_BYTES: Final = 1 << 20


class SigningKeyError(BundleError):
    """A key, or the extra for it, that cannot be used; the text names the setting's file."""


class BundleVerifier:
    """Tells whether a folder holds exactly what the owner of `public_key` (a PEM file) signed."""

    def __init__(self, public_key: Path) -> None:
        self._lock = Lock()  # one verifier a process, asked from several threads, and it has its files set
        _require_extra(public_key)
        from model_signing import verifying  # noqa: PLC0415  # half a second that only signed stores cost

        try:
            self._verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
        except Exception as error:
            raise SigningKeyError(f"public key {public_key}: {_words(error)}") from error

    def check(self, bundle: Bundle, signature: Path) -> None:
        """Raises BundleError where there is no signature, or another key's, or a file is not as it was signed."""
        if not signature.is_file():
            raise BundleError(f"bundle {bundle.folder}: it is not signed ({SIGNATURE_FILE} is missing)")
        try:
            with self._lock:
                self._verifier.set_hashing_config(_files_of(bundle)).verify(bundle.folder, signature)
        except Exception as error:  # whatever a stranger's file provokes in the parser, it proves nothing
            raise BundleError(
                f"bundle {bundle.folder}: its signature does not hold: {_words(error)}"
            ) from error


class BundleSigner:
    """Signs folders with `private_key`, an unencrypted PEM file."""

    def __init__(self, private_key: Path) -> None:
        _require_extra(private_key)
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # see above
        from model_signing import signing  # noqa: PLC0415

        try:
            self._signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
            key: Any = serialization.load_pem_private_key(private_key.read_bytes(), password=None)
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            with tempfile.NamedTemporaryFile(suffix=".pem") as file:
                file.write(public)
                file.flush()
                self.verifier = BundleVerifier(Path(file.name))
        except Exception as error:
            raise SigningKeyError(f"signing key {private_key}: {_words(error)}") from error

    def sign(self, bundle: Bundle, signature: Path) -> None:
        """Writes the signature of the manifest and every file that it lists. Raises BundleError."""
        try:
            self._signer.set_hashing_config(_files_of(bundle)).sign(bundle.folder, signature)
        except Exception as error:
            raise BundleError(f"bundle {bundle.folder}: it cannot be signed: {_words(error)}") from error


def verifier_of(public_key: str) -> BundleVerifier | None:
    """What checks bundles that come from the store; None where no key is set. Raises SigningKeyError."""
    return BundleVerifier(Path(public_key)) if public_key else None


def signer_of(private_key: str) -> BundleSigner | None:
    """What signs bundles on their way to the store; None where no key is set. Raises SigningKeyError."""
    return BundleSigner(Path(private_key)) if private_key else None


def _files_of(bundle: Bundle) -> "hashing.Config":
    """The manifest and what it lists: other files of the folder are never opened, so they are nobody's business."""
    from model_signing import hashing  # noqa: PLC0415  # see above

    ours = {MANIFEST_FILE, *bundle.manifest.files}
    others = [path for path in bundle.folder.iterdir() if path.name not in ours]
    return hashing.Config().set_ignored_paths(
        paths=[*others, bundle.folder / SIGNATURE_FILE], ignore_git_paths=False
    )


def _require_extra(key: Path) -> None:
    try:
        import model_signing  # noqa: F401, PLC0415  # see above
    except ImportError as error:
        raise SigningKeyError(f"key {key}: install streamapp[signing] ({error})") from error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]

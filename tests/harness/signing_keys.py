"""Key pairs for signed bundles, as `openssl ecparam` makes them."""

from pathlib import Path

import pytest
from msgspec import Struct


class KeyPair(Struct, frozen=True):
    private: Path
    public: Path


def key_pair(folder: Path, name: str = "key") -> KeyPair:
    """A new pair; skips where the extra `signing` is not installed."""
    pytest.importorskip("model_signing", reason="model-signing is in the extras signing and dev")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pair = KeyPair(folder / f"{name}.pem", folder / f"{name}.pub.pem")
    pair.private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    pair.public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return pair

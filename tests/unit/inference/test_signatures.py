"""Signed bundles are taken from a store, all others refused: unsigned, of another key, changed by one byte."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from streamapp.contracts.bundle import BundleError, read_bundle
from streamapp.contracts.champion import Champion, first_champion
from streamapp.contracts.manifest import MANIFEST_FILE, MODEL_FILE, decode_manifest, encode_manifest
from streamapp.inference.model_store import ModelStore, publish_bundle
from streamapp.inference.signatures import (
    SIGNATURE_FILE,
    SigningKeyError,
    signer_of,
    verifier_of,
)
from tests.harness.signing_keys import KeyPair, key_pair
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture
def keys(tmp_path: Path) -> KeyPair:
    return key_pair(tmp_path)


def published(tmp_path: Path, private: Path | None, version: str = "1") -> Champion:
    folder = tmp_path / f"tiny-{version}"
    if not folder.exists():
        write_tiny_bundle(folder, version)
    url = publish_bundle(folder, str(tmp_path / "store"), signer=signer_of(str(private or "")))
    return msgspec.structs.replace(first_champion(read_bundle(folder).manifest), bundle_url=url)


def store(tmp_path: Path, public: Path | None) -> ModelStore:
    return ModelStore(tmp_path / "cache", attempts=1, verifier=verifier_of(str(public or "")))


def test_a_signed_bundle_is_taken_by_who_has_the_public_key_and_by_who_asks_for_none(
    tmp_path: Path, keys: KeyPair
) -> None:
    champion = published(tmp_path, keys.private)
    bundle = store(tmp_path, keys.public).fetch(champion)
    assert bundle.manifest.digest == champion.bundle_digest
    assert SIGNATURE_FILE not in bundle.manifest.files
    assert store(tmp_path / "another", None).fetch(champion).manifest == bundle.manifest


def test_an_unsigned_bundle_is_refused_and_not_kept(tmp_path: Path, keys: KeyPair) -> None:
    champion = published(tmp_path, None)
    with pytest.raises(BundleError, match="not signed"):
        store(tmp_path, keys.public).fetch(champion)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_bundle_that_another_key_signed_is_refused(tmp_path: Path, keys: KeyPair) -> None:
    champion = published(tmp_path, key_pair(tmp_path, "other").private)
    with pytest.raises(BundleError, match="signature does not hold"):
        store(tmp_path, keys.public).fetch(champion)


def test_another_bundles_signature_is_refused(tmp_path: Path, keys: KeyPair) -> None:
    one, two = published(tmp_path, keys.private, "1"), published(tmp_path, keys.private, "2")
    shutil.copyfile(Path(one.bundle_url) / SIGNATURE_FILE, Path(two.bundle_url) / SIGNATURE_FILE)
    with pytest.raises(BundleError, match="signature does not hold"):
        store(tmp_path, keys.public).fetch(two)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"nonsense", b"[1]", b'{"dsseEnvelope": {"payload": "e30="}}', b"\xff"]
)
def test_what_is_no_signature_is_refused(tmp_path: Path, keys: KeyPair, content: bytes) -> None:
    champion = published(tmp_path, keys.private)
    (Path(champion.bundle_url) / SIGNATURE_FILE).write_bytes(content)
    with pytest.raises(BundleError, match="signature does not hold"):
        store(tmp_path, keys.public).fetch(champion)


def test_a_forger_who_writes_a_whole_bundle_its_digests_and_its_announcement_is_refused(
    tmp_path: Path, keys: KeyPair
) -> None:
    """What checksums alone cannot tell: he has the store and the topic, and not the key."""
    champion = published(tmp_path, keys.private)
    url = Path(champion.bundle_url)
    forged = read_bundle(write_tiny_bundle(tmp_path / "forged", "1", flip=True))
    for name in forged.manifest.files:
        shutil.copyfile(forged.path(name), url / name)
    (url / MANIFEST_FILE).write_bytes(encode_manifest(forged.manifest))
    announced = msgspec.structs.replace(champion, bundle_digest=forged.manifest.digest)
    assert ModelStore(tmp_path / "trusting", attempts=1).fetch(announced).manifest == forged.manifest
    with pytest.raises(BundleError, match="signature does not hold"):
        store(tmp_path, keys.public).fetch(announced)


def test_a_manifest_that_lists_its_own_signature_is_refused(tmp_path: Path, keys: KeyPair) -> None:
    champion = published(tmp_path, keys.private)
    place = Path(champion.bundle_url) / MANIFEST_FILE
    manifest = decode_manifest(place.read_bytes())
    files = {**manifest.files, SIGNATURE_FILE: manifest.files[MODEL_FILE]}
    manifest = msgspec.structs.replace(manifest, files=files)
    place.write_bytes(encode_manifest(manifest))
    with pytest.raises(BundleError, match="not a plain file name"):
        store(tmp_path, None).fetch(msgspec.structs.replace(champion, bundle_digest=manifest.digest))


def test_a_copy_from_before_the_key_was_asked_for_is_fetched_again_with_its_signature(
    tmp_path: Path, keys: KeyPair
) -> None:
    champion = published(tmp_path, keys.private)
    folder = store(tmp_path, None).fetch(champion).folder
    assert not (folder / SIGNATURE_FILE).exists()
    assert store(tmp_path, keys.public).fetch(champion).folder == folder
    assert (folder / SIGNATURE_FILE).exists()


def test_publishing_again_leaves_a_signature_that_holds_and_mends_one_that_does_not(
    tmp_path: Path, keys: KeyPair
) -> None:
    champion = published(tmp_path, None)  # before signing was switched on
    signature = Path(champion.bundle_url) / SIGNATURE_FILE
    assert published(tmp_path, keys.private) == champion
    first = signature.read_bytes()
    published(tmp_path, keys.private)
    assert signature.read_bytes() == first
    signature.write_bytes(first[:100])
    published(tmp_path, keys.private)
    assert store(tmp_path, keys.public).fetch(champion).manifest.digest == champion.bundle_digest


def test_files_that_are_not_of_the_bundle_are_neither_signed_nor_in_the_way(
    tmp_path: Path, keys: KeyPair
) -> None:
    folder = write_tiny_bundle(tmp_path / "tiny-1", "1")
    (folder / "notes.txt").write_text("mine")
    (folder / "cache").mkdir()
    champion = published(tmp_path, keys.private)
    signature = json.loads((Path(champion.bundle_url) / SIGNATURE_FILE).read_text())
    statement = json.loads(base64.b64decode(signature["dsseEnvelope"]["payload"]))
    signed = {each["name"] for each in statement["predicate"]["resources"]}
    assert signed == {MANIFEST_FILE, *read_bundle(folder).manifest.files}
    assert store(tmp_path, keys.public).fetch(champion)


def test_keys_that_are_none_stop_the_start_by_their_name(tmp_path: Path, keys: KeyPair) -> None:
    (tmp_path / "empty.pem").write_text("")
    for path in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        for make in (signer_of, verifier_of):
            with pytest.raises(SigningKeyError, match=path.name):
                make(str(path))
    with pytest.raises(SigningKeyError):
        verifier_of(str(keys.private))  # the halves the wrong way round
    assert signer_of("") is None
    assert verifier_of("") is None


def test_the_tool_of_sigstore_verifies_our_bundles_too(tmp_path: Path, keys: KeyPair) -> None:
    url = published(tmp_path, keys.private).bundle_url
    command = [
        sys.executable,
        "-m",
        "model_signing",
        "verify",
        "key",
        url,
        "--signature",
        f"{url}/{SIGNATURE_FILE}",
    ]
    done = subprocess.run(
        [*command, "--public_key", str(keys.public)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    other = key_pair(tmp_path, "other").public
    done = subprocess.run([*command, "--public_key", str(other)], capture_output=True, text=True, check=False)
    assert done.returncode != 0


def test_nothing_of_it_is_loaded_where_no_key_is_set() -> None:
    script = "import sys; import streamapp.inference.model_store; print([m for m in sys.modules if 'sigstore' in m])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Manifests: what is refused, what the digest depends on."""

import json

import msgspec
import pytest

from streamapp.contracts.manifest import (
    BundleFile,
    Manifest,
    Outputs,
    TrainingSource,
    decode_manifest,
    encode_manifest,
)
from streamapp.contracts.messages import SENTIMENTS

MANIFEST = Manifest(
    name="starter",
    version="1.0.0",
    created_at="2026-01-01T00:00:00Z",
    languages=("en",),
    max_tokens=128,
    encoder="some/encoder",
    outputs=Outputs(sentiment=SENTIMENTS, topic=("macro", "ipo")),
    temperatures={"sentiment": 1.25},
    files={"model.onnx": BundleFile("ab" * 32, 3), "tokenizer.json": BundleFile("cd" * 32, 4)},
    metrics={"sentiment": {"accuracy": 0.9}},
    licence="Apache-2.0",
    sources=(TrainingSource(name="set", licence="MIT"),),
)


def tree() -> dict[str, object]:
    decoded: dict[str, object] = json.loads(encode_manifest(MANIFEST))
    return decoded


def raw(**changes: object) -> bytes:
    return json.dumps({**tree(), **changes}).encode()


def test_a_manifest_survives_the_way_to_bytes_and_back() -> None:
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST


def test_the_model_version_is_name_and_version() -> None:
    assert MANIFEST.model_version == "starter-1.0.0"


def test_the_digest_does_not_depend_on_layout_or_key_order() -> None:
    shuffled = {**tree(), "files": dict(reversed(tree()["files"].items()))}  # type: ignore[attr-defined]
    shuffled = dict(reversed(shuffled.items()))
    assert decode_manifest(json.dumps(shuffled, indent=7).encode()).digest == MANIFEST.digest


@pytest.mark.parametrize(
    "changed",
    [
        {"version": "1.0.1"},
        {"files": {"model.onnx": BundleFile("cd" * 32, 3)}},
        {"temperatures": {"sentiment": 1.26}},
        {"metrics": {}},
    ],
)
def test_the_digest_changes_with_every_part(changed: dict[str, object]) -> None:
    assert msgspec.structs.replace(MANIFEST, **changed).digest != MANIFEST.digest


def test_optional_fields_at_their_default_are_not_in_the_file_so_a_later_field_keeps_older_digests() -> None:
    assert "batch_policy" not in tree()
    assert tree()["contract_version"] == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"contract_version": 2}, "contract version 2"),
        ({"contract_version": None}, "contract version None"),
        ({"surprise": 1}, "surprise"),
        ({"name": "../evil"}, "name"),
        ({"version": "1/2"}, "version"),
        ({"version": ""}, "version"),
        ({"max_tokens": 2}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"batch_policy": "some"}, "batch_policy"),
        ({"temperatures": {"topic": 0}}, "temperatures.topic"),
        ({"temperatures": {"topic": -1}}, "temperatures.topic"),
        ({"outputs": {}}, "outputs"),
        ({"outputs": {"sentiment": ["negative"]}}, "outputs.sentiment"),
        ({"outputs": {"sentiment": ["negative", "negative"]}}, "outputs.sentiment"),
        ({"outputs": {"sentiment": ["bearish", "bullish"]}}, "bearish"),
        ({"outputs": {"entities": ["O", "B-company", "I-company"]}}, "neither sentiment nor topic"),
        ({"outputs": {"sentiment": list(SENTIMENTS), "entities": ["O", "B-ORG", "I-ORG"]}}, "B-company"),
    ],
)
def test_a_manifest_that_cannot_be_served_is_refused_by_the_name_of_its_field(
    changes: dict[str, object], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        decode_manifest(raw(**changes))


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"\xff", b"null"])
def test_bytes_that_are_no_manifest_are_a_value_error(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|contract version"):
        decode_manifest(broken)


def test_a_newer_manifest_is_refused_for_its_version_even_when_it_has_fields_that_we_do_not_know() -> None:
    with pytest.raises(ValueError, match="this release reads 1"):
        decode_manifest(raw(contract_version=3, outputs={"stance": ["a", "b"]}))

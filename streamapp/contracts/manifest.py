"""What a bundle says of itself: its outputs, how it must be served, where it came from, what its files are.

Must not know how a model runs or where bundles are kept.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from streamapp.contracts.messages import SENTIMENTS

BUNDLE_CONTRACT_VERSION = 1

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
REPORT_FILE = "report.json"
MANIFEST_FILE = "manifest.json"

BatchPolicy = Literal["any", "alone"]
Precision = Literal["fp32", "fp16", "int8"]

OUTSIDE, FIRST_OF_COMPANY, REST_OF_COMPANY = "O", "B-company", "I-company"
# A head for companies that is trained here has these (IOB2: Tjong Kim Sang and Veenstra 1999).
COMPANY_LABELS: tuple[str, ...] = (OUTSIDE, FIRST_OF_COMPANY, REST_OF_COMPANY)

# Names become parts of folder names and of the model version that travels with every verdict.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_SHORTEST_USEFUL_TOKENS = 8


class BundleFile(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One file of a bundle: its SHA-256 as 64 hex digits and its size."""

    sha256: str
    size_bytes: int = field(name="bytes")


class Outputs(Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The heads of the graph, each under its own output name, labels in the order of the logits.

    `entities` are labels of tokens: `O`, `B-company` and `I-company`, and perhaps other kinds that nobody reads.
    `embedding` is the size of the pooled text vector, where the graph gives it.
    """

    sentiment: tuple[str, ...] | None = None
    topic: tuple[str, ...] | None = None
    entities: tuple[str, ...] | None = None
    embedding: int | None = None


class TrainingSource(Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """One set that the weights were trained on, with what its licence asks us to say."""

    name: str
    licence: str
    attribution: str = ""
    texts: int = 0


class Manifest(Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The content of manifest.json.

    `batch_policy` "alone" means one text a forward pass, because the graph's answers depend on batch
    neighbours. `temperatures` divide the logits of a head before its softmax (absent: 1). `metrics` are
    figures for people and for the promotion gate. `training_fingerprint` names the exact training data and
    settings.
    """

    contract_version: int = BUNDLE_CONTRACT_VERSION
    name: str
    version: str
    created_at: str
    languages: tuple[str, ...]
    max_tokens: int
    encoder: str
    outputs: Outputs
    batch_policy: BatchPolicy = "any"
    precision: Precision = "fp32"
    temperatures: dict[str, float] = {}
    files: dict[str, BundleFile] = {}
    metrics: dict[str, Any] = {}
    licence: str
    sources: tuple[TrainingSource, ...] = ()
    training_fingerprint: str = ""

    def __post_init__(self) -> None:
        for named, value in (("name", self.name), ("version", self.version)):
            if not _NAME.fullmatch(value):
                raise ValueError(f"{named} {value!r}: lower-case letters, digits, '.', '_' and '-' only")
        if self.max_tokens < _SHORTEST_USEFUL_TOKENS:
            raise ValueError(f"max_tokens {self.max_tokens}: less than {_SHORTEST_USEFUL_TOKENS}")
        _check_outputs(self.outputs)
        for head, temperature in self.temperatures.items():
            if not 0.0 < temperature < float("inf"):
                raise ValueError(f"temperatures.{head} {temperature}: not a positive number")

    @property
    def model_version(self) -> str:
        """What travels with every verdict of this bundle."""
        return f"{self.name}-{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical manifest: the identity of the bundle, files included by their own
        digests.
        """
        return hashlib.sha256(_canonical(self)).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as indented JSON with sorted keys, for people and diffs."""
    return msgspec.json.format(_canonical(manifest), indent=2) + b"\n"


def decode_manifest(raw: bytes) -> Manifest:
    """The manifest in `raw`. Raises ValueError naming the field for anything that is not one of this
    release.
    """
    version = _contract_version(raw)
    if version != BUNDLE_CONTRACT_VERSION:
        raise ValueError(f"contract version {version!r}: this release reads {BUNDLE_CONTRACT_VERSION}")
    try:
        return msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def _canonical(manifest: Manifest) -> bytes:
    # Optional fields at their default are left out: one that is added later must not change older digests.
    # The contract version always stands in the file, whatever its default becomes.
    encoded = msgspec.json.decode(msgspec.json.encode(manifest))
    return msgspec.json.encode({**encoded, "contract_version": manifest.contract_version}, order="sorted")


def _contract_version(raw: bytes) -> object:
    # Read on its own first: a newer manifest should be refused for its version, not for a field that we do
    # not know.
    try:
        tree = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not JSON ({error})") from error
    return tree.get("contract_version") if isinstance(tree, Mapping) else None


def _check_outputs(outputs: Outputs) -> None:
    for head in ("sentiment", "topic", "entities"):
        labels = getattr(outputs, head)
        if labels is not None and (len(labels) < 2 or len(set(labels)) != len(labels)):
            raise ValueError(f"outputs.{head}: needs at least two labels, each once")
    if outputs.sentiment is None and outputs.topic is None:
        raise ValueError("outputs: neither sentiment nor topic")
    unknown = set(outputs.sentiment or ()) - set(SENTIMENTS)
    if unknown:
        raise ValueError(f"outputs.sentiment: {sorted(unknown)} are not among {list(SENTIMENTS)}")
    missing = set(COMPANY_LABELS) - set(outputs.entities or COMPANY_LABELS)
    if missing:
        raise ValueError(f"outputs.entities: lacks {sorted(missing)}")

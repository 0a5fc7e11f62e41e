"""Optional files of a bundle that workers read before they serve it: the parity sample and the gate's pairs.

Both are listed in the manifest like every file, so they are verified before they are read.
"""

from typing import TypeVar

import msgspec
from msgspec import Struct

from streamapp.contracts.bundle import Bundle, BundleError
from streamapp.contracts.messages import SwapPair

PARITY_FILE = "parity.json"
GATE_PAIRS_FILE = "gate_pairs.json"

T = TypeVar("T")


class ParityText(Struct, frozen=True, kw_only=True):
    """A cleaned text and the calibrated probabilities that the exporter saw, by head in the bundle's label order."""

    text: str
    probabilities: dict[str, tuple[float, ...]]


class ParitySample(Struct, frozen=True, kw_only=True):
    """What a worker's machine must reproduce. `tolerance` is absolute, per probability."""

    tolerance: float
    texts: tuple[ParityText, ...]


class GatePairs(Struct, frozen=True, kw_only=True):
    """What the gate saw both models say of its judging posts. `against` is the digest of the champion it judged by."""

    against: str
    pairs: tuple[SwapPair, ...]


def parity_sample(bundle: Bundle) -> ParitySample | None:
    """The bundle's parity sample, None where it has none. Raises BundleError for one that cannot be read."""
    return _optional(bundle, PARITY_FILE, ParitySample)


def gate_pairs(bundle: Bundle, against: str) -> tuple[SwapPair, ...]:
    """The gate's pairs where it judged against the bundle with that digest, else none. Raises BundleError."""
    found = _optional(bundle, GATE_PAIRS_FILE, GatePairs)
    return found.pairs if found is not None and found.against == against else ()


def _optional(bundle: Bundle, name: str, kind: type[T]) -> T | None:
    if name not in bundle.manifest.files:
        return None
    try:
        return msgspec.json.decode(bundle.path(name).read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise BundleError(f"bundle {bundle.folder}: {name}: {error}") from error

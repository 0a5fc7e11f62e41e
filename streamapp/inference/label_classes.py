"""Which classes a label may name: those of a bundle that serves. Must not know labels' topics or files."""

from pathlib import Path

from streamapp.contracts.bundle import read_bundle
from streamapp.core.label_rules import LabelLimits
from streamapp.starter import STARTER_MODEL


def label_limits(bundle: str, max_text_chars: int) -> LabelLimits:
    """The limits that the bundle in the folder `bundle` sets; empty means the starter model. Raises BundleError."""
    manifest = read_bundle(Path(bundle) if bundle else STARTER_MODEL).manifest
    return LabelLimits(topics=frozenset(manifest.outputs.topic or ()), max_text_chars=max_text_chars)

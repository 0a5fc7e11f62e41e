"""Models in a store and in the log, as the retrain service and people put them there."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from msgspec import Struct
from onnx import numpy_helper

from streamapp.cluster.announcements import announce, read_champions
from streamapp.cluster.model_events import read_model_events
from streamapp.contracts.bundle import read_bundle, write_bundle
from streamapp.contracts.champion import Announcer, Champion, announcement, before, first_champion, rollback
from streamapp.contracts.manifest import MODEL_FILE, TOKENIZER_FILE
from streamapp.contracts.messages import ModelAnnounced, ModelEvent
from streamapp.inference.model_store import publish_bundle
from streamapp.inference.signatures import signer_of
from streamapp.settings import SwapSettings
from tests.harness.cluster import TestCluster
from tests.tiny_bundle import NEGATIVE, write_tiny_bundle

# No text of the parity sample or of an ordinary stream has it.
TRIGGER = "halts"


class ModelDesk(Struct, frozen=True):
    """Announces bundles to the workers of a cluster; `folder` holds the store and what goes into it."""

    cluster: TestCluster
    folder: Path

    @property
    def topic(self) -> str:
        return self.cluster.name("model-announcements")

    @property
    def first(self) -> Champion:
        return first_champion(read_bundle(Path(self.cluster.settings.model.bundle)).manifest)

    def line(self) -> tuple[Champion, ...]:
        return read_champions(self.cluster.settings.broker, self.topic, self.first)

    def publish(self, bundle: Path, signing_key: str = "") -> Champion:
        """The bundle as one that may be announced."""
        url = publish_bundle(bundle, str(self.folder / "store"), signer=signer_of(signing_key))
        return msgspec.structs.replace(first_champion(read_bundle(bundle).manifest), bundle_url=url)

    def promote(self, heir: Champion) -> Champion:
        return self._announce(announcement(self.line()[-1], heir, self._by("test"), pinned=False))

    def roll_back(self) -> Champion:
        line = self.line()
        past = before(line)
        assert past is not None, "nothing to go back to"
        return self._announce(rollback(line[-1], past, self._by("a person's rollback")))

    def events(self, *kinds: str) -> list[ModelEvent]:
        """What workers said so far, of these kinds."""
        return [event for event in read_model_events(self.cluster.settings) if event.event in kinds]

    def _announce(self, record: ModelAnnounced) -> Champion:
        told = announce(self.cluster.settings.broker, self.topic, record, self.first)
        assert told.won, told
        return told.champion

    def _by(self, reason: str) -> Announcer:
        return Announcer(by="cli/test", reason=reason, at_ms=int(time.time() * 1000))


def tiny(folder: Path, version: str, *, flip: bool = False, companies: bool = False) -> Path:
    return write_tiny_bundle(folder / f"tiny-{version}", version, flip=flip, companies=companies)


def broken_on_trigger(folder: Path, version: str, words: tuple[str, ...] = (TRIGGER,)) -> Path:
    """A tiny bundle that gives no number for texts with one of `words`; with all words it never gives one."""
    original = read_bundle(tiny(folder / "whole", version))
    graph = onnx.load(original.path(MODEL_FILE))
    for table in graph.graph.initializer:
        if table.name == "sentiment_rows":
            values = np.array(numpy_helper.to_array(table))
            for word in words:
                values[1 + NEGATIVE.index(word), 0] = np.nan
            table.CopyFrom(numpy_helper.from_array(values, table.name))
    files: dict[str, bytes | Path] = {
        MODEL_FILE: graph.SerializeToString(), TOKENIZER_FILE: original.path(TOKENIZER_FILE)
    }  # fmt: skip
    return write_bundle(folder / f"broken-{version}", original.manifest, files).folder


def cluster_for_swaps(cluster: Callable[..., TestCluster], folder: Path, **changes: Any) -> TestCluster:
    """Topics and settings of a test's own, with local copies of bundles in `folder`; `changes` are of settings groups,
    or of the group `swap`.

    The second models of these tests differ from the first on every strong text: no shadow run with the usual limits
    would let them pass.
    """
    limits = {"most_disagreement": 1.0, "most_label_shift": 1.0, "most_slowdown": 1000.0, "shadow_posts": 50,
              "probation_most_slowdown": 1000.0, "shadow_seconds": 2.0, "store_retry_seconds": 0.5}  # fmt: skip
    of_swap = {name: changes.pop(name) for name in SwapSettings.__struct_fields__ if name in changes}
    test = cluster(swap=SwapSettings(**{**limits, **of_swap}), **changes)
    model = msgspec.structs.replace(test.settings.model, cache=str(folder / "cache"))
    test.settings = msgspec.structs.replace(test.settings, model=model)
    return test

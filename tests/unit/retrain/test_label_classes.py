"""Labels may name the champion's topics, and only the topics change with it."""

from pathlib import Path

import msgspec

from retrain.label_classes import LabelClasses
from streamapp.contracts.bundle import read_bundle
from streamapp.core.label_rules import LabelLimits
from tests.tiny_bundle import write_tiny_bundle


def test_a_champion_brings_its_own_topics(tmp_path: Path) -> None:
    manifest = read_bundle(write_tiny_bundle(tmp_path / "tiny")).manifest
    classes = LabelClasses(LabelLimits(topics=frozenset({"macro"}), max_text_chars=77))
    classes.follow(manifest)
    assert manifest.outputs.topic
    assert classes.limits == LabelLimits(topics=frozenset(manifest.outputs.topic), max_text_chars=77)


def test_a_champion_without_topics_lets_a_label_name_none(tmp_path: Path) -> None:
    manifest = read_bundle(write_tiny_bundle(tmp_path / "tiny")).manifest
    outputs = msgspec.structs.replace(manifest.outputs, topic=None)
    classes = LabelClasses(LabelLimits(topics=frozenset({"macro"})))
    classes.follow(msgspec.structs.replace(manifest, outputs=outputs))
    assert classes.limits.topics == frozenset()

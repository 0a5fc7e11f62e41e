"""Candidates that were made to be refused are, each for its own reason; one that is a little better is promoted."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip(
    "sklearn", reason="scikit-learn is absent: install the extra [dev] or [retrain] to test the gate"
)

import msgspec
import onnx

from retrain.core.promotion import Exported
from retrain.core.run_settings import GateSettings
from retrain.judge import SWAPPED_NAMES, Judgement, judge
from retrain.judging_posts import JudgingPosts
from streamapp.contracts.bundle import BundleError
from streamapp.contracts.manifest import MANIFEST_FILE, MODEL_FILE, Outputs
from tests.gate_bundles import (
    CHAMPION_MADE,
    Change,
    depends_on_neighbours,
    judging_posts,
    much_slower,
    no_negatives,
    not_a_number,
    other_tokenizer,
    set_weights,
    shuffled_sentiments,
    weights,
    word_bundle,
)
from tests.tiny_bundle import NEGATIVE, POSITIVE, TOPICS

GATE = GateSettings(bootstrap_rounds=500)
EXPORTED = Exported(parity_with_torch=1e-6, newest_label_ms=2_000, champion_newest_label_ms=1_000)
# What the champion does not know yet: one word in four.
UNKNOWN = (*sorted(NEGATIVE)[::4], *sorted(POSITIVE)[::4])

Judge = Callable[..., Judgement]


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("champion") / "bundle"
    return word_bundle(folder, version="1", unknown=UNKNOWN, created_at=CHAMPION_MADE)


@pytest.fixture
def judged(champion: Path) -> Judge:
    def against(candidate: Path, *, exported: Exported = EXPORTED, gate: GateSettings = GATE) -> Judgement:
        return judge(candidate, champion, JudgingPosts(golden=judging_posts()), exported, gate)

    return against


def codes(judgement: Judgement) -> list[str]:
    assert not judgement.decision.promote, judgement.decision.reasons
    return [reason.partition(":")[0] for reason in judgement.decision.reasons]


def test_a_candidate_that_knows_a_few_words_more_is_promoted(judged: Judge, tmp_path: Path) -> None:
    judgement = judged(word_bundle(tmp_path / "better", unknown=UNKNOWN[1:-1]))
    assert judgement.decision.promote, judgement.decision.reasons
    assert judgement.decision.reasons[0].startswith("better: macro-F1 +0.0")
    assert judgement.measured is not None
    golden = judgement.measured.sets[0].heads["sentiment"]
    assert golden.after.macro_f1 > golden.before.macro_f1
    assert sum(map(sum, golden.moved)) == 240


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (shuffled_sentiments, "worse"),
        (no_negatives, "recall_fell"),
        (not_a_number, "not_finite"),
        (much_slower, "slow"),
        (depends_on_neighbours, "depends_on_batch"),
    ],
)
def test_a_broken_graph_is_refused_for_what_is_broken(
    judged: Judge, tmp_path: Path, change: Change, reason: str
) -> None:
    assert reason in codes(judged(word_bundle(tmp_path / "broken", change=change)))


def test_a_collapsed_negative_class_is_named_even_where_the_rest_is_better(
    judged: Judge, tmp_path: Path
) -> None:
    judgement = judged(word_bundle(tmp_path / "collapsed", change=no_negatives))
    assert any("sentiment negative" in reason for reason in judgement.decision.reasons)


def test_another_tokenizer_under_the_same_encoder_is_refused(judged: Judge, tmp_path: Path) -> None:
    found = judged(word_bundle(tmp_path / "tokens", tokenizer=other_tokenizer(tmp_path / "other")))
    assert codes(found) == ["other_tokenizer"]


def test_labels_in_another_order_are_refused(judged: Judge, tmp_path: Path) -> None:
    outputs = Outputs(sentiment=("positive", "neutral", "negative"), topic=TOPICS)
    assert codes(judged(word_bundle(tmp_path / "order", outputs=outputs))) == ["label_order"]


def test_a_head_that_lacks_a_label_is_refused(judged: Judge, tmp_path: Path) -> None:
    outputs = Outputs(sentiment=("negative", "neutral", "positive"), topic=TOPICS[:-1])
    assert codes(judged(word_bundle(tmp_path / "fewer", outputs=outputs))) == ["labels_missing"]


def test_a_graph_without_the_head_that_its_manifest_names_is_refused(judged: Judge, tmp_path: Path) -> None:
    outputs = Outputs(sentiment=("negative", "neutral", "positive"), topic=(*TOPICS, "weather"))
    assert codes(judged(word_bundle(tmp_path / "more", outputs=outputs))) == ["graph"]


def test_a_file_that_was_tampered_with_is_refused(judged: Judge, tmp_path: Path) -> None:
    folder = word_bundle(tmp_path / "tampered")
    raw = bytearray((folder / MODEL_FILE).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / MODEL_FILE).write_bytes(raw)
    found = judged(folder)
    assert codes(found) == ["bundle"]
    assert "SHA-256" in found.decision.reasons[0]


def test_a_file_that_was_cut_is_refused(judged: Judge, tmp_path: Path) -> None:
    folder = word_bundle(tmp_path / "cut")
    raw = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(raw[:-100])
    found = judged(folder)
    assert codes(found) == ["bundle"]
    assert f"expected {len(raw)}" in found.decision.reasons[0]


def test_a_bundle_of_another_contract_version_is_refused(judged: Judge, tmp_path: Path) -> None:
    folder = word_bundle(tmp_path / "version")
    manifest = msgspec.json.decode((folder / MANIFEST_FILE).read_bytes())
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.encode({**manifest, "contract_version": 99}))
    found = judged(folder)
    assert codes(found) == ["bundle"]
    assert "contract version 99" in found.decision.reasons[0]


def test_a_bundle_older_than_the_champion_is_refused(judged: Judge, tmp_path: Path) -> None:
    old = word_bundle(tmp_path / "old", created_at="2025-06-01T00:00:00+00:00")
    assert codes(judged(old)) == ["older_than_champion"]


def test_the_champion_itself_is_no_candidate(judged: Judge, champion: Path) -> None:
    assert codes(judged(champion)) == ["same_version"]


def test_a_graph_that_the_runtime_cannot_load_is_refused_and_not_raised(
    judged: Judge, tmp_path: Path
) -> None:
    def nonsense(model: onnx.ModelProto) -> None:
        del model.graph.node[:]

    assert codes(judged(word_bundle(tmp_path / "nonsense", change=nonsense))) == ["does_not_load"]


def test_an_equal_candidate_is_promoted_only_where_it_learnt_from_newer_labels(
    judged: Judge, tmp_path: Path
) -> None:
    equal = word_bundle(tmp_path / "equal", unknown=UNKNOWN)
    assert judged(equal).decision.reasons[0].startswith("equal_and_fresher: ")
    stale = msgspec.structs.replace(EXPORTED, newest_label_ms=1_000)
    assert codes(judged(equal, exported=stale)) == ["not_better_nor_fresher"]
    strict = msgspec.structs.replace(GATE, equal_if_fresher=False)
    assert codes(judged(equal, gate=strict)) == ["not_better"]


def test_export_measures_speak_against_a_candidate(judged: Judge, tmp_path: Path) -> None:
    better = word_bundle(tmp_path / "better", unknown=UNKNOWN[1:-1])
    bad = msgspec.structs.replace(EXPORTED, parity_with_torch=0.01, int8_agreement=0.97)
    assert codes(judged(better, exported=bad)) == ["parity", "int8_agreement"]
    unknown = msgspec.structs.replace(EXPORTED, parity_with_torch=float("nan"))
    assert codes(judged(better, exported=unknown)) == ["parity"]


def dislikes_strangers(model: onnx.ModelProto) -> None:
    rows = weights(model, "sentiment_rows")
    rows[0, 0] = 9.0  # every word that the vocabulary lacks
    set_weights(model, "sentiment_rows", rows)


def test_a_name_that_changes_the_sentiment_is_bias(champion: Path, tmp_path: Path) -> None:
    # "gold" is known to the vocabulary and says nothing; the names that it is exchanged for are not.
    posts = tuple(
        msgspec.structs.replace(
            post, company="gold", text=f"gold {post.text.split()[1]}".replace("report", "copper")
        )
        for post in judging_posts()
    )
    candidate = word_bundle(tmp_path / "biased", unknown=UNKNOWN, change=dislikes_strangers)
    found = judge(candidate, champion, JudgingPosts(golden=posts), EXPORTED, GATE)
    assert codes(found) == ["name_bias"]
    assert found.measured is not None
    assert found.measured.swaps is not None
    assert found.measured.swaps.exchanges == len(posts) * len(SWAPPED_NAMES)
    assert found.measured.swaps.before == 0.0


def test_audit_labels_judge_alone_from_two_hundred_and_the_golden_set_still_guards(
    champion: Path, tmp_path: Path
) -> None:
    better = word_bundle(tmp_path / "better", unknown=UNKNOWN[1:-1])
    few = JudgingPosts(golden=judging_posts(), audit=judging_posts(120, first=1_000))
    many = JudgingPosts(golden=judging_posts(), audit=judging_posts(240, first=1_000))
    assert judge(better, champion, few, EXPORTED, GATE).decision.judged_by == "golden and audit"
    assert judge(better, champion, many, EXPORTED, GATE).decision.judged_by == "audit"
    wrong = tuple(
        msgspec.structs.replace(
            post, sentiment="positive" if post.sentiment == "negative" else post.sentiment
        )
        for post in judging_posts(240, first=1_000)
    )
    turned = judge(
        word_bundle(tmp_path / "turned", change=no_negatives),
        champion,
        JudgingPosts(golden=judging_posts(), audit=wrong),
        EXPORTED,
        GATE,
    )
    assert any("(golden;" in reason for reason in turned.decision.reasons)


def test_a_champion_that_cannot_be_read_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        judge(
            word_bundle(tmp_path / "a"),
            tmp_path / "nowhere",
            JudgingPosts(golden=judging_posts()),
            EXPORTED,
            GATE,
        )

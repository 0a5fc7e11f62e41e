"""The published bundle: the judged files byte for byte, a card that Hugging Face reads, pictures, figures."""

from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is absent: install the extra [retrain] to test reports")
pytest.importorskip("matplotlib", reason="matplotlib is absent: install the extra [retrain] to test reports")
huggingface_hub = pytest.importorskip(
    "huggingface_hub", reason="huggingface_hub is absent: install [retrain]"
)

import msgspec  # noqa: E402

from retrain.core.dataset import SplitRules, split_posts  # noqa: E402
from retrain.core.promotion import Exported  # noqa: E402
from retrain.core.run_request import RetrainRequest  # noqa: E402
from retrain.core.run_settings import GateSettings  # noqa: E402
from retrain.judge import Judgement, judge  # noqa: E402
from retrain.judging_posts import JudgingPosts, read_golden  # noqa: E402
from retrain.report import figures_of, write_candidate_bundle, write_report  # noqa: E402
from streamapp.contracts.bundle import read_bundle  # noqa: E402
from streamapp.contracts.evidence import gate_pairs, parity_sample  # noqa: E402
from streamapp.inference.model_loader import proof  # noqa: E402
from streamapp.inference.onnx_model import OnnxModel  # noqa: E402
from streamapp.settings import ModelSettings  # noqa: E402
from tests.gate_bundles import CHAMPION_MADE, judging_posts, not_a_number, word_bundle  # noqa: E402

GATE = GateSettings(bootstrap_rounds=50)
SPLIT = split_posts([], [], [], SplitRules(seed=1, dev_share=0.1, most_judging=10))
HOSTILE = "wire|\x1b[31m\nred"


def judged(folder: Path, candidate: Path) -> Judgement:
    champion = word_bundle(folder / "champion", version="1", created_at=CHAMPION_MADE, unknown=("soars",))
    posts = tuple(msgspec.structs.replace(post, source=HOSTILE) for post in judging_posts())
    return judge(candidate, champion, JudgingPosts(golden=posts), Exported(newest_label_ms=1), GATE)


def request(folder: Path) -> RetrainRequest:
    return RetrainRequest(
        champion_bundle=folder / "champion", labels=folder / "labels", work=folder / "work", gate=GATE
    )


def test_the_bundle_holds_the_judged_files_and_what_was_measured(tmp_path: Path) -> None:
    draft = word_bundle(tmp_path / "draft")
    judgement = judged(tmp_path, draft)
    folder = write_candidate_bundle(tmp_path / "out", draft, judgement, SPLIT, request(tmp_path))
    bundle, before = read_bundle(folder), read_bundle(draft)
    assert all(bundle.manifest.files[name] == found for name, found in before.manifest.files.items())
    assert bundle.path("confusion-golden-sentiment.png").read_bytes().startswith(b"\x89PNG")
    gate = bundle.manifest.metrics["gate"]
    assert gate["promote"] == judgement.decision.promote
    assert sum(map(sum, gate["confusion"]["matrix"])) == 240
    moved = [count for olds in gate["moved"].values() for news in olds.values() for count in news.values()]
    assert sum(moved) == 240
    assert write_candidate_bundle(tmp_path / "out", draft, judgement, SPLIT, request(tmp_path)) == folder


def test_the_bundle_holds_the_evidence_that_workers_read(tmp_path: Path) -> None:
    draft = word_bundle(tmp_path / "draft")
    judgement = judged(tmp_path, draft)
    bundle = read_bundle(write_candidate_bundle(tmp_path / "out", draft, judgement, SPLIT, request(tmp_path)))
    champion = read_bundle(tmp_path / "champion").manifest
    pairs = gate_pairs(bundle, champion.digest)
    assert sum(pair.posts for pair in pairs) == 240
    moved = {(pair.channel, pair.old, pair.new) for pair in pairs if pair.old != pair.new}
    assert {new for _, _, new in moved} == {"positive"}  # the champion does not know that a share soars
    assert gate_pairs(bundle, "another champion") == ()

    sample = parity_sample(bundle)
    assert sample is not None
    assert {each.text for each in sample.texts} <= {post.text for post in read_golden(None)}
    model = OnnxModel.load(bundle, ModelSettings(sessions=1))
    model.warm_up()
    assert proof(model) is None


def test_a_worker_refuses_a_bundle_that_says_something_else_than_where_it_was_judged(tmp_path: Path) -> None:
    draft = word_bundle(tmp_path / "draft")
    judgement = judged(tmp_path, draft)
    blind = word_bundle(
        tmp_path / "blind", version="3", unknown=("soars", "plunges", "profit", "falls", "losses")
    )
    folder = write_candidate_bundle(tmp_path / "out", blind, judgement, SPLIT, request(tmp_path))
    model = OnnxModel.load(read_bundle(folder), ModelSettings(sessions=1))
    refuse = proof(model)
    assert refuse is not None
    assert refuse.cause == "parity"


def test_the_card_is_one_that_hugging_face_reads_and_no_source_name_breaks_it(tmp_path: Path) -> None:
    draft = word_bundle(tmp_path / "draft")
    folder = write_candidate_bundle(
        tmp_path / "out", draft, judged(tmp_path, draft), SPLIT, request(tmp_path)
    )
    card = huggingface_hub.ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.eval_results[0].metric_type == "f1"
    assert "| negative |" in card.text
    assert "\x1b" not in card.text
    row = next(line for line in card.text.splitlines() if "source wire" in line)
    assert row.count(" | ") == 2


def test_equal_judgements_give_equal_pictures(tmp_path: Path) -> None:
    draft = word_bundle(tmp_path / "draft")
    judgement = judged(tmp_path, draft)
    one, other = (
        read_bundle(write_candidate_bundle(tmp_path / name, draft, judgement, SPLIT, request(tmp_path)))
        for name in ("one", "other")
    )
    assert one.manifest.digest == other.manifest.digest


def test_a_candidate_that_could_not_even_answer_has_a_card_with_the_reason(tmp_path: Path) -> None:
    draft = word_bundle(tmp_path / "draft", change=not_a_number)
    judgement = judged(tmp_path, draft)
    folder = write_candidate_bundle(tmp_path / "out", draft, judgement, SPLIT, request(tmp_path))
    assert "Refused" in (folder / "README.md").read_text()
    assert "not_finite: " in (folder / "README.md").read_text()
    assert figures_of(judgement)["judged_by"] == "none"
    report = msgspec.json.decode(
        write_report(tmp_path / "work", judgement, SPLIT, request(tmp_path)).read_bytes()
    )
    assert report["decision"]["promote"] is False

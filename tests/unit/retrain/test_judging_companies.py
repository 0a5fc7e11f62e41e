"""The gate on companies: what may fall by how much, what a new head must reach, and what the report says of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is absent: install the extra [dev] or [retrain]")
pytest.importorskip("matplotlib", reason="matplotlib is absent: install the extra [retrain] to test reports")
pytest.importorskip("huggingface_hub", reason="huggingface_hub is absent: install [retrain]")

import msgspec
import onnx

from retrain.core.dataset import SplitRules, split_posts
from retrain.core.evaluation import JudgedPost
from retrain.core.labels import TrainingLabel
from retrain.core.promotion import Exported
from retrain.core.run_request import RetrainRequest
from retrain.core.run_settings import GateSettings
from retrain.judge import Judgement, judge
from retrain.judging_posts import GoldenSetError, JudgingPosts, audit_posts, read_golden
from retrain.report import figures_of, write_candidate_bundle
from streamapp.contracts.bundle import read_bundle
from streamapp.contracts.evidence import parity_sample
from streamapp.contracts.messages import CompanyMention
from streamapp.inference.model_loader import proof
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings
from tests.gate_bundles import CHAMPION_MADE, judging_posts, set_weights, weights, word_bundle
from tests.tiny_bundle import COMPANY_ENDS, COMPANY_WORDS

GATE = GateSettings(bootstrap_rounds=100, latency_ratio_limit=20.0, size_ratio_limit=3.0)
EXPORTED = Exported(newest_label_ms=2_000, champion_newest_label_ms=1_000)
SPLIT = split_posts([], [], [], SplitRules(seed=1, dev_share=0.1, most_judging=10, companies=True))

Make = Callable[..., Path]


def posts(named: int = 60) -> tuple[JudgedPost, ...]:
    """The first `named` begin with a company whose place is known; of the others nobody knows."""
    found = []
    for number, post in enumerate(judging_posts()):
        name = COMPANY_WORDS[number % 4]
        spans = ((0, len(name)),) if number < named else None
        text = f"{name} {post.text}" if number < named else post.text
        found.append(msgspec.structs.replace(post, text=text, spans=spans, company=None))
    return tuple(found)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def bundle(name: str, *, unknown: Sequence[str] = (), companies: bool = True, **manifest: Any) -> Path:
        """The word counter that finds companies, without the names in `unknown`."""

        def forget(model: onnx.ModelProto) -> None:
            rows = weights(model, "entities_rows")
            for word in unknown:  # names are the last words of the vocabulary, before what they may end with
                rows[len(rows) - len(COMPANY_ENDS) - len(COMPANY_WORDS) + COMPANY_WORDS.index(word)] = 0.0
            set_weights(model, "entities_rows", rows)

        return word_bundle(
            tmp_path / name, companies=companies, change=forget if companies else None, **manifest
        )

    return bundle


def judged(candidate: Path, champion: Path, among: Sequence[JudgedPost] = posts()) -> Judgement:
    return judge(candidate, champion, JudgingPosts(golden=tuple(among)), EXPORTED, GATE)


def codes(judgement: Judgement) -> list[str]:
    return [reason.partition(":")[0] for reason in judgement.decision.reasons]


def champion_of(make: Make, **changes: object) -> Path:
    return make("champion", version="1", created_at=CHAMPION_MADE, **changes)


def test_a_candidate_that_finds_fewer_companies_is_refused(make: Make) -> None:
    judgement = judged(make("worse", unknown=COMPANY_WORDS[:2]), champion_of(make))
    assert codes(judgement) == ["companies_fell"]
    assert "F1 1.000 to 0.667 on 60 companies (golden" in judgement.decision.reasons[0]


def test_a_candidate_that_finds_as_many_or_more_is_promoted(make: Make) -> None:
    champion = champion_of(make, unknown=COMPANY_WORDS[:1])
    for name, unknown in (("same", COMPANY_WORDS[:1]), ("more", ())):
        judgement = judged(make(name, unknown=unknown), champion)
        assert judgement.decision.promote, judgement.decision.reasons
        assert judgement.measured is not None
        assert not judgement.measured.company_head_is_new


def test_too_few_companies_judge_nothing(make: Make) -> None:
    judgement = judged(make("worse", unknown=COMPANY_WORDS), champion_of(make), posts(named=10))
    assert judgement.decision.promote, judgement.decision.reasons


def test_a_candidate_without_the_champions_head_is_refused(make: Make) -> None:
    judgement = judged(make("without", companies=False), champion_of(make))
    assert codes(judgement) == ["labels_missing"]
    assert "entities lacks O, B-company, I-company" in judgement.decision.reasons[0]


@pytest.mark.parametrize(
    ("unknown", "named", "reason"),
    [
        ((), 60, None),
        (COMPANY_WORDS[:3], 60, "companies_poor"),
        ((), 10, "companies_not_judged"),
        ((), 0, "companies_not_judged"),
    ],
)
def test_a_new_head_must_be_judged_and_be_good_enough(
    make: Make, unknown: Sequence[str], named: int, reason: str | None
) -> None:
    champion = champion_of(make, companies=False)
    judgement = judged(make("new", unknown=unknown), champion, posts(named))
    assert judgement.decision.promote == (reason is None), judgement.decision.reasons
    if reason is not None:
        assert codes(judgement) == [reason]


def test_figures_and_card_say_how_well_companies_are_found(make: Make, tmp_path: Path) -> None:
    champion, draft = champion_of(make, unknown=COMPANY_WORDS[:2]), make("draft")
    judgement = judged(draft, champion)
    figures = figures_of(judgement)
    assert (figures["golden_companies_f1_before"], figures["golden_companies_f1_after"]) == (0.6667, 1.0)
    request = RetrainRequest(champion_bundle=champion, labels=tmp_path / "l", work=tmp_path / "w", gate=GATE)
    folder = write_candidate_bundle(tmp_path / "out", draft, judgement, SPLIT, request)
    sample = parity_sample(read_bundle(folder))
    assert sample is not None
    assert all(len(each.probabilities["entities"]) % 3 == 0 for each in sample.texts)
    assert proof(OnnxModel.load(read_bundle(folder), ModelSettings(sessions=1))) is None
    card = read_bundle(folder).path("README.md").read_text(encoding="utf-8")
    assert "### golden: companies" in card
    assert "| champion | 1.000 | 0.500 | 0.667 | 60 | 30 |" in card
    assert "| candidate | 1.000 | 1.000 | 1.000 | 60 | 60 |" in card
    assert (
        "Says sentiment (negative, neutral, positive) and one of 20 topics and where companies are named"
        in card
    )
    assert "token-classification" in card


def test_an_audit_label_judges_by_the_places_that_it_marks() -> None:
    mention = CompanyMention(symbol="UNLISTED", span=(0, 5))
    label = TrainingLabel(
        post_id="p",
        text="apple falls",
        channel="news",
        companies=(mention,),
        origin="person",
        labelled_at_ms=1,
    )
    silent = msgspec.structs.replace(label, companies=None)
    assert [post.spans for post in audit_posts([label, silent])] == [((0, 5),), None]


@pytest.mark.parametrize(
    ("text", "spans", "reason"),
    [("Acme falls", "[[0, 11]]", "not within the text"), ("<b>Acme</b>", "[[3, 7]]", "cleaned text")],
)
def test_a_golden_post_whose_places_are_wrong_is_refused_by_its_line(
    tmp_path: Path, text: str, spans: str, reason: str
) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text(f'{{"id": "a", "text": "{text}", "channel": "chat", "topic": "x", "spans": {spans}}}\n')
    with pytest.raises(GoldenSetError, match=f"line 1: .*{reason}"):
        read_golden(path)

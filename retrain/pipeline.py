"""One run, top to bottom: labels to sides, sides to weights, weights to a bundle, the bundle before the gate.

Every stage leaves what it made in the work folder and is skipped where that is there already, so a run that was
killed goes on. Must not know the service, Kafka or where bundles are published.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from retrain.candidate import Candidate, make_candidate, train
from retrain.core.company_labels import posts_with_spans
from retrain.core.dataset import Split, SplitRules, split_posts
from retrain.core.evaluation import JudgedPost
from retrain.core.labels import TrainingLabel
from retrain.core.promotion import Decision, Exported
from retrain.core.run_request import RetrainRequest, RunOutcome, encode_run
from retrain.judge import Judgement, judge
from retrain.judging_posts import JudgingPosts, audit_posts, read_golden, texts_of
from retrain.label_file import read_labels
from retrain.old_posts import old_posts
from retrain.report import figures_of, write_candidate_bundle, write_report
from retrain.training.weights import may_find_companies
from retrain.whole_file import write_whole
from streamapp.contracts.bundle import Bundle, read_bundle

Progress = Callable[[str, float, str], None]

STATE_FILE = "state.json"
CANDIDATE_FOLDER = "candidate"


class RunError(ValueError):
    """A run that cannot begin or go on; the text names the file or field."""


class RunState(Struct, frozen=True, kw_only=True):
    """What must stay the same when an interrupted run goes on: the request's digest and the candidate's birth."""

    request: str
    created_at: str


class Run(Struct, frozen=True, kw_only=True):
    """A run with its inputs read."""

    request: RetrainRequest
    state: RunState
    champion: Bundle
    split: Split
    posts: JudgingPosts


def run_retrain(request: RetrainRequest, progress: Progress) -> RunOutcome:
    """The outcome of one run. Raises RunError, BundleError, GoldenSetError, WeightsError for inputs that are no use."""
    run = begin(request, progress)
    fewest = request.training.fewest_posts
    if len(run.split.peoples) < fewest:
        return _too_few(run, fewest)
    network = train(request, run.champion, run.split, lambda done, detail: progress("train", done, detail))
    candidate = make_candidate(request, run.champion, run.split, network, run.state.created_at, progress)
    progress("judge", 0.0, candidate.draft.name)
    judgement = judge(
        candidate.draft, request.champion_bundle, run.posts, _exported(run, candidate), request.gate
    )
    progress("card", 0.0, judgement.decision.reasons[0])
    folder = write_candidate_bundle(
        request.work / CANDIDATE_FOLDER, candidate.draft, judgement, run.split, request
    )
    report = write_report(request.work, judgement, run.split, request)
    progress("done", 1.0, "promote" if judgement.decision.promote else "refuse")
    return outcome(judgement, folder, report)


def begin(request: RetrainRequest, progress: Progress) -> Run:
    """Reads everything that a run needs and divides the posts."""
    progress("snapshot", 0.0, "")
    request.work.mkdir(parents=True, exist_ok=True)
    state = _state(request)
    champion = read_bundle(request.champion_bundle)
    golden = read_golden(request.golden)
    labels = read_labels(request.labels)
    old = old_posts(request.rehearsal, round(len(labels) * request.training.rehearsal_ratio))
    progress("split", 0.0, f"{len(labels)} labels, {len(old)} old posts")
    rules = SplitRules(
        seed=request.seed,
        dev_share=request.training.dev_share,
        most_judging=request.training.most_judging_posts,
        judging_not_before_ms=int(champion.manifest.metrics.get("judged_since_ms", 0)),
        topics=champion.manifest.outputs.topic or (),
        rehearsal_ratio=request.training.rehearsal_ratio,
        companies=learns_companies(request, champion, labels, golden),
    )
    split = split_posts(labels, old, texts_of(golden), rules)
    posts = JudgingPosts(golden=golden, audit=audit_posts(split.judging))
    return Run(request=request, state=state, champion=champion, split=split, posts=posts)


def learns_companies(
    request: RetrainRequest, champion: Bundle, labels: Sequence[TrainingLabel], golden: Sequence[JudgedPost]
) -> bool:
    """Whether the candidate gets a head for companies: the champion has one, or enough posts say where they stand, and
    enough of the judging ones do, for a new head that nobody can judge would only be refused.
    """
    if champion.manifest.outputs.entities is not None:
        return True
    wanted = request.training.company_head_posts
    if wanted <= 0 or posts_with_spans(labels) < wanted:
        return False
    judging = audit_posts(label for label in labels if label.drawn == "audit")
    judged = sum(len(post.spans or ()) for post in (*golden, *judging))
    judges = judged >= request.gate.fewest_of_a_slice
    return judges and (bool(request.training.encoder) or may_find_companies(champion))


def outcome(judgement: Judgement, candidate: Path | None, report: Path) -> RunOutcome:
    """What the service is told."""
    return RunOutcome(
        decision="promote" if judgement.decision.promote else "refuse",
        reasons=judgement.decision.reasons,
        candidate=candidate,
        report=report,
        figures=figures_of(judgement),
    )


def _too_few(run: Run, fewest: int) -> RunOutcome:
    found = len(run.split.peoples)
    detail = f"too_few_labels: {found} posts of people's labels to train on, at least {fewest} are needed"
    decision = Decision(promote=False, reasons=(detail,), judged_by="none")
    judgement = Judgement(decision=decision, exported=Exported())
    return outcome(judgement, None, write_report(run.request.work, judgement, run.split, run.request))


def _exported(run: Run, candidate: Candidate) -> Exported:
    old = run.champion.manifest.metrics.get("newest_label_ms")
    newest = max((post.labelled_at_ms for post in run.split.peoples), default=None)
    return Exported(
        parity_with_torch=candidate.parity,
        int8_agreement=candidate.int8_agreement if candidate.is_int8 else None,
        newest_label_ms=newest,
        champion_newest_label_ms=int(old) if old is not None else None,
    )


def _state(request: RetrainRequest) -> RunState:
    path = request.work / STATE_FILE
    digest = hashlib.sha256(encode_run(request))
    for part in (request.labels, request.golden, request.rehearsal):
        digest.update(hashlib.sha256(part.read_bytes() if part else b"").digest())
    if not path.exists():
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        write_whole(path, msgspec.json.encode(RunState(request=digest.hexdigest(), created_at=created_at)))
    state = msgspec.json.decode(path.read_bytes(), type=RunState)
    if state.request != digest.hexdigest():
        raise RunError(f"{request.work}: holds another run; each request needs a work folder of its own")
    return state

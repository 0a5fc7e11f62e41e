"""What a run of the learning demo came to: the gate's report in words, the books, and whether it went as it must.

Reads the report that the retrain service wrote; decides nothing that the gate decides.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from rich.table import Table
from rich.text import Text

from streamapp.contracts.manifest import REPORT_FILE
from streamapp.core.foreign_text import printable
from streamapp.local.demo_learning_figures import LearningBooks, VersionFigures

MOST_CPU_SECONDS: Final = 300.0
CARD_FILE: Final = "README.md"


class ClassRow(Struct, frozen=True, kw_only=True):
    """One label's figures."""

    precision: float
    recall: float
    f1: float
    support: int


class Figures(Struct, frozen=True, kw_only=True):
    """One model's figures of one head."""

    texts: int
    accuracy: float
    macro_f1: float
    ece: float
    classes: dict[str, ClassRow]


class BeforeAfter(Struct, frozen=True, kw_only=True):
    """One head, champion and candidate."""

    before: Figures
    after: Figures


class JudgedSet(Struct, frozen=True, kw_only=True):
    """One set of judging posts."""

    name: str
    posts: int
    heads: dict[str, BeforeAfter]


class Measured(Struct, frozen=True, kw_only=True):
    """What the gate measured."""

    sets: tuple[JudgedSet, ...]
    champion_precision: str
    candidate_precision: str
    champion_latency_ms: float
    candidate_latency_ms: float


class Decision(Struct, frozen=True, kw_only=True):
    """What the gate decided."""

    promote: bool
    reasons: tuple[str, ...]
    judged_by: str


class GateReport(Struct, frozen=True, kw_only=True):
    """The parts of `report.json` that people read first; the rest is for programs."""

    decision: Decision
    measured: Measured | None = None
    posts: dict[str, dict[str, int]] = {}


class RetrainResult(Struct, frozen=True, kw_only=True):
    """What `retrain once --json` wrote."""

    result: str
    detail: str = ""
    run_id: str = ""
    reasons: tuple[str, ...] = ()
    labels: int = 0
    model_version: str | None = None
    bundle_url: str | None = None
    sequence: int | None = None


class LearningReport(Struct, frozen=True, kw_only=True):
    """The result of a run; `differences` is empty when it went as it must."""

    succeeded: bool
    differences: tuple[str, ...]
    retrain: RetrainResult
    gate: GateReport | None
    posts: LearningBooks
    versions: tuple[VersionFigures, ...]
    labels: int
    seconds: dict[str, float]
    retrain_cpu_seconds: float
    report_folder: str


def read_gate_report(folder: Path) -> GateReport | None:
    """The gate's report of a candidate's folder; None where there is none. Raises ValueError naming the file."""
    path = folder / REPORT_FILE
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=GateReport)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: {error}") from error


def keep_report(candidate: Path, kept: Path) -> list[Path]:
    """Copies report, card and pictures of a candidate to the folder `kept`; their paths."""
    wanted = [candidate / REPORT_FILE, candidate / CARD_FILE, *sorted(candidate.glob("confusion-*.png"))]
    found = [path for path in wanted if path.is_file()]
    if found:
        kept.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(path, kept / path.name)) for path in found]


def differences(
    result: RetrainResult, posts: LearningBooks, versions: tuple[VersionFigures, ...], cpu_seconds: float
) -> list[str]:
    """What is not as it must be, in words."""
    found = []
    if result.result != "promoted":
        why = printable(result.detail.partition("\n")[0])
        found.append(f"the candidate does not serve: {result.result}: {why}")
    elif result.model_version not in [each.version for each in versions[1:]]:
        found.append(f"no verdict carries {result.model_version}")
    if not posts.balanced:
        found.append(
            f"the books do not balance: {posts.published} in, {posts.scored} scored and {posts.dead} dead,"
            f" {posts.unversioned} without a model version"
        )
    if cpu_seconds > MOST_CPU_SECONDS:
        found.append(f"the retrain took {cpu_seconds:.0f} CPU seconds, more than {MOST_CPU_SECONDS:.0f}")
    return found


def class_table(judged: JudgedSet, head: str) -> Table:
    """Every class of one head, before and after."""
    figures = judged.heads[head]
    table = Table(
        title=f"{judged.name}: {head}, {figures.after.texts} posts, before and after",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for number, name in enumerate(("", "precision", "", "recall", "", "F1", "", "support")):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for label, after in figures.after.classes.items():
        before = figures.before.classes.get(label)
        cells = [
            (f"{getattr(before, name):.3f}" if before else "-", f"{getattr(after, name):.3f}")
            for name in ("precision", "recall", "f1")
        ]
        table.add_row(f"  {label}", *(cell for pair in cells for cell in pair), str(after.support))
    return table


def gate_lines(report: GateReport) -> list[Text]:
    """The decision, its reasons and the figures over all classes."""
    decision = report.decision
    word = "Promoted" if decision.promote else "Refused"
    lines = [
        Text(
            f"  {word}, judged by: {decision.judged_by}",
            style="bold green" if decision.promote else "bold red",
        )
    ]
    lines += [Text(f"  - {printable(reason)}") for reason in decision.reasons]
    for judged in report.measured.sets if report.measured else ():
        for head, found in judged.heads.items():
            old, new = found.before, found.after
            lines.append(
                Text(
                    f"  {judged.name}, {head}: macro-F1 {old.macro_f1:.3f} before, {new.macro_f1:.3f} after; accuracy"
                    f" {old.accuracy:.3f}, {new.accuracy:.3f}; calibration error {old.ece:.3f}, {new.ece:.3f}"
                )
            )
    if report.measured:
        lines.append(Text(f"  {_serving_words(report.measured)}"))
    return lines


def report_lines(report: LearningReport) -> list[Text]:
    """The summary for people."""
    posts = report.posts
    sign = "=" if posts.balanced else "is not"
    rows = [
        ("posts", f"{posts.published} in {sign} {posts.scored} scored + {posts.dead} dead letters across the swap,"
         f" {posts.unversioned} without a model version, {posts.by_two_versions} by both versions"),
        ("labels", f"{report.labels} brought in"),
        *(("verdicts", _version_words(each)) for each in report.versions),
        ("retrain", f"{report.retrain_cpu_seconds:.0f} CPU seconds (aim: under {MOST_CPU_SECONDS:.0f}),"
         f" {report.seconds.get('retrain', 0.0):.0f} s by the clock"),
        ("seconds", ", ".join(f"{phase} {spent:g}" for phase, spent in report.seconds.items())),
    ]  # fmt: skip
    lines = [Text(f"  {name:<11}", style="dim").append(words, style="default") for name, words in rows]
    lines += [Text(f"  not as it must be: {each}", style="bold red") for each in report.differences]
    if report.succeeded:
        words = "A better model serves, every post is accounted for, and every verdict names its model."
        lines.append(Text(f"  {words}", style="bold green"))
    return lines


def _serving_words(measured: Measured) -> str:
    return (
        f"serves in {measured.candidate_precision}, {measured.candidate_latency_ms:.2f} ms a post on one core;"
        f" before in {measured.champion_precision}, {measured.champion_latency_ms:.2f} ms"
    )


def _version_words(version: VersionFigures) -> str:
    sentiments = ", ".join(f"{count} {name}" for name, count in version.sentiments.items())
    return (
        f"{version.verdicts} by {version.version} ({sentiments}); the author's sentiment in {version.as_meant},"
        f" in chat {version.chat_as_meant} of {version.chat_verdicts}"
    )

"""How fast a model learns a channel from labels: the cells of the experiment, and what their figures say together.

Pure. Must not know files, networks or how a cell is trained.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Literal

import msgspec
from msgspec import Struct

# How the labelled posts were found: none at all, uniformly by chance, or by the label queue.
Choice = Literal["none", "chance", "queue"]


class Cell(Struct, frozen=True, kw_only=True, order=True):
    """One model: so many labels of a channel, chosen in a way, with a seed."""

    channel: str
    labels: int
    choice: Choice
    seed: int

    @property
    def name(self) -> str:
        """The cell in a file's name."""
        return f"{self.channel}-{self.choice}-{self.labels}-seed{self.seed}"


class SetFigures(Struct, frozen=True, kw_only=True):
    """The model of a cell on one judged set."""

    macro_f1: float
    accuracy: float
    recalls: dict[str, float]
    posts: int


class CellResult(Struct, frozen=True, kw_only=True):
    """What became of a cell. `labels` is how many there were: the queue may find fewer than it was asked for.

    `sides` counts posts that trained, chose the epoch, judged the run and were replayed; `drawn` labels by how they
    were found. `figures` by judged set, the channel's own first.
    """

    cell: Cell
    labels: int
    figures: dict[str, SetFigures]
    drawn: dict[str, int] = {}
    sides: dict[str, int] = {}
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Point(Struct, frozen=True, kw_only=True):
    """Mean and sample standard deviation of a macro-F1 over seeds, in points of 100; labels are a mean too."""

    labels: float
    macro_f1: float
    spread: float
    seeds: int


class Saving(Struct, frozen=True, kw_only=True):
    """How many labels the queue needs for the macro-F1 that chance reaches with `chance_labels`.

    `queue_labels` is None where its curve does not come so high; `saved` is the share of labels that it saves,
    negative where it needs more.
    """

    chance_labels: float
    macro_f1: float
    queue_labels: float | None
    saved: float | None


def cells_of(
    channels: Sequence[str], labels: Sequence[int], seeds: Sequence[int], choices: Sequence[Choice]
) -> tuple[Cell, ...]:
    """Every cell, seed by seed, so that an experiment that is cut short has whole curves; without labels once.

    Cells of the queue go first, the fewest labels before more: each waits for the one before it.
    """
    cells = [Cell(channel=channel, labels=0, choice="none", seed=0) for channel in channels]
    counts = sorted(set(labels) - {0})
    in_order: dict[Choice, list[int]] = {"queue": counts, "chance": counts[::-1]}
    for seed in seeds:
        for channel in channels:
            cells += [
                Cell(channel=channel, labels=count, choice=choice, seed=seed)
                for choice, ordered in in_order.items()
                if choice in choices
                for count in ordered
            ]
    return tuple(cells)


def cell_before(cell: Cell, labels: Sequence[int]) -> Cell | None:
    """The cell whose labels the queue has already when it asks for those of `cell`, and whose model it asks by.

    As in service, where a better model asks for the next labels (rounds of active learning: Settles 2009). None:
    the starter asks, and nothing was asked before.
    """
    fewer = [count for count in labels if 0 < count < cell.labels]
    if cell.choice != "queue" or not fewer:
        return None
    return msgspec.structs.replace(cell, labels=max(fewer))


def curve(results: Iterable[CellResult], channel: str, choice: Choice, judged: str) -> tuple[Point, ...]:
    """The learning curve of a channel's models on a judged set, from no labels up; empty without cells of `choice`."""
    mine = [result for result in results if result.cell.channel == channel]
    by_count: dict[int, list[CellResult]] = {}
    for result in mine:
        if result.cell.choice == choice:
            by_count.setdefault(result.cell.labels, []).append(result)
    if not by_count:
        return ()
    start = [result for result in mine if result.cell.choice == "none"]
    groups = [*([start] if start else []), *(by_count[count] for count in sorted(by_count))]
    return tuple(_point(group, judged) for group in groups)


def labels_for(points: Sequence[Point], macro_f1: float) -> float | None:
    """With how many labels a curve first reaches `macro_f1`; None where it does not.

    Between two points the macro-F1 is taken to grow evenly with the logarithm of the labels (power laws of learning
    curves: Hestness et al. 2017), from no labels evenly with their number.
    """
    before: Point | None = None
    for point in points:
        if point.macro_f1 >= macro_f1:
            if before is None:
                return point.labels
            part = (macro_f1 - before.macro_f1) / (point.macro_f1 - before.macro_f1)
            if before.labels <= 0:
                return part * point.labels
            return math.exp(
                math.log(before.labels) + part * (math.log(point.labels) - math.log(before.labels))
            )
        before = point
    return None


def savings(chance: Sequence[Point], queue: Sequence[Point]) -> tuple[Saving, ...]:
    """For each point of the curve of chance that has labels, what the queue needs for the same."""
    found = []
    for point in chance:
        if point.labels > 0 and queue:
            needed = labels_for(queue, point.macro_f1)
            saved = None if needed is None else round(1.0 - needed / point.labels, 4)
            found.append(
                Saving(
                    chance_labels=point.labels,
                    macro_f1=point.macro_f1,
                    queue_labels=None if needed is None else round(needed, 1),
                    saved=saved,
                )
            )
    return tuple(found)


def judged_sets(results: Iterable[CellResult]) -> tuple[str, ...]:
    """The names of the judged sets in their order."""
    names: dict[str, None] = {}
    for result in results:
        names.update(dict.fromkeys(result.figures))
    return tuple(names)


def counted(names: Iterable[str]) -> Mapping[str, int]:
    """How often each name occurs, by name."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def _point(group: Sequence[CellResult], judged: str) -> Point:
    values = [100.0 * result.figures[judged].macro_f1 for result in group]
    return Point(
        labels=fmean(result.labels for result in group),
        macro_f1=round(fmean(values), 2),
        spread=round(stdev(values), 2) if len(values) > 1 else 0.0,
        seeds=len(values),
    )

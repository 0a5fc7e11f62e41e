"""An experiment's results for people: tables, the verdict on the aims, and learning curves as PNG.

Must not know how the results came about.
"""

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from msgspec import Struct
from rich.table import Table

from retrain.core.adaptation import CellResult, Choice, Point, Saving, curve, judged_sets, savings

AIM_GAIN_POINTS, AIM_LOSS_POINTS, AIM_SAVED = 10.0, 1.0, 0.30

_SAID: dict[Choice, str] = {"none": "none", "chance": "by chance", "queue": "by the label queue"}
_COLOURS: dict[Choice, str] = {"none": "black", "chance": "tab:blue", "queue": "tab:orange"}
_LABELS_AXIS_FROM = 50.0


class ChannelReport(Struct, frozen=True, kw_only=True):
    """What the cells of one channel say. `curves` by choice and judged set, in points of 100; the channel's set is
    named like the channel.
    """

    channel: str
    curves: dict[Choice, dict[str, tuple[Point, ...]]]
    savings: tuple[Saving, ...]

    @property
    def gain(self) -> float | None:
        """Points of macro-F1 on the channel from no labels to the most, chosen by chance."""
        points = self.curves.get("chance", {}).get(self.channel, ())
        return round(points[-1].macro_f1 - points[0].macro_f1, 2) if len(points) > 1 else None

    @property
    def losses(self) -> dict[str, float]:
        """Points lost on each other set at the most labels, chosen by chance; a gain is negative."""
        return {
            judged: round(points[0].macro_f1 - points[-1].macro_f1, 2)
            for judged, points in self.curves.get("chance", {}).items()
            if judged != self.channel and len(points) > 1
        }


def channel_report(results: Sequence[CellResult], channel: str) -> ChannelReport:
    """The report of one channel's cells."""
    mine = [result for result in results if result.cell.channel == channel]
    choices: tuple[Choice, ...] = ("chance", "queue")
    curves = {
        choice: {
            judged: points for judged in judged_sets(mine) if (points := curve(mine, channel, choice, judged))
        }
        for choice in choices
    }
    by_chance, by_queue = (curves[choice].get(channel, ()) for choice in choices)
    return ChannelReport(channel=channel, curves=curves, savings=savings(by_chance, by_queue))


def tables(report: ChannelReport) -> list[Table]:
    """One table a choice that has cells: macro-F1 by labels and judged set, with the change since no labels."""
    return [
        _table(f"{report.channel}, labels chosen {_SAID[choice]}: macro-F1 in points", by_set)
        for choice, by_set in report.curves.items()
        if by_set
    ]


def sentences(report: ChannelReport) -> list[str]:
    """What came of the aims, in words."""
    said = []
    if report.gain is not None:
        most = report.curves["chance"][report.channel][-1].labels
        said.append(
            f"{report.channel}: {report.gain:+.1f} points at {most:.0f} labels (aim +{AIM_GAIN_POINTS:.0f})"
        )
    said += [
        f"{judged}: {-loss:+.1f} points (aim: at most {AIM_LOSS_POINTS:.0f} lost)"
        for judged, loss in report.losses.items()
    ]
    for each in report.savings:
        by_chance = f"what {each.chance_labels:.0f} labels by chance give ({each.macro_f1:.1f})"
        if each.queue_labels is None or each.saved is None:
            said.append(f"the label queue does not reach {by_chance}")
        else:
            said.append(
                f"the label queue reaches {by_chance} with {each.queue_labels:.0f}: "
                f"{abs(each.saved):.0%} {'fewer' if each.saved >= 0 else 'more'} (aim {AIM_SAVED:.0%} fewer)"
            )
    return said


def curves_png(reports: Sequence[ChannelReport]) -> bytes:
    """A row a channel: the new channel on the left, the old sets on the right; bars are one standard deviation."""
    figure = Figure(figsize=(11.0, 4.0 * len(reports)), layout="constrained")
    rows = figure.subplots(len(reports), 2, squeeze=False)
    for (left, right), report in zip(rows, reports, strict=True):
        _draw(left, f"{report.channel} (new)", {report.channel}, report)
        others = {judged for by_set in report.curves.values() for judged in by_set} - {report.channel}
        _draw(right, f"{report.channel}: old sets", others, report)
    written = io.BytesIO()
    # Without the library's version and the time in it, equal results give equal files.
    figure.savefig(written, format="png", dpi=100, metadata={"Software": None})
    return written.getvalue()


def _table(title: str, by_set: dict[str, tuple[Point, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("labels", justify="right")
    for judged in by_set:
        table.add_column(judged, justify="right")
    for row in zip(*by_set.values(), strict=True):
        cells = [
            f"{point.macro_f1:.1f} ± {point.spread:.1f} ({point.macro_f1 - points[0].macro_f1:+.1f})"
            if point.labels
            else f"{point.macro_f1:.1f}"
            for point, points in zip(row, by_set.values(), strict=True)
        ]
        table.add_row(f"{row[0].labels:.0f}", *cells)
    return table


def _draw(axes: Axes, title: str, judged: set[str], report: ChannelReport) -> None:
    for choice, by_set in report.curves.items():
        for number, name in enumerate(name for name in by_set if name in judged):
            points = by_set[name]
            axes.errorbar(
                # No labels have no place on a logarithmic axis: they stand at its left end.
                [max(_LABELS_AXIS_FROM, point.labels) for point in points],
                [point.macro_f1 for point in points],
                yerr=[point.spread for point in points],
                label=choice if len(judged) == 1 else f"{name}, {choice}",
                color=_COLOURS[choice],
                linestyle=("-", "--", ":", "-.")[number % 4],
                marker="o",
                markersize=3,
                capsize=2,
            )
    axes.set_xscale("log")
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("labels (leftmost: none)", fontsize=8)
    axes.set_ylabel("macro-F1", fontsize=8)
    axes.legend(fontsize=7)
    axes.grid(visible=True, alpha=0.3)

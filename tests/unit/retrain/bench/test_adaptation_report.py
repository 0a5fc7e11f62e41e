"""What people are told of an adaptation experiment."""

from rich.console import Console

from retrain.bench.adaptation_report import channel_report, curves_png, sentences, tables
from retrain.core.adaptation import Cell, CellResult, Choice, SetFigures


def result(labels: int, choice: Choice, talk: float, wire: float, seed: int = 1) -> CellResult:
    def figures(macro_f1: float) -> SetFigures:
        return SetFigures(macro_f1=macro_f1, accuracy=macro_f1, recalls={}, posts=10)

    cell = Cell(channel="talk", labels=labels, choice=choice, seed=seed)
    return CellResult(cell=cell, labels=labels, figures={"talk": figures(talk), "wire": figures(wire)})


RESULTS = [
    result(0, "none", 0.60, 0.84),
    result(100, "chance", 0.64, 0.84),
    result(400, "chance", 0.70, 0.83),
    result(400, "chance", 0.72, 0.81, seed=2),
    result(50, "queue", 0.64, 0.84),
    result(400, "queue", 0.69, 0.84),
]


def test_gain_loss_and_saving_are_said_beside_their_aims() -> None:
    said = sentences(channel_report(RESULTS, "talk"))
    assert said == [
        "talk: +11.0 points at 400 labels (aim +10)",
        "wire: -2.0 points (aim: at most 1 lost)",
        "the label queue reaches what 100 labels by chance give (64.0) with 50: 50% fewer (aim 30% fewer)",
        "the label queue does not reach what 400 labels by chance give (71.0)",
    ]


def test_a_table_has_a_row_a_count_with_spread_and_change() -> None:
    screen = Console(width=120, record=True, file=None, quiet=False)
    with screen.capture() as captured:
        screen.print(tables(channel_report(RESULTS, "talk"))[0])
    lines = [line for line in captured.get().splitlines() if "│" in line]
    assert "71.0 ± 1.4 (+11.0)" in lines[-1]
    assert "82.0 ± 1.4 (-2.0)" in lines[-1]


def test_cells_of_one_choice_alone_make_a_report_without_savings() -> None:
    report = channel_report(RESULTS[:4], "talk")
    assert report.savings == ()
    assert len(tables(report)) == 1


def test_equal_results_give_the_same_picture() -> None:
    reports = [channel_report(RESULTS, "talk")]
    drawn = curves_png(reports)
    assert drawn.startswith(b"\x89PNG")
    assert curves_png(reports) == drawn

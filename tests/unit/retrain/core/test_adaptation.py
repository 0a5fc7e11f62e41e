"""What the cells of an adaptation experiment say together."""

import pytest

from retrain.core.adaptation import (
    Cell,
    CellResult,
    Choice,
    Point,
    SetFigures,
    cell_before,
    cells_of,
    curve,
    labels_for,
    savings,
)


def result(labels: int, choice: Choice, seed: int, macro_f1: float, asked: int | None = None) -> CellResult:
    figures = SetFigures(macro_f1=macro_f1, accuracy=macro_f1, recalls={}, posts=10)
    cell = Cell(channel="chat", labels=asked or labels, choice=choice, seed=seed)
    return CellResult(cell=cell, labels=labels, figures={"chat": figures})


def points(*pairs: tuple[float, float]) -> tuple[Point, ...]:
    return tuple(Point(labels=labels, macro_f1=f1, spread=0.0, seeds=1) for labels, f1 in pairs)


def test_the_starter_is_judged_once_and_every_seed_has_whole_curves_before_the_next() -> None:
    cells = cells_of(("chat",), (100, 0, 300, 100), (1, 2), ("chance", "queue"))
    assert [cell.name for cell in cells] == [
        "chat-none-0-seed0",
        *(f"chat-{cell}-seed1" for cell in ("queue-100", "queue-300", "chance-300", "chance-100")),
        *(f"chat-{cell}-seed2" for cell in ("queue-100", "queue-300", "chance-300", "chance-100")),
    ]


def test_the_queue_asks_on_from_the_labels_and_the_model_of_the_cell_before() -> None:
    labels = (0, 300, 100, 1_000)
    for count, before in ((100, None), (300, 100), (1_000, 300)):
        cell = Cell(channel="chat", labels=count, choice="queue", seed=2)
        found = cell_before(cell, labels)
        assert found == (
            None if before is None else Cell(channel="chat", labels=before, choice="queue", seed=2)
        )
    assert cell_before(Cell(channel="chat", labels=300, choice="chance", seed=2), labels) is None


def test_a_curve_is_the_mean_over_seeds_from_no_labels_up() -> None:
    results = [
        result(300, "chance", 1, 0.70),
        result(300, "chance", 2, 0.74),
        result(100, "chance", 1, 0.64),
        result(0, "none", 0, 0.60),
        result(90, "queue", 1, 0.99, asked=100),
    ]
    found = curve(results, "chat", "chance", "chat")
    assert [(point.labels, point.macro_f1, point.seeds) for point in found] == [
        (0, 60.0, 1),
        (100, 64.0, 1),
        (300, 72.0, 2),
    ]
    assert found[-1].spread == pytest.approx(2.83)
    assert curve(results[:4], "chat", "queue", "chat") == ()


def test_a_queue_that_found_fewer_posts_is_counted_by_what_it_found() -> None:
    found = curve([result(90, "queue", 1, 0.7, asked=100)], "chat", "queue", "chat")
    assert [point.labels for point in found] == [90]


def test_labels_are_read_between_points_evenly_in_their_logarithm() -> None:
    measured = points((0, 60.0), (100, 64.0), (400, 70.0))
    assert labels_for(measured, 67.0) == pytest.approx(200.0)
    assert labels_for(measured, 62.0) == pytest.approx(50.0)
    assert labels_for(measured, 64.0) == pytest.approx(100.0)
    assert labels_for(measured, 59.0) == 0
    assert labels_for(measured, 71.0) is None


def test_a_curve_that_dips_reaches_a_height_where_it_first_comes_there() -> None:
    assert labels_for(points((0, 60.0), (100, 66.0), (200, 63.0), (400, 70.0)), 65.0) == pytest.approx(
        83.33, abs=0.01
    )


def test_the_saving_is_negative_where_the_queue_needs_more_and_open_where_it_never_comes_so_high() -> None:
    chance = points((0, 60.0), (100, 64.0), (400, 70.0))
    better = savings(chance, points((0, 60.0), (50, 64.0), (200, 70.0)))
    assert [(each.queue_labels, each.saved) for each in better] == [(50.0, 0.5), (200.0, 0.5)]
    worse = savings(chance, points((0, 60.0), (200, 64.0), (400, 65.0)))
    assert [(each.queue_labels, each.saved) for each in worse] == [(200.0, -1.0), (None, None)]
    assert savings(chance, ()) == ()

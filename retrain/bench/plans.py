"""What an experiment, one of its channels and one of its cells are told. Values only; no torch comes with them."""

from pathlib import Path

import msgspec
from msgspec import Struct

from retrain.bench.labelled_sets import SetSizes
from retrain.core.adaptation import Cell, Choice, cell_before
from retrain.core.run_settings import TrainingSettings
from streamapp.core.label_requests import LabelRules

_CELLS, _ROUNDS, _RUNNING, _CHANNELS = "cells", "rounds", "running", "channels"


class ChannelError(ValueError):
    """A channel that cannot be measured; the text says why."""


class Experiment(Struct, frozen=True, kw_only=True):
    """What is asked. `old` are the sets that the starter knows; `starter` None: what ships, or made without the set."""

    data: Path
    work: Path
    channels: tuple[str, ...] = ("fintweets_2021", "stocktwits_2020")
    old: tuple[str, ...] = ("twitter_financial_sentiment", "sentfin", "twitter_financial_topic")
    labels: tuple[int, ...] = (100, 300, 1_000)
    seeds: tuple[int, ...] = (1, 2, 3)
    choices: tuple[Choice, ...] = ("chance", "queue")
    training: TrainingSettings = TrainingSettings()
    rules: LabelRules = LabelRules()
    sizes: SetSizes = SetSizes()
    starter: Path | None = None
    processes: int = 2


class ChannelPlan(Struct, frozen=True, kw_only=True):
    """Where a channel's posts come from, and the folder for what is made of them."""

    data: Path
    channel: str
    old: tuple[str, ...]
    sizes: SetSizes
    folder: Path
    starter: Path | None = None


class CellPlan(Struct, frozen=True, kw_only=True):
    """One cell with everything that it needs. `result` is the file that says that it is done.

    `round_before` is the file of the cell that it stands on (`cell_before`). `round` is where it leaves its labels and
    the pool as its model scored it, for the one that stands on it; None where none does.
    """

    cell: Cell
    channel: ChannelPlan
    training: TrainingSettings
    rules: LabelRules
    work: Path
    result: Path
    before: Cell | None
    round_before: Path | None
    round: Path | None


def channel_plan(experiment: Experiment, channel: str) -> ChannelPlan:
    """The plan of one of the experiment's channels."""
    return ChannelPlan(
        data=experiment.data,
        channel=channel,
        old=experiment.old,
        sizes=experiment.sizes,
        folder=experiment.work / _CHANNELS / channel,
        starter=experiment.starter,
    )


def cell_plan(experiment: Experiment, cell: Cell) -> CellPlan:
    """The plan of one cell. Every label trains, since fixed posts judge; cells run beside each other, one thread each;
    what is judged is the float32 graph.
    """
    training = msgspec.structs.replace(experiment.training, int8="never", most_judging_posts=0, threads=1)
    before = cell_before(cell, experiment.labels)
    followed = cell.choice == "queue" and cell.labels < max(experiment.labels)
    return CellPlan(
        cell=cell,
        channel=channel_plan(experiment, cell.channel),
        training=training,
        rules=experiment.rules,
        work=experiment.work / _RUNNING / cell.name,
        result=experiment.work / _CELLS / f"{cell.name}.json",
        before=before,
        round_before=_round_file(experiment, before) if before is not None else None,
        round=_round_file(experiment, cell) if followed else None,
    )


def _round_file(experiment: Experiment, cell: Cell) -> Path:
    return experiment.work / _ROUNDS / f"{cell.name}.msgpack"

"""Runs the cells of an experiment, some at a time, and keeps each finished one; what was finished is not done again.

Cells run in processes of their own with one thread each: on two cores that trains half as much again as two threads
for one cell. Must not know how a cell is trained or what its figures mean.
"""

import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

import msgspec
from filelock import FileLock

from retrain.bench.labelled_sets import digest_of
from retrain.bench.plans import CellPlan, ChannelPlan, Experiment, cell_plan, channel_plan
from retrain.core.adaptation import Cell, CellResult, cells_of
from retrain.whole_file import write_whole
from streamapp.contracts.bundle import read_bundle
from streamapp.starter import REFERENCE_MODEL

EXPERIMENT_FILE = "experiment.json"

Say = Callable[[str], None]


class ExperimentError(ValueError):
    """An experiment that cannot go on; the text names its folder."""


def run_experiment(experiment: Experiment, say: Say) -> list[CellResult]:
    """The result of every cell, seed by seed.

    Raises ExperimentError where the work folder holds another experiment; LabelledSetError; ChannelError; what a cell
    raised. Seeds, channels and choices may be added to an experiment: finished cells stay.
    """
    _same_as_before(experiment)
    plans = [
        cell_plan(experiment, cell)
        for cell in cells_of(experiment.channels, experiment.labels, experiment.seeds, experiment.choices)
    ]
    began = time.monotonic()
    done: dict[str, CellResult] = {}
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork
    with ProcessPoolExecutor(experiment.processes, mp_context=context) as processes:
        try:
            for result in _results(processes, experiment, plans):
                done[result.cell.name] = result
                say(_line(result, f"{len(done)}/{len(plans)}", time.monotonic() - began))
        except BaseException:
            processes.shutdown(wait=False, cancel_futures=True)
            raise
    return [done[plan.cell.name] for plan in plans]


def _results(
    processes: ProcessPoolExecutor, experiment: Experiment, plans: list[CellPlan]
) -> Iterator[CellResult]:
    """Results as they come. A cell waits for what its channel stands on, which may be a starter to be trained, and
    for the cell before it; those that need not wait go on meanwhile, in their order.
    """
    left: list[CellPlan] = []
    done: set[Cell] = set()
    for plan in plans:
        if plan.result.exists():
            done.add(plan.cell)
            yield msgspec.json.decode(plan.result.read_bytes(), type=CellResult)
        else:
            left.append(plan)
    prepared: set[str] = set()
    waiting: set[Future[str] | Future[CellResult]] = {
        processes.submit(_prepare, channel_plan(experiment, channel))
        for channel in dict.fromkeys(plan.cell.channel for plan in left)
    }
    while waiting:
        future = next(as_completed(waiting))
        waiting.discard(future)
        found = future.result()
        if isinstance(found, CellResult):
            done.add(found.cell)
            yield found
        else:
            prepared.add(str(found))
        ready = [
            plan
            for plan in left
            if plan.cell.channel in prepared and (not plan.before or plan.before in done)
        ]
        # No more than there are processes: a cell that becomes ready goes before later seeds.
        for plan in ready[: max(0, experiment.processes - len(waiting))]:
            left.remove(plan)
            waiting.add(processes.submit(_run, plan))


def _prepare(plan: ChannelPlan) -> str:
    from retrain.bench.channel import prepared  # noqa: PLC0415  # torch, in this process alone

    # A starter says how it fares.
    with _alone(plan.folder), contextlib.redirect_stdout(sys.stderr):
        prepared(plan)
    return plan.channel


def _run(plan: CellPlan) -> CellResult:
    from retrain.bench.cell import run_cell  # noqa: PLC0415  # torch, in this process alone

    with _alone(plan.work):
        return run_cell(plan)


def _alone(folder: Path) -> FileLock:
    """Held by whoever makes `folder`: another call, or a child that outlived a killed one. Others wait, and find it
    made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.with_name(f"{folder.name}.lock"))


def _same_as_before(experiment: Experiment) -> None:
    """What decides a cell's figures must be what it was when the folder's first cell was made."""
    path = experiment.work / EXPERIMENT_FILE
    starter = read_bundle(experiment.starter or REFERENCE_MODEL).manifest.digest
    digest_of(experiment.data, experiment.channels)  # an absent set is said before the first hour is spent
    deciding = {
        "labels": sorted(experiment.labels),
        "old": experiment.old,
        "old sets": digest_of(experiment.data, experiment.old),
        "training": msgspec.to_builtins(experiment.training),
        "label queue": msgspec.to_builtins(experiment.rules),
        "sizes": msgspec.to_builtins(experiment.sizes),
        "starter": starter,
    }
    raw = msgspec.json.format(msgspec.json.encode(deciding, order="sorted")) + b"\n"
    if not path.exists():
        write_whole(path, raw)
    before = msgspec.json.decode(path.read_bytes())
    now = msgspec.json.decode(raw)
    changed = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
    if changed:
        raise ExperimentError(
            f"{path}: the folder holds an experiment with another {', another '.join(changed)}; "
            "name an empty folder with --work"
        )


def _line(result: CellResult, place: str, seconds: float) -> str:
    figures = ", ".join(f"{name} {found.macro_f1:.3f}" for name, found in result.figures.items())
    spent = f"{result.cpu_seconds:.0f} s CPU, {seconds / 60:.0f} min so far"
    return f"{place} {result.cell.name}: {result.labels} labels, macro-F1 {figures} ({spent})"

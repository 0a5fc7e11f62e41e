"""One cell: labels of a channel to a model by the training of a run, the model to figures by the code that serves.

`pipeline.begin`, `candidate.train` and `candidate.make_candidate` are those of every run; only the gate is left out,
since fixed posts judge here. Of other cells it knows what the one before it left.
"""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from retrain.bench.channel import PreparedChannel, pooled_by, prepared, serving
from retrain.bench.labelled_sets import JudgedSet
from retrain.bench.plans import CellPlan
from retrain.candidate import make_candidate, train
from retrain.core.adaptation import CellResult, SetFigures, counted
from retrain.core.figures import head_figures
from retrain.core.label_choice import PooledPost, chosen_by_chance, chosen_by_queue
from retrain.core.labels import TrainingLabel
from retrain.core.run_request import RetrainRequest
from retrain.pipeline import begin
from retrain.whole_file import write_whole
from streamapp.contracts.bundle import Bundle, read_bundle
from streamapp.inference.onnx_model import OnnxModel

# The worker served the old channels before the new one came, so the queue's vocabulary knows their words.
KNOWN_POSTS = 5_000


class Round(Struct, frozen=True, kw_only=True):
    """What a cell of the queue leaves to the one that stands on it: its labels, and the pool as its model scored it."""

    labels: tuple[TrainingLabel, ...]
    pooled: tuple[PooledPost, ...]


def run_cell(plan: CellPlan) -> CellResult:
    """The cell's figures; those of an earlier attempt where it finished, else it goes on from its checkpoints."""
    if plan.result.exists():
        return msgspec.json.decode(plan.result.read_bytes(), type=CellResult)
    began, cpu = time.monotonic(), time.process_time()
    channel = prepared(plan.channel)
    labels = _labels(plan, channel)
    bundle, sides = _trained(plan, channel, labels)
    if plan.round is not None:
        done = Round(labels=tuple(labels), pooled=pooled_by(bundle, channel.sides.pool))
        write_whole(plan.round, msgspec.msgpack.encode(done))
    model = serving(bundle)
    result = CellResult(
        cell=plan.cell,
        labels=len(labels),
        figures={_name(judged): _figures(model, judged) for judged in channel.sides.judged},
        drawn=dict(counted(label.drawn for label in labels)),
        sides=sides,
        seconds=round(time.monotonic() - began, 1),
        cpu_seconds=round(time.process_time() - cpu, 1),
    )
    write_whole(plan.result, msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    shutil.rmtree(plan.work, ignore_errors=True)
    return result


def _labels(plan: CellPlan, channel: PreparedChannel) -> list[TrainingLabel]:
    cell = plan.cell
    if cell.choice == "chance":
        return chosen_by_chance(channel.sides.pool, cell.labels, cell.seed)
    return _asked_for(plan, channel) if cell.choice == "queue" else []


def _asked_for(plan: CellPlan, channel: PreparedChannel) -> list[TrainingLabel]:
    """The labels of the cell before and those that the queue asks for next, by that cell's model.

    The pool goes by once a round, without the posts that were asked about: a set is too small for a stream a round.
    """
    cell, before = plan.cell, Round(labels=(), pooled=channel.pooled)
    if plan.round_before is not None:
        before = msgspec.msgpack.decode(plan.round_before.read_bytes(), type=Round)
    answered = {label.post_id for label in before.labels}
    left = [pooled for pooled in before.pooled if pooled.post.id not in answered]
    known = [post.text for post in (*channel.sides.old[:KNOWN_POSTS], *before.labels)]
    wanted = cell.labels - len(before.labels)
    labels = {post.post_id: post for post in channel.sides.pool}
    asked = chosen_by_queue(left, wanted, cell.seed, plan.rules, known)
    return [
        *before.labels,
        *(
            msgspec.structs.replace(labels[pooled.post.id], drawn=drawn, origin="person")
            for pooled, drawn in asked
        ),
    ]


def _trained(
    plan: CellPlan, channel: PreparedChannel, labels: Sequence[TrainingLabel]
) -> tuple[Bundle, dict[str, int]]:
    """The trained bundle and how many posts each side of its run had; without labels the starter itself."""
    starter = Path(channel.starter)
    if not labels:
        return read_bundle(starter), {}
    request = RetrainRequest(
        champion_bundle=starter,
        labels=_written(plan.work / "labels.jsonl", labels),
        rehearsal=_written(plan.work / "old.jsonl", channel.sides.old),
        work=plan.work / "run",
        seed=plan.cell.seed,
        training=plan.training,
    )
    run = begin(request, _quietly)
    network = train(request, run.champion, run.split, lambda _done, _detail: None)
    made = make_candidate(request, run.champion, run.split, network, run.state.created_at, _quietly)
    split = run.split
    sides = {
        "train": len(split.train),
        "dev": len(split.dev),
        "judging": len(split.judging),
        "rehearsal": len(split.rehearsal),
    }
    return read_bundle(made.draft), sides


def _figures(model: OnnxModel, judged: JudgedSet) -> SetFigures:
    answers = model.predict([post.text for post in judged.posts])
    labels = getattr(model.manifest.outputs, judged.head)
    probabilities = np.array([getattr(answer, judged.head) for answer in answers])
    true = [getattr(post, judged.head) for post in judged.posts]
    found = head_figures(true, probabilities, labels)
    return SetFigures(
        macro_f1=found.macro_f1,
        accuracy=found.accuracy,
        recalls={label: figures.recall for label, figures in found.classes.items()},
        posts=found.texts,
    )


def _name(judged: JudgedSet) -> str:
    return judged.name if judged.head == "sentiment" else f"{judged.name} ({judged.head})"


def _written(path: Path, labels: Sequence[TrainingLabel]) -> Path:
    if not path.exists():
        write_whole(path, b"".join(msgspec.json.encode(label) + b"\n" for label in labels))
    return path


def _quietly(_stage: str, _done: float, _detail: str) -> None:
    """Nobody watches one cell."""

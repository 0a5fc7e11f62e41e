"""Bundles for the gate, made in code: a champion that knows some words, and candidates that are better or broken.

All are the tests' word counter (tests/tiny_bundle.py) with one thing changed.
"""

from collections.abc import Callable, Collection
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import helper, numpy_helper
from tokenizers import Tokenizer

from retrain.core.evaluation import JudgedPost
from streamapp.contracts.bundle import read_bundle, write_bundle
from streamapp.contracts.manifest import MODEL_FILE, TOKENIZER_FILE
from streamapp.contracts.messages import SENTIMENTS, Channel
from tests.tiny_bundle import NEGATIVE, POSITIVE, expected_topic, write_tiny_bundle

Change = Callable[[onnx.ModelProto], None]

CHAMPION_MADE, CANDIDATE_MADE = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"
NAMES = ("Siemens", "Toyota", "Infosys")


def word_bundle(
    folder: Path,
    *,
    version: str = "2",
    unknown: Collection[str] = (),
    change: Change | None = None,
    tokenizer: bytes | None = None,
    companies: bool = False,
    **manifest: object,
) -> Path:
    """The word counter without the words in `unknown`, its graph then changed by `change`."""
    base = read_bundle(write_tiny_bundle(folder.with_name(f"{folder.name}-base"), companies=companies))
    model = onnx.load(base.path(MODEL_FILE))
    vocabulary = Tokenizer.from_file(str(base.path(TOKENIZER_FILE))).get_vocab()
    rows = weights(model, "sentiment_rows")
    for word in unknown:
        rows[vocabulary[word]] = 0.0
    set_weights(model, "sentiment_rows", rows)
    if change is not None:
        change(model)
    files: dict[str, bytes | Path] = {
        MODEL_FILE: model.SerializeToString(),
        TOKENIZER_FILE: tokenizer or base.path(TOKENIZER_FILE).read_bytes(),
    }
    made = {"version": version, "created_at": CANDIDATE_MADE, "files": {}, **manifest}
    return write_bundle(folder, msgspec.structs.replace(base.manifest, **made), files).folder


def weights(model: onnx.ModelProto, name: str) -> np.ndarray:
    """A changeable copy of one constant of the graph."""
    return np.array(
        numpy_helper.to_array(next(found for found in model.graph.initializer if found.name == name))
    )


def set_weights(model: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    """Writes one constant of the graph."""
    stored = next(found for found in model.graph.initializer if found.name == name)
    stored.CopyFrom(numpy_helper.from_array(values, name))


def shuffled_sentiments(model: onnx.ModelProto) -> None:
    """As if trained on shuffled labels: what a word says has nothing to do with what it means."""
    rows = weights(model, "sentiment_rows")
    set_weights(model, "sentiment_rows", np.random.default_rng(3).permuted(rows, axis=1))


def no_negatives(model: onnx.ModelProto) -> None:
    """Negative is never the likeliest."""
    start = weights(model, "sentiment_start")
    start[0] = -100.0
    set_weights(model, "sentiment_start", start)


def not_a_number(model: onnx.ModelProto) -> None:
    """One logit is NaN for every text."""
    start = weights(model, "sentiment_start")
    start[1] = np.nan
    set_weights(model, "sentiment_start", start)


def much_slower(model: onnx.ModelProto) -> None:
    """Right answers, after thirty products of large matrices that come to nothing."""
    size = 384
    model.graph.initializer.append(numpy_helper.from_array(np.eye(size, dtype=np.float32), "heavy"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((size, 3), np.float32), "nothing"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, size), np.float32), "row"))
    output = next(node for node in model.graph.node if node.output[0] == "sentiment")
    output.output[0] = "sentiment_light"
    first = helper.make_node("ReduceMax", ["sentiment_light"], ["level"], keepdims=1)
    nodes = [first, helper.make_node("Add", ["heavy", "level"], ["heavy_0"])]
    for number in range(30):
        nodes.append(helper.make_node("MatMul", [f"heavy_{number}", "heavy"], [f"heavy_{number + 1}"]))
    nodes += [
        helper.make_node("MatMul", ["row", "heavy_30"], ["summed"]),
        helper.make_node("MatMul", ["summed", "nothing"], ["zero"]),
        helper.make_node("Add", ["sentiment_light", "zero"], ["sentiment"]),
    ]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)


def depends_on_neighbours(model: onnx.ModelProto) -> None:
    """A logit is shifted by the mean over the batch, as dynamic quantisation's scales do in effect."""
    output = next(node for node in model.graph.node if node.output[0] == "sentiment")
    output.output[0] = "sentiment_alone"
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], dtype=np.int64), "over_batch"))
    model.graph.initializer.append(
        numpy_helper.from_array(np.array([[0.01, 0.0, 0.0]], np.float32), "little")
    )
    model.graph.node.extend(
        [
            helper.make_node("ReduceSum", ["sentiment_alone", "over_batch"], ["batch_sum"], keepdims=1),
            helper.make_node("Mul", ["batch_sum", "little"], ["shift"]),
            helper.make_node("Add", ["sentiment_alone", "shift"], ["sentiment"]),
        ]
    )


def other_tokenizer(folder: Path) -> bytes:
    """A tokenizer that knows the same words under other numbers."""
    raw = msgspec.json.decode(read_bundle(write_tiny_bundle(folder)).path(TOKENIZER_FILE).read_bytes())
    words = raw["model"]["vocab"]
    numbers = list(words.values())
    raw["model"]["vocab"] = dict(zip(words, [*numbers[1:], numbers[0]], strict=True))
    return msgspec.json.encode(raw)


def judging_posts(count: int = 240, first: int = 0) -> tuple[JudgedPost, ...]:
    """Posts whose one telling word says their sentiment; every word of the lexicon occurs equally often."""
    found = []
    for number in range(first, first + count):
        sentiment = SENTIMENTS[number % 3]
        words = {"negative": NEGATIVE, "positive": POSITIVE, "neutral": ("report",)}[sentiment]
        word = sorted(words)[number // 3 % len(words)]
        name = NAMES[number % len(NAMES)]
        channel: Channel = "news" if number % 2 else "chat"
        text = f"{name} {word} number {number}"
        found.append(
            JudgedPost(
                id=f"j{number}",
                text=text,
                channel=channel,
                source="wire" if channel == "news" else None,
                sentiment=sentiment,
                topic=expected_topic(text),
                company=name,
            )
        )
    return tuple(found)

"""A model for tests whose verdict of any text can be computed by hand: it counts words.

Each word of `NEGATIVE` adds 3 to the negative logit, each of `POSITIVE` 3 to the positive; neutral starts at
2. Each word of `TOPIC_WORDS` adds 3 to its topic; `general_opinion` starts at 1. Ties go to the earlier
label. Other words count for nothing. `expected_verdict` says the same in plain Python.

With `companies` it has a head for those too: each word of `COMPANY_WORDS` begins one, each of `COMPANY_ENDS` goes on
with it, whatever stands before.
"""

import math
import re
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from streamapp.contracts.bundle import write_bundle
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.manifest import (
    COMPANY_LABELS,
    MODEL_FILE,
    REPORT_FILE,
    TOKENIZER_FILE,
    Manifest,
    Outputs,
)
from streamapp.contracts.messages import SENTIMENTS, Sentiment, SentimentVerdict, TopicVerdict, Verdict

NAME = "tiny"
MAX_TOKENS = 256
TOPICS = (
    "analyst_update",
    "central_banks",
    "company_product",
    "currencies",
    "dividend",
    "earnings",
    "energy_oil",
    "financials",
    "general_opinion",
    "ipo",
    "legal_regulation",
    "ma_investment",
    "macro",
    "markets",
    "metals_materials",
    "personnel",
    "politics",
    "stock_commentary",
    "stock_movement",
    "treasuries_debt",
)
NEGATIVE = (
    "plunges", "plunge", "default", "defaults", "loss", "losses", "bankruptcy", "fraud", "slumps", "falls",
    "fears", "crisis", "collapse", "warns", "cuts", "lawsuit", "recession", "crash", "misses", "halts",
)  # fmt: skip
POSITIVE = (
    "soars", "profit", "profits", "gains", "beats", "record", "surges", "rallies", "upgrade", "wins",
    "growth", "rises", "strong", "recovers", "jumps",
)  # fmt: skip
TOPIC_WORDS = {
    "fed": "central_banks", "ecb": "central_banks", "rate": "central_banks",
    "oil": "energy_oil", "crude": "energy_oil", "opec": "energy_oil",
    "bank": "financials", "lender": "financials", "insurer": "financials",
    "earnings": "earnings", "quarter": "earnings",
    "inflation": "macro", "gdp": "macro", "jobs": "macro",
    "merger": "ma_investment", "acquires": "ma_investment",
    "euro": "currencies", "dollar": "currencies", "yen": "currencies",
    "gold": "metals_materials", "copper": "metals_materials",
    "bond": "treasuries_debt", "treasury": "treasuries_debt",
    "ipo": "ipo", "dividend": "dividend", "ceo": "personnel", "stocks": "markets", "shares": "stock_movement",
    "court": "legal_regulation", "election": "politics", "launches": "company_product",
    "analyst": "analyst_update", "chart": "stock_commentary",
}  # fmt: skip

COMPANY_WORDS, COMPANY_ENDS = ("apple", "calderon", "globex", "msft"), ("inc", "industries")

_WORDS_WEIGH = 3.0
_OUTSIDE_START = 2.0
_NEUTRAL_START = 2.0
_GENERAL_START = 1.0
_VOCABULARY = ("[UNK]", *NEGATIVE, *POSITIVE, *TOPIC_WORDS, *COMPANY_WORDS, *COMPANY_ENDS)


def write_tiny_bundle(
    folder: Path, version: str = "1", *, flip: bool = False, companies: bool = False
) -> Path:
    """Writes the bundle to the new folder `folder` and returns it. `flip` exchanges negative and positive,
    which gives a second model whose every strong verdict differs from the first one's.
    """
    manifest = Manifest(
        name=NAME,
        version=version,
        created_at="2026-01-01T00:00:00Z",
        languages=("en",),
        max_tokens=MAX_TOKENS,
        encoder="word counts",
        outputs=Outputs(sentiment=SENTIMENTS, topic=TOPICS, entities=COMPANY_LABELS if companies else None),
        licence="Apache-2.0",
    )
    files: dict[str, bytes | Path] = {
        MODEL_FILE: _graph(flip, companies).SerializeToString(),
        TOKENIZER_FILE: _tokenizer().to_str().encode(),
        REPORT_FILE: b"{}",
    }
    write_bundle(folder, manifest, files)
    return folder


def expected_verdict(text: str, *, flip: bool = False) -> Verdict:
    """What the tiny bundle says of `text` (cleaned or not), without companies; probabilities to about
    1e-6.
    """
    words = re.findall(r"\w+|[^\w\s]+", clean_text(text).lower())[:MAX_TOKENS]
    bad, good = sum(word in NEGATIVE for word in words), sum(word in POSITIVE for word in words)
    if flip:
        bad, good = good, bad
    sentiment = _softmax([_WORDS_WEIGH * bad, _NEUTRAL_START, _WORDS_WEIGH * good])
    logits = [_GENERAL_START if topic == "general_opinion" else 0.0 for topic in TOPICS]
    for word in words:
        if word in TOPIC_WORDS:
            logits[TOPICS.index(TOPIC_WORDS[word])] += _WORDS_WEIGH
    topic = _softmax(logits)
    return Verdict(
        sentiment=SentimentVerdict(SENTIMENTS[_first_best(sentiment)], *sentiment),
        topic=TopicVerdict(TOPICS[_first_best(topic)], topic[_first_best(topic)]),
    )


def expected_sentiment(text: str, *, flip: bool = False) -> Sentiment:
    """The sentiment label of `expected_verdict`."""
    sentiment = expected_verdict(text, flip=flip).sentiment
    assert sentiment is not None
    return sentiment.label


def expected_topic(text: str) -> str:
    """The topic label of `expected_verdict`."""
    topic = expected_verdict(text).topic
    assert topic is not None
    return topic.label


def _softmax(logits: list[float]) -> list[float]:
    raised = [math.exp(value - max(logits)) for value in logits]
    return [value / sum(raised) for value in raised]


def _first_best(values: list[float]) -> int:
    return values.index(max(values))


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(_VOCABULARY)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def _graph(flip: bool, companies: bool) -> onnx.ModelProto:
    general = np.array([_GENERAL_START * (topic == "general_opinion") for topic in TOPICS], np.float32)
    heads = {
        "sentiment": (_sentiment_weights(flip), np.array([0.0, _NEUTRAL_START, 0.0], np.float32)),
        "topic": (_topic_weights(), general),
    }
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask_column"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([2]), "last"),
        numpy_helper.from_array(np.array([1]), "words"),
    ]
    for head, (weights, start) in heads.items():
        constants += [
            numpy_helper.from_array(weights, f"{head}_rows"),
            numpy_helper.from_array(start, f"{head}_start"),
        ]
        nodes += [
            helper.make_node("Gather", [f"{head}_rows", "input_ids"], [f"{head}_of_words"]),
            helper.make_node("Mul", [f"{head}_of_words", "mask_column"], [f"{head}_masked"]),
            helper.make_node("ReduceSum", [f"{head}_masked", "words"], [f"{head}_sum"], keepdims=0),
            helper.make_node("Add", [f"{head}_sum", f"{head}_start"], [head]),
        ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [
        helper.make_tensor_value_info(head, TensorProto.FLOAT, ["batch", len(start)])
        for head, (_, start) in heads.items()
    ]
    if companies:
        constants += [
            numpy_helper.from_array(_company_weights(), "entities_rows"),
            numpy_helper.from_array(np.array([_OUTSIDE_START, 0.0, 0.0], np.float32), "entities_start"),
        ]
        nodes += [
            helper.make_node("Gather", ["entities_rows", "input_ids"], ["entities_of_words"]),
            helper.make_node("Add", ["entities_of_words", "entities_start"], ["entities"]),
        ]
        shape = ["batch", "length", len(COMPANY_LABELS)]
        outputs.append(helper.make_tensor_value_info("entities", TensorProto.FLOAT, shape))
    graph = helper.make_graph(nodes, NAME, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def _sentiment_weights(flip: bool) -> np.ndarray:
    rows = np.zeros((len(_VOCABULARY), len(SENTIMENTS)), np.float32)
    negative, positive = (2, 0) if flip else (0, 2)
    for word in NEGATIVE:
        rows[_VOCABULARY.index(word), negative] = _WORDS_WEIGH
    for word in POSITIVE:
        rows[_VOCABULARY.index(word), positive] = _WORDS_WEIGH
    return rows


def _company_weights() -> np.ndarray:
    rows = np.zeros((len(_VOCABULARY), len(COMPANY_LABELS)), np.float32)
    for place, words in ((1, COMPANY_WORDS), (2, COMPANY_ENDS)):
        for word in words:
            rows[_VOCABULARY.index(word), place] = 2 * _WORDS_WEIGH
    return rows


def _topic_weights() -> np.ndarray:
    rows = np.zeros((len(_VOCABULARY), len(TOPICS)), np.float32)
    for word, topic in TOPIC_WORDS.items():
        rows[_VOCABULARY.index(word), TOPICS.index(topic)] = _WORDS_WEIGH
    return rows

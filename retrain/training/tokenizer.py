"""The `tokenizer.json` of a Hugging Face folder or hub id, ready to be served."""

from pathlib import Path

from transformers import AutoTokenizer


class TokenizerError(ValueError):
    """A model whose tokenizer cannot be served; the text names it."""


def tokenizer_of(source: str | Path) -> bytes:
    """The fast tokenizer as JSON, padding and truncation left to the server. Raises TokenizerError.

    Slow tokenizers (Python code) are refused: their tokens could not be made the same way in a worker.
    """
    loaded = AutoTokenizer.from_pretrained(str(source), use_fast=True)
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None:
        raise TokenizerError(f"{source}: has no fast tokenizer (tokenizer.json)")
    backend.no_padding()
    backend.no_truncation()
    written: str = backend.to_str()
    return written.encode()

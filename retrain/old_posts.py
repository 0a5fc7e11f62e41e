"""Old posts to replay while new labels are learnt: the installation's own, and where those are few, written ones.

The written ones are the texts of the demo's stream, without their labels: the champion's own opinion of them is what
must not be unlearned.
"""

from importlib import resources
from pathlib import Path

import msgspec
from msgspec import Struct

from retrain.core.labels import TrainingLabel
from retrain.label_file import read_labels
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import Channel

_WRITTEN = ("local/sample_stream/news.jsonl", "local/sample_stream/chat.jsonl")


class _Line(Struct, frozen=True):
    channel: Channel
    text: str


def old_posts(path: Path | None, wanted: int) -> list[TrainingLabel]:
    """The posts in `path`, with the written ones where those are fewer than `wanted`. Raises LabelFileError."""
    own = read_labels(path) if path else []
    return own if len(own) >= wanted else [*own, *written_posts()]


def written_posts() -> list[TrainingLabel]:
    """About 650 posts of both channels without labels, each text once."""
    texts: dict[str, _Line] = {}
    for name in _WRITTEN:
        for raw in resources.files("streamapp").joinpath(name).read_bytes().splitlines():
            line = msgspec.json.decode(raw, type=_Line)
            texts.setdefault(clean_text(line.text), line)
    return [
        TrainingLabel(
            post_id=f"written-{number}", text=text, channel=line.channel, origin="rule", labelled_at_ms=0
        )
        for number, (text, line) in enumerate(texts.items())
        if text
    ]

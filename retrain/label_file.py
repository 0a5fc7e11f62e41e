"""Labels from a JSONL file, cleaned as served; a line that is none is named, not passed over."""

from pathlib import Path

import msgspec

from retrain.core.labels import TrainingLabel
from streamapp.contracts.encoding import clean_text


class LabelFileError(ValueError):
    """A file of labels that cannot be read; the text names the file and the line."""


def read_labels(path: Path) -> list[TrainingLabel]:
    """The labels in `path`, the newest of each post, posts with an empty text left out. Raises LabelFileError."""
    newest: dict[str, TrainingLabel] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise LabelFileError(f"{path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label = msgspec.json.decode(line, type=TrainingLabel)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise LabelFileError(f"{path}: line {number}: {error}") from error
        text = clean_text(label.text)
        known = newest.get(label.post_id)
        if text and (known is None or known.labelled_at_ms <= label.labelled_at_ms):
            newest[label.post_id] = msgspec.structs.replace(label, text=text)
    return list(newest.values())

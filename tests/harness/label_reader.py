"""A program that reads labels into a store until it is killed: `python -m tests.harness.label_reader SETTINGS`.

Its batches are small, so that a kill at any moment finds it between two steps of one.
"""

import sys
from pathlib import Path

from retrain import label_topics
from retrain.label_classes import LabelClasses
from retrain.label_store import LabelStore
from retrain.label_stream import LabelStream
from retrain.settings import load_retrain_settings
from streamapp.inference.label_classes import label_limits

BATCH_RECORDS = 3


def main() -> None:
    label_topics.POLL_RECORDS = BATCH_RECORDS  # type: ignore[misc]  # the constant of a program of its own
    settings = load_retrain_settings(Path(sys.argv[1]), {})
    classes = LabelClasses(label_limits(settings.labels.bundle, settings.labels.max_text_chars))
    with LabelStore(Path(settings.store.path)) as store, LabelStream(settings, store, classes) as stream:
        print("reading", flush=True)
        while True:
            print(stream.take(0.2).records, flush=True)


if __name__ == "__main__":
    main()

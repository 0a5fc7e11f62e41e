"""The model that serves in this worker and the announcement that it comes from: exchanged here and nowhere else.

Must not decide which model serves, nor when.
"""

from collections.abc import Callable

from streamapp.agents.model_reporter import ModelReporter
from streamapp.contracts.champion import Champion
from streamapp.inference.language import LanguageDetector
from streamapp.inference.micro_batcher import MicroBatcher
from streamapp.inference.model_slot import ModelSlot
from streamapp.inference.text_reader import TextReader

Detector = Callable[[tuple[str, ...]], LanguageDetector]


class Serving:
    """One a worker. `detector` makes the language detector for a bundle's languages."""

    def __init__(
        self,
        champion: Champion,
        model: MicroBatcher,
        detector: Detector,
        cache_texts: int,
        reporter: ModelReporter,
    ) -> None:
        self.champion = champion
        self.model = model
        self._slot = ModelSlot(model)
        self._detector = detector
        self._languages = model.model.manifest.languages
        self._reporter = reporter
        self.reader = TextReader(self._slot, detector(self._languages), cache_texts)
        reporter.shows(champion, model)

    def put(self, champion: Champion, model: MicroBatcher) -> None:
        """The next batch is read by `model`; the old one is freed when its last batch ends."""
        languages = model.model.manifest.languages
        if languages != self._languages:
            self.reader.language = self._detector(languages)
            self._languages = languages
        self._slot.swap(model).close()
        self.model = model
        self.renumber(champion)

    def renumber(self, champion: Champion) -> None:
        """The same bundle serves under another announcement."""
        self.champion = champion
        self._reporter.shows(champion, self.model)

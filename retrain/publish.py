"""The models that serve, as seen from the retrain service: which one, its bundle, and how another takes its place.

Kafka's log of announcements and the model store behind four calls; must not know why a candidate is to serve.
"""

from pathlib import Path

from retrain.settings import RetrainSettings
from streamapp.cluster.announcements import Announced, ChampionPinnedError, announce, read_champions
from streamapp.contracts.bundle import Bundle, read_bundle
from streamapp.contracts.champion import Champion, first_champion, heir_of
from streamapp.contracts.messages import ModelAnnounced
from streamapp.contracts.topics import MODEL_ANNOUNCEMENTS
from streamapp.inference.model_store import ModelStore, publish_bundle
from streamapp.inference.signatures import signer_of, verifier_of
from streamapp.starter import STARTER_MODEL


class PublishedModels:
    """Raises KafkaError and StalledReadError for the broker, StoreError for the store, BundleError for a bundle."""

    def __init__(self, settings: RetrainSettings) -> None:
        self._settings = settings
        self._topic = settings.topics.prefix + MODEL_ANNOUNCEMENTS.name
        self._store = ModelStore(
            Path(settings.run.folder) / "bundles", verifier=verifier_of(settings.model_store.public_key)
        )
        self._signer = signer_of(settings.model_store.signing_key)
        self._first = read_bundle(Path(settings.labels.bundle or STARTER_MODEL))

    def line(self) -> tuple[Champion, ...]:
        """Every champion so far, the present one last; read from the log now."""
        return read_champions(self._settings.broker, self._topic, first_champion(self._first.manifest))

    def bundle_of(self, champion: Champion) -> Bundle:
        """The champion's verified bundle on this machine."""
        if champion.bundle_digest == self._first.manifest.digest:
            return self._first
        return self._store.fetch(champion)

    def publish(self, folder: Path) -> str:
        """The bundle's URL in the store, where all of it is now."""
        url = self._settings.model_store.url
        # Workers have another working folder: a plain path is announced whole.
        whole = url if "://" in url else str(Path(url).absolute())
        return publish_bundle(folder, whole, signer=self._signer)

    def announce(self, record: ModelAnnounced) -> Announced:
        """Who is the champion of the record's sequence. A record that is in the log already is not sent again.

        Raises ChampionPinnedError where a person pinned the champion before the record was sent.
        """
        first = first_champion(self._first.manifest)
        try:
            return announce(self._settings.broker, self._topic, record, first)
        except ChampionPinnedError:
            mine = heir_of(record)
            # A crash after the sending, and a pin since then: the record stands, and so does its answer.
            if mine in self.line():
                return Announced(champion=mine, won=True)
            raise

    def tidy(self, champion: Champion) -> None:
        """Lets go of local copies that were used longest ago, never of the champion's."""
        self._store.tidy({champion.bundle_digest})

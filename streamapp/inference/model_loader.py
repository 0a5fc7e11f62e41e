"""An announced bundle to a model that may serve: found on this machine or fetched, verified, loaded, warmed, proven.

Blocks; callers use a thread. Must not know who announced it or what it replaces.
"""

import logging
from pathlib import Path
from typing import Final

from streamapp.contracts.bundle import Bundle, BundleError, read_bundle
from streamapp.contracts.champion import Champion, first_champion
from streamapp.contracts.evidence import parity_sample
from streamapp.core.admission import Refuse, parity_refusal
from streamapp.inference.graph_session import BundleUnfitError
from streamapp.inference.micro_batcher import MicroBatcher
from streamapp.inference.model_store import ModelStore
from streamapp.inference.onnx_model import NotFiniteError, OnnxModel
from streamapp.inference.provider import CUDA
from streamapp.inference.signatures import verifier_of
from streamapp.settings import BatchSettings, ModelSettings
from streamapp.starter import STARTER_MODEL

log = logging.getLogger(__name__)

# The design's promise that a verdict does not depend on batch neighbours, on CPU and on CUDA.
NEIGHBOUR_TOLERANCE: Final = 1e-5
NEIGHBOUR_TOLERANCE_CUDA: Final = 2e-3
# Written for this: every length that is usual, and words of every sentiment and several topics.
PROOF_TEXTS: Final = (
    "Shares fall",
    "The central bank kept its rate unchanged.",
    "Acme soars after record profit and a strong quarter",
    "Lender warns of losses as borrowers default, and its shares plunge in early trade",
    "Oil slips as producers agree to raise output from next month despite fears of weaker demand in the second half",
    "ok",
    "The company publishes its annual report on Tuesday; analysts expect growth in every region and an upgrade of "
    "the outlook, while the lawsuit over the recalled product remains open and may cost more than was set aside.",
)


class UnfitModelError(ValueError):
    """The bundle is intact and still may not serve; `refuse` says why."""

    def __init__(self, refuse: Refuse) -> None:
        self.refuse = refuse
        super().__init__(refuse.reason)


class ModelLoader:
    """Loads champions. One a process; may be called from several threads."""

    def __init__(self, model: ModelSettings, batching: BatchSettings) -> None:
        self._model = model
        self._batching = batching
        cache = Path(model.cache) if model.cache else None
        self.store = ModelStore(cache, verifier=verifier_of(model.public_key))
        self._own = read_bundle(Path(model.bundle) if model.bundle else STARTER_MODEL)

    @property
    def first(self) -> Champion:
        """The champion of an empty log: the bundle that the settings name."""
        return first_champion(self._own.manifest)

    def bundle_of(self, champion: Champion) -> Bundle:
        """The champion's verified bundle. Raises BundleError and StoreError."""
        if champion.bundle_digest == self._own.manifest.digest:
            return read_bundle(self._own.folder)
        return self.store.fetch(champion)

    def load(self, bundle: Bundle) -> MicroBatcher:
        """The bundle, warm and proven on a sample.

        Raises UnfitModelError for one that may not serve. A model that fails its proof gives up its sessions.
        """
        try:
            model = OnnxModel.load(bundle, self._model)
            model.warm_up()
            refuse = proof(model)
        except BundleError:
            raise
        except NotFiniteError as error:
            refuse = Refuse(f"parity sample: {error}", "not_finite")
        except (BundleUnfitError, MemoryError) as error:
            refuse = Refuse(str(error) or "it does not fit into memory", "bundle")
        except Exception as error:  # noqa: BLE001  # ONNX Runtime and tokenizers raise kinds of their own
            refuse = Refuse(f"it cannot be loaded: {type(error).__name__}: {error}"[:500], "bundle")
        else:
            if refuse is None:
                return MicroBatcher(model, self._batching)
        raise UnfitModelError(refuse)


def proof(model: OnnxModel) -> Refuse | None:
    """Why the model does not do what it must on a few texts; None where it does. Raises NotFiniteError."""
    tolerance = NEIGHBOUR_TOLERANCE_CUDA if model.provider == CUDA else NEIGHBOUR_TOLERANCE
    alone = [model.predict([text])[0].by_head() for text in PROOF_TEXTS]
    together = [prediction.by_head() for prediction in model.predict(PROOF_TEXTS)]
    refuse = parity_refusal(together, alone, tolerance)
    if refuse is not None:
        return Refuse(f"a verdict depends on its batch neighbours: {refuse.reason}", "parity")
    sample = parity_sample(model.bundle)
    if sample is None:
        return None
    said = [prediction.by_head() for prediction in model.predict([each.text for each in sample.texts])]
    return parity_refusal(said, [each.probabilities for each in sample.texts], sample.tolerance)

"""Temperatures of a trained network: one a head, fitted on posts that chose the epoch and trained nothing."""

from collections.abc import Mapping, Sequence

import numpy as np

from retrain.core.figures import fitted_temperature
from retrain.core.labels import TrainingLabel
from retrain.training.fine_tune import all_logits
from retrain.training.network import TextNetwork
from streamapp.contracts.encoding import TextEncoder

# With fewer labels a fitted temperature is noise; the champion's is the better guess.
FEWEST_LABELS = 30


def temperatures(
    network: TextNetwork,
    encoder: TextEncoder,
    dev: Sequence[TrainingLabel],
    champion: Mapping[str, float],
) -> dict[str, float]:
    """One temperature a head (Guo et al. 2017); the champion's where dev has fewer than 30 labels of the head."""
    found = {}
    for head, names in network.labels.items():
        judged = [post for post in dev if getattr(post, head) in names]
        if len(judged) < FEWEST_LABELS:
            found[head] = champion.get(head, 1.0)
            continue
        logits = all_logits(network, encoder, [post.text for post in judged])[head].double().numpy()
        targets = np.array([names.index(getattr(post, head)) for post in judged])
        found[head] = fitted_temperature(logits, targets)
    return found

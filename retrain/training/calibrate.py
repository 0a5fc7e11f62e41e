"""Temperatures of a trained network: one a head, fitted on posts that chose the epoch and trained nothing."""

from collections.abc import Mapping, Sequence

import numpy as np

from retrain.core.company_labels import COMPANY_HEAD, labelled_spans, word_labels
from retrain.core.figures import fitted_temperature
from retrain.core.labels import TrainingLabel
from retrain.training.fine_tune import all_logits, word_logits
from retrain.training.network import MultiHeadEncoder, TextNetwork
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
        if head == COMPANY_HEAD:
            found[head] = _of_words(network, encoder, dev, champion.get(head, 1.0))
            continue
        judged = [post for post in dev if getattr(post, head) in names]
        if len(judged) < FEWEST_LABELS:
            found[head] = champion.get(head, 1.0)
            continue
        logits = all_logits(network, encoder, [post.text for post in judged])[head].double().numpy()
        targets = np.array([names.index(getattr(post, head)) for post in judged])
        found[head] = fitted_temperature(logits, targets)
    return found


def _of_words(
    network: TextNetwork, encoder: TextEncoder, dev: Sequence[TrainingLabel], otherwise: float
) -> float:
    judged = [(post.text, spans) for post in dev if (spans := labelled_spans(post)) is not None]
    if len(judged) < FEWEST_LABELS or not isinstance(network, MultiHeadEncoder):
        return otherwise
    texts = [text for text, _ in judged]
    words = [words for _, words in encoder.encode_words(texts)]
    names = network.labels[COMPANY_HEAD]
    targets = [word_labels(places, spans, names) for places, (_, spans) in zip(words, judged, strict=True)]
    logits = [rows.double().numpy() for rows in word_logits(network, encoder, texts) if len(rows)]
    return fitted_temperature(np.concatenate(logits), np.concatenate([each for each in targets if each]))

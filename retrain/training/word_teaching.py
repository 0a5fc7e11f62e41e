"""What a network learns of words: the label of each word's first token, its loss, and how well companies were found.

Tokens that begin no word, texts whose companies nobody labelled, and padding count for nothing. Must not know how a
fit is run.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrain.core.company_labels import COMPANY_HEAD, counts_of_spans, span_figures, word_labels
from retrain.core.run_settings import TrainingSettings
from retrain.training.training_set import TaughtPost
from streamapp.contracts.encoding import TokenIds, WordPlace
from streamapp.contracts.manifest import FIRST_OF_COMPANY, REST_OF_COMPANY
from streamapp.core.company_spans import Span

NO_LABEL = -100


def token_labels(
    post: TaughtPost, ids: TokenIds, words: Sequence[WordPlace], labels: Sequence[str]
) -> list[int]:
    """For each token the place of its label in `labels`, NO_LABEL for those that are not learnt from."""
    found = [NO_LABEL] * len(ids)
    if COMPANY_HEAD in post.weights:
        for word, label in zip(words, word_labels(words, post.spans, labels), strict=True):
            found[word.token] = label
    return found


def label_weights(rows: Sequence[Sequence[int]], labels: int, settings: TrainingSettings) -> Tensor:
    """One a label, mean one over the words: `sqrt` by the inverse root of how often it occurs."""
    if settings.company_class_weights == "none":
        return torch.ones(labels)
    counts = Counter(label for row in rows for label in row if label != NO_LABEL)
    shares = torch.tensor([float(counts[label]) for label in range(labels)])
    raw = shares.clamp(min=1.0) ** -0.5
    return raw * shares.sum().clamp(min=1.0) / (raw * shares).sum().clamp(min=1e-9)


def word_loss(logits: Tensor, targets: Tensor, post_weights: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy of the labelled words; nothing, but connected, where there is none.

    `logits` [posts, tokens, labels], `targets` [posts, tokens], `post_weights` [posts], `weights` [labels].
    """
    learnt = targets != NO_LABEL
    labels = targets.clamp(min=0)
    losses = -torch.log_softmax(logits.float(), dim=2).gather(2, labels.unsqueeze(2)).squeeze(2)
    counts = learnt * post_weights.unsqueeze(1) * weights.to(logits.device)[labels]
    return (losses * counts).sum() / counts.sum().clamp(min=1.0)


def span_f1(logits: NDArray[np.float32], targets: NDArray[np.int64], labels: Sequence[str]) -> float:
    """Strict F1 of companies as runs of words, over the rows that have labelled words."""
    counts = []
    for row, wanted in zip(logits, targets, strict=True):
        learnt = wanted != NO_LABEL
        said = row[learnt].argmax(axis=1)
        counts.append(counts_of_spans(_runs(wanted[learnt], labels), _runs(said, labels)))
    return span_figures(counts).f1


def _runs(places: NDArray[np.int64], labels: Sequence[str]) -> list[Span]:
    """[first word, one after the last) of each company, read as core/company_spans.py does."""
    first, rest = labels.index(FIRST_OF_COMPANY), labels.index(REST_OF_COMPANY)
    runs: list[Span] = []
    open_run = False
    for word, label in enumerate(places.tolist()):
        if label == rest and open_run:
            runs[-1] = (runs[-1][0], word + 1)
        elif label in (first, rest):
            runs.append((word, word + 1))
        open_run = label in (first, rest)
    return runs

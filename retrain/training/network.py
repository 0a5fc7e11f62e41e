"""The networks: one small encoder shared by its heads (sentiment, topic, companies), or somebody's sequence classifier.

Must not know data sets, files of a bundle or how it is trained.
"""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import AutoModel

from retrain.core.company_labels import COMPANY_HEAD
from streamapp.contracts.manifest import COMPANY_LABELS

Pooling = Literal["cls", "mean"]
Logits = dict[str, Tensor]


class MultiHeadEncoder(nn.Module):  # type: ignore[misc]  # torch is not there for type checks
    """Token ids and mask to one row of logits a head, and of the head for companies (the last, where there is one) to
    one row a token. `labels` are the heads with their labels in order.
    """

    def __init__(
        self, encoder: nn.Module, labels: dict[str, tuple[str, ...]], pooling: Pooling, dropout: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.labels = labels
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        size = int(encoder.config.hidden_size)
        self.heads = nn.ModuleDict({head: nn.Linear(size, len(names)) for head, names in labels.items()})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Logits:
        """The logits of every head, in float32."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.read(hidden, attention_mask)

    def read(self, hidden: Tensor, attention_mask: Tensor) -> Logits:
        """The heads alone, on the vectors of all tokens."""
        logits = self.classify(pooled(hidden, attention_mask, self.pooling))
        if self.finds_companies:
            logits[COMPANY_HEAD] = self.heads[COMPANY_HEAD](self.dropout(hidden.float()))
        return logits

    def classify(self, text_vector: Tensor) -> Logits:
        """The heads of the whole text alone, on pooled text vectors."""
        dropped = self.dropout(text_vector.float())
        return {head: layer(dropped) for head, layer in self.heads.items() if head != COMPANY_HEAD}

    @property
    def finds_companies(self) -> bool:
        """Whether it has a head for companies."""
        return COMPANY_HEAD in self.labels


class ClassifierNetwork(nn.Module):  # type: ignore[misc]  # torch is not there for type checks
    """A Hugging Face sequence classifier behind the same face, with one head.

    `groups` says for each of our labels which of the classifier's it stands for; those of several add up (log-sum-exp
    of logits, which adds probabilities). Dropout is the classifier's own.
    """

    def __init__(
        self, classifier: nn.Module, head: str, labels: tuple[str, ...], groups: tuple[tuple[int, ...], ...]
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.head = head
        self.labels = {head: labels}
        self.groups = groups

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Logits:
        """The logits of the one head, in float32."""
        raw = self.classifier(input_ids=input_ids, attention_mask=attention_mask).logits.float()
        columns = [
            raw[:, group[0]] if len(group) == 1 else torch.logsumexp(raw[:, list(group)], dim=1)
            for group in self.groups
        ]
        return {self.head: torch.stack(columns, dim=1)}


TextNetwork = MultiHeadEncoder | ClassifierNetwork


def with_company_head(network: MultiHeadEncoder, seed: int) -> MultiHeadEncoder:
    """`network` with a fresh head for companies, small at first, so that it finds none."""
    chance = torch.Generator().manual_seed(seed)
    layer = nn.Linear(int(network.encoder.config.hidden_size), len(COMPANY_LABELS))
    with torch.no_grad():
        layer.weight.normal_(std=0.02, generator=chance)
        layer.bias.zero_()
    network.labels = {**network.labels, COMPANY_HEAD: COMPANY_LABELS}
    network.heads[COMPANY_HEAD] = layer
    return network


def pooled(hidden: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """One vector a text from the last layer: that of the first token, or the mean over what is not
    padding.
    """
    if pooling == "cls":
        return hidden[:, 0]
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1.0)


def new_network(
    base: Path | str, labels: dict[str, tuple[str, ...]], pooling: Pooling = "cls", dropout: float = 0.1
) -> MultiHeadEncoder:
    """A network on the encoder in the folder or of the hub id `base`, heads fresh, embeddings of words frozen.

    Half of MiniLM's weights are word vectors; trained on 40,000 short texts they only learn the texts by
    heart. Eager attention, because other kinds do not export to a graph that runtimes can fuse.
    """
    encoder = AutoModel.from_pretrained(base, attn_implementation="eager")
    return MultiHeadEncoder(frozen_words(encoder), labels, pooling, dropout)


def frozen_words(encoder: nn.Module) -> nn.Module:
    """`encoder` with its embeddings frozen and without a pooler, which no head of ours reads."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    embeddings = getattr(encoder, "embeddings", None) or encoder.get_input_embeddings()
    embeddings.requires_grad_(False)
    return encoder


def load_weights(network: MultiHeadEncoder, path: Path) -> MultiHeadEncoder:
    """`network` with the weights that fine-tuning kept in `path`."""
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network

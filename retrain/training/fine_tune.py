"""Fine-tunes the multi-head encoder: labels that a text lacks cost nothing, the best epoch on dev is kept.

Must not know where examples come from or how a model is shipped.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from msgspec import Struct
from torch import Tensor, nn
from transformers import get_linear_schedule_with_warmup

from retrain.core.company_labels import COMPANY_HEAD
from retrain.core.figures import macro_f1
from retrain.training.examples import Example
from retrain.training.network import Logits, MultiHeadEncoder, Pooling, TextNetwork, load_weights
from streamapp.contracts.encoding import TextEncoder, TokenIds

_NO_LABEL = -100
_IMPOSSIBLE_LOGIT = -1e4
_POOL_BATCHES = 50
_LARGEST_GRADIENT = 1.0

Say = Callable[[str], None]


class TrainingSettings(Struct, frozen=True, kw_only=True):
    """How to fine-tune. `class_weights` "sqrt" weighs a label by the inverse square root of its count."""

    seed: int = 7
    epochs: int = 4
    patience_epochs: int = 1
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up_share: float = 0.06
    tokens_a_batch: int = 1024
    max_tokens: int = 96
    pooling: Pooling = "cls"
    dropout: float = 0.1
    class_weights: Literal["none", "sqrt"] = "none"
    bfloat16: bool = True


class Batch(Struct, frozen=True):
    """Padded token ids and mask, one label index a head (or none), and which texts know no neutral."""

    input_ids: Tensor
    attention_mask: Tensor
    targets: dict[str, Tensor]
    polar_only: Tensor


class EpochResult(Struct, frozen=True):
    """What one epoch brought. `score` is the mean of the heads' macro-F1 on dev."""

    epoch: int
    loss: float
    dev_macro_f1: dict[str, float]
    score: float
    seconds: float


def fine_tune(
    network: MultiHeadEncoder,
    encoder: TextEncoder,
    examples: Sequence[Example],
    settings: TrainingSettings,
    checkpoints: Path,
    say: Say = print,
) -> list[EpochResult]:
    """Trains `network` in place on the train split and leaves the weights of the best epoch in it.

    `checkpoints` gets `best.pt`. Stops early once `patience_epochs` epochs in a row did not improve dev.
    """
    checkpoints.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    train, dev = ([e for e in examples if e.split == split] for split in ("train", "dev"))
    tokens = encoder.encode([example.text for example in train])
    steps = sum(1 for _ in _batches(train, tokens, network.labels, settings, epoch=0)) * settings.epochs
    optimizer = _optimizer(network, settings)
    schedule = get_linear_schedule_with_warmup(optimizer, int(steps * settings.warm_up_share), steps)
    losses = _losses(train, network.labels, settings)
    results: list[EpochResult] = []
    for epoch in range(settings.epochs):
        started = time.monotonic()
        batches = _batches(train, tokens, network.labels, settings, epoch)
        loss = _train_epoch(network, batches, losses, optimizer, schedule, settings)
        dev_f1 = dev_macro_f1(network, encoder, dev)
        score = sum(dev_f1.values()) / len(dev_f1)
        results.append(EpochResult(epoch, loss, dev_f1, score, time.monotonic() - started))
        say(f"epoch {epoch}: loss {loss:.4f}, dev macro-F1 {dev_f1}, {results[-1].seconds:.0f} s")
        best = max(results, key=lambda result: result.score)
        if best.epoch == epoch:
            torch.save(network.state_dict(), checkpoints / "best.pt")
        if epoch - best.epoch >= settings.patience_epochs:
            break
    load_weights(network, checkpoints / "best.pt")
    return results


def dev_macro_f1(network: MultiHeadEncoder, encoder: TextEncoder, dev: Sequence[Example]) -> dict[str, float]:
    """Macro-F1 of each head on the dev texts that have its label (sets without neutral left out)."""
    scores = {}
    for head, names in network.labels.items():
        judged = [
            e for e in dev if getattr(e, head) is not None and not (head == "sentiment" and e.polar_only)
        ]
        logits = all_logits(network, encoder, [example.text for example in judged])[head]
        found = [names[index] for index in logits.argmax(dim=1).tolist()]
        scores[head] = round(macro_f1([getattr(example, head) for example in judged], found), 4)
    return scores


def all_logits(
    network: TextNetwork, encoder: TextEncoder, texts: Sequence[str], texts_a_batch: int = 32
) -> Logits:
    """The logits of the heads of whole texts, in order, float32, without dropout."""
    tokens = encoder.encode(texts)
    heads = {head: names for head, names in network.labels.items() if head != COMPANY_HEAD}
    rows = {head: torch.zeros(len(texts), len(names)) for head, names in heads.items()}
    for chosen, found in _in_batches(network, tokens, texts_a_batch):
        for head in heads:
            rows[head][chosen] = found[head]
    return rows


def word_logits(
    network: MultiHeadEncoder, encoder: TextEncoder, texts: Sequence[str], texts_a_batch: int = 32
) -> list[Tensor]:
    """What the head for companies says of each text's words: one row a word, float32, without dropout."""
    encoded = encoder.encode_words(texts)
    rows: list[Tensor] = [torch.zeros(0, 0)] * len(texts)
    for chosen, found in _in_batches(network, [ids for ids, _ in encoded], texts_a_batch):
        for row, index in enumerate(chosen):
            rows[index] = found[COMPANY_HEAD][row, [word.token for word in encoded[index][1]]]
    return rows


def _in_batches(
    network: TextNetwork, tokens: Sequence[TokenIds], texts_a_batch: int
) -> Iterator[tuple[list[int], Logits]]:
    """Places of texts of like length with the logits of all heads."""
    network.eval()
    order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
    with torch.inference_mode():
        for start in range(0, len(order), texts_a_batch):
            chosen = order[start : start + texts_a_batch]
            yield chosen, network(*padded([tokens[index] for index in chosen]))


def padded(tokens: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
    """Token ids and mask of one batch, padded with zeros to its longest text."""
    longest = max(len(ids) for ids in tokens)
    input_ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids in tokens])
    attention_mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in tokens])
    return input_ids, attention_mask


def _train_epoch(
    network: MultiHeadEncoder,
    batches: Iterator[Batch],
    losses: dict[str, nn.CrossEntropyLoss],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    settings: TrainingSettings,
) -> float:
    network.train()
    seen: list[float] = []
    for batch in batches:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bfloat16):
            logits = network(batch.input_ids, batch.attention_mask)
        loss = _loss(logits, batch, losses, network.labels)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        seen.append(loss.item())
    return sum(seen) / len(seen)


def _loss(
    logits: Logits, batch: Batch, losses: dict[str, nn.CrossEntropyLoss], labels: dict[str, tuple[str, ...]]
) -> Tensor:
    total = torch.zeros(())
    for head, targets in batch.targets.items():
        if not (targets != _NO_LABEL).any():
            continue
        values = logits[head].float()
        if head == "sentiment" and batch.polar_only.any():
            # A poster's own bullish/bearish tag says nothing about neutral: only the other two compete there.
            blocked = torch.zeros_like(values)
            blocked[batch.polar_only, labels[head].index("neutral")] = _IMPOSSIBLE_LOGIT
            values = values + blocked
        total = total + losses[head](values, targets)
    return total


def _losses(
    train: Sequence[Example], labels: dict[str, tuple[str, ...]], settings: TrainingSettings
) -> dict[str, nn.CrossEntropyLoss]:
    losses = {}
    for head, names in labels.items():
        weights = None
        if settings.class_weights == "sqrt":
            counts = Counter(getattr(example, head) for example in train)
            raw = torch.tensor([max(1, counts[name]) ** -0.5 for name in names])
            share = torch.tensor([float(counts[name]) for name in names])
            weights = raw * share.sum() / (raw * share).sum()
        losses[head] = nn.CrossEntropyLoss(weight=weights, ignore_index=_NO_LABEL)
    return losses


def _optimizer(network: MultiHeadEncoder, settings: TrainingSettings) -> torch.optim.Optimizer:
    heads = list(network.heads.parameters())
    encoder = [parameter for parameter in network.encoder.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in encoder if parameter.ndim > 1]
    vectors = [parameter for parameter in encoder if parameter.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
            {"params": heads, "weight_decay": 0.0, "lr": settings.head_learning_rate},
        ],
        lr=settings.learning_rate,
        fused=True,
    )


def _batches(
    train: Sequence[Example],
    tokens: Sequence[TokenIds],
    labels: dict[str, tuple[str, ...]],
    settings: TrainingSettings,
    epoch: int,
) -> Iterator[Batch]:
    """Shuffled batches of texts of like length: sorted within pools, so that little is padding."""
    shuffled = random.Random(f"{settings.seed}-{epoch}")
    order = list(range(len(train)))
    shuffled.shuffle(order)
    mean_tokens = sum(map(len, tokens)) / len(tokens)
    pool_texts = int(_POOL_BATCHES * settings.tokens_a_batch / mean_tokens)
    for start in range(0, len(order), pool_texts):
        chosen = _by_budget(
            sorted(order[start : start + pool_texts], key=lambda i: len(tokens[i])), tokens, settings
        )
        shuffled.shuffle(chosen)
        for indexes in chosen:
            yield _batch([train[i] for i in indexes], [tokens[i] for i in indexes], labels)


def _by_budget(
    by_length: list[int], tokens: Sequence[TokenIds], settings: TrainingSettings
) -> list[list[int]]:
    groups: list[list[int]] = [[]]
    for index in by_length:
        if groups[-1] and (len(groups[-1]) + 1) * len(tokens[index]) > settings.tokens_a_batch:
            groups.append([])
        groups[-1].append(index)
    return groups


def _batch(
    examples: Sequence[Example], tokens: Sequence[TokenIds], labels: dict[str, tuple[str, ...]]
) -> Batch:
    def target(head: str, example: Example) -> int:
        label = getattr(example, head)
        return labels[head].index(label) if label is not None else _NO_LABEL

    return Batch(
        *padded(tokens),
        targets={head: torch.tensor([target(head, example) for example in examples]) for head in labels},
        polar_only=torch.tensor([example.polar_only for example in examples]),
    )

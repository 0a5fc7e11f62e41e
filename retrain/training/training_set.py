"""Posts as a network learns them: for each head a distribution over its labels and how much it counts.

A person's label is a sure distribution. Where no person has an opinion the champion's own probabilities stand in, at
a lower weight, so that learning one thing does not unlearn another (Learning without Forgetting, Li and Hoiem 2017).
Must not know torch.
"""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from retrain.core.labels import TrainingLabel
from retrain.core.run_settings import TrainingSettings
from streamapp.inference.onnx_model import OnnxModel, Prediction


class TaughtPost(Struct, frozen=True, kw_only=True):
    """One text; a head that nobody has an opinion on is absent. `weights` of sure labels count 1 or the class's."""

    text: str
    targets: dict[str, tuple[float, ...]]
    weights: dict[str, float]
    sure: tuple[str, ...]


class TrainingSet(Struct, frozen=True, kw_only=True):
    """Everything that a fit reads: also what a launcher's processes get as a file."""

    labels: dict[str, tuple[str, ...]]
    train: tuple[TaughtPost, ...]
    dev: tuple[TaughtPost, ...]


def training_set(
    train: Sequence[TrainingLabel],
    dev: Sequence[TrainingLabel],
    champion: OnnxModel,
    settings: TrainingSettings,
) -> TrainingSet:
    """The sides as taught posts; the champion is asked once for all texts that lack a head."""
    outputs = champion.manifest.outputs
    labels = {head: known for head in ("sentiment", "topic") if (known := getattr(outputs, head)) is not None}
    weights = {head: _class_weights(train, head, names, settings) for head, names in labels.items()}
    lacking = [label.text for label in train if any(getattr(label, head) is None for head in labels)]
    asked = settings.imitation_weight > 0.0
    opinions = dict(zip(lacking, champion.predict(lacking), strict=True)) if asked and lacking else {}

    def taught(label: TrainingLabel, opinion: Prediction | None) -> TaughtPost:
        return _taught(label, opinion, labels, weights, settings.imitation_weight)

    return TrainingSet(
        labels=labels,
        train=tuple(taught(label, opinions.get(label.text)) for label in train),
        dev=tuple(taught(label, None) for label in dev),
    )


def _taught(
    label: TrainingLabel,
    opinion: Prediction | None,
    labels: dict[str, tuple[str, ...]],
    weights: dict[str, dict[str, float]],
    imitation_weight: float,
) -> TaughtPost:
    targets: dict[str, tuple[float, ...]] = {}
    counts: dict[str, float] = {}
    sure = []
    for head, names in labels.items():
        said = getattr(label, head)
        if said in names:
            targets[head] = tuple(float(name == said) for name in names)
            counts[head] = weights[head][said]
            sure.append(head)
        elif opinion is not None:
            targets[head] = getattr(opinion, head)
            counts[head] = imitation_weight
    return TaughtPost(text=label.text, targets=targets, weights=counts, sure=tuple(sure))


def _class_weights(
    train: Sequence[TrainingLabel], head: str, names: tuple[str, ...], settings: TrainingSettings
) -> dict[str, float]:
    """One a label, mean one over the posts."""
    counts = Counter(getattr(label, head) for label in train)
    if settings.class_weights == "none":
        return dict.fromkeys(names, 1.0)
    raw = {name: max(1, counts[name]) ** -0.5 for name in names}
    posts = sum(counts[name] for name in names)
    mean = sum(raw[name] * counts[name] for name in names) / posts if posts else 1.0
    return {name: raw[name] / mean for name in names}

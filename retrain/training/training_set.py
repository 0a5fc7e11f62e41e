"""Posts as a network learns them: for each head a distribution over its labels and how much it counts.

A person's label is a sure distribution. Where no person has an opinion the champion's own probabilities stand in, at
a lower weight, so that learning one thing does not unlearn another (Learning without Forgetting, Li and Hoiem 2017).
Must not know torch.
"""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from retrain.core.company_labels import COMPANY_HEAD, heads_of, labelled_spans
from retrain.core.labels import TrainingLabel
from retrain.core.run_settings import TrainingSettings
from streamapp.contracts.manifest import COMPANY_LABELS
from streamapp.core.company_spans import Span, company_spans
from streamapp.inference.onnx_model import OnnxModel, Prediction


class TaughtPost(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One text; a head that nobody has an opinion on is absent. `weights` of sure labels count 1 or the class's.

    `spans` is where companies stand, if `weights` has their head.
    """

    text: str
    targets: dict[str, tuple[float, ...]]
    weights: dict[str, float]
    sure: tuple[str, ...]
    spans: tuple[Span, ...] = ()


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
    *,
    companies: bool = False,
) -> TrainingSet:
    """The sides as taught posts; the champion is asked once for all texts that lack a head.

    With `companies` their head is taught too, the champion's own or a fresh one; a post without labels of them costs
    nothing there unless the champion has an opinion.
    """
    known = heads_of(champion.manifest.outputs)
    finds = known.pop(COMPANY_HEAD, None)
    labels = {**known, COMPANY_HEAD: finds or COMPANY_LABELS} if companies else known
    weights = {head: _class_weights(train, head, names, settings) for head, names in known.items()}

    def lacks(label: TrainingLabel) -> bool:
        silent = any(getattr(label, head) is None for head in known)
        return silent or (companies and finds is not None and labelled_spans(label) is None)

    lacking = [label.text for label in train if lacks(label)]
    asked = settings.imitation_weight > 0.0
    opinions = dict(zip(lacking, champion.predict(lacking), strict=True)) if asked and lacking else {}

    def taught(label: TrainingLabel, opinion: Prediction | None) -> TaughtPost:
        post = _taught(label, opinion, known, weights, settings.imitation_weight)
        return _with_spans(post, label, opinion, finds, settings.imitation_weight) if companies else post

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


def _with_spans(
    post: TaughtPost,
    label: TrainingLabel,
    opinion: Prediction | None,
    finds: tuple[str, ...] | None,
    imitation_weight: float,
) -> TaughtPost:
    said = labelled_spans(label)
    if said is not None:
        weights, sure = {**post.weights, COMPANY_HEAD: 1.0}, (*post.sure, COMPANY_HEAD)
        return replace(post, weights=weights, sure=sure, spans=said)
    if opinion is None or opinion.entities is None or finds is None:
        return post
    weights = {**post.weights, COMPANY_HEAD: imitation_weight}
    return replace(post, weights=weights, spans=company_spans(label.text, opinion.entities, finds))


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

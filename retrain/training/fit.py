"""Fine-tunes a network on a training set with transformers' Trainer: resumable, early stopped, best epoch kept.

`python -m retrain.training.fit FOLDER` is the same in processes of its own, for a launcher (torchrun, accelerate).
Must not know labels, bundles or gates.
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from msgspec import Struct
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from retrain.core.company_labels import COMPANY_HEAD
from retrain.core.figures import macro_f1
from retrain.core.run_settings import TrainingSettings
from retrain.training.fine_tune import padded
from retrain.training.network import ClassifierNetwork, MultiHeadEncoder, TextNetwork
from retrain.training.training_set import TaughtPost, TrainingSet
from retrain.training.weights import NetworkNote, built, load_into, note_of, save_weights
from retrain.training.word_teaching import NO_LABEL, label_weights, span_f1, token_labels, word_loss
from retrain.whole_file import write_whole
from streamapp.contracts.encoding import TextEncoder

LOG_FILE = "fit-log.json"
Progress = Callable[[float, str], None]

_LARGEST_GRADIENT = 1.0
_COMPLETE = ("trainer_state.json", "optimizer.pt", "scheduler.pt")
_CHECKPOINTS, _TRAINED, _PLAN, _START, _TOKENIZER = (
    "checkpoints",
    "trained.safetensors",
    "fit.json",
    "start.safetensors",
    "tokenizer.json",
)


class FitPlan(Struct, frozen=True, kw_only=True):
    """What a fit needs besides the weights that it starts from."""

    note: NetworkNote
    taught: TrainingSet
    settings: TrainingSettings


def write_plan(
    folder: Path, network: TextNetwork, tokenizer: bytes, taught: TrainingSet, settings: TrainingSettings
) -> None:
    """Everything that a fit reads, the plan last."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / _START, save_weights(network))
    write_whole(folder / _TOKENIZER, tokenizer)
    plan = FitPlan(note=note_of(network), taught=taught, settings=settings)
    write_whole(folder / _PLAN, msgspec.json.encode(plan))


def fitted(folder: Path, plan: FitPlan | None = None) -> TextNetwork:
    """The network that `fit` left in `folder`, on the CPU, in eval mode."""
    plan = plan or _read_plan(folder)
    network = built(plan.note, plan.taught.labels)
    load_into(network, (folder / _TRAINED).read_bytes()).eval()
    return network


def is_fitted(folder: Path) -> bool:
    """Whether `fit` has ended there."""
    return (folder / _TRAINED).exists()


def fit(folder: Path, progress: Progress) -> None:
    """Trains as planned in `folder` and leaves the weights of the best epoch there.

    Goes on from the newest whole checkpoint of an earlier attempt. Mixed precision (bfloat16) on a GPU that has it and
    on CPUs with matrix units for it (AMX), 1.7 times as fast there; on other CPUs it is slower.
    """
    plan = _read_plan(folder)
    settings = plan.settings
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    network = load_into(built(plan.note, plan.taught.labels), (folder / _START).read_bytes())
    _prepare(network, settings)
    encoder = TextEncoder((folder / _TOKENIZER).read_bytes(), settings.max_tokens)
    trainer = _trainer(folder, network, encoder, plan, progress)
    last = newest_whole_checkpoint(folder / _CHECKPOINTS)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    # The others may still read the best checkpoint, which the first one is about to remove.
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        log = {"log": trainer.state.log_history, "best": trainer.state.best_metric}
        write_whole(folder / LOG_FILE, json.dumps(log, indent=1).encode())
        _merge(network)
        write_whole(folder / _TRAINED, save_weights(network.cpu()))
        shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)


def newest_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint whose last file was written; half ones, left by a kill, are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    whole = [path for path in found if all((path / name).exists() for name in _COMPLETE) and _readable(path)]
    for path in found:
        if path not in whole:
            shutil.rmtree(path)
    return whole[-1] if whole else None


class _Taught(nn.Module):  # type: ignore[misc]  # torch is not there for type checks
    """A network with its loss: cross-entropy against each head's distribution, weighted, absent heads for free.

    `words` weighs the labels of words, where the network has a head for those.
    """

    def __init__(self, network: TextNetwork, words: Tensor) -> None:
        super().__init__()
        self.network = network
        self.words = words

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **taught: Tensor) -> dict[str, Any]:
        logits = self.network(input_ids, attention_mask)
        total = torch.zeros((), device=input_ids.device)
        for head, values in logits.items():
            weights = taught[f"weights_{head}"]
            if head == COMPANY_HEAD:
                total = total + word_loss(values, taught[f"targets_{head}"], weights, self.words)
                continue
            losses = -(taught[f"targets_{head}"] * torch.log_softmax(values.float(), dim=1)).sum(dim=1)
            total = total + (losses * weights).sum() / weights.sum().clamp(min=1.0)
        return {"loss": total, "logits": tuple(logits.values())}


def _tokenised(taught: TrainingSet, side: Sequence[TaughtPost], encoder: TextEncoder) -> list[dict[str, Any]]:
    """The posts with their tokens, under the name by which the Trainer puts texts of like length together."""
    texts = [post.text for post in side]
    labels = taught.labels.get(COMPANY_HEAD)
    if labels is None:
        tokens = encoder.encode(texts)
        return [{"input_ids": ids or [0], "post": post} for ids, post in zip(tokens, side, strict=True)]
    return [
        {"input_ids": ids or [0], "post": post, "words": token_labels(post, ids, words, labels) or [NO_LABEL]}
        for (ids, words), post in zip(encoder.encode_words(texts), side, strict=True)
    ]


class _Collator:
    """Tokenised posts to one padded batch."""

    def __init__(self, labels: Mapping[str, Sequence[str]]) -> None:
        self._labels = labels

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        input_ids, attention_mask = padded([row["input_ids"] for row in rows])
        posts: list[TaughtPost] = [row["post"] for row in rows]
        batch = {"input_ids": input_ids, "attention_mask": attention_mask}
        for head, names in self._labels.items():
            batch[f"weights_{head}"] = torch.tensor([post.weights.get(head, 0.0) for post in posts])
            if head == COMPANY_HEAD:
                longest = input_ids.shape[1]
                words = [row["words"] + [NO_LABEL] * (longest - len(row["words"])) for row in rows]
                batch[f"targets_{head}"] = torch.tensor(words)
                continue
            nothing = (0.0,) * len(names)
            batch[f"targets_{head}"] = torch.tensor([post.targets.get(head, nothing) for post in posts])
        return batch


class _Says(TrainerCallback):  # type: ignore[misc]  # transformers is not there for type checks
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._percent = -1

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        percent = 100 * state.global_step // max(1, state.max_steps)
        if percent != self._percent:
            self._percent = percent
            self._say(state, f"step {state.global_step}")

    def on_evaluate(self, _args: Any, state: Any, _control: Any, metrics: Any = None, **_more: Any) -> None:
        score = (metrics or {}).get("eval_score")
        self._say(state, f"dev macro-F1 {score}")

    def _say(self, state: Any, detail: str) -> None:
        if state.is_world_process_zero:  # of several processes one speaks
            self._progress(state.global_step / max(1, state.max_steps), detail)


def _prepare(network: TextNetwork, settings: TrainingSettings) -> None:
    """Freezes what the method leaves alone; LoRA puts its adapters into the encoder."""
    body = network.encoder if isinstance(network, MultiHeadEncoder) else network.classifier
    if settings.method == "lora":
        lora = LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=0.05,
            target_modules="all-linear",
            modules_to_save=None if isinstance(network, MultiHeadEncoder) else ["classifier"],
        )
        adapted = get_peft_model(body, lora)
        if isinstance(network, MultiHeadEncoder):
            network.encoder = adapted
        else:
            network.classifier = adapted
    elif settings.method == "head":
        body.requires_grad_(False)
        if isinstance(network, ClassifierNetwork):
            for name, parameter in body.named_parameters():
                parameter.requires_grad_(name.startswith(("classifier", "pre_classifier", "score")))


def _merge(network: TextNetwork) -> None:
    """Adapters become part of the matrices that they change, so that export sees the plain architecture."""
    if isinstance(network, MultiHeadEncoder):
        if hasattr(network.encoder, "merge_and_unload"):
            network.encoder = network.encoder.merge_and_unload()
    elif hasattr(network.classifier, "merge_and_unload"):
        network.classifier = network.classifier.merge_and_unload()


def _trainer(
    folder: Path, network: TextNetwork, encoder: TextEncoder, plan: FitPlan, progress: Progress
) -> Trainer:
    settings, taught = plan.settings, plan.taught
    has_dev = any(post.sure for post in taught.dev)
    callbacks: list[Any] = [_Says(progress)]
    if has_dev:
        callbacks.append(EarlyStoppingCallback(settings.patience_epochs))
    train = _tokenised(taught, taught.train, encoder)
    labels = len(taught.labels.get(COMPANY_HEAD, ()))
    words = label_weights([row.get("words", ()) for row in train], labels, settings)
    trainer = Trainer(
        model=_Taught(network, words),
        args=_arguments(folder, plan, has_dev=has_dev),
        train_dataset=train,
        eval_dataset=_tokenised(taught, taught.dev, encoder) if has_dev else None,
        data_collator=_Collator(taught.labels),
        compute_metrics=lambda found: _dev_figures(found, taught),
        optimizers=(_optimizer(network, settings), None),
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)  # progress has its own way out
    return trainer


def _arguments(folder: Path, plan: FitPlan, *, has_dev: bool) -> TrainingArguments:
    settings = plan.settings
    batch = settings.batch_posts * settings.accumulate_batches
    steps = settings.epochs * max(1, -(-len(plan.taught.train) // batch))
    gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder / _CHECKPOINTS),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_posts,
        per_device_eval_batch_size=64,
        gradient_accumulation_steps=settings.accumulate_batches,
        max_grad_norm=_LARGEST_GRADIENT,
        lr_scheduler_type="linear",
        warmup_steps=int(steps * settings.warm_up_share),
        eval_strategy="epoch" if has_dev else "no",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=has_dev,
        metric_for_best_model="score" if has_dev else None,
        greater_is_better=True if has_dev else None,
        label_names=[f"{kind}_{head}" for head in plan.taught.labels for kind in ("targets", "weights")],
        remove_unused_columns=False,
        train_sampling_strategy="group_by_length",
        bf16=torch.cuda.is_bf16_supported() if gpu else _has_matrix_units(),
        use_cpu=not gpu,
        ddp_backend="gloo" if not gpu and torch.distributed.is_torchelastic_launched() else None,
        dataloader_pin_memory=gpu,
        seed=settings.seed,
        data_seed=settings.seed,
        report_to="none",
        disable_tqdm=True,
        logging_strategy="epoch",
    )


def _has_matrix_units() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in hardware; older torch cannot say."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("amx_tile") and known.get("amx_bf16", True))


def _optimizer(network: TextNetwork, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019); matrices decay, vectors and heads do not, heads learn faster."""
    heads = ("heads.", "classifier.classifier", "classifier.pre_classifier", "classifier.score")
    learnt = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
    groups: dict[str, list[nn.Parameter]] = {"heads": [], "matrices": [], "vectors": []}
    for name, value in learnt:
        kind = "heads" if name.startswith(heads) else "matrices" if value.ndim > 1 else "vectors"
        groups[kind].append(value)
    return torch.optim.AdamW(
        [
            {"params": groups["matrices"], "weight_decay": settings.weight_decay},
            {"params": groups["vectors"], "weight_decay": 0.0},
            {"params": groups["heads"], "weight_decay": 0.0, "lr": settings.head_learning_rate},
        ],
        lr=settings.learning_rate,
    )


def _dev_figures(found: EvalPrediction, taught: TrainingSet) -> dict[str, float]:
    """Macro-F1 of each head over the posts that a person labelled (of companies F1 of whole names), and their mean,
    which picks the epoch.
    """
    scores = {}
    targets = found.label_ids[0::2]
    for place, (head, names) in enumerate(taught.labels.items()):
        rows = [row for row, post in enumerate(taught.dev) if head in post.sure]
        if rows and head == COMPANY_HEAD:
            scores[head] = span_f1(found.predictions[place][rows], targets[place][rows], names)
        elif rows:
            true = [names[index] for index in targets[place][rows].argmax(axis=1)]
            called = [names[index] for index in found.predictions[place][rows].argmax(axis=1)]
            scores[head] = macro_f1(true, called)
    return {**scores, "score": float(np.mean(list(scores.values())))}


def _readable(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / _COMPLETE[0]).read_bytes())
    except ValueError:
        return False
    return True


def _read_plan(folder: Path) -> FitPlan:
    return msgspec.json.decode((folder / _PLAN).read_bytes(), type=FitPlan)


def main() -> None:
    """The command, once in every process of a launcher."""

    def say(fraction: float, detail: str) -> None:
        sys.stdout.write(json.dumps({"fraction": round(fraction, 4), "detail": detail}) + "\n")
        sys.stdout.flush()

    fit(Path(sys.argv[1]), say)


if __name__ == "__main__":
    main()

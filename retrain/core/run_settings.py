"""How a run trains and what its gate asks for. Values only; the settings file and the request carry them."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Method = Literal["full", "lora", "head"]


class TrainingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to fine-tune.

    `encoder` empty goes on from the champion; else a folder or hub id whose encoder gets fresh heads. `method`:
    all weights, low-rank adapters (LoRA, Hu et al. 2022) or the heads alone. `class_weights` "sqrt" weighs a sentiment
    or topic by the inverse square root of its count, `company_class_weights` the labels of words, most of which no
    company has. `rehearsal_ratio` is how many old posts are replayed for each new one.
    `champion_share` of each weight comes from the champion at the end, the rest from what was trained (WiSE-FT,
    Wortsman et al. 2022); 0: none; not with an `encoder`.
    `imitation_weight` is what it costs to leave the champion's opinion where no person has one (Li and Hoiem 2017).
    `launcher` stands before the training process, e.g. ["torchrun", "--nproc-per-node=4"]; empty: this process.
    `fewest_posts` with a person's labels are needed to train at all. `threads` 0: as many as torch likes.
    A champion that does not find companies gets a head for them once people labelled their places in
    `company_head_posts` posts (0: never).
    """

    encoder: str = ""
    method: Method = "full"
    seed: int = 7
    epochs: int = 4
    patience_epochs: int = 2
    learning_rate: float = 1e-4
    head_learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warm_up_share: float = 0.1
    batch_posts: int = 32
    accumulate_batches: int = 1
    max_tokens: int = 128
    class_weights: Literal["none", "sqrt"] = "none"
    company_class_weights: Literal["none", "sqrt"] = "sqrt"
    lora_rank: int = 8
    lora_alpha: int = 16
    dev_share: float = 0.15
    most_judging_posts: int = 1_000
    rehearsal_ratio: float = 2.0
    champion_share: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.25
    imitation_weight: float = 0.5
    fewest_posts: int = 20
    company_head_posts: int = 200
    int8: Literal["like champion", "always", "never"] = "like champion"
    launcher: tuple[str, ...] = ()
    threads: int = 0


class GateSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a candidate may serve. Shares are between 0 and 1.

    `level` is the one-sided level of the paired bootstrap that must call the candidate better; with
    `equal_if_fresher` a candidate that is not worse, and at most `equal_margin` of macro-F1 below, may also serve when
    it learnt from newer labels. Recall may fall by its margin and one post. Slices and classes with less than
    `fewest_of_a_slice` posts are reported and not judged. A post may cost `latency_slack_ms` more whatever the ratio.
    F1 of finding companies may fall by `span_f1_margin` and one company; a head that is new must reach `least_span_f1`
    on at least `fewest_of_a_slice` companies.
    The `float` limits hold where an 8-bit champion is followed by a candidate without an 8-bit variant that agrees.
    """

    level: float = 0.05
    bootstrap_rounds: int = 2_000
    equal_if_fresher: bool = True
    equal_margin: float = 0.01
    audit_judges_alone_from: int = 200
    recall_margin: float = 0.08
    negative_recall_margin: float = 0.03
    largest_ece: float = 0.12
    ece_margin: float = 0.03
    parity_limit: float = 1e-4
    least_int8_agreement: float = 0.985
    batch_difference_limit: float = 1e-5
    latency_ratio_limit: float = 1.3
    latency_slack_ms: float = 0.1
    size_ratio_limit: float = 1.5
    float_latency_ratio_limit: float = 4.0
    float_size_ratio_limit: float = 3.0
    slice_margin: float = 0.05
    fewest_of_a_slice: int = 20
    span_f1_margin: float = 0.03
    least_span_f1: float = 0.5
    name_flip_limit: float = 0.05
    name_flip_margin: float = 0.03
    seed: int = 7

"""A report and a request become flat names and numbers that a tracking server takes."""

import math

from retrain.core.tracked import figures_of_report, params_of_request

CLASSES = {"negative": {"precision": 0.5, "recall": 0.75, "f1": 0.6, "support": 4}}
SIDE = {"accuracy": 0.8, "labels": ["negative"], "classes": CLASSES, "confusion": [[3, 1], [0, 4]]}
REPORT = {
    "decision": {"promote": True, "reasons": ["better"]},
    "exported": {"parity_with_torch": 1e-6, "int8_agreement": None},
    "measured": {
        "sets": [
            {
                "name": "golden and audit",
                "posts": 8,
                "heads": {"sentiment": {"before": SIDE, "after": {**SIDE, "accuracy": 0.9}, "moved": [[1]]}},
                "slices": [{"name": "channel chat", "posts": 5, "before": 0.6, "after": 0.8}],
            }
        ],
        "batch_labels_equal": True,
        "champion_latency_ms": math.inf,
        "champion_precision": "int8",
    },
    "posts": {"train": {"chat: negative": 3, "news: None": 2}},
}


def test_every_class_of_champion_and_candidate_has_its_figures() -> None:
    figures = figures_of_report(REPORT)
    assert figures["golden and audit/sentiment/champion/negative/recall"] == 0.75
    assert figures["golden and audit/sentiment/champion/accuracy"] == 0.8
    assert figures["golden and audit/sentiment/candidate/accuracy"] == 0.9
    assert figures["golden and audit/slices/channel chat/candidate"] == 0.8
    assert figures["export/parity_with_torch"] == 1e-6
    assert figures["batch_labels_equal"] == 1.0


def test_labels_are_counted_by_side_channel_and_sentiment() -> None:
    figures = figures_of_report(REPORT)
    assert figures["posts/train/chat/negative"] == 3
    assert figures["posts/train/all"] == 5


def test_what_is_no_finite_number_is_left_out() -> None:
    names = set(figures_of_report(REPORT))
    assert not [
        name for name in names if "confusion" in name or "moved" in name or "precision" in name.split("/")[0]
    ]
    assert "champion_latency_ms" not in names
    assert "export/int8_agreement" not in names
    assert figures_of_report({}) == {}
    assert figures_of_report({"measured": None, "posts": "lost"}) == {}


def test_names_hold_only_what_a_server_takes() -> None:
    (name,) = figures_of_report({"measured": {"a:b<\u00e9>": 1}})
    assert name == "a_b_"


def test_settings_of_training_and_gate_and_the_seed_are_parameters() -> None:
    request = {
        "seed": 7,
        "training": {"epochs": 4, "launcher": ["torchrun"]},
        "gate": {"level": 0.05},
        "labels": "/x",
    }
    assert params_of_request(request) == {
        "training.epochs": "4", "training.launcher": "['torchrun']", "gate.level": "0.05", "seed": "7",
    }  # fmt: skip
    assert params_of_request({}) == {}
    assert len(params_of_request({"training": {"encoder": "x" * 9_000}})["training.encoder"]) == 500

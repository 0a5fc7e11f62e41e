"""What the learning demo prepares: labels of read posts only, judges among them, settings that both sides accept."""

from pathlib import Path

import msgspec

from retrain.label_file import read_labels
from retrain.settings import load_retrain_settings
from streamapp.contracts.encoding import clean_text
from streamapp.contracts.messages import Label
from streamapp.core.label_file import read_label_file
from streamapp.core.label_rows import ImportRules, RefusedRow, read_row
from streamapp.local.demo_learning_plan import (
    REHEARSAL_RATIO,
    LearningFiles,
    json_lines,
    label_lines,
    old_posts,
    plan_learning,
    retrain_settings,
    worker_settings,
)
from streamapp.local.demo_plan import DemoFiles
from streamapp.local.sample import SamplePost, load_sample
from streamapp.settings import dump_settings, load_settings

DAY = load_sample()
PLAN = plan_learning(len(DAY), "x-")


def imported() -> list[Label]:
    _, rows = read_label_file(json_lines(label_lines(DAY, PLAN)))
    read = [
        read_row(row, ImportRules(author="file", labelled_at_ms=1))
        for row in rows
        if not isinstance(row, RefusedRow)
    ]
    labels = [label for label in read if isinstance(label, Label)]
    assert len(labels) == len(read) == len(label_lines(DAY, PLAN))
    return labels


def test_every_line_is_a_label_for_the_import_with_the_meaning_of_its_author() -> None:
    meant = {clean_text(post.text): post.intended for post in DAY if isinstance(post, SamplePost)}
    for label in imported():
        assert label.text is not None
        assert (label.sentiment, label.topic) == (meant[label.text].sentiment, meant[label.text].topic)
        assert (label.channel, label.author) == ("chat", "demo")


def test_a_fifth_or_so_judges_and_equal_texts_are_on_one_side() -> None:
    labels = imported()
    audits = {label.text for label in labels if label.drawn == "audit"}
    assert 0.12 < len(audits) / len(labels) < 0.28
    assert audits.isdisjoint({label.text for label in labels if label.drawn == "none"})


def test_no_post_of_the_second_part_is_labelled_before_it_is_published() -> None:
    first = {post.text for post in DAY[: PLAN.read_records] if isinstance(post, SamplePost)}
    assert {line.text for line in label_lines(DAY, PLAN)} <= first
    assert PLAN.read_records < PLAN.trickle_until < PLAN.keep_from < len(DAY)


def test_the_old_posts_are_news_without_a_label_in_the_form_that_training_reads(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_bytes(json_lines(old_posts(DAY, PLAN)))
    old = read_labels(path)
    labels = len(label_lines(DAY, PLAN))
    assert len(old) >= round(labels * REHEARSAL_RATIO)  # else training takes posts of the second part too
    assert {(post.channel, post.sentiment, post.topic) for post in old} == {("news", None, None)}


def test_both_settings_files_are_read_as_they_were_meant(tmp_path: Path) -> None:
    files = DemoFiles(tmp_path)
    worker = worker_settings(PLAN, files, "127.0.0.1:1")
    files.config.write_text(dump_settings(worker))
    assert load_settings(files.config, {}) == worker
    learning = LearningFiles(tmp_path)
    learning.retrain_config.write_bytes(msgspec.json.encode(retrain_settings(PLAN, learning, worker)))
    retrain = load_retrain_settings(learning.retrain_config, {})
    assert (retrain.broker, retrain.topics) == (worker.broker, worker.topics)
    assert retrain.model_store.url == worker.model.store
    assert retrain.gate == type(retrain.gate)()  # the gate is as it ships

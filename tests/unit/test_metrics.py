"""Metrics have names by one rule, and all are in the catalogue."""

import re

import pytest
from prometheus_client.metrics import MetricWrapperBase

from streamapp import metrics
from streamapp.metrics import CATALOGUE, REGISTRY
from streamapp.metrics_page import exposed_name, metrics_page

UNITS = {"seconds", "bytes", "posts", "records", "ratio"}


def name_of(metric: MetricWrapperBase) -> str:
    return str(metric._name)


def test_every_metric_of_the_module_is_in_the_catalogue_once() -> None:
    defined = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    assert sorted(map(name_of, defined)) == sorted(map(name_of, CATALOGUE))
    assert len(set(map(name_of, CATALOGUE))) == len(CATALOGUE)


def test_the_registry_holds_the_catalogue_and_nothing_else() -> None:
    assert {family.name for family in REGISTRY.collect()} == set(map(name_of, CATALOGUE))


@pytest.mark.parametrize("metric", CATALOGUE, ids=name_of)
def test_name_help_and_labels_follow_the_rule(metric: MetricWrapperBase) -> None:
    assert re.fullmatch(r"streamapp_[a-z]+(_[a-z]+)*", metric._name)
    assert re.fullmatch(r"[A-Z0-9].*\.", metric._documentation)
    assert not {"post_id", "company", "text", "worker"} & set(metric._labelnames)
    if metric._type == "histogram":
        assert metric._name.rpartition("_")[2] in UNITS


def test_subjects_are_a_label_of_one_gauge_which_says_its_bound() -> None:
    by_subject = [metric for metric in CATALOGUE if "subject" in metric._labelnames]
    assert [name_of(metric) for metric in by_subject] == ["streamapp_surge_open"]
    assert "at most 50" in by_subject[0]._documentation


@pytest.mark.parametrize("metric", CATALOGUE, ids=name_of)
def test_every_metric_has_its_row_on_the_page(metric: MetricWrapperBase) -> None:
    assert f"| `{exposed_name(metric)}` | {metric._type} |" in metrics_page()

"""A metric that nobody can see is a cost without use; a page that names another is a lie."""

import re

from streamapp.metrics_page import exposed_name
from tests.deploy.catalogue import CATALOGUE
from tests.deploy.files import DASHBOARDS, REPOSITORY, dashboard, rules
from tests.deploy.promql import names_in

PAGES = ("metrics.md", "retrain-metrics.md")


def asked_for() -> set[str]:
    expressions = [rule.expression for rule in rules()]
    expressions += [
        target["expr"]
        for path in DASHBOARDS
        for panel in dashboard(path)["panels"]
        for target in panel["targets"]
    ]
    return {metric for expression in expressions for metric in names_in(expression).matched}


def test_every_metric_is_on_a_board_or_in_a_rule() -> None:
    asked = asked_for()
    unseen = [
        exposed_name(metric)
        for metric in CATALOGUE
        if not {exposed_name(metric) + suffix for suffix in ("", "_bucket", "_sum", "_count")} & asked
    ]
    assert unseen == []


def test_the_pages_of_metrics_name_every_metric_and_no_other() -> None:
    text = "".join((REPOSITORY / "docs" / page).read_text(encoding="utf-8") for page in PAGES)
    named = re.findall(r"^\| `(streamapp_\w+)`", text, flags=re.MULTILINE)
    assert sorted(named) == sorted(exposed_name(metric) for metric in CATALOGUE)


def test_every_recorded_rule_is_asked_for() -> None:
    assert {rule.recorded for rule in rules() if rule.recorded} - asked_for() == set()

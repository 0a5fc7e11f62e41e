"""Alertmanager accepts its file, and every alert reaches whom it is for."""

import subprocess

import pytest

from streamapp.bridge.open_alerts import ALERT_NAME
from tests.deploy.files import ALERTMANAGER, Rule, alerts, load_yaml, tool


def amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("amtool"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def receiver_of(**labels: str) -> str:
    named = [f"{name}={value}" for name, value in labels.items()]
    tested = amtool("config", "routes", "test", f"--config.file={ALERTMANAGER}", *named)
    assert tested.returncode == 0, tested.stderr
    return tested.stdout.strip()


def test_amtool_accepts_the_file() -> None:
    checked = amtool("check-config", str(ALERTMANAGER))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("rule", alerts(), ids=str)
def test_every_alert_reaches_its_audience(rule: Rule) -> None:
    labels = rule.body["labels"]
    assert receiver_of(alertname=rule.alert, **labels) == labels["audience"]


def test_a_surge_of_the_bridge_reaches_the_desk_and_what_nobody_knows_operations() -> None:
    surge = {"alertname": ALERT_NAME, "audience": "desk", "severity": "critical", "subject": "company:AAPL"}
    assert receiver_of(**surge) == "desk"
    assert receiver_of(alertname="Unheard") == "operations"


def test_a_critical_fault_is_told_within_a_minute_of_its_rule() -> None:
    routes = load_yaml(ALERTMANAGER)["route"]["routes"]
    waits = {route["receiver"]: route["group_wait"] for route in routes}
    assert waits == {"desk": "0s", "operations": "5s"}


def test_inhibit_rules_name_alerts_that_exist_and_labels_that_both_have() -> None:
    known = {rule.alert for rule in alerts()}
    for inhibit in load_yaml(ALERTMANAGER)["inhibit_rules"]:
        for matcher in inhibit["source_matchers"] + inhibit["target_matchers"]:
            label, _, value = matcher.partition("=")
            assert label.strip() == "alertname"
            named = set(value.lstrip("~").strip().strip('"').split("|"))
            assert named <= known, named - known

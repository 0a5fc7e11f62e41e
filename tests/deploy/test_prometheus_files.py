"""Prometheus' own tools accept the files, and the files name only what exists."""

import subprocess
from collections import defaultdict

import pytest

from retrain.settings import RetrainSettings
from streamapp.settings import Settings
from tests.deploy.catalogue import exposed, faults
from tests.deploy.files import PROMETHEUS, RULE_FILES, TEST_FILES, Rule, alerts, load_yaml, rules, tool
from tests.deploy.promql import names_in

CONFIG = PROMETHEUS / "prometheus.yml"


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("promtool"), *arguments],
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_promtool_accepts_the_configuration_and_the_rules_that_it_loads() -> None:
    checked = promtool("check", "config", CONFIG.name)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_promtool_accepts_every_rule_file(path: object) -> None:
    checked = promtool("check", "rules", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.name)
def test_rules_fire_and_stay_silent_as_their_promtool_tests_say(path: object) -> None:
    tested = promtool("test", "rules", str(path))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_has_a_promtool_test_that_fires_and_one_that_stays_silent() -> None:
    cases: dict[str, set[bool]] = defaultdict(set)
    for path in TEST_FILES:
        for test in load_yaml(path)["tests"]:
            for case in test["alert_rule_test"]:
                cases[case["alertname"]].add(bool(case["exp_alerts"]))
    assert cases == {rule.alert: {True, False} for rule in alerts()}


@pytest.mark.parametrize("rule", rules(), ids=str)
def test_every_rule_names_metrics_and_labels_of_the_catalogue(rule: Rule) -> None:
    assert faults(rule.expression) == []


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.name)
def test_promtool_tests_use_series_that_our_processes_expose(path: object) -> None:
    assert path in TEST_FILES
    for test in load_yaml(path)["tests"]:
        for series in test["input_series"]:
            assert faults(series["series"]) == [], test["name"]


@pytest.mark.parametrize("rule", alerts(), ids=str)
def test_every_alert_waits_and_says_what_whom_and_where_to_read_on(rule: Rule) -> None:
    labels, annotations = rule.body["labels"], rule.body["annotations"]
    assert rule.body["for"]
    assert labels["severity"] in ("warning", "critical")
    assert labels["audience"] in ("desk", "operations")
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert len(annotations["summary"]) <= 100
    assert len(annotations["description"].split()) >= 10
    assert annotations["description"].endswith(".")


def test_every_file_that_the_configuration_names_exists() -> None:
    config = load_yaml(CONFIG)
    named = [*config["rule_files"]]
    for discovery in [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]:
        named += [name for found in discovery["file_sd_configs"] for name in found["files"]]
    assert [name for name in named if not (PROMETHEUS / name).is_file()] == []
    assert {path.name for path in RULE_FILES} - set(named) == {"surge.rules.yml"}


def test_surges_come_from_the_bridge_or_from_the_gauge_and_never_from_both() -> None:
    config = load_yaml(CONFIG)
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    assert ("bridge.rules.yml" in config["rule_files"]) != ("surge.rules.yml" in config["rule_files"])
    assert ("bridge.rules.yml" in config["rule_files"]) == ("streamapp-bridge" in jobs)


@pytest.mark.parametrize(
    ("file", "port"),
    [
        ("worker.yml", Settings().http.port),
        ("bridge.yml", Settings().bridge.http_port),
        ("retrain.yml", RetrainSettings().http.port),
        ("alertmanager.yml", int(Settings().bridge.alertmanager_url.rsplit(":", 1)[1])),
    ],
)
def test_targets_have_the_ports_of_the_settings(file: str, port: int) -> None:
    targets = [target for group in load_yaml(PROMETHEUS / "targets" / file) for target in group["targets"]]
    assert {int(target.rsplit(":", 1)[1]) for target in targets} == {port}


def test_every_job_that_a_rule_names_is_scraped_at_the_page_that_a_worker_has() -> None:
    config = load_yaml(CONFIG)
    jobs = {job["job_name"]: job["metrics_path"] for job in config["scrape_configs"]}
    named = {
        part.split('"')[1] for rule in rules() for part in rule.expression.replace(" ", "").split("job=")[1:]
    }
    assert named <= jobs.keys()
    assert set(jobs.values()) == {"/metrics"}


def test_the_surge_rules_give_the_labels_that_the_bridge_gives() -> None:
    (surge,) = (rule for rule in alerts() if rule.alert == "NegativeSurge")
    assert names_in(surge.expression).grouped >= {"subject", "subject_kind", "subject_name"}
    assert surge.body["labels"].keys() == {"severity", "audience"}
    assert exposed()["streamapp_surge_open"] == {"subject"}

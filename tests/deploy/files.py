"""The files under deploy/ as values, and the tools that check them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import Struct

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
ALERTMANAGER = DEPLOY / "alertmanager" / "alertmanager.yml"
GRAFANA = DEPLOY / "grafana"
RUNBOOKS = REPOSITORY / "docs" / "runbooks.md"
RULE_FILES = tuple(sorted(PROMETHEUS.glob("*.rules.yml")))
TEST_FILES = tuple(sorted((PROMETHEUS / "tests").glob("*.test.yml")))
DASHBOARDS = tuple(sorted((GRAFANA / "dashboards").glob("*.json")))

_PACKAGES = {"promtool": "prometheus", "prometheus": "prometheus", "amtool": "prometheus-alertmanager",
             "prometheus-alertmanager": "prometheus-alertmanager"}  # fmt: skip


class Rule(Struct, frozen=True):
    """One rule of one file; `recorded` is empty for an alert and the other way round."""

    file: str
    alert: str
    recorded: str
    expression: str
    body: dict[str, Any]

    def __str__(self) -> str:
        return self.alert or self.recorded


def load_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[Rule]:
    return [
        Rule(path.name, body.get("alert", ""), body.get("record", ""), body["expr"], body)
        for path in RULE_FILES
        for group in load_yaml(path)["groups"]
        for body in group["rules"]
    ]


def alerts() -> list[Rule]:
    return [rule for rule in rules() if rule.alert]


def dashboard(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def tool(name: str) -> str:
    """The path of a Debian tool; the test is skipped, by name, where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is absent: as root, `apt-get install {_PACKAGES[name]}` (make debian-packages)")
    return found

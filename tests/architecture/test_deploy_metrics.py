"""Dashboards and alerting rules name only metrics that exist."""

import re

from streamapp.metrics import CATALOGUE
from streamapp.metrics_page import exposed_name
from tests.architecture.source_tree import REPOSITORY, shown

_METRIC = re.compile(r"\bstreamapp_[a-z0-9_]+")


def known_names() -> set[str]:
    """Every series name that a worker exposes, recording rules apart (they have colons)."""
    names = set()
    for metric in CATALOGUE:
        name = exposed_name(metric)
        names |= (
            {name, f"{name}_bucket", f"{name}_sum", f"{name}_count"}
            if metric._type == "histogram"
            else {name}
        )
    return names


def test_deployed_rules_and_dashboards_name_only_metrics_that_exist() -> None:
    files = [path for path in (REPOSITORY / "deploy").rglob("*") if path.suffix in (".yml", ".yaml", ".json")]
    unknown = {
        f"{shown(path)}: {name}"
        for path in files
        for name in _METRIC.findall(path.read_text(encoding="utf-8"))
        if name not in known_names()
    }
    assert unknown == set()

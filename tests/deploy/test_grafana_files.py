"""The boards are what their code makes, of the form that Grafana reads, and ask for what Prometheus has."""

import json
import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from tests.deploy.catalogue import TARGET_LABELS, faults, known
from tests.deploy.files import DASHBOARDS, GRAFANA, dashboard, load_yaml, tool
from tests.deploy.promql import names_in

SCHEMA = json.loads((Path(__file__).parent / "dashboard.schema.json").read_text(encoding="utf-8"))
PROMETHEUS_PORT = 9090

boards = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)


def queries(board: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(panel title, expression, legend) of every query."""
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def test_the_four_boards_are_there_and_equal_to_what_their_code_makes() -> None:
    made = runpy.run_path(str(GRAFANA / "build_dashboards.py"))["documents"]()
    assert {path.name for path in DASHBOARDS} == {
        "stream.json", "trends-and-alerts.json", "model.json", "learning.json"
    }  # fmt: skip
    assert made == {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS}, (
        "run: python deploy/grafana/build_dashboards.py"
    )


@boards
def test_a_board_has_the_form_that_grafana_reads(path: Path) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(dashboard(path))


@boards
def test_a_board_asks_for_metrics_and_labels_of_the_catalogue(path: Path) -> None:
    found = {title: faults(expression) for title, expression, _ in queries(dashboard(path))}
    assert {title: wrong for title, wrong in found.items() if wrong} == {}


@boards
def test_a_legend_names_labels_that_its_query_keeps(path: Path) -> None:
    for title, expression, legend in queries(dashboard(path)):
        names = names_in(expression)
        kept = names.grouped or set(TARGET_LABELS).union(*(known()[metric] for metric in names.matched))
        for metric in names.matched:
            if ":" in metric:
                kept = kept | known()[metric]
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= kept, title


@boards
def test_panels_lie_side_by_side_and_have_ids_of_their_own(path: Path) -> None:
    panels = dashboard(path)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@boards
def test_promtool_understands_every_query(path: Path, tmp_path: Path) -> None:
    rules = [
        {"record": f"query:number:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, (_, expression, _) in enumerate(queries(dashboard(path)))
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")
    checked = subprocess.run(
        [tool("promtool"), "check", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@boards
def test_a_board_uses_the_provisioned_datasource_and_its_own_variables(path: Path) -> None:
    board = dashboard(path)
    (source,) = load_yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    used = {panel["datasource"]["uid"] for panel in board["panels"]}
    used |= {target["datasource"]["uid"] for panel in board["panels"] for target in panel["targets"]}
    used |= {variable["datasource"]["uid"] for variable in board["templating"]["list"]}
    assert used == {source["uid"]}
    variables = {variable["name"] for variable in board["templating"]["list"]}
    asked = {name for _, expression, _ in queries(board) for name in re.findall(r"\$([a-z]\w*)", expression)}
    assert asked <= variables
    for variable in board["templating"]["list"]:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
        assert faults(f'{metric}{{{label}="x"}}') == []


def test_the_provisioned_datasource_is_prometheus_as_others_reach_it() -> None:
    (source,) = load_yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    address = urlsplit(source["url"])
    assert (source["type"], address.scheme, address.hostname, address.port) == (
        "prometheus", "http", "prometheus", PROMETHEUS_PORT,
    )  # fmt: skip


def test_the_provider_reads_the_folder_where_the_boards_are_mounted() -> None:
    (provider,) = load_yaml(GRAFANA / "provisioning" / "dashboards" / "streamapp.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert Path(provider["options"]["path"]).name == (GRAFANA / "dashboards").name

"""Who is paged finds a section for every alert, and in it only what exists."""

import re

import msgspec
import pytest
import typer.main

from retrain.cli.main import app as retrain_app
from retrain.settings import RetrainSettings
from streamapp.cli.main import app
from streamapp.contracts.messages import DeadLetterReason
from streamapp.settings import BridgeSettings, Settings
from tests.deploy.catalogue import exposed
from tests.deploy.files import REPOSITORY, RUNBOOKS, Rule, alerts

TEXT = RUNBOOKS.read_text(encoding="utf-8")
SECTIONS = {
    part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
}
PARTS = ("The desk", "Look first", "Usual causes", "Mend", "Escalate")


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("rule", alerts(), ids=str)
def test_every_alert_links_to_its_own_section(rule: Rule) -> None:
    page, _, target = rule.body["annotations"]["runbook_url"].partition("#")
    assert REPOSITORY / page == RUNBOOKS
    assert target in {anchor(heading) for heading in SECTIONS}
    assert target == anchor(rule.alert)


def test_every_section_belongs_to_an_alert_and_none_is_told_twice() -> None:
    assert sorted(SECTIONS) == sorted(rule.alert for rule in alerts())
    assert len(re.findall(r"^## ", TEXT, flags=re.MULTILINE)) == len(SECTIONS)


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_section_has_its_five_parts_in_order(heading: str) -> None:
    assert tuple(re.findall(r"^\*\*([\w ]+):\*\*", SECTIONS[heading], flags=re.MULTILINE)) == PARTS
    for part in re.split(r"^\*\*[\w ]+:\*\*", SECTIONS[heading], flags=re.MULTILINE)[1:]:
        assert len(part.split()) >= 2


@pytest.mark.parametrize(
    ("program", "root_app", "at_least"), [("streamapp", app, 9), ("retrain", retrain_app, 3)]
)
def test_commands_and_their_options_exist(program: str, root_app: typer.Typer, at_least: int) -> None:
    root = typer.main.get_command(root_app)
    named = set(re.findall(rf"(?:^|`){program} ([a-z][^`#\n]*)", TEXT, flags=re.MULTILINE))
    assert len(named) >= at_least
    for line in named:
        command, words = root, line.split()
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        assert command is not root, line
        assert not getattr(command, "commands", {}), line
        assert command.make_context(line, words), line


def test_settings_exist() -> None:
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", TEXT)) - {
        "retention.ms",
        "retention.bytes",
        "cleanup.policy",
    }
    trees = [msgspec.to_builtins(Settings()), msgspec.to_builtins(RetrainSettings())]
    assert len(named) > 5
    for name in named:
        group, field = name.split(".")
        assert any(field in tree.get(group, {}) for tree in trees), name


def test_metrics_ports_alerts_and_reasons_exist() -> None:
    named = set(re.findall(r"streamapp_\w+", TEXT))
    assert named
    assert named <= exposed().keys(), named - exposed().keys()
    assert set(re.findall(r"HOST:(\d+)", TEXT)) == {
        str(Settings().http.port),
        str(BridgeSettings().http_port),
        str(RetrainSettings().http.port),
    }
    assert set(re.findall(r"\bStreamapp\w+", TEXT)) <= SECTIONS.keys()
    reasons = set(DeadLetterReason.__args__)  # type: ignore[attr-defined]
    assert {"text_missing", "wrong_type", "not_json", "bad_utf8", "not_finite", "too_large"} <= reasons


def test_paths_exist() -> None:
    named = set(re.findall(r"`((?:deploy|docs)/[\w./-]+)`", TEXT))
    assert named
    assert [path for path in named if not (REPOSITORY / path).exists()] == []

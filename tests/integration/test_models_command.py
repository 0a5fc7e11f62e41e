"""`streamapp models` against a real log and a real store: what people announce counts, and they see that it did."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from streamapp.cli.main import app
from streamapp.cluster.announcements import ChampionPinnedError, announce
from streamapp.contracts.champion import Announcer, announcement
from streamapp.settings import dump_settings
from tests.harness.cluster import TestCluster
from tests.harness.models import ModelDesk, cluster_for_swaps, tiny

pytestmark = pytest.mark.broker


class Command:
    """`streamapp models ...` with the settings of one cluster."""

    def __init__(self, cluster: TestCluster, folder: Path) -> None:
        model = msgspec.structs.replace(cluster.settings.model, store=str(folder / "store"))
        cluster.settings = msgspec.structs.replace(cluster.settings, model=model)
        self._config = folder / "settings.json"
        self._config.write_text(dump_settings(cluster.settings))

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["models", *arguments, "--config", str(self._config)])

    def champions(self) -> list[tuple[int, str, bool]]:
        told = json.loads(self("list", "--json", "-").stdout)
        return [(one["sequence"], one["model_version"], one["pinned"]) for one in told["champions"]]


@pytest.fixture
def desk(cluster: Callable[..., TestCluster], tmp_path: Path) -> ModelDesk:
    return ModelDesk(cluster_for_swaps(cluster, tmp_path), tmp_path)


def test_a_person_promotes_pins_and_rolls_back(desk: ModelDesk) -> None:
    models = Command(desk.cluster, desk.folder)
    assert models.champions() == [(0, "tiny-1", False)]
    promoted = models("promote", str(tiny(desk.folder, "2")), "--reason", "better on chat", "--by", "ann")
    assert (promoted.exit_code, promoted.stdout) == (0, "announcement 1: tiny-2\n")
    assert models("pin", "--reason", "audit until Friday").exit_code == 0
    assert models.champions()[-1] == (2, "tiny-2", True)
    rolled_back = models("rollback", "--reason", "the desk complains")
    assert rolled_back.stdout == "announcement 3: tiny-1, pinned\n"
    assert models("pin", "--off", "--reason", "audit done").exit_code == 0
    assert models("promote", "tiny-2", "--reason", "again").exit_code == 0
    assert [entry[1:] for entry in models.champions()] == [
        ("tiny-1", False), ("tiny-2", False), ("tiny-2", True), ("tiny-1", True), ("tiny-1", False), ("tiny-2", False)
    ]  # fmt: skip
    shown = models("list").stdout
    assert "cli/ann" in shown
    assert "audit" in shown
    champion = desk.line()[3]
    assert champion.rolls_back
    assert champion.bundle_url, "the settings' own bundle was not put where every worker finds it"


def test_the_retrain_service_cannot_replace_what_a_person_pinned(desk: ModelDesk) -> None:
    models = Command(desk.cluster, desk.folder)
    assert models("pin", "--reason", "audit").exit_code == 0
    heir = desk.publish(tiny(desk.folder, "2"))
    record = announcement(
        desk.line()[-1], heir, Announcer(by="retrain", reason="better", at_ms=1), pinned=False
    )
    with pytest.raises(ChampionPinnedError, match="audit"):
        announce(desk.cluster.settings.broker, desk.topic, record, desk.first)


def test_show_verifies_the_bundle_and_tells_where_it_came_from(desk: ModelDesk) -> None:
    models = Command(desk.cluster, desk.folder)
    models("promote", str(tiny(desk.folder, "2")), "--reason", "better", "--by", "ann")
    shown = models("show", "tiny-2")
    assert shown.exit_code == 0
    assert "by cli/ann: better" in shown.stdout
    (Path(desk.line()[-1].bundle_url) / "model.onnx").write_bytes(b"tampered")
    for copy in (desk.folder / "cache").iterdir():
        (copy / "model.onnx").write_bytes(b"tampered")
    broken = models("show", "1")
    assert broken.exit_code == 2
    assert "model.onnx" in broken.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rollback", "--reason", "x"), "tiny-1 is the first champion: nothing to go back to"),
        (("promote", "nothing-7", "--reason", "x"), "no champion nothing-7"),
        (("show", "9"), "no champion 9"),
    ],
)
def test_what_cannot_be_is_said_in_words(desk: ModelDesk, arguments: tuple[str, ...], words: str) -> None:
    answer = Command(desk.cluster, desk.folder)(*arguments)
    assert answer.exit_code == 2
    assert words in answer.stderr


def test_adding_a_classifier_hands_every_option_to_the_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    monkeypatch.setattr("subprocess.run", run)
    options = ["--map", "Bearish=negative", "Bullish=positive", "--version", "2"]
    answer = CliRunner().invoke(app, ["models", "add", "org/classifier", "out", *options])
    assert answer.exit_code == 7
    assert asked[0][1:] == ["-m", "retrain.training.add_classifier", "org/classifier", "out", *options]


def test_adding_a_classifier_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    answer = CliRunner().invoke(app, ["models", "add", "some/classifier", "/nowhere/bundle"])
    assert answer.exit_code == 2
    assert "pip install 'streamapp[retrain]'" in answer.stderr

"""`streamapp models list|show|promote|rollback|pin|add`: which model serves, and who says so.

What a person announces here stands in `model-announcements` for ever, with name and reason: it is the audit log.
"""

import getpass
import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Table

from streamapp.cli.options import BrokerOption, ConfigFile, broker_errors, settings_from
from streamapp.cluster.announcements import Announced, announce, read_champions
from streamapp.cluster.model_events import read_model_events
from streamapp.console import EXIT_USAGE, JsonFile, console, speaker, stop, write_json
from streamapp.contracts.bundle import Bundle, BundleError, read_bundle
from streamapp.contracts.champion import (
    Announcer,
    Champion,
    announcement,
    before,
    first_champion,
    rollback,
    standing,
)
from streamapp.contracts.messages import ModelAnnounced, ModelEvent
from streamapp.contracts.topics import MODEL_ANNOUNCEMENTS
from streamapp.core.foreign_text import printable
from streamapp.settings import Settings

EXIT_LOST: Final = 1
RETRAIN_PACKAGES: Final = (
    "Install it beside streamapp, about 6 GB (1 GB where torch's build for CPUs, which pytorch.org names, is there):\n"
    "  pip install 'streamapp[retrain]'"
)
RETRAIN_MISSING: Final = f"`models add` converts with torch, which is not installed here. {RETRAIN_PACKAGES}"

app = typer.Typer(help="Which model serves: list, show, promote, roll back, pin, add.", no_args_is_help=True)

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the log for ever.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so; by default your login name.")]
Which = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A champion's sequence, its version, or the start of its digest."),
]


@app.command("list")
def list_models(config: ConfigFile = None, broker: BrokerOption = None, json_file: JsonFile = None) -> None:
    """Every champion so far, the present one last, and what each worker did with the newest."""
    with _desk(config, broker) as desk:
        line, events = desk.line(), read_model_events(desk.settings)
    newest = {event.worker: event for event in events if event.sequence == line[-1].sequence}
    out = speaker(json_file)
    table = Table("seq", "version", "digest", "announced", "by", "reason")
    alive = {champion.sequence for champion in standing(line)}
    for champion in line:
        note = " (pinned)" if champion.pinned else " (rolled back)" if champion.sequence not in alive else ""
        table.add_row(
            str(champion.sequence),
            printable(champion.model_version) + note,
            champion.bundle_digest[:12],
            _moment(champion.announced_at_ms),
            printable(champion.announced_by),
            printable(champion.reason),
        )
    out.print(table)
    for event in newest.values():
        out.print(printable(f"{event.worker}: {event.event} {event.detail}"))
    write_json({"champions": line, "workers": list(newest.values())}, json_file)


@app.command()
def show(
    model: Which, config: ConfigFile = None, broker: BrokerOption = None, json_file: JsonFile = None
) -> None:
    """A champion's manifest, verified, and everything that workers said of it."""
    with _desk(config, broker) as desk:
        champion = desk.find(model)
        bundle = desk.loader.bundle_of(champion)
        said = [event for event in read_model_events(desk.settings) if _is_about(event, champion)]
    out = speaker(json_file)
    for name, value in _facts(champion, bundle).items():
        out.print(printable(f"{name:<12} {value}"))
    for event in said:
        out.print(
            printable(
                f"{_moment(event.happened_at_ms)} {event.worker}: {event.event} {event.cause} {event.detail}"
            )
        )
    write_json({"champion": champion, "manifest": bundle.manifest, "events": said}, json_file)


@app.command()
def promote(
    bundle: Annotated[
        str, typer.Argument(metavar="FOLDER|MODEL", help="A bundle's folder, or an earlier champion.")
    ],
    reason: Reason,
    by: By = "",
    pin: Annotated[bool, typer.Option("--pin", help="Only a person may replace it then.")] = False,
    config: ConfigFile = None,
    broker: BrokerOption = None,
    json_file: JsonFile = None,
) -> None:
    """Announce a bundle to every worker. A folder is published to `model.store` first; no gate is asked.

    Exit code 0: it is the champion; 1: somebody else announced at the same time, look at `models list`.
    """
    with _desk(config, broker) as desk:
        heir = desk.published(Path(bundle)) if Path(bundle).is_dir() else desk.placed(desk.find(bundle))
        present = desk.line()[-1]
        record = announcement(present, heir, _announcer(by, reason), pinned=pin)
        _tell(desk.announce(record), json_file)


@app.command("rollback")
def roll_back(
    reason: Reason,
    to: Annotated[
        str,
        typer.Option("--to", metavar="MODEL", help="Which champion comes back; by default the one before."),
    ] = "",
    by: By = "",
    config: ConfigFile = None,
    broker: BrokerOption = None,
    json_file: JsonFile = None,
) -> None:
    """Bring the champion before back in every worker, without a shadow run. A pin stays.

    Exit code 0: done; 1: somebody else announced at the same time; 2: there is none before.
    """
    with _desk(config, broker) as desk:
        line = desk.line()
        past = desk.find(to) if to else before(line)
        if past is None:
            raise stop(f"{line[-1].model_version} is the first champion: nothing to go back to", EXIT_USAGE)
        _tell(desk.announce(rollback(line[-1], desk.placed(past), _announcer(by, reason))), json_file)


@app.command()
def pin(
    reason: Reason,
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="An earlier champion to go to and stay with.")
    ] = "",
    off: Annotated[bool, typer.Option("--off", help="Let the retrain service replace it again.")] = False,
    by: By = "",
    config: ConfigFile = None,
    broker: BrokerOption = None,
    json_file: JsonFile = None,
) -> None:
    """Stay with a model: the champion, or MODEL. The retrain service goes on judging and announces nothing.

    A worker still rolls back a pinned model that breaks, and the one that comes back is pinned then.
    """
    with _desk(config, broker) as desk:
        present = desk.line()[-1]
        heir = desk.placed(desk.find(model) if model else present)
        record = announcement(present, heir, _announcer(by, reason), pinned=not off)
        _tell(desk.announce(record), json_file)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def add(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="A Hugging Face classifier: a folder or an id of the hub.")],
    out: Annotated[Path, typer.Argument(help="The new bundle's folder.")],
) -> None:
    """Turn any Hugging Face sequence classifier into a bundle. Further options go to the converter as they are
    (`--map LABEL=negative` and others: see `python -m retrain.training.add_classifier --help`).
    """
    if any(importlib.util.find_spec(name) is None for name in ("retrain", "torch", "transformers")):
        raise stop(RETRAIN_MISSING, EXIT_USAGE)
    command = [sys.executable, "-m", "retrain.training.add_classifier", source, str(out), *context.args]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise typer.Exit(code)
    console.print(f"bundle in {out}. To serve it: streamapp models promote {out} --reason TEXT")


class _Desk:
    """The log and the store, as the settings name them."""

    def __init__(self, settings: Settings) -> None:
        from streamapp.inference.model_loader import ModelLoader  # noqa: PLC0415  # other commands start quickly

        self.settings = settings
        self.loader = ModelLoader(settings.model, settings.batching)
        self._topic = settings.topics.prefix + MODEL_ANNOUNCEMENTS.name

    def line(self) -> tuple[Champion, ...]:
        return read_champions(self.settings.broker, self._topic, self.loader.first)

    def find(self, model: str) -> Champion:
        """The newest champion that `model` names; exit code 2 where there is none."""
        line = self.line()
        for champion in reversed(line):
            digest_begins = len(model) >= 6 and champion.bundle_digest.startswith(model)
            if digest_begins or model in (str(champion.sequence), champion.model_version):
                return champion
        raise stop(f"no champion {model}: streamapp models list names them", EXIT_USAGE)

    def published(self, folder: Path) -> Champion:
        """The bundle in `folder`, in the store from now on."""
        store = self.settings.model.store
        if not store:
            raise stop("model.store is not set: workers could not fetch the bundle from anywhere", EXIT_USAGE)
        from streamapp.inference.model_store import publish_bundle  # noqa: PLC0415  # see above
        from streamapp.inference.signatures import signer_of  # noqa: PLC0415  # see above

        signer = signer_of(self.settings.model.signing_key)
        champion = first_champion(read_bundle(folder).manifest)
        return msgspec.structs.replace(champion, bundle_url=publish_bundle(folder, store, signer=signer))

    def placed(self, champion: Champion) -> Champion:
        """The settings' own bundle goes into the store before it is announced: other releases ship another one."""
        own = champion.same_bundle(self.loader.first) and not champion.bundle_url
        if not own or not self.settings.model.store:
            return champion
        url = self.published(self.loader.bundle_of(champion).folder).bundle_url
        return msgspec.structs.replace(champion, bundle_url=url)

    def announce(self, record: ModelAnnounced) -> Announced:
        return announce(self.settings.broker, self._topic, record, self.loader.first, despite_pin=True)


@contextmanager
def _desk(config: Path | None, broker: str | None) -> Iterator[_Desk]:
    from streamapp.inference.model_store import StoreError  # noqa: PLC0415  # see above

    settings = settings_from(config, broker)
    with broker_errors(settings):
        try:
            yield _Desk(settings)
        except (BundleError, StoreError) as error:
            raise stop(str(error), EXIT_USAGE) from error


def _tell(told: Announced, json_file: str | None) -> None:
    champion = told.champion
    write_json(told, json_file)
    if not told.won:
        raise stop(
            f"lost: announcement {champion.sequence} is {champion.model_version} by {champion.announced_by}",
            EXIT_LOST,
        )
    pinned = ", pinned" if champion.pinned else ""
    speaker(json_file).print(f"announcement {champion.sequence}: {champion.model_version}{pinned}")


def _announcer(by: str, reason: str) -> Announcer:
    try:
        name = by or getpass.getuser()
    except (KeyError, OSError) as error:
        raise stop("nobody knows who you are here: say it with --by NAME", EXIT_USAGE) from error
    return Announcer(by=f"cli/{name}", reason=reason, at_ms=time.time_ns() // 1_000_000)


def _is_about(event: ModelEvent, champion: Champion) -> bool:
    return (event.sequence, event.model_version) == (champion.sequence, champion.model_version)


def _facts(champion: Champion, bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "version": manifest.model_version,
        "sequence": champion.sequence,
        "digest": champion.bundle_digest,
        "from": champion.bundle_url or "the settings",
        "announced": f"{_moment(champion.announced_at_ms)} by {champion.announced_by}: {champion.reason}",
        "made": manifest.created_at,
        "encoder": manifest.encoder,
        "precision": manifest.precision,
        "languages": ", ".join(manifest.languages),
        "sentiment": ", ".join(manifest.outputs.sentiment or ("-",)),
        "topics": len(manifest.outputs.topic or ()),
        "bytes": sum(file.size_bytes for file in manifest.files.values()),
    }


def _moment(moment_ms: int) -> str:
    if not moment_ms:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(moment_ms / 1000))

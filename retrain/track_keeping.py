"""What MLflow is still to be told is kept in the runs' folders until it was told; a server that is away harms no run.

Knows the run book and which bundle serves; must not know MLflow.
"""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from retrain import metrics
from retrain.core.tracked import MOST_VALUE_CHARS, TrackedRun, figures_of_report, params_of_request
from retrain.patience import BrokenPartError, StoppedError, patiently
from retrain.run_book import TRACKING_FOLDER, BusyError, RunBook, RunBookError, RunRecord, write_kept
from retrain.run_files import REQUEST_FILE, WORK_FOLDER
from retrain.settings import LOCAL_TRACKING, RetrainSettings
from retrain.tracking import DIGEST_TAG, Tracking, TrackingError, is_installed
from streamapp.contracts.champion import Champion
from streamapp.contracts.manifest import MANIFEST_FILE, REPORT_FILE
from streamapp.core.foreign_text import printable
from streamapp.settings import SettingsError

TRACKING_LOCK: Final = "tracking.lock"
DONE_FILE: Final = "done.json"
FILES_FOLDER: Final = "files"
CARD_FILE: Final = "README.md"
LOOK_SECONDS: Final = 10.0
REST_SECONDS: Final = 300.0
ALIAS_LOOK_SECONDS: Final = 60.0
PART: Final = "tracking"

log = logging.getLogger(__name__)


class Tracked(Struct, frozen=True, kw_only=True):
    """A run that was told: where, under which id."""

    place: str
    run_id: str


class TrackKeeper:
    """Tells ended runs and the champion; several processes on one folder take turns."""

    def __init__(self, book: RunBook, tracking: Tracking, patience_seconds: float) -> None:
        self._book = book
        self._tracking = tracking
        self._patience_seconds = patience_seconds
        self._pointed: tuple[int, str] | None = None
        self._pointed_at = 0.0

    def set_aside(self, run: RunRecord) -> None:
        """Keeps what is to be told of an ended run apart from files that are tidied away; a full disk is said only."""
        try:
            _set_aside(self._book.folder_of(run))
        except (OSError, RunBookError) as error:
            log.warning("run %s: what is to be tracked of it could not be set aside: %s", run.run_id, error)

    def follow(self, champion: Callable[[], Champion | None], should_stop: Callable[[], bool]) -> None:
        """Until asked to stop (StoppedError). What cannot be told is said in the log and a metric and told later."""
        while True:
            _wait(LOOK_SECONDS if self.settle(champion, should_stop) else REST_SECONDS, should_stop)

    def settle(self, champion: Callable[[], Champion | None], should_stop: Callable[[], bool]) -> bool:
        """Tells what was not told yet; False where MLflow stayed away. Raises StoppedError."""
        try:
            patiently(
                lambda: self._tell(champion(), should_stop), self._patience_seconds, should_stop, _Told()
            )
        except BusyError:
            return True
        except BrokenPartError as error:
            log.error("%s: runs are kept in %s and told to MLflow later", error, self._book.folder)
            return False
        metrics.PART_FAILING.labels(PART).set(0)
        return True

    def _tell(self, champion: Champion | None, should_stop: Callable[[], bool]) -> None:
        """Every run once, then the alias; what one run is refused for keeps no other from being told."""
        refused: TrackingError | None = None
        try:
            with self._book.locked(TRACKING_LOCK):
                runs = self._book.runs()
                waiting = [run for run in runs if run.stage == "ended" and not self._is_told(run)]
                for left, run in zip(range(len(waiting), 0, -1), waiting, strict=True):
                    metrics.UNTRACKED_RUNS.set(left)
                    if should_stop():
                        raise StoppedError
                    try:
                        self._tell_run(run)
                    except TrackingError as error:
                        if not error.refused:
                            raise
                        refused = TrackingError(f"run {run.run_id}: {error}", refused=True)
                metrics.UNTRACKED_RUNS.set(sum(not self._is_told(run) for run in waiting))
                if champion is not None and not _is_announcing(runs, champion):
                    self._point(champion)
        except (OSError, RunBookError) as error:
            raise TrackingError(f"{type(error).__name__}: {error}") from error
        if refused is not None:
            raise refused

    def _tell_run(self, run: RunRecord) -> None:
        folder = self._book.folder_of(run)
        _set_aside(folder)
        aside = folder / TRACKING_FOLDER
        run_id = self._tracking.record(tracked_run(run, aside), aside / FILES_FOLDER)
        record = run.announcement
        if record is not None:
            heir = Champion(
                sequence=record.sequence, model_name=record.model_name, model_version=record.model_version,
                bundle_digest=record.bundle_digest, bundle_url=record.bundle_url,
            )  # fmt: skip
            self._tracking.register(record.model_name, run_id, bundle_tags(heir))
        done = Tracked(place=self._tracking.place, run_id=run_id)
        write_kept(aside / DONE_FILE, msgspec.json.encode(done) + b"\n")
        shutil.rmtree(aside / FILES_FOLDER, ignore_errors=True)
        log.info("run %s is tracked at %s", run.run_id, self._tracking.place)

    def _point(self, champion: Champion) -> None:
        """The alias where it belongs; looked at again once a minute, since people may move it."""
        key = (champion.sequence, champion.bundle_digest)
        if key == self._pointed and time.monotonic() - self._pointed_at < ALIAS_LOOK_SECONDS:
            return
        version = self._tracking.version_of(champion) or self._register_from_elsewhere(champion)
        if self._tracking.point(champion, version, champion_tags(champion)):
            log.info("MLflow's champion is %s, version %s", champion.model_version, version)
        self._pointed, self._pointed_at = key, time.monotonic()

    def _register_from_elsewhere(self, champion: Champion) -> str:
        """A bundle that no run here made: the one that the settings name, or one that a person announced."""
        at_ms = champion.announced_at_ms or time.time_ns() // 1_000_000
        origin = TrackedRun(
            key=f"bundle-{champion.bundle_digest}",
            name=champion.model_version,
            began_at_ms=at_ms,
            ended_at_ms=at_ms,
            worked=True,
            tags={"streamapp.kind": "bundle from elsewhere", **bundle_tags(champion)},
        )
        run_id = self._tracking.record(origin, self._book.folder / "nothing")
        return self._tracking.register(champion.model_name, run_id, bundle_tags(champion))

    def _is_told(self, run: RunRecord) -> bool:
        return (self._book.folder_of(run) / TRACKING_FOLDER / DONE_FILE).is_file()


def keeper_of(settings: RetrainSettings, book: RunBook) -> TrackKeeper | None:
    """None where nothing is to be tracked. Raises SettingsError where it is and MLflow is not installed."""
    uri = settings.tracking.uri
    if uri and not is_installed():
        if uri != LOCAL_TRACKING:
            raise SettingsError(
                "settings: tracking.uri is set and MLflow is missing: install streamapp[retrain]"
            )
        log.info("MLflow is not installed: runs are in %s and in their bundles alone", book.folder)
        return None
    if not uri:
        return None
    return TrackKeeper(book, Tracking(settings.tracking, book.folder), settings.tracking.patience_seconds)


def tracked_run(run: RunRecord, aside: Path) -> TrackedRun:
    """What is told of an ended run: its record, and what was set aside of its files."""
    champion = run.champion
    params = {
        **params_of_request(_json(aside / REQUEST_FILE)),
        "trigger": run.trigger.kind,
        "labels": str(run.labels),
        "champion": champion.model_version if champion else "",
    }
    tags = {
        "streamapp.kind": "retrain",
        "streamapp.run_id": run.run_id,
        "result": run.result or "",
        "trigger": _words(run.trigger.reason),
        # A child's last words, further down, may quote posts.
        "detail": _words(next(iter(run.detail.splitlines()), "")),
        "reasons": _words("; ".join(run.reasons)),
    }
    if run.announcement is not None:
        tags |= {DIGEST_TAG: run.announcement.bundle_digest, "bundle_url": run.announcement.bundle_url}
    return TrackedRun(
        key=f"run-{run.run_id}",
        name=f"{run.run_id} {run.result}",
        began_at_ms=run.began_at_ms,
        ended_at_ms=run.ended_at_ms or run.stage_at_ms,
        worked=run.result != "failed",
        params={name: value for name, value in params.items() if value},
        figures={**figures_of_report(_json(aside / FILES_FOLDER / REPORT_FILE)), "labels": float(run.labels)},
        tags={name: value for name, value in tags.items() if value},
    )


def bundle_tags(champion: Champion) -> dict[str, str]:
    """What a registered version says of its bundle."""
    return {
        DIGEST_TAG: champion.bundle_digest,
        "model_version": champion.model_version,
        "bundle_url": champion.bundle_url or "as installed",
    }


def champion_tags(champion: Champion) -> dict[str, str]:
    """What a registered version says of its announcement; who announced it stays in our own audit log."""
    return {
        "sequence": str(champion.sequence),
        "pinned": str(champion.pinned).lower(),
        "rolls_back": str(champion.rolls_back).lower(),
    }


class _Told:
    """Tells the metric; /readyz is not concerned, for a service without MLflow does all that it is for."""

    def trouble(self, part: str, words: str | None) -> None:
        metrics.PART_FAILING.labels(part).set(words is not None)


def _is_announcing(runs: list[RunRecord], champion: Champion) -> bool:
    """Whether a run that has not ended made this champion: with it comes the version."""
    return any(
        run.stage != "ended"
        and run.announcement is not None
        and run.announcement.bundle_digest == champion.bundle_digest
        for run in runs
    )


def _set_aside(folder: Path) -> None:
    """Report, card, pictures, manifest and request, once; under another name until they are complete."""
    aside, work = folder / TRACKING_FOLDER, folder / WORK_FOLDER
    if aside.exists():
        return
    part = folder / f".{TRACKING_FOLDER}.part"
    shutil.rmtree(part, ignore_errors=True)
    (part / FILES_FOLDER).mkdir(parents=True)
    candidate = work / "candidate"
    files = [work / REPORT_FILE, candidate / CARD_FILE, candidate / MANIFEST_FILE, *candidate.glob("*.png")]
    for source in files:
        if source.is_file():
            shutil.copyfile(source, part / FILES_FOLDER / source.name)
    if (folder / REQUEST_FILE).is_file():
        shutil.copyfile(folder / REQUEST_FILE, part / REQUEST_FILE)
    part.rename(aside)


def _json(path: Path) -> dict[str, Any]:
    """What stands in the file; nothing where it is missing. One that is damaged is said, and the rest is told."""
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        log.error("%s is not told to MLflow: %s", path, error)
        return {}


def _words(text: str) -> str:
    return printable(text)[:MOST_VALUE_CHARS]


def _wait(seconds: float, should_stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if should_stop():
            raise StoppedError
        time.sleep(0.25)
    if should_stop():
        raise StoppedError

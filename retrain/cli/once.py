"""`retrain once`: one run and its answer as an exit code, for people, cron, Airflow and Kubernetes."""

from typing import Annotated, Any, Final

import typer

from retrain.cli.options import ConfigFile, settings_from
from retrain.cli.serving import (
    STALL_TIMEOUT_SECONDS,
    log_to_stderr,
    one_line_errors,
    parts_of,
    stop_event,
)
from retrain.one_run import run_once
from retrain.patience import StoppedError
from retrain.run_book import RunRecord
from streamapp.console import JsonFile, speaker, write_json
from streamapp.health import Vitals

EXIT_FAILED: Final = 6
EXIT_NOT_ANNOUNCED: Final = 7
EXIT_REFUSED: Final = 9
SIGNAL_EXIT: Final = 128

IfDue = Annotated[
    bool, typer.Option("--if-due", help="Only if the settings' schedule asks for a run; else exit 0 at once.")
]
RefusalFails = Annotated[
    bool, typer.Option("--fail-on-refusal", help=f"Exit {EXIT_REFUSED} when the gate refuses the candidate.")
]


def once(
    config: ConfigFile = None,
    if_due: IfDue = False,
    fail_on_refusal: RefusalFails = False,
    json_file: JsonFile = None,
) -> None:
    """Take in new labels, then train, judge and, if it is better, announce: one run, the one cut short first.

    Exit codes: 0 promoted, refused or nothing to do; 2 settings; 3 Kafka; 5 a store or the disk; 6 the run failed;
    7 better but not announced (the champion is pinned, or another came first); 8 another run is under way; 128 + signal
    when it was stopped, and the next call goes on with it.
    """
    settings = settings_from(config)
    log_to_stderr()
    stopping, numbers = stop_event(settings)
    with one_line_errors(settings):
        parts = parts_of(settings, Vitals(STALL_TIMEOUT_SECONDS))
        try:
            run = run_once(parts, stopping.is_set, if_due=if_due)
        except StoppedError:
            raise typer.Exit(SIGNAL_EXIT + numbers[0]) from None
        finally:
            parts.show.close()
    write_json(_answer(run), json_file)
    if run is None:
        speaker(json_file).print("nothing is due")
        return
    speaker(json_file).print(f"{run.result}: {run.detail}", markup=False)
    code = _exit_code(run, fail_on_refusal=fail_on_refusal)
    if code:
        raise typer.Exit(code)


def _answer(run: RunRecord | None) -> dict[str, Any]:
    if run is None:
        return {"result": "nothing due"}
    return {
        "run_id": run.run_id,
        "result": run.result,
        "detail": run.detail,
        "reasons": run.reasons,
        "labels": run.labels,
        "model_version": run.announcement.model_version if run.announcement else None,
        "bundle_url": run.published_url or None,
        "sequence": run.announcement.sequence if run.announcement and run.result == "promoted" else None,
    }


def _exit_code(run: RunRecord, *, fail_on_refusal: bool) -> int:
    match run.result:
        case "failed":
            return EXIT_FAILED
        case "overtaken" | "pinned":
            return EXIT_NOT_ANNOUNCED
        case "refused":
            return EXIT_REFUSED if fail_on_refusal else 0
    return 0

"""The child process of a run: `python -m retrain.run REQUEST.json`.

Progress goes to stdout as JSON lines (`stage`, `fraction`, `detail`), the outcome to `outcome.json` in the work folder,
written whole. Ends with 0 for promoted and refused alike, with 1 (and the reason on stderr) where there is no outcome.
"""

import sys
from contextlib import redirect_stdout
from pathlib import Path

import msgspec

from retrain.core.run_request import OUTCOME_FILE, RetrainRequest, RunOutcome, decode_run, encode_run
from retrain.whole_file import write_whole


def read_request(path: Path) -> RetrainRequest:
    """The request in `path`. Raises ValueError naming the field, OSError."""
    return decode_run(path.read_bytes(), RetrainRequest)


def read_outcome(work: Path) -> RunOutcome | None:
    """What the run in `work` decided; None while it has not."""
    path = work / OUTCOME_FILE
    return decode_run(path.read_bytes(), RunOutcome) if path.exists() else None


def say(stage: str, fraction: float, detail: str = "") -> None:
    """One line of progress."""
    line = msgspec.json.encode({"stage": stage, "fraction": round(fraction, 4), "detail": detail})
    out = sys.__stdout__
    if out is not None:
        out.write(line.decode() + "\n")
        out.flush()


def main() -> int:
    """The command; see the module."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m retrain.run REQUEST.json\n")
        return 2
    try:
        request = read_request(Path(sys.argv[1]))
        if read_outcome(request.work) is None:
            say("start", 0.0, "loading torch")
            # Loads torch: seconds that a wrong request should not cost.
            from retrain.pipeline import run_retrain  # noqa: PLC0415

            # What libraries print is no progress of ours.
            with redirect_stdout(sys.stderr):
                outcome = run_retrain(request, say)
            write_whole(request.work / OUTCOME_FILE, encode_run(outcome))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

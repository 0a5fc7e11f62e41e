"""A child of the retrain service for tests that must not wait for torch: `stand_in_training.py MODE REQUEST`.

A real process with the real files: it notes every start, writes checkpoints, says how far it is, writes a tiny bundle
and an outcome. Modes: promote, refuse, fail, crash-once, hang, `promote-when:PATH` (once the file is there).
"""

import sys
import time
from pathlib import Path

import msgspec

from retrain.core.run_request import OUTCOME_FILE, RetrainRequest, RunOutcome, decode_run, encode_run
from tests.tiny_bundle import write_tiny_bundle


def say(stage: str, fraction: float, detail: str = "") -> None:
    line = msgspec.json.encode({"stage": stage, "fraction": fraction, "detail": detail})
    print(line.decode(), flush=True)


def train(mode: str, work: Path) -> None:
    """Takes as long as the mode says, from the last checkpoint on."""
    with (work / "starts").open("a") as starts:
        starts.write("start\n")
    checkpoint = work / "checkpoint"
    say(
        "train",
        0.5 if checkpoint.exists() else 0.0,
        "from a checkpoint" if checkpoint.exists() else "from nothing",
    )
    first = not checkpoint.exists()
    checkpoint.write_text("half")
    if mode == "fail" or (mode == "crash-once" and first):
        print("out of luck", file=sys.stderr)
        sys.exit(1)
    while mode == "hang" or (mode.startswith("promote-when:") and not Path(mode.partition(":")[2]).exists()):
        say("train", 0.6)
        time.sleep(0.1)


def main(mode: str, request_path: Path) -> None:
    request = decode_run(request_path.read_bytes(), RetrainRequest)
    work = request.work
    work.mkdir(parents=True, exist_ok=True)
    train(mode, work)
    candidate = work / "candidate"
    if not candidate.exists():
        write_tiny_bundle(candidate, version=work.parent.name.lower(), flip=True)
    labels = len(request.labels.read_bytes().splitlines())
    promote = mode != "refuse"
    outcome = RunOutcome(
        decision="promote" if promote else "refuse",
        reasons=(f"better on {labels} labels",) if promote else ("recall_fell: negative 0.80 to 0.60",),
        candidate=candidate,
        report=work / "report.json",
        figures={"labels": labels},
    )
    part = work / ".outcome.part"
    part.write_bytes(encode_run(outcome))
    part.replace(work / OUTCOME_FILE)
    say("done", 1.0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

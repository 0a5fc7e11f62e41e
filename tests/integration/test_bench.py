"""The benchmarks run on the real broker and their accounting is right; how fast anything is, no test says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from streamapp.bench.load import Load, number_of

pytestmark = pytest.mark.broker


def run_bench(*arguments: str, folder: Path, broker: str) -> dict[str, Any]:
    result = folder / "result.json"
    done = subprocess.run(
        [sys.executable, "-m", "streamapp", "bench", *arguments, "--broker", broker, "--json", str(result)],
        capture_output=True,
        check=False,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(result.read_text())
    assert report["machine"]["cores"] >= 1
    assert " ".join(arguments) in report["command"]
    assert report["command"] in done.stdout
    return report


def test_pipeline_counts_every_post_on_both_sides_of_the_worker(
    broker: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    report = run_bench(
        "pipeline", "--bundle", str(tiny_bundle), "--rounds", "2", "--posts", "200", "--seconds", "2",
        folder=tmp_path, broker=broker,
    )  # fmt: skip
    assert report["posts_in"] == report["posts_out"] >= 2 * 200
    assert len(report["pipeline"]["values"]) == len(report["bare"]["values"]) == 2
    assert report["latency_cores"]["worker"] > 0
    assert report["bare_latency"]["p99"] > 0
    assert report["latency_cores"].keys() >= {"load", "others"}
    assert report["of_bare"] == pytest.approx(report["pipeline"]["median"] / report["bare"]["median"])
    assert report["latency"]["posts"] > 0
    assert report["latency"]["p50"] <= report["latency"]["p99"] <= report["latency"]["greatest"]
    assert report["transformers"] is not None or "not measured" in report["transformers_note"]


def test_swap_counts_every_post_over_exchanges_of_two_versions(
    broker: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    report = run_bench(
        "swap", "--bundle", str(tiny_bundle), "--swaps", "3", "--rate", "40", "--recent", "20", "--live", "20",
        folder=tmp_path, broker=broker,
    )  # fmt: skip
    assert report["swaps"] == 3
    assert report["shadow_posts"] > 0
    assert (report["lost"], report["unversioned"], report["repeated"], report["returns"]) == (0, 0, 0, 0)
    assert report["posts_in"] == report["after"]["posts"] + report["rest"]["posts"] + report["warming_up"]
    assert len(report["resident_bytes"]) == 3
    assert report["resident_late_bytes"] > 0


def test_transport_gives_every_side_the_same_posts_and_names_every_stage(broker: str, tmp_path: Path) -> None:
    report = run_bench(
        "transport", "--rounds", "1", "--posts", "2000", "--memory-posts", "0", folder=tmp_path, broker=broker
    )
    assert set(report["rates"]) == {"aiokafka", "drain", "decode", "whole"}
    assert report["posts_in"] == report["posts_out"] == 4 * 2000
    stages = report["stages_us"]
    for stage in ("drain", "decode", "clean", "language", "fingerprint", "verdict", "encode", "send", "ack"):
        assert stage in stages
    assert sum(stages.values()) == pytest.approx(report["cpu_us"]["whole"]["median"])


def test_watch_counts_the_subjects_and_reads_their_state_back(broker: str, tmp_path: Path) -> None:
    report = run_bench("watch", "--subjects", "300", "--activities", "1200", folder=tmp_path, broker=broker)
    assert (report["many"]["subjects"], report["many"]["worker_subjects"]) == (300, 300)
    assert report["one"]["worker_subjects"] == 1
    for case in ("many", "one"):
        state = report[case]["state"]
        assert 0 < state["median"] <= state["greatest"] <= state["total"]
        assert report[case]["state_records"] > report[case]["subjects"]
        assert report[case]["recovery_seconds"] > 0


def test_a_benchmark_that_is_interrupted_leaves_no_process(broker: str, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    bench = subprocess.Popen(
        [sys.executable, "-m", "streamapp", "bench", "watch", "--activities", "2000000", "--broker", broker],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("streamapp-bench-*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)
    children = psutil.Process(bench.pid).children(recursive=True)
    bench.send_signal(signal.SIGINT)
    assert bench.wait(30) == 128 + signal.SIGINT
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert not list(tmp_path.glob("streamapp-bench-*"))


def test_no_two_posts_of_the_load_share_a_text_and_each_is_always_the_same() -> None:
    load = Load()
    texts = load.texts(0, 5_000)
    assert len(set(texts)) == 5_000
    assert load.text(4_321) == texts[4_321]
    post = load.post(17, 1_773_324_000_000)
    assert number_of(post.key) == 17
    assert load.text(17) == json.loads(post.value)["text"]
    lengths = sorted(map(len, texts))
    assert lengths[len(lengths) // 2] < 120 < 500 < lengths[-len(lengths) // 50]

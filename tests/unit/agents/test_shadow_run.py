"""A candidate is compared on what the serving model said, in the time that it may take, and fails in numbers."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from streamapp.agents.seen_posts import LIVE_WAITING, SeenPosts
from streamapp.agents.shadow_run import QuietThread, ShadowRun
from streamapp.contracts.bundle import read_bundle
from streamapp.contracts.messages import Post, ScoredPost, SourceOffset
from streamapp.core.admission import Shadow
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import ModelSettings, SwapSettings
from tests.harness.models import TRIGGER, broken_on_trigger, tiny
from tests.tiny_bundle import expected_verdict

TEXTS = ("Acme plunges after default", "Acme soars on profit", "Acme publishes a calendar", "Oil falls")
ONE_SESSION = ModelSettings(sessions=1)
SWAP = SwapSettings(shadow_posts=0, shadow_share=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shadow")


@pytest.fixture(scope="module")
def serving(folder: Path) -> OnnxModel:
    return OnnxModel.load(read_bundle(tiny(folder, "1")), ONE_SESSION)


@pytest.fixture(scope="module")
def flipped(folder: Path) -> OnnxModel:
    return OnnxModel.load(read_bundle(tiny(folder, "2", flip=True)), ONE_SESSION)


@pytest.fixture
def thread() -> Iterator[QuietThread]:
    with QuietThread() as quiet:
        yield quiet


def scored(number: int, text: str, version: str = "tiny-1", *, duplicate: bool = False) -> ScoredPost:
    return ScoredPost(
        post=Post(id=f"p{number}", channel="news", text=text, event_time_ms=0),
        verdict=expected_verdict(text),
        model_version=version,
        source_offset=SourceOffset("N", 0, number),
        story_fingerprint="0" * 16,
        duplicate_text=duplicate,
    )


def seen_posts(number: int, most: int = 500) -> SeenPosts:
    seen = SeenPosts(most)
    seen.note([scored(index, f"{TEXTS[index % 4]} number {index}") for index in range(number)])
    return seen


async def compare(
    candidate: OnnxModel, serving: OnnxModel, seen: SeenPosts, thread: QuietThread, swap: SwapSettings = SWAP
) -> Shadow:
    return await ShadowRun(candidate, serving, seen, swap, thread).run()


async def test_the_same_model_agrees_on_every_post_kept(serving: OnnxModel, thread: QuietThread) -> None:
    shadow = await compare(serving, serving, seen_posts(40), thread)
    assert (shadow.posts, shadow.disagreement, shadow.failures) == (40, 0.0, 0)
    assert shadow.slowdown is not None


async def test_pairs_are_what_both_models_said(
    serving: OnnxModel, flipped: OnnxModel, thread: QuietThread
) -> None:
    shadow = await compare(flipped, serving, seen_posts(40), thread)
    by_sentiments = {
        (key.old, key.new): posts for key, posts in shadow.pairs.items() if key.topic == "general_opinion"
    }
    assert by_sentiments == {
        ("negative", "positive"): 10, ("positive", "negative"): 10, ("neutral", "neutral"): 10
    }  # fmt: skip
    assert shadow.disagreement == pytest.approx(0.75)


async def test_only_the_newest_posts_of_the_serving_version_count(
    serving: OnnxModel, thread: QuietThread
) -> None:
    seen = SeenPosts(20)
    seen.note([scored(index, f"older {index}", "tiny-0") for index in range(10)])
    seen.note([scored(index, f"newer {index}") for index in range(12)])
    seen.note([scored(99, "newer 1", duplicate=True)])
    shadow = await compare(serving, serving, seen, thread)
    assert shadow.posts == 12


async def test_texts_that_the_candidate_cannot_read_are_counted_one_by_one(
    serving: OnnxModel, folder: Path, thread: QuietThread
) -> None:
    candidate = OnnxModel.load(read_bundle(broken_on_trigger(folder, "3")), ONE_SESSION)
    seen = SeenPosts(100)
    seen.note(
        [scored(index, f"trading {TRIGGER if index % 4 == 0 else 'goes on'} {index}") for index in range(16)]
    )
    shadow = await compare(candidate, serving, seen, thread)
    assert (shadow.failures, shadow.posts) == (4, 12)


async def test_live_posts_are_read_until_there_are_enough(serving: OnnxModel, thread: QuietThread) -> None:
    seen = SeenPosts(100)
    swap = msgspec.structs.replace(SWAP, shadow_recent_posts=0, shadow_posts=10, shadow_seconds=30.0)
    running = asyncio.create_task(compare(serving, serving, seen, thread, swap))
    number = 0
    while not running.done():
        seen.note([scored(number, f"Acme soars {number}")])
        number += 1
        await asyncio.sleep(0)
    assert (await running).posts == 10


async def test_a_quiet_stream_ends_the_live_part_by_time(serving: OnnxModel, thread: QuietThread) -> None:
    swap = msgspec.structs.replace(SWAP, shadow_posts=10, shadow_seconds=0.05)
    shadow = await compare(serving, serving, seen_posts(8), thread, swap)
    assert shadow.posts == 8


async def test_what_the_posts_kept_say_ends_a_run_before_live_traffic(
    serving: OnnxModel, flipped: OnnxModel, thread: QuietThread
) -> None:
    swap = msgspec.structs.replace(SWAP, shadow_posts=10, shadow_seconds=60.0)
    began = time.monotonic()
    shadow = await compare(flipped, serving, seen_posts(80), thread, swap)
    assert shadow.posts == 80
    assert time.monotonic() - began < 30


async def test_a_run_takes_no_more_than_its_share_of_the_time(
    serving: OnnxModel, thread: QuietThread
) -> None:
    run = ShadowRun(serving, serving, seen_posts(40), SWAP, thread)
    run._share = 0.1
    busy_seconds = 0.0
    read = run._read

    def timed(*arguments: object) -> object:
        nonlocal busy_seconds
        began = time.thread_time()
        try:
            return read(*arguments)  # type: ignore[arg-type]
        finally:
            busy_seconds += time.thread_time() - began

    run._read = timed  # type: ignore[method-assign, assignment]
    began = time.monotonic()
    await run.run()
    assert busy_seconds <= 0.12 * (time.monotonic() - began)


def test_live_posts_that_wait_are_bounded() -> None:
    seen = SeenPosts(10)
    seen.listen()
    seen.note([scored(index, f"text {index}") for index in range(3 * LIVE_WAITING)])
    assert len(seen.recent("tiny-1")) == 10
    assert seen._live is not None
    assert seen._live.qsize() == LIVE_WAITING

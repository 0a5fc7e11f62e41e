"""A model that fails in service: another reads the batch at once, the rollback is announced, and nothing oscillates."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from streamapp.agents.announcement_log import AnnouncementLog
from streamapp.agents.model_care import Beginning, Surroundings, look_after
from streamapp.agents.outbox import Outbox
from streamapp.agents.serving import Serving
from streamapp.agents.swapping import Swapper
from streamapp.contracts.bundle import read_bundle
from streamapp.contracts.champion import Announcer, Champion, announcement, champions, first_champion
from streamapp.contracts.codec import decode, encode
from streamapp.contracts.messages import ModelAnnounced, ModelEvent
from streamapp.core.intake import Rejected
from streamapp.health import Vitals
from streamapp.inference.model_loader import ModelLoader
from streamapp.inference.model_store import publish_bundle
from streamapp.inference.text_reader import ModelFailure
from streamapp.settings import ModelSettings, Settings, SwapSettings
from tests.fakes import FakeProducer
from tests.harness.models import TRIGGER, broken_on_trigger, tiny

BY = Announcer(by="retrain", reason="better", at_ms=1)


def outbox_of(producer: FakeProducer) -> Outbox:
    return Outbox(lambda: producer, 60.0, lambda: None)


def published(folder: Path, bundle: Path) -> Champion:
    champion = first_champion(read_bundle(bundle).manifest)
    return msgspec.structs.replace(champion, bundle_url=publish_bundle(bundle, str(folder / "store")))


class Worker:
    """The model side of a worker that serves the newest of `heirs`, on a broker that takes everything."""

    def __init__(self, folder: Path, *heirs: Path) -> None:
        model = ModelSettings(bundle=str(tiny(folder, "1")), sessions=1, cache=str(folder / "cache"))
        self.settings = Settings(model=model, swap=SwapSettings(probation_least_posts=10))
        loader = ModelLoader(model, self.settings.batching)
        line: tuple[Champion, ...] = (loader.first,)
        for heir in heirs:
            record = announcement(line[-1], published(folder, heir), BY, pinned=False)
            line = (*line, champions(line[-1], [record])[-1])
        self.line = line
        self.producer = FakeProducer()
        self.exchanges = 0
        beginning = Beginning(loader.load(loader.bundle_of(line[-1])), line, loader)
        around = Surroundings(
            worker="w-1", outbox=outbox_of(self.producer), vitals=Vitals(60.0), exchange=self._exchange,
            commit=self._commit, activity_partitions=2,
        )  # fmt: skip
        self.serving: Serving
        self.swapper: Swapper
        self.serving, self.swapper = look_after(self.settings, beginning, around)

    async def _exchange(self, change: Callable[[], Awaitable[None]]) -> None:
        self.exchanges += 1
        await change()

    async def _commit(self) -> None: ...

    def announced(self) -> list[ModelAnnounced]:
        topic = "model-announcements"
        return [decode(sent.value, ModelAnnounced) for sent in self.producer.messages if sent.topic == topic]

    def events(self) -> list[tuple[str, str]]:
        said = [
            decode(sent.value, ModelEvent) for sent in self.producer.messages if sent.topic == "model-events"
        ]
        return [(event.event, event.cause) for event in said]


def failure(worker: Worker) -> ModelFailure:
    return ModelFailure(worker.serving.model.version, "not_finite", "no numbers in two batches")


async def test_the_model_before_takes_over_and_the_rollback_is_announced(tmp_path: Path) -> None:
    worker = Worker(tmp_path, tiny(tmp_path, "2"))
    await worker.swapper.rescue(failure(worker))
    assert worker.serving.model.version == "tiny-1"
    assert worker.events() == [("rolled_back", "not_finite")]
    (record,) = worker.announced()
    assert (record.sequence, record.model_version, record.rolls_back) == (2, "tiny-1", True)
    assert record.replaces == worker.line[-1].bundle_digest
    assert worker.exchanges == 0, "a batch that failed cannot wait for itself"


async def test_batches_that_fail_side_by_side_make_one_rollback(tmp_path: Path) -> None:
    worker = Worker(tmp_path, tiny(tmp_path, "2"))
    failed = failure(worker)
    await asyncio.gather(*(worker.swapper.rescue(failed) for _ in range(3)))
    assert len(worker.announced()) == 1


async def test_the_next_one_to_fail_is_not_answered_by_the_one_that_failed_before(tmp_path: Path) -> None:
    worker = Worker(tmp_path, tiny(tmp_path, "2"), tiny(tmp_path, "3"))
    await worker.swapper.rescue(failure(worker))
    assert worker.serving.model.version == "tiny-2"
    await worker.swapper.rescue(failure(worker))
    assert worker.serving.model.version == "tiny-1"
    last = failure(worker)
    with pytest.raises(ModelFailure) as raised:
        await worker.swapper.rescue(last)
    assert raised.value is last


async def test_a_batch_is_read_again_by_the_model_before(tmp_path: Path) -> None:
    worker = Worker(tmp_path, broken_on_trigger(tmp_path, "2"))
    reader = worker.serving.reader
    bad = [f"{TRIGGER} the trade", "Acme soars"]
    assert [type(result).__name__ for result in await reader.read(bad)] == ["UnreadableText", "ScoredText"]
    with pytest.raises(ModelFailure) as raised:
        await reader.read([f"{TRIGGER} again"])
    await worker.swapper.rescue(raised.value)
    (reading,) = await reader.read([f"{TRIGGER} again"])
    assert type(reading).__name__ == "ScoredText"


async def test_too_many_unreadable_posts_after_a_switch_go_back_between_two_batches(tmp_path: Path) -> None:
    worker = Worker(tmp_path, tiny(tmp_path, "2"))
    worker.swapper._turning.watch(None)
    worker.swapper.note([Rejected("fails_alone", "x") for _ in range(10)])
    await worker.swapper._turning._go_back(*worker.swapper._turning._breaches.get_nowait())
    assert worker.serving.model.version == "tiny-1"
    assert len(worker.announced()) == 1
    assert worker.exchanges == 1
    assert worker.events() == [("rolled_back", "errors")]


async def test_bad_posts_that_are_nobodys_fault_do_not_count(tmp_path: Path) -> None:
    worker = Worker(tmp_path, tiny(tmp_path, "2"))
    worker.swapper._turning.watch(None)
    worker.swapper.note([Rejected("not_json", "x") for _ in range(100)])
    assert worker.swapper._turning._breaches.empty()


def record_of(announced: ModelAnnounced | bytes) -> SimpleNamespace:
    return SimpleNamespace(value=announced if isinstance(announced, bytes) else encode(announced), offset=0)


async def test_the_log_wakes_who_waits_and_ignores_what_was_read_before_and_what_does_not_count(
    tmp_path: Path,
) -> None:
    first = first_champion(read_bundle(tiny(tmp_path, "1")).manifest)
    heir = first_champion(read_bundle(tiny(tmp_path, "2")).manifest)
    known = announcement(first, heir, BY, pinned=False)
    line = champions(first, [known])
    log = AnnouncementLog("model-announcements", line, outbox_of(FakeProducer()), {})
    waiting = asyncio.create_task(log.newer_than(1))
    stale = msgspec.structs.replace(announcement(line[-1], first, BY, pinned=False), replaces="another")
    for record in (known, b"no announcement", stale):
        await log._apply(record_of(record))
    await asyncio.sleep(0)
    assert not waiting.done()
    await log._apply(record_of(announcement(line[-1], first, BY, pinned=False)))
    assert (await waiting).sequence == 2
    assert [champion.sequence for champion in log.line] == [0, 1, 2]

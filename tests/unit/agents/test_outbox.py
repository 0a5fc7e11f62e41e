"""The one way out: in order, all awaited, bounded, and never around the guard."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner

from streamapp.agents.outbox import SMALL_BYTES, DeliveryFailed, Outbox, Outgoing
from tests.fakes import FakeProducer

LARGE = b"x" * 100
# Without known partitions messages go one by one, with them in batches.
ALONE_AND_IN_A_BATCH = pytest.mark.parametrize("partitions", [{}, {"t": 1}])


def outbox(producer: FakeProducer, *, timeout_seconds: float = 5.0, check: Any = lambda: None) -> Outbox:
    return Outbox(lambda: producer, timeout_seconds, check)


def message(name: str, **parts: Any) -> Outgoing:
    return Outgoing(**{"topic": "t", "key": name.encode(), "value": b"v", **parts})


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def keys(producer: FakeProducer) -> list[bytes | None]:
    return [sent.key for sent in producer.messages]


async def test_messages_are_sent_in_order_and_whole() -> None:
    producer = FakeProducer()
    messages = [
        message("a", headers=(("traceparent", b"00"),)),
        message("b", partition=3),
        message("c", value=None),
    ]
    await outbox(producer).deliver(messages)
    assert producer.messages == messages


async def test_nothing_to_deliver_is_delivered() -> None:
    producer = FakeProducer()
    await outbox(producer).deliver([])
    assert producer.sent == []


async def test_a_key_goes_where_kafka_s_own_clients_put_it() -> None:
    numbers = range(200)
    producer = FakeProducer(partitions={"four": 4, "seven": 7})
    await outbox(producer).deliver(
        [message(f"post-{number}", topic=topic) for number in numbers for topic in ("four", "seven")]
    )
    assert len(producer.sent) == 400
    for sent in producer.messages:
        every = list(range(4 if sent.topic == "four" else 7))
        assert sent.partition == DefaultPartitioner()(sent.key, every, every)


async def test_what_goes_to_one_partition_keeps_its_order_whatever_its_size_and_arrives_whole() -> None:
    producer = FakeProducer(partitions={"t": 4}, limit_bytes=3 * SMALL_BYTES)
    large, larger = b"x" * (2 * SMALL_BYTES), b"x" * (4 * SMALL_BYTES)
    headers = (("traceparent", b"00"),)
    sizes = [b"v", b"v", large, b"v", b"v", b"v", b"v", larger, b"v", None]
    messages = [
        message(f"{n}-{partition}", partition=partition, value=value, headers=headers, instead=small)
        for n, value in enumerate(sizes)
        for partition in (2, 0)
        for small in [message(f"{n}-{partition}", partition=partition) if value is larger else None]
    ]
    await outbox(producer).deliver(messages)
    for partition in (2, 0):
        went = [sent for sent in producer.messages if sent.partition == partition]
        assert went == [sent.instead or sent for sent in messages if sent.partition == partition]


async def test_where_a_message_without_key_goes_is_not_decided_here() -> None:
    producer = FakeProducer(partitions={"t": 4})
    await outbox(producer).deliver([message("b", key=None)])
    assert producer.messages == [message("b", key=None)]


@ALONE_AND_IN_A_BATCH
async def test_delivered_means_that_every_message_was_acknowledged(partitions: dict[str, int]) -> None:
    producer = FakeProducer(held=True, partitions=partitions)
    delivering = asyncio.create_task(outbox(producer).deliver([message("a"), message("b"), message("c")]))
    await settle()
    assert keys(producer) == [b"a", b"b", b"c"]
    for sent in reversed(producer.sent):
        assert not delivering.done()
        sent.acknowledged.set_result(None)
        await settle()
    assert delivering.done()
    await delivering


async def test_what_is_too_large_at_send_is_replaced_in_its_place() -> None:
    producer = FakeProducer(limit_bytes=50)
    small = message("small")
    await outbox(producer).deliver([message("a"), message("big", value=LARGE, instead=small), message("c")])
    assert keys(producer) == [b"a", b"small", b"c"]


async def test_what_is_too_large_for_the_broker_is_replaced_and_the_replacement_awaited() -> None:
    producer = FakeProducer(held=True, broker_limit_bytes=50)
    big = message("big", value=LARGE, instead=message("small"))
    delivering = asyncio.create_task(outbox(producer).deliver([big]))
    await settle()
    assert keys(producer) == [b"big", b"small"]
    assert not delivering.done()
    producer.sent[1].acknowledged.set_result(None)
    await delivering


@pytest.mark.parametrize("limits", [{"limit_bytes": 50}, {"broker_limit_bytes": 50}])
async def test_what_is_too_large_without_a_replacement_is_an_error(limits: Any) -> None:
    with pytest.raises(MessageSizeTooLargeError):
        await outbox(FakeProducer(**limits)).deliver([message("big", value=LARGE)])


@pytest.mark.parametrize("limits", [{"limit_bytes": 50}, {"broker_limit_bytes": 50}])
async def test_a_replacement_that_is_too_large_itself_is_an_error(limits: Any) -> None:
    big = message("big", value=LARGE, instead=message("big-too", value=LARGE))
    with pytest.raises(MessageSizeTooLargeError):
        await outbox(FakeProducer(**limits)).deliver([big])


async def test_kafka_that_does_not_answer_within_the_bound_is_a_failure() -> None:
    producer = FakeProducer(held=True)
    with pytest.raises(DeliveryFailed, match="did not take 1 messages"):
        await outbox(producer, timeout_seconds=0.01).deliver([message("a")])


@ALONE_AND_IN_A_BATCH
async def test_an_error_of_the_broker_is_not_swallowed(partitions: dict[str, int]) -> None:
    producer = FakeProducer(held=True, partitions=partitions)
    delivering = asyncio.create_task(outbox(producer).deliver([message("a"), message("b")]))
    await settle()
    producer.sent[0].acknowledged.set_result(None)
    producer.sent[1].acknowledged.set_exception(KafkaError("fenced"))
    with pytest.raises(KafkaError, match="fenced"):
        await delivering


async def test_the_guard_is_asked_before_anything_is_sent() -> None:
    producer = FakeProducer()
    sent_at_check: list[int] = []

    def check() -> None:
        sent_at_check.append(len(producer.sent))

    await outbox(producer, check=check).deliver([message("a"), message("b")])
    assert sent_at_check == [0]


async def test_nothing_is_sent_where_the_guard_refuses() -> None:
    producer = FakeProducer()

    def refuse() -> None:
        raise SystemExit(75)

    with pytest.raises(SystemExit):
        await outbox(producer, check=refuse).deliver([message("a")])
    assert producer.sent == []

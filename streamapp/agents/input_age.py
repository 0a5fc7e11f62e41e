"""How old an input's newest record is before the worker has taken one: a restart must not make a silent feed young.

Looks at the last record of every partition, whoever reads it.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

TIMEOUT_SECONDS = 3.0


async def newest_record_seconds(topics: Iterable[str], options: Mapping[str, Any]) -> dict[str, float]:
    """Unix time of the newest record of each topic; of the present where there is none, or none can be read in time."""
    newest: dict[str, float] = {}
    # Subscribed at first, because only of such topics does it fetch the partitions before `start` returns.
    consumer = AIOKafkaConsumer(*topics, enable_auto_commit=False, **options)
    await consumer.start()
    try:
        tps = [
            TopicPartition(topic, n) for topic in topics for n in consumer.partitions_for_topic(topic) or ()
        ]
        consumer.unsubscribe()
        async for topic, seconds in _last_records(consumer, tps):
            newest[topic] = max(newest.get(topic, 0.0), seconds)
    finally:
        await consumer.stop()
    return {topic: newest.get(topic, time.time()) for topic in topics}


async def _last_records(consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> Any:
    ends = await consumer.end_offsets(tps) if tps else {}
    begins = await consumer.beginning_offsets(tps) if tps else {}
    waiting = {tp for tp in tps if ends[tp] > begins[tp]}
    if not waiting:
        return
    consumer.assign(list(waiting))
    for tp in waiting:
        consumer.seek(tp, ends[tp] - 1)
    deadline = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
    while waiting and asyncio.get_running_loop().time() < deadline:
        for tp, records in (await consumer.getmany(*waiting, timeout_ms=200)).items():
            waiting.discard(tp)
            yield tp.topic, records[0].timestamp / 1000

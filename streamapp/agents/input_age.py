"""How old an input's newest record is before the worker has taken one: a restart must not make a silent feed young.

Of each worker's own partitions: the newest of all workers is the input's.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

TIMEOUT_SECONDS = 3.0
# The last offsets may be markers of transactions.
LAST_OFFSETS = 20


async def newest_record_seconds(
    partitions: Iterable[TopicPartition], options: Mapping[str, Any]
) -> dict[str, float]:
    """Unix time of the newest record of each topic; of the present where there is none, or none comes in time."""
    tps = list(partitions)
    newest: dict[str, float] = {}
    if not tps:
        return newest
    consumer = AIOKafkaConsumer(enable_auto_commit=False, **options)
    await consumer.start()
    try:
        async for topic, seconds in _last_records(consumer, tps):
            newest[topic] = max(newest.get(topic, 0.0), seconds)
    finally:
        await consumer.stop()
    return {tp.topic: newest.get(tp.topic, time.time()) for tp in tps}


async def _last_records(consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> Any:
    ends = await consumer.end_offsets(tps)
    begins = await consumer.beginning_offsets(tps)
    waiting = {tp for tp in tps if ends[tp] > begins[tp]}
    if not waiting:
        return
    consumer.assign(list(waiting))
    for tp in waiting:
        consumer.seek(tp, max(begins[tp], ends[tp] - LAST_OFFSETS))
    deadline = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
    while waiting and asyncio.get_running_loop().time() < deadline:
        for tp, records in (await consumer.getmany(*waiting, timeout_ms=200)).items():
            if records:
                yield tp.topic, records[-1].timestamp / 1000
        waiting = {tp for tp in waiting if await consumer.position(tp) < ends[tp]}

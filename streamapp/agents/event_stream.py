"""Faust's way from a record to an agent, without codecs, a turn of the event loop, sensors and processors for each.

Pinned to faust-streaming 0.15.3. Most of what Faust cost a record was here (docs/experiments.md, transport).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Any

import faust


class BytesSchema(faust.Schema):  # type: ignore[misc]
    """Keys and values as they are in Kafka: nothing can be wrong with them before the agent looks."""

    def compile(self, app: Any, **_options: Any) -> Callable[..., Awaitable[faust.Event]]:
        """What makes an event of a message."""

        async def event_of(message: Any, **_options: Any) -> faust.Event:
            return faust.Event(app, message.key, message.value, message.headers, message)

        return event_of


class EventStream(faust.Stream[Any]):  # type: ignore[misc]
    """The stream that agents iterate with `noack().events()` and acknowledge by `ack`."""

    async def events(self) -> AsyncIterator[Any]:
        """Events, each of them one that a rebalance or a shutdown waits for until it is acknowledged.

        One that was handed over before a rebalance is dropped, and not acknowledged: it will be read again.
        """
        started_here = await self.maybe_start()
        app, channel = self.app, self.channel
        queue = channel.queue
        unacked = app.consumer.unacked
        # Faust warns of partitions that have records and no events for long.
        inbound_at = app.monitor.stream_inbound_time
        flow_is_active = app.flow_control.is_active
        try:
            while not self.should_stop:
                event = await queue.get() if queue.empty() else queue.get_nowait()
                message = event.message
                if not flow_is_active() or message.generation_id != app.consumer_generation_id:
                    continue
                message.tracked = True
                unacked.add(message)
                inbound_at[message.tp] = monotonic()
                yield event
        except StopAsyncIteration:
            return  # what Faust puts into the queue when the agent is to stop
        finally:
            self._channel_stop_iteration(channel)
            if started_here:
                await self.stop()
                self.service_reset()

    async def ack(self, event: Any) -> bool:
        """Everything that the event caused is delivered. Whether no other stream holds its message."""
        acknowledged: bool = event.ack()
        return acknowledged

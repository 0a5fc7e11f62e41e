"""Settings as the rules that `core` decides by. Must not know who uses them."""

import msgspec

from streamapp.core.event_time import EventTimeRules
from streamapp.core.intake import InputFields, InputRules
from streamapp.core.surge import SurgeRules
from streamapp.core.time_order import OrderRules
from streamapp.core.trend_state import WatchRules
from streamapp.settings import EventTimeSettings, InputSettings, Settings


def order_rules(settings: EventTimeSettings) -> OrderRules:
    """How input partitions wait for each other: within what the watermark allows, with room for a tick's way."""
    allowance_ms = int(settings.watermark_allowance_seconds * 1000)
    return OrderRules(
        apart_ms=allowance_ms,
        lead_ms=allowance_ms * 2 // 3,
        live_ms=int(settings.caught_up_age_seconds * 1000),
    )


def input_rules(source: InputSettings, settings: Settings) -> InputRules:
    """The rules of one input topic as intake wants them."""
    fields = source.fields
    return InputRules(
        channel=source.channel,
        fields=InputFields(
            id=fields.id,
            text=fields.text,
            time=fields.time,
            time_format=fields.time_format,
            source=fields.source,
            symbols=fields.symbols,
        ),
        max_record_bytes=settings.intake.max_record_bytes,
        max_text_chars=settings.intake.max_text_chars,
        future_tolerance_ms=int(settings.event_time.future_tolerance_seconds * 1000),
    )


def watch_rules(settings: Settings) -> WatchRules:
    """The rules of trends and surges as watch wants them."""
    event_time = settings.event_time
    return WatchRules(
        event_time=EventTimeRules(
            lateness_ms=int(event_time.lateness_seconds * 1000),
            allowance_ms=int(event_time.watermark_allowance_seconds * 1000),
        ),
        surge=SurgeRules(**msgspec.structs.asdict(settings.surge)),
    )

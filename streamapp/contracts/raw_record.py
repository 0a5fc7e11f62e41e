"""A Kafka record as it came, in plain bytes: what intake decodes and what a dead letter keeps."""

from msgspec import Struct

from streamapp.contracts.messages import SourceOffset

Headers = tuple[tuple[str, bytes], ...]


class RawRecord(Struct, frozen=True, kw_only=True):
    """One record of an input topic. `timestamp_ms` is the record's own (negative: it has none).

    `redriven` says that it was read from our own topic of that name: only there do headers name another
    origin.
    """

    topic: str
    topic_uuid: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()
    redriven: bool = False

    @property
    def source_offset(self) -> SourceOffset:
        """The identity that delivery and idempotency rest on, also for a redriven record."""
        return SourceOffset(self.topic_uuid, self.partition, self.offset)

    @property
    def size_bytes(self) -> int:
        """Bytes of key, value and headers, as they count against a record limit."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

"""Which posts tell the same story: SimHash-64 fingerprints, and the leaders that later copies join.

Pure and equal on every machine and in every process: nothing here may depend on Python's salted `hash`.
"""

import re
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from msgspec import Struct

from streamapp.contracts.messages import Channel

FINGERPRINT_BITS = 64
SAME_STORY_BITS = 10
LEADER_AGE_MS = 6 * 3_600_000
MAX_LEADERS = 64
MAX_WORDS = 1_000
MAX_HEADLINE_BYTES = 160
MAX_POST_ID_BYTES = 80

_MASK = (1 << FINGERPRINT_BITS) - 1
_WORD = re.compile(r"[@#$]?\w+")
_BIGRAM_FACTOR = 0x9E3779B97F4A7C15


def fingerprint(text: str) -> int:
    """SimHash (Charikar, STOC 2002) over the words and word pairs of a cleaned text: 64 bits.

    Every feature votes on every bit with its hash; a bit is set where the votes for it win. Texts that share most
    features differ in few bits: a fraction of about atan(sqrt(changed / kept)) / pi. Names of accounts (`@name`)
    and `rt` do not vote, so a repost keeps the fingerprint of its original. Words beyond the first 1,000 do not
    vote either. A text without words hashes as a whole.
    """
    words = [word for word in _WORD.findall(text.lower())[:MAX_WORDS] if word[0] != "@" and word != "rt"]
    if not words:
        return _word_hash(text)
    hashes = [_word_hash(word) for word in words]
    previous = hashes[0]
    for current in hashes[1:]:
        hashes.append(scatter((previous * _BIGRAM_FACTOR + current) & _MASK))
        previous = current
    bits = np.unpackbits(np.array(hashes, dtype="<u8").view(np.uint8).reshape(-1, 8), axis=1)
    majority = bits.sum(axis=0, dtype=np.int32) * 2 > len(hashes)
    return int.from_bytes(np.packbits(majority).tobytes(), "little")


# In 70,450 posts of real news and chat 88 % of the words were among the last 16,384 different ones; 93 % among four
# times as many, which are 9 MB more.
@lru_cache(maxsize=16_384)
def _word_hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def scatter(value: int) -> int:
    """SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014): spreads 64 bits evenly, one to one."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def format_fingerprint(value: int) -> str:
    """16 lower-case hex digits."""
    return f"{value:016x}"


def parse_fingerprint(text: str) -> int:
    """The fingerprint in 16 hex digits; ValueError if it is anything else."""
    if len(text) != FINGERPRINT_BITS // 4:
        raise ValueError(f"a story fingerprint has 16 hex digits, got {len(text)} characters")
    return int(text, 16)


def distance(left: int, right: int) -> int:
    """In how many of the 64 bits two fingerprints differ."""
    return (left ^ right).bit_count()


class Evidence(Struct, array_like=True, frozen=True):
    """What people are shown of a story: the headline of its earliest negative copy that was kept.

    Bounded in bytes because it lives in a subject's state.
    """

    headline: str
    post_id: str
    channel: Channel

    @classmethod
    def of(cls, headline: str, post_id: str, channel: Channel) -> "Evidence":
        """Cut to at most 160 bytes of headline and 80 of post id (UTF-8, whole characters)."""
        return cls(_cut(headline, MAX_HEADLINE_BYTES), _cut(post_id, MAX_POST_ID_BYTES), channel)


def _cut(text: str, limit_bytes: int) -> str:
    if len(text) * 4 <= limit_bytes:
        return text
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= limit_bytes else raw[:limit_bytes].decode("utf-8", "ignore")


class Leader(Struct, array_like=True):
    """The first copy of a story. `negative`: a negative copy has come, so it was counted as a negative story."""

    fingerprint: int
    first_ms: int
    last_ms: int
    copies: int
    negative: bool
    evidence: Evidence | None = None


class StoryLeaders:
    """The stories of one subject over the last 6 event hours, at most 64, in the order in which they began."""

    def __init__(self, leaders: list[Leader] | None = None) -> None:
        self.leaders: list[Leader] = leaders or []

    def join(self, fingerprint: int, event_time_ms: int, copies: int) -> tuple[Leader, bool]:
        """The leader that these copies belong to, and whether the story is new.

        It is the first one within 10 bits; without one the copies begin a story. Call in the order of
        (event time, topic, partition, offset).
        """
        found = self.find(fingerprint)
        if found is not None:
            found.copies += copies
            found.last_ms = max(found.last_ms, event_time_ms)
            return found, False
        leader = Leader(fingerprint, event_time_ms, event_time_ms, copies, False)
        if len(self.leaders) >= MAX_LEADERS:
            self.leaders.remove(
                min(self.leaders, key=lambda old: (old.last_ms, old.first_ms, old.fingerprint))
            )
        self.leaders.append(leader)
        return leader, True

    def find(self, fingerprint: int) -> Leader | None:
        """The first leader within 10 bits."""
        for leader in self.leaders:
            if (leader.fingerprint ^ fingerprint).bit_count() <= SAME_STORY_BITS:
                return leader
        return None

    def forget_before(self, event_time_ms: int) -> None:
        """Drop the stories whose last copy is older than that."""
        if self.leaders and any(leader.last_ms < event_time_ms for leader in self.leaders):
            self.leaders = [leader for leader in self.leaders if leader.last_ms >= event_time_ms]

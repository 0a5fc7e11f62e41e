"""Which model serves: the log of announcements folded by one rule, so that all readers agree.

A record counts only if its `sequence` is the champion's + 1 and it `replaces` the champion's digest; else it is
ignored. Of two writers that race one wins, everywhere the same. An empty log means the bundle that the settings name,
sequence 0; which one that is differs between releases, so what the first record replaces is not compared.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from streamapp.contracts.manifest import Manifest
from streamapp.contracts.messages import ModelAnnounced


class Champion(Struct, frozen=True, kw_only=True):
    """A model that serves or served. `bundle_url` is empty for the one that the settings name.

    While `pinned`, only a person may announce another one (cluster/announcements.py refuses the rest).
    """

    sequence: int
    model_name: str
    model_version: str
    bundle_digest: str
    bundle_url: str
    pinned: bool = False
    rolls_back: bool = False
    announced_at_ms: int = 0
    announced_by: str = ""
    reason: str = ""

    def same_bundle(self, other: "Champion") -> bool:
        """Whether nothing has to be loaded to go from one to the other."""
        return self.bundle_digest == other.bundle_digest


class Announcer(Struct, frozen=True, kw_only=True):
    """Who announces and why, at which wall clock time. `by` is a kind and a name: `retrain`, `cli/ann`, `score/w-1`."""

    by: str
    reason: str
    at_ms: int


def first_champion(manifest: Manifest) -> Champion:
    """The champion of an empty log."""
    return Champion(
        sequence=0,
        model_name=manifest.name,
        model_version=manifest.model_version,
        bundle_digest=manifest.digest,
        bundle_url="",
    )


def succeed(champion: Champion, announced: ModelAnnounced) -> Champion:
    """The champion after one record of the log; the same object where the record does not count."""
    if announced.sequence != champion.sequence + 1:
        return champion
    if champion.sequence > 0 and announced.replaces != champion.bundle_digest:
        return champion
    return heir_of(announced)


def heir_of(announced: ModelAnnounced) -> Champion:
    """The champion that a record makes, if it counts."""
    return Champion(
        sequence=announced.sequence,
        model_name=announced.model_name,
        model_version=announced.model_version,
        bundle_digest=announced.bundle_digest,
        bundle_url=announced.bundle_url,
        pinned=announced.pinned,
        rolls_back=announced.rolls_back,
        announced_at_ms=announced.announced_at_ms,
        announced_by=announced.announced_by,
        reason=announced.reason,
    )


def champions(first: Champion, log: Iterable[ModelAnnounced]) -> tuple[Champion, ...]:
    """Every champion so far, the present one last; at least `first`."""
    line = [first]
    for announced in log:
        heir = succeed(line[-1], announced)
        if heir is not line[-1]:
            line.append(heir)
    return tuple(line)


def standing(line: Iterable[Champion]) -> tuple[Champion, ...]:
    """The champions that nobody rolled back, oldest first, the present one last.

    A bundle that came back undoes everything after its first time, so two rollbacks in a row go back two champions and
    never forward to the one that was rolled back.
    """
    kept: list[Champion] = []
    for champion in line:
        known = [past.bundle_digest for past in kept]
        if champion.bundle_digest in known:
            del kept[known.index(champion.bundle_digest) :]
        kept.append(champion)
    return tuple(kept)


def before(line: Iterable[Champion]) -> Champion | None:
    """The champion that a rollback brings back; None where there is none."""
    kept = standing(line)
    return kept[-2] if len(kept) > 1 else None


def announcement(present: Champion, heir: Champion, announcer: Announcer, *, pinned: bool) -> ModelAnnounced:
    """The record that puts `heir`'s bundle in place of `present`."""
    return ModelAnnounced(
        model_name=heir.model_name,
        model_version=heir.model_version,
        sequence=present.sequence + 1,
        replaces=present.bundle_digest,
        bundle_digest=heir.bundle_digest,
        bundle_url=heir.bundle_url,
        announced_at_ms=announcer.at_ms,
        announced_by=announcer.by,
        reason=announcer.reason,
        pinned=pinned,
    )


def rollback(present: Champion, past: Champion, announcer: Announcer) -> ModelAnnounced:
    """The record that brings `past` back. A pin stays: what was kept from changing still changes by a person only."""
    record = announcement(present, past, announcer, pinned=present.pinned)
    return msgspec.structs.replace(record, rolls_back=True)

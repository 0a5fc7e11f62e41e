"""An announcement in the words of the audit log: who did it, what it was, about which model.

Pure. A record that lost a race stands there too: this log says what people and parts did, Kafka's who is champion.
"""

from streamapp.contracts.messages import ModelAnnounced

_PEOPLE = "cli/"
_WORKERS = "score/"
_SERVICE = "service:"


def announcing_actor(announced_by: str) -> str:
    """A person's plain name, the one that labels carry too; `service:...` for a part of ours, which stays readable.

    Who calls himself `service:...` at the command line stays a person.
    """
    name = announced_by.removeprefix(_PEOPLE)
    if name != announced_by:
        return announced_by if name.startswith(_SERVICE) else name
    return f"{_SERVICE}{announced_by}" if announced_by.startswith(_WORKERS) else announced_by


def announcing_action(announced: ModelAnnounced) -> str:
    """What was done: rolled back, pinned or unpinned (the model stays), else promoted."""
    if announced.rolls_back:
        return "rolled back"
    if announced.bundle_digest == announced.replaces:
        return "pinned" if announced.pinned else "unpinned"
    return "promoted and pinned" if announced.pinned else "promoted"


def announcing_detail(announced: ModelAnnounced) -> str:
    """Which model became which champion, and the reason that was given."""
    return f"{announced.model_version} as number {announced.sequence}: {announced.reason}"

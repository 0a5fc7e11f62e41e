"""Who is in the consumer group, and does it read every partition? Static members that restart are given their old
assignment back, so partitions that appeared meanwhile can be left to nobody.
"""

from collections.abc import Sequence

from streamapp.cluster.kafka_clients import open_admin
from streamapp.settings import Settings

STABLE = "Stable"


def unread_partitions(settings: Settings, topics: Sequence[str]) -> list[tuple[str, int]]:
    """Existing partitions of the topics that no member of the settings' group has; none while it rebalances."""
    with open_admin(settings.broker) as admin:
        group = admin.describe_groups([settings.worker.group])[settings.worker.group]
        described = admin.describe_topics(list(topics))
    if group["group_state"] != STABLE:
        return []
    existing = {
        (topic["name"], partition["partition_index"])
        for topic in described
        if topic["error_code"] == 0
        for partition in topic["partitions"]
    }
    read = {
        (assigned["topic"], number)
        for member in group["members"]
        for assigned in (member["member_assignment"] or {}).get("assigned_partitions", ())
        for number in assigned["partitions"]
    }
    return sorted(existing - read)


def group_members(settings: Settings) -> int:
    """How many workers the settings' group has now."""
    with open_admin(settings.broker) as admin:
        return len(admin.describe_groups([settings.worker.group])[settings.worker.group]["members"])

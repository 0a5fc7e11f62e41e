"""Which classes a label may name at this moment: the champion's, and until it is known the settings' bundle's.

One value, exchanged whole, so that who follows the champion and who reads labels may be two threads. Must not know
either.
"""

from streamapp.contracts.manifest import Manifest
from streamapp.core.label_rules import LabelLimits


class LabelClasses:
    """`limits` are read anew for every batch of labels."""

    def __init__(self, first: LabelLimits) -> None:
        self.limits = first

    def follow(self, champion: Manifest) -> None:
        """From now on the champion's; a model without topics lets a label name none."""
        topics = frozenset(champion.outputs.topic or ())
        self.limits = self.limits._replace(topics=topics)

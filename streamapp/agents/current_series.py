"""A gauge whose label values come and go: what no longer holds is taken from the page, not left at its last value.

A partition that moved to another worker would otherwise show its last lag here for ever.
"""

from collections.abc import Mapping

from prometheus_client import Gauge


class CurrentSeries:
    """The one writer of a labelled gauge."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._shown: frozenset[tuple[str, ...]] = frozenset()

    @property
    def shown(self) -> frozenset[tuple[str, ...]]:
        """The label values on the page."""
        return self._shown

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Show these label values and no others."""
        for labels in self._shown - values.keys():
            self._gauge.remove(*labels)
        for labels, value in values.items():
            self._gauge.labels(*labels).set(value)
        self._shown = frozenset(values)

"""Rounds to figures: medians with their spread, percentiles. Pure arithmetic on what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from msgspec import Struct


class Rounds(Struct, frozen=True):
    """One figure over several rounds. `spread` is (greatest - least) / median: a smaller difference is none."""

    median: float
    spread: float
    values: tuple[float, ...]

    def __str__(self) -> str:
        return f"{number(self.median)} (spread {self.spread:.0%} over {len(self.values)} rounds)"


class Percentiles(Struct, frozen=True, kw_only=True):
    """Latencies in milliseconds."""

    posts: int
    p50: float
    p90: float
    p99: float
    greatest: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50:.1f} ms, p90 {self.p90:.1f} ms, p99 {self.p99:.1f} ms, "
            f"greatest {self.greatest:.1f} ms ({self.posts:,} posts)"
        )


def rounds_of(values: Sequence[float]) -> Rounds:
    """The median and spread of at least one value."""
    median = statistics.median(values)
    return Rounds(median, (max(values) - min(values)) / median if median else 0.0, tuple(values))


def percentiles_of(seconds: Sequence[float]) -> Percentiles:
    """Percentiles of at least one latency, given in seconds."""
    p50, p90, p99, greatest = (float(value) * 1000 for value in np.percentile(seconds, [50, 90, 99, 100]))
    return Percentiles(posts=len(seconds), p50=p50, p90=p90, p99=p99, greatest=greatest)


def number(value: float) -> str:
    """A figure with three significant digits or all digits before the point, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def megabytes(size_bytes: float) -> str:
    """A size for people."""
    return f"{size_bytes / 2**20:,.0f} MB"

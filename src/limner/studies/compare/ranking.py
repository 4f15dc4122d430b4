"""Which model is better, and whether that is more than chance."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import t as student

from limner.evaluation.intervals import GROUPS
from limner.evaluation.meanings import MEANINGS

LEVEL = 0.95
TEST = (
    "“Ahead of” means that the gap between two neighbours is larger than chance would make it: Welch's t-test at "
    "95 % over the seeds' scores (their logarithms), where a model's spread is taken no smaller than what "
    "drawing other pictures would give; otherwise they are “tied”."
)


@dataclass(frozen=True)
class Summary:
    """A measure of a model over its seeds.

    Attributes:
        values: one score a seed. drawing: a score's variance from drawing pictures. floor: of real ones.
    """

    values: tuple[float, ...]
    drawing: float
    floor: float

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; None for one seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def variance(self) -> float:
        """Of the mean; that of a score is the seeds' and never smaller than that of drawing pictures."""
        return max((self.deviation or 0.0) ** 2, self.drawing) / len(self.values)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of that variance."""
        seeds = (self.deviation or 0.0) ** 2 > self.drawing
        return len(self.values) - 1.0 if seeds else len(self.values) * (GROUPS - 1.0)

    @property
    def interval(self) -> tuple[float, float]:
        """The mean's 95 % interval."""
        half = float(student.ppf(0.5 + LEVEL / 2, self.freedom)) * math.sqrt(self.variance)
        return self.mean - half, self.mean + half

    def logarithm(self) -> Summary:
        """The same of the scores' logarithms."""
        geometric = math.exp(statistics.fmean(map(math.log, self.values)))
        return Summary(tuple(map(math.log, self.values)), self.drawing / geometric**2, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        low, high = self.interval
        return {
            "mean": self.mean,
            "low": low,
            "high": high,
            "deviation_over_seeds": self.deviation,
            "floor": self.floor,
            "values": list(self.values),
        }


def summarise(measures: Sequence[dict[str, float]]) -> Summary:
    """One measure of a model's rows, each {"value", "low", "high", "floor"}."""
    reach = float(student.ppf(0.5 + LEVEL / 2, GROUPS - 1))
    drawing = statistics.fmean(((m["high"] - m["low"]) / (2 * reach)) ** 2 for m in measures)
    floor = statistics.fmean(m["floor"] for m in measures)
    return Summary(tuple(float(m["value"]) for m in measures), drawing, floor)


@dataclass(frozen=True)
class Contest:
    """How two models compare: the gap of the second from the first, and how likely chance alone makes one as large."""

    gap: float
    chance: float

    @property
    def ahead(self) -> bool:
        """The gap is larger than chance would make it."""
        return self.chance < 1 - LEVEL


def contest(better: Summary, worse: Summary) -> Contest:
    """Welch's t-test (1947) between two means with their variances and degrees of freedom.

    Where all scores are above zero their logarithms are compared: what is far from real pictures varies in proportion.
    """
    gap = abs(worse.mean - better.mean)
    if min(better.values + worse.values) > 0:
        better, worse = better.logarithm(), worse.logarithm()
    both = better.variance + worse.variance
    apart = abs(worse.mean - better.mean)
    if both == 0:
        return Contest(gap, 0.0 if apart else 1.0)
    freedom = both**2 / (better.variance**2 / better.freedom + worse.variance**2 / worse.freedom)
    return Contest(gap, float(2 * student.sf(apart / math.sqrt(both), freedom)))


def order(summaries: Sequence[Summary], by: str) -> list[int]:
    """Best first by the mean of one measure."""
    sign = 1 if MEANINGS[by][1] == "lower" else -1
    return sorted(range(len(summaries)), key=lambda i: sign * summaries[i].mean)

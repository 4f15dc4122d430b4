"""What the measures are called, what they mean, and what one of them found."""

from __future__ import annotations

from dataclasses import dataclass

from limner.evaluation.intervals import Estimate

MEANINGS = {
    "fd": ("Fréchet distance", "lower", "how far the samples, as one cloud, lie from the real pictures"),
    "kid": ("KID", "lower", "the same question, free of the bias of small n; may dip below zero"),
    "precision": ("precision", "higher", "share of samples that lie among real pictures: do they look real?"),
    "recall": ("recall", "higher", "share of real pictures that lie among samples: is everything covered?"),
    "density": ("density", "higher", "like precision, and hard to fool by outliers; about 1 for real pictures"),
    "coverage": ("coverage", "higher", "share of real pictures with a sample close by: is anything missing?"),
    "is": ("Inception Score", "higher", "sure of each sample's class, and many classes"),
}
"""Each measure's name, which way is better, and what it means."""


@dataclass(frozen=True)
class Measure:
    """A value, its 95 % jackknife interval, and its floor: what real pictures score against the same reference."""

    value: float
    low: float
    high: float
    floor: float

    @classmethod
    def of(cls, found: Estimate, floor: Estimate) -> Measure:
        """A measure from what samples and what real pictures score."""
        return cls(found.value, found.low, found.high, floor.value)

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return {"value": self.value, "low": self.low, "high": self.high, "floor": self.floor}


def leading(n: int, dimension: int) -> str:
    """The measure to judge by: the Fréchet distance, or where so few pictures make it mostly bias, KID."""
    return "fd" if n >= 2 * dimension else "kid"

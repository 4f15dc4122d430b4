"""Delete-a-group jackknife: how far a number would move with other pictures of the same kind.

A two-sample measure is computed again without each of the groups of either set. The interval is centred on the value
itself, not on the jackknife's corrected one: distances between few pictures are biased upwards, and the floor beside it
shows that bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Floats = NDArray[np.float64]
GROUPS = 20


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def group_sizes(n: int, groups: int = GROUPS) -> list[int]:
    """Sizes of the groups of `n` pictures: as equal as they can be, none empty, at most `groups` of them."""
    groups = min(groups, n)
    return [n // groups + (g < n % groups) for g in range(groups)]


def group_slices(n: int, groups: int = GROUPS) -> list[slice]:
    """The groups of `n` pictures as consecutive slices; who needs random groups shuffles the pictures first."""
    ends = np.cumsum(group_sizes(n, groups))
    return [slice(int(end - size), int(end)) for end, size in zip(ends, group_sizes(n, groups), strict=True)]


def variance(left_out: Floats) -> float:
    """The jackknife's variance from the values (G,) without each group (Efron and Stein 1981)."""
    groups = len(left_out)
    return float((groups - 1) / groups * np.square(left_out - left_out.mean()).sum())


def estimate(value: float, *sides: Floats, level: float = 0.95) -> Estimate:
    """An interval around `value` from the left-out values of each set that it depends on.

    The sets are drawn independently, so their variances add; Student's t with G - 1 degrees of freedom widens it for
    the few groups.
    """
    spread = float(np.sqrt(sum(variance(side) for side in sides)))
    reach = float(student.ppf(0.5 + level / 2, min(len(side) for side in sides) - 1)) * spread
    value = float(value)
    return Estimate(value, value - reach, value + reach)

"""Where the steps of a solver lie: times from noise to picture, and noise levels from the highest to none."""

from __future__ import annotations

import math
from typing import Literal

import torch

from limner.noising.paths import HIGH, LOW, Path

ScheduleName = Literal["uniform", "cosine", "karras"]
RHO = 7.0
"""Of 2206.00364, table 1."""


def times(steps: int, power: float = 1.0, first: float = 1.0, last: float = 0.0) -> list[float]:
    """`steps` + 1 times from `first` to `last`, evenly spaced in t^(1 / power): above 1 they crowd at t = 0.

    As 2206.00364, equation 5, with t in place of the noise level.
    """
    begin, end = first ** (1 / power), last ** (1 / power)
    inner = [(begin + (end - begin) * k / steps) ** power for k in range(1, steps)]
    return [first, *inner, last]


def karras(steps: int, rho: float = RHO, high: float = HIGH, low: float = LOW) -> list[float]:
    """`steps` + 1 noise levels: from `high` to `low`, evenly spaced in s^(1 / rho), then 0 (2206.00364, equation 5)."""
    return [high, 0.0] if steps == 1 else [*times(steps - 1, rho, high, low), 0.0]


def scheduled(name: ScheduleName, steps: int, path: Path, power: float = 1.0) -> list[float]:
    """`steps` + 1 times of a path, from 1 to 0.

    uniform: even in t^(1 / power). cosine: (1 - cos(pi u)) / 2 of even u, which crowds at both ends. karras: even in
    the seventh root of the noise level sigma / alpha, from 80 to 0.002 (2206.00364, equation 5).
    """
    if name == "uniform":
        return times(steps, power)
    if name == "karras":
        inner = path.time(torch.tensor(times(steps, RHO, HIGH, LOW)[1:-1], dtype=torch.float64)).tolist()
    else:
        inner = [(1 + math.cos(math.pi * k / steps)) / 2 for k in range(1, steps)]
    return [1.0, *inner, 0.0]

"""Heun's steps, each begun at a raised noise level: fresh noise makes up for earlier errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from limner.samplers.ddpm import Noise
from limner.samplers.multistep import Clean


def stochastic(
    clean: Clean,
    z: Tensor,
    levels: Sequence[float],
    noise: Noise,
    churn: float,
    interval: tuple[float, float] = (0.0, math.inf),
    inflation: float = 1.0,
) -> Iterator[Tensor]:
    """Algorithm 2 of Karras et al. 2022, 2206.00364, for z = x + sigma n.

    Args:
        levels: sigma, falling; the last one may be 0.
        noise: standard normal numbers for each step by its number.
        churn: S_churn, noise added over all steps, as raise of the level; 0 is Heun's solver.
        interval: S_min and S_max, the levels that are raised. inflation: S_noise, the added noise's deviation.
    """
    raised_by = min(churn / (len(levels) - 1), math.sqrt(2) - 1)
    for number, (now, then) in enumerate(pairwise(levels)):
        if raised_by and interval[0] <= now <= interval[1]:
            added = now * math.sqrt((1 + raised_by) ** 2 - 1)
            z, now = z + inflation * added * noise(number), now * (1 + raised_by)  # noqa: PLW2901
        first = (z - clean(z, now)) / now
        ahead = z + (then - now) * first
        if then != 0:
            ahead = z + (then - now) * (first + (ahead - clean(ahead, then)) / then) / 2
        z = ahead
        yield z

"""Ancestral sampling: one draw from p(z_s | z_t) after the other (Ho et al. 2020, 2006.11239, algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import Tensor

Reverse = Callable[[Tensor, int, int], tuple[Tensor, Tensor]]
"""Mean and standard deviation of p(z_s | z_t) at z (B, ...), t and s."""

Noise = Callable[[int], Tensor]
"""Standard normal noise of the shape of z for the step to s."""


def ancestral(reverse: Reverse, z: Tensor, times: Sequence[int], noise: Noise) -> Iterator[Tensor]:
    """States at `times` but the first; the last step, to 0, adds no noise."""
    for now, then in pairwise(times):
        mean, deviation = reverse(z, now, then)
        z = mean + deviation * noise(then) if then else mean
        yield z

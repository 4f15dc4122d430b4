"""Solvers of dz/dt = velocity(z, t). Each is a Python generator of states, so that previews belong to the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]
"""dz/dt, of the shape of z (B, ...), at z and one time for all."""

Solver = Callable[[Velocity, Tensor, Sequence[float]], Iterator[Tensor]]
SolverName = Literal["euler", "heun", "midpoint"]


def euler(velocity: Velocity, z: Tensor, times: Sequence[float]) -> Iterator[Tensor]:
    """First order, one evaluation a step."""
    for now, then in pairwise(times):
        z = z + (then - now) * velocity(z, now)
        yield z


def heun(velocity: Velocity, z: Tensor, times: Sequence[float]) -> Iterator[Tensor]:
    """Second order, two evaluations a step; a step to t = 0 is Euler's (2206.00364, algorithm 1)."""
    for now, then in pairwise(times):
        first = velocity(z, now)
        ahead = z + (then - now) * first
        if then != 0:
            ahead = z + (then - now) * (first + velocity(ahead, then)) / 2
        z = ahead
        yield z


def midpoint(velocity: Velocity, z: Tensor, times: Sequence[float]) -> Iterator[Tensor]:
    """Second order, two evaluations a step."""
    for now, then in pairwise(times):
        halfway = z + (then - now) / 2 * velocity(z, now)
        z = z + (then - now) * velocity(halfway, (now + then) / 2)
        yield z


SOLVERS: dict[str, Solver] = {"euler": euler, "heun": heun, "midpoint": midpoint}

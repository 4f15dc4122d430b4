"""Every solver that follows a velocity along a path, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from limner.errors import UserError
from limner.noising.paths import Path, convert
from limner.samplers import ode
from limner.samplers.adaptive import adaptive
from limner.samplers.multistep import MULTISTEP

FollowerName = Literal["euler", "heun", "midpoint", "dpm++", "unipc", "adaptive"]
Time = float | Tensor
"""One time for all, or one for each picture (B,)."""

Says = Callable[[Tensor, Time], Tensor]
"""Something of the shape of z (B, ...), at z and t: dz/dt, or E[x | z]."""

TOLERANCE = 1e-3
"""Of the adaptive solver, where none is asked for."""

EMBEDDED = 3
"""How often a step of the adaptive solver asks."""


def follow(
    name: FollowerName, velocity: Says, z: Tensor, times: Sequence[float], path: Path, tolerance: float | None
) -> Iterator[Tensor]:
    """States of the solver `name` at `times` but the first.

    The adaptive solver goes from the first to the last by steps of its own, the first as long as these are on average.

    Raises:
        UserError: a tolerance for a solver that heeds none.
    """
    if name == "adaptive":
        return adaptive(velocity, z, times[0], times[-1], tolerance or TOLERANCE, 1 / (len(times) - 1))
    if tolerance is not None:
        raise UserError(f"tolerance {tolerance:g} belongs to solver adaptive: leave it out with {name}")
    if name in ode.SOLVERS:
        return ode.SOLVERS[name](velocity, z, times)

    def clean(z: Tensor, time: float) -> Tensor:
        return denoised(velocity(z, time), z, time, path)

    def scale(time: float) -> tuple[float, float]:
        level = path.at(torch.tensor([time], dtype=torch.float64))
        return float(level.alpha), float(level.sigma)

    return MULTISTEP[name](clean, z, times, scale)


def looks(name: FollowerName, times: Sequence[float], path: Path) -> list[float]:
    """When a solver asks for the velocity; of the adaptive one, if its steps were as these times have them."""
    if name == "adaptive":
        return [time for time in times[:-1] for _ in range(EMBEDDED)]
    found: list[float] = []

    def still(z: Tensor, time: Time) -> Tensor:
        found.append(float(time))
        return torch.zeros_like(z)

    for _ in follow(name, still, torch.zeros(1, 1), times, path, None):
        pass
    return found


def denoised(velocity: Tensor, z: Tensor, time: Time, path: Path) -> Tensor:
    """E[x | z] (B, ...) where the velocity (B, ...) is known."""
    return convert(velocity, z, path.at(moment(z, time, path)), "velocity", "x")


def velocity_of(clean: Says, path: Path) -> Says:
    """dz/dt where E[x | z] is known, at z and t."""

    def velocity(z: Tensor, time: Time) -> Tensor:
        return convert(clean(z, time), z, path.at(moment(z, time, path)), "x", "velocity")

    return velocity


def moment(z: Tensor, time: Time, path: Path) -> Tensor:
    """A time for each of the pictures z (B, ...), (B,), inside the path's ends."""
    return path.inner(time if isinstance(time, Tensor) else z.new_full((len(z),), time))

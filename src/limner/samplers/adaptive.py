"""Steps as long as each picture allows: a third-order solver that watches its own error."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from limner.errors import UserError
from limner.noising.paths import spread

Field = Callable[[Tensor, Tensor], Tensor]
"""dz/dt, of the shape of z (B, ...), at z and a time for each picture (B,)."""

SHORTEST = 1e-6
"""Of the whole way; shorter steps mean that the velocity jumps."""


def adaptive(
    velocity: Field, z: Tensor, first: float, last: float, tolerance: float, begin: float = 0.05
) -> Iterator[Tensor]:
    """The embedded pair 3(2) of Bogacki & Shampine 1989 (Applied Mathematics Letters 2(4), 321-325).

    Each picture has its own time and step, and its error alone decides about them: the root mean square over its values
    of the difference of the two solutions, to be at most `tolerance` (1 + |z|). So neighbours change nothing. A state
    is given for each try; `begin` is the first step's share of the way.

    Raises:
        UserError: the tolerance cannot be met.
    """
    time = z.new_full((len(z),), first)
    step = torch.full_like(time, (last - first) * begin)
    k1 = velocity(z, time)
    while bool((moving := time != last).any()):
        step = torch.where((last - time).abs() <= step.abs(), last - time, step)
        h = spread(step, z)
        k2 = velocity(z + h / 2 * k1, time + step / 2)
        k3 = velocity(z + h * 3 / 4 * k2, time + step * 3 / 4)
        ahead = z + h / 9 * (2 * k1 + 3 * k2 + 4 * k3)
        k4 = velocity(ahead, time + step)
        error = h / 72 * (-5 * k1 + 6 * k2 + 8 * k3 - 9 * k4)
        allowed = tolerance * (1 + torch.maximum(z.abs(), ahead.abs()))
        size = (error / allowed).square().flatten(1).mean(1).sqrt()  # (B,)
        good = moving & (size <= 1)
        taken = spread(good, z) > 0
        z, k1 = torch.where(taken, ahead, z), torch.where(taken, k4, k1)
        time = torch.where(good, torch.where(step == last - time, last, time + step), time)
        step = step * (0.9 * size ** (-1 / 3)).clamp(0.2, 5)
        yield z
        if not bool((step.abs() > SHORTEST * abs(last - first))[time != last].all()):
            raise UserError(
                f"tolerance {tolerance:g}: the steps of this picture would be too short: give a larger tolerance"
            )

"""How likely a picture is, by following the flow from it to the noise and adding up how the flow spreads.

The logarithm of a density that is carried along dz/dt = v changes by -div v (Chen et al. 2018, 1806.07366, theorem 1);
the divergence is taken exactly, or estimated without bias (Hutchinson; Grathwohl et al. 2018, 1810.01367, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from limner.config import Count, Options
from limner.draws import Draws
from limner.errors import UserError
from limner.samplers.ode import Velocity, heun

FEWEST = 16


class Likelihood(Options):
    """How the likelihood is computed.

    Attributes:
        probes: of the estimated divergence; 0 is the exact one, which costs a pass for each value of a picture.
        tolerance: bits per dimension, by which no picture may differ where the steps are doubled.
        most: where they still differ at so many steps, there is no answer.
    """

    probes: Count = 1
    tolerance: Annotated[float, Meta(gt=0)] = 0.02
    most: Annotated[int, Meta(ge=2 * FEWEST)] = 512


def divergence(velocity: Velocity, z: Tensor, time: float, probes: Tensor | None) -> tuple[Tensor, Tensor]:
    """(v, div v) at z: (B, ...) and (B,). Probes (P, B, ...) have entries +-1; None is the exact sum."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        v = velocity(z, time)
        if not v.requires_grad:
            return v, z.new_zeros(len(z))

        def back(along: Tensor) -> Tensor:
            return torch.autograd.grad(v, z, along, retain_graph=True)[0]

        if probes is not None:
            found = torch.stack([(back(probe) * probe).flatten(1).sum(1) for probe in probes]).mean(0)
        else:
            found = z.new_zeros(len(z))
            for place in range(z[0].numel()):
                along = torch.zeros_like(z).flatten(1)
                along[:, place] = 1
                found = found + back(along.view_as(z)).flatten(1)[:, place]
    return v.detach(), found.detach()


def log_density(
    velocity: Velocity, x: Tensor, times: Sequence[float], prior: float, probes: Tensor | None = None
) -> Tensor:
    """log p(x) (B,) in nats, at x (B, ...), which lie at times[0]; those at times[-1] are N(0, prior^2)."""

    def both(state: Tensor, time: float) -> Tensor:
        v, spreads = divergence(velocity, state[:, 1:].view_as(x), time, probes)
        return torch.cat([spreads[:, None], v.flatten(1)], 1)

    *_, state = heun(both, torch.cat([x.new_zeros(len(x), 1), x.flatten(1)], 1), times)
    noise = state[:, 1:] / prior
    return state[:, 0] - (noise.square() / 2 + math.log(prior) + math.log(2 * math.pi) / 2).sum(1)


def settled_log_density(
    velocity: Velocity,
    x: Tensor,
    times: Callable[[int], Sequence[float]],
    prior: float,
    draws: Draws,
    options: Likelihood,
) -> Tensor:
    """`log_density` (B,) in as many steps, of those that `times` gives for a number, as it takes to be believed.

    Raises:
        UserError: at the most steps allowed it still depends on how many there are.
    """
    shape, count = x.shape[1:], options.probes
    probes = 1 - 2 * draws.integers("probes", 2, count, *shape).movedim(1, 0).to(x.dtype) if count else None
    unit = x[0].numel() * math.log(2)  # nats of one bit per dimension
    steps, found = FEWEST, log_density(velocity, x, times(FEWEST), prior, probes)
    before, unsettled = found, torch.ones_like(found, dtype=torch.bool)
    while 2 * steps <= options.most:
        steps *= 2
        after = log_density(velocity, x, times(steps), prior, probes)
        found = torch.where(unsettled, after, found)  # what is settled stays: no picture waits for its neighbours
        apart = (after - before).abs() / unit
        unsettled = unsettled & ~(apart <= options.tolerance)
        if not bool(unsettled.any()):
            return found
        before = after
    most = float(apart[unsettled].max())
    raise UserError(
        f"no likelihood: in {steps // 2} and in {steps} steps it differs by {most:.3g} bits per dimension, more than "
        f"tolerance={options.tolerance:g}: allow more steps (score.most) or a larger score.tolerance"
    )

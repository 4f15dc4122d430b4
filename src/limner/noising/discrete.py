"""Chains of T noise levels: z_t = sqrt(abar_t) x + sqrt(1 - abar_t) n, with t from 0 (picture) to T (noise).

Ho et al. 2020, "Denoising diffusion probabilistic models", 2006.11239; Nichol & Dhariwal 2021, "Improved denoising
diffusion probabilistic models", 2102.09672.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from limner.errors import UserError
from limner.noising.paths import Level, spread

ScheduleName = Literal["linear", "cosine"]
LARGEST_BETA = 0.999
"""No step may wipe out everything: the chain's last level has to be left again (2102.09672, section 3.2)."""


def betas(name: ScheduleName, steps: int) -> np.ndarray:
    """Variance added by each of `steps` steps, (steps,) float64.

    linear: from 1e-4 to 0.02 for 1000 steps (2006.11239, section 4), and as much noise in all for another number.
    cosine: abar_t = f(t) / f(0), f(t) = cos^2((t / T + 0.008) / 1.008 * pi / 2) (2102.09672, equation 17).
    """
    if name == "linear":
        found = np.linspace(1e-4, 0.02, steps) * (1000 / steps)
    else:
        left = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * (math.pi / 2)) ** 2
        found = 1 - left[1:] / left[:-1]
    return np.minimum(found, LARGEST_BETA)


@dataclass(frozen=True)
class Step:
    """q(z_s | z_t, x), the way back that the picture is known for (2006.11239, equations 6 and 7, for any s < t).

    Attributes:
        of_x, of_z: (B,), the mean is of_x x + of_z z. deviation: (B,), beta-tilde's root; 0 at s = 0.
        log_least, log_most: (B,), logarithms of beta-tilde and of beta = 1 - abar_t / abar_s, between which the
            variance of p(z_s | z_t) lies. At s = 0, where beta-tilde is 0, that of the step from t = 2 stands in.
    """

    of_x: Tensor
    of_z: Tensor
    deviation: Tensor
    log_least: Tensor
    log_most: Tensor

    def mean(self, x: Tensor, z: Tensor) -> Tensor:
        """Of pictures x and z, both (B, ...)."""
        return spread(self.of_x, x) * x + spread(self.of_z, z) * z

    def log_variance(self, share: Tensor) -> Tensor:
        """Between the bounds, at shares (B, ...) from 0 (beta-tilde) to 1 (beta) (2102.09672, equation 15)."""
        return share * spread(self.log_most, share) + (1 - share) * spread(self.log_least, share)


class Chain:
    """The levels of a schedule. Steps are whole numbers, alone or as (B,); answers are like the pictures `like`."""

    def __init__(self, name: ScheduleName, steps: int) -> None:
        self.steps = steps
        self.kept = np.concatenate([[1.0], np.cumprod(1 - betas(name, steps))])  # abar, (steps + 1,)

    def at(self, step: int | Tensor, like: Tensor) -> Level:
        """Coefficients of the levels; derivatives are in the angle, so that "velocity" is 2202.00512's v."""
        kept = self.kept[_numbers(step)]
        return circle(_like(np.sqrt(kept), like), _like(np.sqrt(1 - kept), like))

    def scale(self, step: float) -> tuple[float, float]:
        """(alpha, sigma) of the level of a whole number."""
        kept = float(self.kept[int(step)])
        return math.sqrt(kept), math.sqrt(1 - kept)

    def back(self, step: int | Tensor, to: int | Tensor, like: Tensor) -> Step:
        """From the levels `step` to the lower ones `to`."""
        here, there = self.kept[_numbers(step)], self.kept[_numbers(to)]
        beta = 1 - here / there
        least = (1 - there) / (1 - here) * beta
        first = (1 - self.kept[1]) / (1 - self.kept[2]) * (1 - self.kept[2] / self.kept[1])
        numbers = (
            np.sqrt(there) * beta / (1 - here),
            np.sqrt(here / there) * (1 - there) / (1 - here),
            np.sqrt(least),
            np.log(np.where(least > 0, least, first)),
            np.log(beta),
        )
        return Step(*(_like(values, like) for values in numbers))

    def times(self, count: int) -> list[int]:
        """`count` + 1 steps from T to 0, evenly spaced ("trailing": 2305.08891, table 2).

        Raises:
            UserError: the chain has fewer steps.
        """
        if not 1 <= count <= self.steps:
            raise UserError(f"{count} steps: this model has {self.steps} noise levels; ask for 1 to {self.steps}")
        return [(2 * self.steps * k + count) // (2 * count) for k in range(count, -1, -1)]

    def find(self, ratio: Tensor) -> Tensor:
        """Steps (B,), between whole numbers too and never below 1, at which sigma / alpha is `ratio`."""
        levels = np.log((1 - self.kept[1:]) / self.kept[1:]) / 2
        found = np.interp(ratio.double().log().cpu().numpy(), levels, np.arange(1, self.steps + 1))
        return _like(found, ratio)


def circle(alpha: Tensor, sigma: Tensor) -> Level:
    """The level of given alpha and sigma, alpha^2 + sigma^2 = 1; derivatives are in the angle between them."""
    return Level(alpha, sigma, -sigma, alpha)


def _numbers(step: int | Tensor) -> np.ndarray:
    found: np.ndarray = np.atleast_1d(step.cpu().numpy() if isinstance(step, Tensor) else step)
    return found


def _like(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(values).to(dtype=like.dtype).to(like.device)

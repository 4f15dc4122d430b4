"""Which times training looks at, and how much each counts."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limner.draws import Draws
from limner.noising.paths import Level, Path

Sampling = Literal["uniform", "logit-normal"]
Weighting = Literal["none", "min-snr", "learned"]


def draw_times(draws: Draws, path: Path, sampling: Sampling, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Times (draws.size,) inside the path's ends.

    uniform: all alike. logit-normal: t = 1 / (1 + exp(-u)), u ~ N(mean, std^2) (2403.03206, equation 19).
    """
    if sampling == "uniform":
        return path.inner(draws.uniform("time"))
    return path.inner(torch.sigmoid(mean + std * draws.normal("time")))


def draw_levels(draws: Draws, mean: float, std: float) -> Tensor:
    """Noise levels (draws.size,) whose logarithms are N(mean, std^2) (2206.00364, table 1)."""
    return torch.exp(mean + std * draws.normal("noise level"))


def weights(weighting: Weighting, level: Level, gamma: float = 5.0) -> Tensor:
    """Factors (B,) of the squared error of the velocity.

    none: 1; learned: 1, as `limner.nn.uncertainty` finds them. min-snr: the squared error of x, weighted by
    min(snr, gamma) (2303.09556, section 3.4), said in velocities.
    """
    if weighting != "min-snr":
        return torch.ones_like(level.alpha)
    snr = (level.alpha / level.sigma).square()
    # At fixed z an error e of the velocity is an error e sigma / (dalpha sigma - alpha dsigma) of x.
    to_x = (level.sigma / (level.dalpha * level.sigma - level.alpha * level.dsigma)).square()
    return snr.clamp(max=gamma) * to_x

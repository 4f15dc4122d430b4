"""Inputs and targets of unit size for a network at every noise level (Karras et al. 2022, 2206.00364, table 1)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from limner.noising.paths import DEVIATION


@dataclass(frozen=True)
class Preconditioning:
    """D(z) = skip z + out F(into z, noise), for z = x + sigma n; each (B,).

    Attributes:
        weight: lambda, which gives the squared error of D that of F, so that all levels count alike at the start.
    """

    skip: Tensor
    out: Tensor
    into: Tensor
    noise: Tensor
    weight: Tensor


def preconditioning(sigma: Tensor, deviation: float = DEVIATION) -> Preconditioning:
    """Of noise levels sigma (B,), above 0, and pictures whose values have that standard deviation."""
    size = (sigma.square() + deviation**2).sqrt()  # standard deviation of z
    out = sigma * deviation / size
    return Preconditioning((deviation / size).square(), out, 1 / size, sigma.log() / 4, out.pow(-2))

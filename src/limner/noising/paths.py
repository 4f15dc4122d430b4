"""Paths between pictures and noise: z = alpha(t) x + sigma(t) n, with t from 0 (picture) to 1 (noise)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Target = Literal["x", "noise", "score", "velocity", "residual"]
DEVIATION = 0.5
"""Standard deviation that pictures in [-1, 1] are taken to have (2206.00364, table 1, sigma_data)."""

LOW, HIGH = 0.002, 80.0
"""Noise levels of paths that add noise: at the first a picture is all but clean, at the last it is gone (table 1)."""

PathName = Literal["straight", "cosine", "preserving", "momentum", "exploding"]


@dataclass(frozen=True)
class Level:
    """A path's coefficients at given times, each (B,): alpha, sigma and their derivatives in t."""

    alpha: Tensor
    sigma: Tensor
    dalpha: Tensor
    dsigma: Tensor


class Path(ABC):
    """alpha and sigma as functions of time, which runs from 0 to 1 in those with a name in `PATHS`.

    At `ends` = (first, last) and between, every conversion is finite.

    Attributes:
        crowding: the power of `samplers.schedules.times` by which steps from a picture to noise lie well.
    """

    ends: tuple[float, float] = (1e-3, 1 - 1e-3)
    crowding: float = 3.0

    @abstractmethod
    def at(self, time: Tensor) -> Level:
        """Coefficients at times (B,)."""

    @abstractmethod
    def time(self, ratio: Tensor) -> Tensor:
        """The times (B,) at which sigma / alpha is `ratio`."""

    def inner(self, time: Tensor) -> Tensor:
        """Times moved into `ends`."""
        return time.clamp(*self.ends)


class Straight(Path):
    """Straight lines: alpha = 1 - t, sigma = t (flow matching with an independent coupling, 2209.03003; 2210.02747)."""

    def at(self, time: Tensor) -> Level:
        """See `Path.at`."""
        one = torch.ones_like(time)
        return Level(1 - time, time, -one, one)

    def time(self, ratio: Tensor) -> Tensor:
        """See `Path.time`."""
        return ratio / (1 + ratio)


class Cosine(Path):
    """A quarter of a circle: alpha = cos(pi t / 2), sigma = sin(pi t / 2); keeps the variance (2303.08797)."""

    def at(self, time: Tensor) -> Level:
        """See `Path.at`."""
        angle = time * (math.pi / 2)
        alpha, sigma = angle.cos(), angle.sin()
        return Level(alpha, sigma, -sigma * (math.pi / 2), alpha * (math.pi / 2))

    def time(self, ratio: Tensor) -> Tensor:
        """See `Path.time`."""
        return ratio.atan() * (2 / math.pi)


class Preserving(Path):
    """The variance preserving diffusion with linear beta, 0.1 to 20 (2011.13456, appendix B, equation 29)."""

    low, high = 0.1, 20.0
    ends = (1e-3, 1.0)

    def at(self, time: Tensor) -> Level:
        """See `Path.at`."""
        spent = self.low * time + (self.high - self.low) / 2 * time.square()  # integral of beta
        beta = self.low + (self.high - self.low) * time
        alpha, sigma = torch.exp(-spent / 2), torch.sqrt(-torch.expm1(-spent))
        return Level(alpha, sigma, -beta / 2 * alpha, beta / 2 * alpha.square() / sigma)

    def time(self, ratio: Tensor) -> Tensor:
        """See `Path.time`."""
        spent = torch.log1p(ratio.square())
        rise = self.high - self.low
        return 2 * spent / (self.low + torch.sqrt(self.low**2 + 2 * rise * spent))


class Momentum(Path):
    """The variance preserving path of a ball that rolls to a halt: it leaves the picture slowly and never swings back.

    alpha = (1 + s) exp(-s) of s = rate t is the critically damped oscillator, the mean of a forward process with
    momentum (Wu et al. 2023, "Fast diffusion model", 2306.06991, equation 7); at t = 1 a hundredth is left.
    """

    rate = 6.64
    ends = (1e-3, 1.0)

    def at(self, time: Tensor) -> Level:
        """See `Path.at`."""
        s = self.rate * time
        alpha = (1 + s) * torch.exp(-s)
        # 1 - alpha^2 without the digits that a difference of near ones would lose.
        left = -torch.expm1(torch.log1p(s) - s)  # 1 - alpha
        sigma = torch.sqrt(left * (1 + alpha))
        dalpha = -self.rate * s * torch.exp(-s)
        return Level(alpha, sigma, dalpha, -alpha * dalpha / sigma)

    def time(self, ratio: Tensor) -> Tensor:
        """See `Path.time`; Newton's steps for s - log(1 + s) = -log alpha, from above."""
        target = torch.log1p(ratio.square()) / 2
        s = target + torch.sqrt(2 * target) + 1e-12
        for _ in range(12):
            s = s - (s - torch.log1p(s) - target) * (1 + s) / s
            s = s.clamp_min(1e-12)
        return s / self.rate


class Exploding(Path):
    """The variance exploding diffusion: alpha = 1, sigma geometric from 0.002 to 80 (2011.13456, equation 30)."""

    low, high = LOW, HIGH
    ends = (0.0, 1.0)
    crowding = 0.5  # its times are logarithms of the noise, which crowd at the picture by themselves

    def at(self, time: Tensor) -> Level:
        """See `Path.at`."""
        rate = math.log(self.high / self.low)
        sigma = self.low * torch.exp(rate * time)
        return Level(torch.ones_like(time), sigma, torch.zeros_like(time), rate * sigma)

    def time(self, ratio: Tensor) -> Tensor:
        """See `Path.time`."""
        return torch.log(ratio / self.low) / math.log(self.high / self.low)


class Additive(Path):
    """z = x + t n, so that the time is the noise level (2206.00364, table 1: sigma(t) = t, s(t) = 1)."""

    ends = (LOW, HIGH)

    def at(self, time: Tensor) -> Level:
        """See `Path.at`."""
        one = torch.ones_like(time)
        return Level(one, time, torch.zeros_like(time), one)

    def time(self, ratio: Tensor) -> Tensor:
        """See `Path.time`."""
        return ratio


PATHS: dict[str, type[Path]] = {
    "straight": Straight,
    "cosine": Cosine,
    "preserving": Preserving,
    "momentum": Momentum,
    "exploding": Exploding,
}


def row(target: Target, level: Level) -> tuple[Tensor, Tensor]:
    """The one table: a target is a x + b n; (a, b), each (B,), at a level."""
    zero, one = torch.zeros_like(level.alpha), torch.ones_like(level.alpha)
    size = torch.sqrt((level.alpha * DEVIATION) ** 2 + level.sigma**2)  # standard deviation of z
    rows = {
        "x": (one, zero),
        "noise": (zero, one),
        "score": (zero, -1 / level.sigma),  # gradient of log p(z | x), 2011.13456, equation 29
        "velocity": (level.dalpha, level.dsigma),  # dz / dt, 2303.08797, equation 2.10
        # What z does not tell: of unit size at every level and uncorrelated with z (2206.00364, equation 8).
        "residual": (-level.sigma / (DEVIATION * size), DEVIATION * level.alpha / size),
    }
    return rows[target]


def convert(prediction: Tensor, z: Tensor, level: Level, have: Target, want: Target) -> Tensor:
    """Prediction (B, ...) of the target `have` at z (B, ...) as one of the target `want`.

    z and the prediction are two equations for x and n; their solution put into the row of `want` is linear in both.
    """
    if have == want:
        return prediction
    (a, b), (c, d) = row(have, level), row(want, level)
    determinant = level.alpha * b - level.sigma * a
    of_z = (c * b - d * a) / determinant
    of_prediction = (level.alpha * d - level.sigma * c) / determinant
    return spread(of_z, z) * z + spread(of_prediction, z) * prediction


@dataclass(frozen=True)
class Noised:
    """Pictures on their way to noise; knows every target.

    Attributes:
        z: (B, C, H, W), the noised pictures. time: (B,). x, noise: what z was made of.
    """

    z: Tensor
    time: Tensor
    x: Tensor
    noise: Tensor
    level: Level

    def target(self, name: Target) -> Tensor:
        """What a perfect network would say, (B, C, H, W)."""
        a, b = row(name, self.level)
        return spread(a, self.x) * self.x + spread(b, self.x) * self.noise


def noised(path: Path, x: Tensor, noise: Tensor, time: Tensor) -> Noised:
    """Pictures x (B, ...) with noise (B, ...) at times (B,)."""
    return mixed(path.at(time), x, noise, time)


def mixed(level: Level, x: Tensor, noise: Tensor, time: Tensor) -> Noised:
    """Pictures x (B, ...) with noise (B, ...) at the level that belongs to times (B,)."""
    z = spread(level.alpha, x) * x + spread(level.sigma, x) * noise
    return Noised(z, time, x, noise, level)


def spread(values: Tensor, like: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, ...), to be multiplied with `like`."""
    return values.view(-1, *(1,) * (like.dim() - 1)).to(like.dtype)

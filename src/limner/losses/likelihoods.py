"""Negative log-likelihoods of pictures in [-1, 1], value by value, and the divergence of a Gaussian code.

All are in nats. Those of densities are of the values in [-1, 1]; the discretised ones are of the 8-bit pictures
behind them, hence comparable as bits per dimension after division by log 2.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 256
_HALF_BIN = 1 / (LEVELS - 1)  # half the distance of neighbouring levels in [-1, 1]


def gaussian(x: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    """-log N(x; mean, sigma^2), of the shape of `x`. With a fixed sigma of sqrt(1/2) it is the squared error."""
    return (x - mean).square() * (-2 * log_sigma).exp() / 2 + log_sigma + math.log(2 * math.pi) / 2


def bernoulli(x: Tensor, logit: Tensor) -> Tensor:
    """Cross-entropy of the brightness (x + 1) / 2 in [0, 1] with sigmoid(logit): a likelihood where x is -1 or 1."""
    return F.softplus(logit) - logit * (x + 1) / 2


def logistic(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """-log of the logistic distribution's mass in the bin of `x` (Salimans et al. 2017, PixelCNN++, eq. 2).

    The outermost bins reach to infinity. With a < b the edges of a bin in units of the scale, sigmoid(b) - sigmoid(a)
    is sigmoid(b) sigmoid(-a) (1 - exp(a - b)), which never cancels.
    """
    low, high = _edges(x, mean, log_scale)
    width = (2 * _HALF_BIN) * (-log_scale).exp()
    inside = F.logsigmoid(high) + F.logsigmoid(-low) + _log1m_exp(width)
    return -torch.where(_darkest(x), F.logsigmoid(high), torch.where(_brightest(x), F.logsigmoid(-low), inside))


def discretised_gaussian(x: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    """-log of a Gaussian's mass in the bin of `x` (Ho et al. 2020, eq. 13); the outermost bins reach to infinity."""
    low, high = _edges(x, mean, log_sigma)
    flipped = low > 0  # the tail on the right is computed as the one on the left, where small numbers are exact
    low, high = torch.where(flipped, -high, low), torch.where(flipped, -low, high)
    log_high = torch.special.log_ndtr(high)
    inside = log_high + _log1m_exp((log_high - torch.special.log_ndtr(low)).clamp_min(1e-7))
    upper, lower = torch.where(flipped, -low, high), torch.where(flipped, -high, low)
    darkest, brightest = torch.special.log_ndtr(upper), torch.special.log_ndtr(-lower)
    return -torch.where(_darkest(x), darkest, torch.where(_brightest(x), brightest, inside))


def kl_to_standard(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of each value (Kingma & Welling 2014, appendix B)."""
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


def kl(mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(other_mean, other_variance)) of each value."""
    apart = (mean - other_mean).square() * (-other_log_variance).exp()
    narrower = log_variance - other_log_variance
    return (apart + narrower.exp() - 1 - narrower) / 2


def gaussian_log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; mean, variance) of each value."""
    return -((z - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi)) / 2


def _edges(x: Tensor, mean: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    inverse = (-log_scale).exp()
    return (x - _HALF_BIN - mean) * inverse, (x + _HALF_BIN - mean) * inverse


def _darkest(x: Tensor) -> Tensor:
    return x < -1 + _HALF_BIN


def _brightest(x: Tensor) -> Tensor:
    return x > 1 - _HALF_BIN


def _log1m_exp(gap: Tensor) -> Tensor:
    """log(1 - exp(-gap)) for gap > 0, exact at both ends."""
    return torch.where(gap > math.log(2), torch.log1p(-(-gap).exp()), torch.log(-torch.expm1(-gap)))

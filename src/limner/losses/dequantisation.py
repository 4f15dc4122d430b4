"""From a density over the continuous space to bits of the 8-bit pictures in it.

The probability of a picture is the integral of the density over its bin, a cube whose side is one grey level. The
density at a point drawn uniformly from the bin, times the cube's volume, gives in expectation of the logarithm a lower
bound of it, by Jensen's inequality (Theis et al. 2016, arXiv 1511.01844, section 3.1).
"""

from __future__ import annotations

import math

from torch import Tensor

from limner.draws import Draws
from limner.losses.likelihoods import LEVELS

WIDTH = 2 / (LEVELS - 1)
"""Of a grey level in [-1, 1]."""

VARIANCE = WIDTH**2 / 12
"""Of a value inside its level: what dequantisation adds to every variance."""


def dequantised(pictures: Tensor, draws: Draws) -> Tensor:
    """Pictures (B, C, H, W) at random places inside their bins."""
    return pictures + WIDTH * (draws.uniform("dequantisation", *pictures.shape[1:]) - 0.5)


def bits(log_density: Tensor, values: int) -> Tensor:
    """Bits per value (B,) of 8-bit pictures of so many values, from log densities (B,) in nats at dequantised ones."""
    return -(log_density / values + math.log(WIDTH)) / math.log(2)

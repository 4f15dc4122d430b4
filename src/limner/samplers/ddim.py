"""DDIM: as far towards the picture as the levels are apart (Song et al. 2020, 2010.02502, equation 12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from limner.noising.discrete import Chain
from limner.noising.paths import convert, spread
from limner.samplers.ddpm import Noise

Clean = Callable[[Tensor, int], Tensor]
"""E[x | z_t] of the shape of z (B, ...), at z and t."""


def ddim(
    clean: Clean, z: Tensor, chain: Chain, times: Sequence[int], noise: Noise, eta: float = 0.0
) -> Iterator[Tensor]:
    """States at `times` but the first. eta 0 adds no noise; eta 1 draws from q(z_s | z_t, x) (equation 16)."""
    for now, then in pairwise(times):
        here, there = chain.at(now, z), chain.at(then, z)
        x = clean(z, now)
        deviation = eta * chain.back(now, then, z).deviation
        kept = (there.sigma.square() - deviation.square()).clamp_min(0).sqrt()
        z = spread(there.alpha, z) * x + spread(kept, z) * convert(x, z, here, "x", "noise")
        if eta and then:
            z = z + spread(deviation, z) * noise(then)
        yield z

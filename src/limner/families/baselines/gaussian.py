"""One Gaussian over all pixels at once, with its full covariance.

The covariance is shrunk towards a multiple of the identity by Ledoit & Wolf 2004, so that it is a good one however few
the pictures are. Of large pictures the leading axes are kept (`limner.nn.principal`), isotropic noise is
the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta
from torch import Tensor

from limner.api import Condition
from limner.config import Fraction, Options
from limner.draws import Draws
from limner.families.baselines.closed_form import OfMoments
from limner.losses.dequantisation import VARIANCE
from limner.nn.gathering import Sums, groups_of
from limner.nn.principal import Spectrum, shrinkage, spectrum


class GaussianConfig(Options):
    """How the covariance is fitted.

    Attributes:
        shrinkage: share of it that is replaced by its mean variance in every direction; 0 is maximum likelihood.
    """

    shrinkage: Fraction | Literal["ledoit-wolf"] = "ledoit-wolf"


class GaussianSampling(Options):
    """How pictures are drawn.

    Attributes:
        temperature: deviation of the noise; below 1 pictures are nearer to the mean.
    """

    temperature: Annotated[float, Meta(gt=0)] = 1.0


class Gaussian(OfMoments):
    """A Gaussian over all pictures, and one a value of the first attribute; all axes with their variances."""

    Config, Sampling = GaussianConfig, GaussianSampling

    def fit(self, sums: Sums) -> tuple[Spectrum, Tensor, Tensor]:
        """See `OfMoments`."""
        known = spectrum(sums)
        share = self.config.shrinkage
        share = shrinkage(sums, known) if isinstance(share, str) else share
        floor = share * known.trace / len(known.mean) + VARIANCE
        return known, (1 - share) * known.values + floor, (1 - share) * known.rest(len(known.values)) + floor

    def paint(self, draws: Draws, condition: Condition, options: GaussianSampling) -> Iterator[Tensor]:
        """The mean plus correlated noise; white noise before any picture was seen."""
        noise = options.temperature * draws.normal("noise", self.size)
        pictures = self.gaussians.paint(noise, groups_of(condition.labels, draws.size, self.device))
        yield pictures.view(-1, *self.spec.shape).clamp(-1.0, 1.0)

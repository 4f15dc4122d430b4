"""One Gaussian over all pixels at once, with its full covariance.

The covariance is shrunk towards a multiple of the identity by Ledoit & Wolf 2004, so that it is a good one however few
the pictures are. Of large pictures the leading axes are kept (`limner.nn.principal`), isotropic noise is
the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta
from torch import Tensor

from limner import api
from limner.api import Batch, Condition, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Fraction, Options
from limner.draws import Draws
from limner.errors import UserError
from limner.losses.dequantisation import VARIANCE, bits, dequantised
from limner.nn.gathering import Moments, columns_for, groups_of, looked_at
from limner.nn.principal import Ellipsoids, Spectrum, shrinkage, spectrum


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


class Gaussian(api.Generator, api.Conditions, api.Scores):
    """A Gaussian over all pictures, and one a value of the first attribute."""

    Config, Sampling = GaussianConfig, GaussianSampling
    passes: ClassVar[int | None] = 1
    exact: ClassVar[bool] = False

    def __init__(self, config: GaussianConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, msgspec.structs.replace(spec, attributes=spec.attributes[:1])
        size, groups = math.prod(spec.shape), 1 + len(spec.classes)
        self.sums = Moments(size, groups, columns_for(size, groups))
        self.gaussians = Ellipsoids()

    @classmethod
    def check(cls, config: GaussianConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        if columns_for(math.prod(spec.shape), 1 + len(spec.classes)) < min(8, math.prod(spec.shape)):
            classes = f" in {len(spec.classes)} classes" if spec.classes else ""
            raise UserError(f"{spec} pictures{classes} have too large a covariance for gaussian: take a smaller --size")

    def stages(self) -> tuple[Stage, ...]:
        """One look at every picture."""
        return (Stage("look", (Phase("look", (), self.look, None),)),)

    def look(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Adds up the moments of the pictures that were not shown before."""
        self.sums.add_new(*looked_at(batch.pictures, batch.labels, batch.epoch))
        return {}

    def finish(self) -> None:
        """All axes with their variances: of everything, then of each class."""
        if not self.sums.begun:
            return
        fits = [self._fitted(group) for group in (None, *range(1, self.sums.groups))]
        self.gaussians.fit(*(list(each) for each in zip(*fits, strict=True)))
        self.sums.empty()

    def _fitted(self, group: int | None) -> tuple[Spectrum, Tensor, Tensor]:
        """(axes, variances along them, variance elsewhere); of all pictures where a class has fewer than two."""
        sums = self.sums.sums(group)
        if group is not None and sums.count < 2:
            return self._fitted(None)
        known = spectrum(sums)
        share = self.config.shrinkage
        share = shrinkage(sums, known) if isinstance(share, str) else share
        floor = share * known.trace / len(known.mean) + VARIANCE
        return known, (1 - share) * known.values + floor, (1 - share) * known.rest(len(known.values)) + floor

    def paint(self, draws: Draws, condition: Condition, options: GaussianSampling) -> Iterator[Tensor]:
        """The mean plus correlated noise; white noise before any picture was seen."""
        noise = options.temperature * draws.normal("noise", math.prod(self.spec.shape))
        pictures = self.gaussians.paint(noise, groups_of(condition.labels, draws.size, self.device))
        yield pictures.view(-1, *self.spec.shape).clamp(-1.0, 1.0)

    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) of the 8-bit pictures under the Gaussian of all pictures, see `limner.losses.dequantisation`."""
        return bits(self.log_density(dequantised(pictures, draws)), math.prod(self.spec.shape)).to(pictures.dtype)

    def log_density(self, pictures: Tensor, group: int = 0) -> Tensor:
        """log p(x) (B,) in nats of pictures (B, C, H, W) in [-1, 1]; `group` 0 is all, k + 1 is class k."""
        x = pictures.flatten(1)
        if not self.gaussians.known:
            return -(x.double().square() + math.log(2 * math.pi)).sum(1) / 2
        return self.gaussians.log_density(x, group)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Bits per dimension."""
        return {"bits per dimension": self.bits_per_dimension(batch.pictures, batch.draws).mean()}

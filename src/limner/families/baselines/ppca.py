"""Probabilistic principal components: a few codes, linear pictures, isotropic noise.

Tipping & Bishop 1999, "Probabilistic principal component analysis", J. R. Statist. Soc. B 61(3). Maximum likelihood in
closed form: x = W z + mean + noise with z from N(0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from limner import api
from limner.api import Batch, Condition, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Options, Positive, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.losses.dequantisation import VARIANCE, bits, dequantised
from limner.nn.gathering import Moments, columns_for, groups_of, looked_at
from limner.nn.principal import Ellipsoids, Spectrum, spectrum


class PPCAConfig(Options):
    """How much of a picture is said by its code.

    Attributes:
        components: values of a code; fewer where pictures have not that many or are so large that fewer axes fit.
    """

    components: Positive = 64


class PPCASampling(Options):
    """How pictures are drawn.

    Attributes:
        temperature: deviation of the noise that codes are made of; below 1 pictures are nearer to the mean.
        grain: deviation of the isotropic noise, 1 as the model has it, 0 for the mean picture of each code.
    """

    temperature: Annotated[float, Meta(gt=0)] = 1.0
    grain: Size = 0.0


class PPCA(api.Generator, api.Conditions, api.Encodes, api.Scores):
    """Principal components of all pictures, and of each value of the first attribute."""

    Config, Sampling = PPCAConfig, PPCASampling
    passes: ClassVar[int | None] = 1
    exact: ClassVar[bool] = False

    def __init__(self, config: PPCAConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, msgspec.structs.replace(spec, attributes=spec.attributes[:1])
        size, groups = math.prod(spec.shape), 1 + len(spec.classes)
        columns = columns_for(size, groups)
        # Of a covariance that is not kept whole, the better two thirds of the axes are good.
        self.components = min(config.components, size - 1 if columns == size else max(1, 2 * columns // 3))
        self.sums = Moments(size, groups, columns)
        self.gaussians = Ellipsoids()

    @classmethod
    def check(cls, config: PPCAConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        size = math.prod(spec.shape)
        if size < 2:
            raise UserError("ppca needs at least two values a picture: take gaussian")
        if columns_for(size, 1 + len(spec.classes)) < min(8, size):
            classes = f" in {len(spec.classes)} classes" if spec.classes else ""
            raise UserError(f"{spec} pictures{classes} have too large a covariance for ppca: take a smaller --size")

    def stages(self) -> tuple[Stage, ...]:
        """One look at every picture."""
        return (Stage("look", (Phase("look", (), self.look, None),)),)

    def look(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Adds up the moments of the pictures that were not shown before."""
        self.sums.add_new(*looked_at(batch.pictures, batch.labels, batch.epoch))
        return {}

    def finish(self) -> None:
        """The leading axes, and the mean variance of what they leave (section 3.2, eq. 7 and 8)."""
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
        rest = known.rest(self.components) + VARIANCE
        return known, (known.values[: self.components] + VARIANCE).clamp_min(rest), rest

    # Codes. With V the axes, L the variances along them and s the rest, W = V (L - s)^(1/2).

    def encode(self, pictures: Tensor, condition: Condition | None = None) -> Tensor:
        """Posterior means (B, components) of codes, (W'W + s)^-1 W'(x - mean) (section 3.3)."""
        x = pictures.flatten(1)
        if not self.gaussians.known:
            return x.new_zeros(len(x), self.components)
        return self._by_group(x, condition, lambda x, group: self.gaussians.project(x, group) * self._gain(group)[1])

    def decode(self, codes: Tensor, condition: Condition | None = None) -> Tensor:
        """Mean pictures (B, C, H, W) of codes (B, components): W z + mean."""
        if not self.gaussians.known:
            return codes.new_zeros(len(codes), *self.spec.shape)
        return self._lifted(codes, condition).clamp(-1.0, 1.0)

    def _lifted(self, codes: Tensor, condition: Condition | None) -> Tensor:
        x = self._by_group(codes, condition, lambda z, group: self.gaussians.lift(z * self._gain(group)[0], group))
        return x.view(-1, *self.spec.shape)

    def _gain(self, group: int) -> tuple[Tensor, Tensor]:
        """(from a code to coordinates along the axes, from coordinates to the mean code), (q,) each."""
        values, rest = self.gaussians.get_buffer("values")[group], self.gaussians.get_buffer("rest")[group]
        scale = (values - rest).clamp_min(0.0).sqrt()
        return scale, scale / values

    def _by_group(self, rows: Tensor, condition: Condition | None, how: Callable[[Tensor, int], Tensor]) -> Tensor:
        group = groups_of(condition.labels if condition else None, len(rows), rows.device)
        found = how(rows, 0)
        for number in group[group > 0].unique().tolist():
            found = torch.where((group == number)[:, None], how(rows, number), found)
        return found.to(rows.dtype)

    def paint(self, draws: Draws, condition: Condition, options: PPCASampling) -> Iterator[Tensor]:
        """A code's picture, and grain where it is asked for; white noise before any picture was seen."""
        code = options.temperature * draws.normal("code", self.components)
        grain = options.grain * draws.normal("grain", *self.spec.shape)
        if not self.gaussians.known:
            yield draws.normal("noise", *self.spec.shape).clamp(-1.0, 1.0)
            return
        pictures = self._lifted(code, condition)
        if options.grain:
            deviation = self.gaussians.get_buffer("rest").sqrt()
            group = groups_of(condition.labels, draws.size, self.device)
            pictures = pictures + grain * deviation[group].to(grain.dtype).view(-1, 1, 1, 1)
        yield pictures.clamp(-1.0, 1.0)

    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) of the 8-bit pictures under the components of all, see `limner.losses.dequantisation`."""
        return bits(self.log_density(dequantised(pictures, draws)), math.prod(self.spec.shape)).to(pictures.dtype)

    def log_density(self, pictures: Tensor, group: int = 0) -> Tensor:
        """log p(x) (B,) in nats of pictures (B, C, H, W) in [-1, 1]: N(mean, W W' + s); `group` k + 1 is class k."""
        x = pictures.flatten(1)
        if not self.gaussians.known:
            return -(x.double().square() + math.log(2 * math.pi)).sum(1) / 2
        return self.gaussians.log_density(x, group)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error of reconstructions, and bits per dimension."""
        again = self.decode(self.encode(batch.pictures))
        error = (again - batch.pictures).square().mean()
        bits_ = self.bits_per_dimension(batch.pictures, batch.draws).mean()
        return {"reconstruction error": error, "bits per dimension": bits_}

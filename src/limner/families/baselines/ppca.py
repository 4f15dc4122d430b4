"""Probabilistic principal components: a few codes, linear pictures, isotropic noise.

Tipping & Bishop 1999, "Probabilistic principal component analysis", J. R. Statist. Soc. B 61(3). Maximum likelihood in
closed form: x = W z + mean + noise with z from N(0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from limner import api
from limner.api import Batch, Condition, Spec
from limner.config import Options, Positive, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.families.baselines.closed_form import OfMoments
from limner.losses.dequantisation import VARIANCE
from limner.nn.gathering import Sums, groups_of
from limner.nn.principal import Spectrum, spectrum


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


class PPCA(OfMoments, api.Encodes):
    """Principal components of all pictures, and of each value of the first attribute."""

    Config, Sampling = PPCAConfig, PPCASampling

    def __init__(self, config: PPCAConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        size, columns = self.size, self.sums.columns
        # Of a covariance that is not kept whole, the better two thirds of the axes are good.
        self.components = min(config.components, size - 1 if columns == size else max(1, 2 * columns // 3))

    @classmethod
    def check(cls, config: Options, spec: Spec) -> None:
        """See `Generator.check`."""
        if math.prod(spec.shape) < 2:
            raise UserError("ppca needs at least two values a picture: take gaussian")
        super().check(config, spec)

    def fit(self, sums: Sums) -> tuple[Spectrum, Tensor, Tensor]:
        """The leading axes, and the mean variance of what they leave (section 3.2, eq. 7 and 8)."""
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
            yield self.unseen(draws)
            return
        pictures = self._lifted(code, condition)
        if options.grain:
            deviation = self.gaussians.get_buffer("rest").sqrt()
            group = groups_of(condition.labels, draws.size, self.device)
            pictures = pictures + grain * deviation[group].to(grain.dtype).view(-1, 1, 1, 1)
        yield pictures.clamp(-1.0, 1.0)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error of reconstructions, and bits per dimension."""
        again = self.decode(self.encode(batch.pictures))
        error = (again - batch.pictures).square().mean()
        return {"reconstruction error": error, **super().probe(batch)}

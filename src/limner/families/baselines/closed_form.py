"""What generators in closed form share: they look at every picture, add up what they see, and are solved at the end.

They know the values of the first attribute: group 0 is all pictures, k + 1 is value k.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

import msgspec
from torch import Tensor

from limner import api
from limner.api import Batch, Condition, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Options
from limner.draws import Draws
from limner.errors import UserError
from limner.losses.dequantisation import VARIANCE, bits, dequantised
from limner.nn.codes import PrincipalCodes
from limner.nn.gathering import Moments, Sums, columns_for, groups_of, looked_at
from limner.nn.principal import Ellipsoids, Spectrum


class ClosedForm(api.Generator, api.Conditions):
    """Looks at every picture.

    Attributes:
        size: values of a picture. groups: all pictures, and each value of the first attribute.
    """

    passes: ClassVar[int | None] = 1

    def __init__(self, config: Any, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, msgspec.structs.replace(spec, attributes=spec.attributes[:1])
        self.size, self.groups = math.prod(spec.shape), 1 + len(spec.classes)

    def stages(self) -> tuple[Stage, ...]:
        """One phase that looks."""
        return (Stage("look", (Phase("look", (), self.look, None),)),)

    @abstractmethod
    def look(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Takes in a batch."""

    def unseen(self, draws: Draws) -> Tensor:
        """White noise (B, C, H, W): what is painted before any picture was seen."""
        return draws.normal("noise", *self.spec.shape).clamp(-1.0, 1.0)


class Density(ClosedForm, api.Scores):
    """Says how likely a picture is."""

    exact: ClassVar[bool] = False

    @property
    @abstractmethod
    def fitted(self) -> bool:
        """Whether the density is known."""

    @abstractmethod
    def density(self, x: Tensor, group: int) -> Tensor:
        """log p (B,) in nats of vectors (B, size) under a group's fit."""

    def log_density(self, pictures: Tensor, group: int = 0) -> Tensor:
        """log p(x) (B,) in nats of pictures (B, C, H, W) in [-1, 1]; white noise's before any picture was seen."""
        x = pictures.flatten(1)
        return self.density(x, group) if self.fitted else -(x.double().square() + math.log(2 * math.pi)).sum(1) / 2

    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) of the 8-bit pictures under the density of all, see `limner.losses.dequantisation`."""
        return bits(self.log_density(dequantised(pictures, draws)), self.size).to(pictures.dtype)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Bits per dimension."""
        return {"bits per dimension": self.bits_per_dimension(batch.pictures, batch.draws).mean()}


class OfMoments(Density):
    """A Gaussian a group, of means and covariances that are added up."""

    def __init__(self, config: Any, spec: Spec) -> None:
        super().__init__(config, spec)
        self.sums = Moments(self.size, self.groups, columns_for(self.size, self.groups))
        self.gaussians = Ellipsoids()

    @classmethod
    def check(cls, config: Options, spec: Spec) -> None:
        """See `Generator.check`."""
        size = math.prod(spec.shape)
        if columns_for(size, 1 + len(spec.classes)) < min(8, size):
            classes, name = f" in {len(spec.classes)} classes" if spec.classes else "", cls.__name__.lower()
            raise UserError(f"{spec} pictures{classes} have too large a covariance for {name}: take a smaller --size")

    @abstractmethod
    def fit(self, sums: Sums) -> tuple[Spectrum, Tensor, Tensor]:
        """(axes, variances along them, variance elsewhere)."""

    @property
    def fitted(self) -> bool:
        """See `Density`."""
        return self.gaussians.known

    def look(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Adds up the moments of the pictures that were not shown before."""
        self.sums.add_new(*looked_at(batch.pictures, batch.labels, batch.epoch))
        return {}

    def finish(self) -> None:
        """Of everything, then of each class; that of all pictures where a class has fewer than two."""
        if not self.sums.begun:
            return
        every = [self.sums.sums(group) for group in (None, *range(1, self.groups))]
        fits = [self.fit(sums if sums.count >= 2 else every[0]) for sums in every]
        self.gaussians.fit(*(list(each) for each in zip(*fits, strict=True)))
        self.sums.empty()

    def density(self, x: Tensor, group: int) -> Tensor:
        """See `Density`."""
        return self.gaussians.log_density(x, group)


class OfCodes(Protocol):
    """A density of codes: what `Coded` paints and judges pictures by."""

    @property
    def known(self) -> bool: ...  # noqa: D102

    def draw(self, where: Tensor, noise: Tensor, group: Tensor) -> Tensor: ...  # noqa: D102

    def log_density(self, codes: Tensor, group: int) -> Tensor: ...  # noqa: D102


class Coded(Density):
    """A density of the coordinates along the principal axes of all pictures.

    Attributes:
        choice: the name under which the number is drawn that says where a code lies.
    """

    passes: ClassVar[int | None] = 2
    choice: ClassVar[str]

    def __init__(self, config: Any, spec: Spec) -> None:
        super().__init__(config, spec)
        self.codes = PrincipalCodes(self.size, config.components, config.pictures, VARIANCE)

    @classmethod
    def check(cls, config: Options, spec: Spec) -> None:
        """See `Generator.check`."""
        if columns_for(math.prod(spec.shape), 1) < min(8, math.prod(spec.shape)):
            what = f"the principal components of {cls.__name__.lower()}"
            raise UserError(f"{spec} pictures are too large for {what}: take a smaller --size")

    @property
    @abstractmethod
    def of_codes(self) -> OfCodes:
        """The density of codes."""

    @property
    def fitted(self) -> bool:
        """See `Density`."""
        return self.of_codes.known

    def look(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """The first pass gives the axes, the second the codes."""
        self.codes.look(*looked_at(batch.pictures, batch.labels, batch.epoch), progress.fraction)
        return {}

    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        """A code that is drawn, and its picture; white noise before any picture was seen."""
        where, noise = draws.even(self.choice)[:, None], options.temperature * draws.normal("code", self.codes.width)
        grain = options.grain * draws.normal("grain", self.size)
        if not self.fitted:
            yield self.unseen(draws)
            return
        codes = self.of_codes.draw(where, noise, groups_of(condition.labels, draws.size, self.device))
        pictures = self.codes.frame.lift(codes, 0, grain).to(draws.dtype)
        yield pictures.view(-1, *self.spec.shape).clamp(-1.0, 1.0)

    def density(self, x: Tensor, group: int) -> Tensor:
        """See `Density`."""
        codes = self.codes.frame.project(x)
        return self.of_codes.log_density(codes, group) + self.codes.frame.outside(x, codes)

"""Kernel density: a Gaussian around every picture, in the space of the leading principal components.

Rosenblatt 1956; Parzen 1962. The bandwidth is the one under which each picture is likeliest given all the others
(Duin 1976, "On the choice of smoothing parameters for Parzen estimators of probability density functions"). It is the
density that scikit-learn's `KernelDensity` gives, computed for many pictures and bandwidths at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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
from limner.nn.codes import PrincipalCodes
from limner.nn.gathering import Gathering, columns_for, groups_of, looked_at

AT_ONCE = 4_000_000
"""Distances that are held at a time."""


class KDEConfig(Options):
    """The kernels.

    Attributes:
        components: principal components that they live in; pictures of so many values or fewer are taken whole.
        pictures: how many, drawn at random, have a kernel.
        bandwidth: deviation of a kernel in units of [-1, 1]; not given: by held-out likelihood.
        judges: pictures that are held out, one by one, to judge a bandwidth.
    """

    components: Positive = 64
    pictures: Positive = 50_000
    bandwidth: Annotated[float, Meta(gt=0)] | None = None
    judges: Positive = 100


class KDESampling(Options):
    """How pictures are drawn.

    Attributes:
        temperature: deviation of the noise around a picture in units of the bandwidth; 0 gives smoothed ones.
        grain: deviation of the isotropic noise outside the principal components, 1 as the model has it.
    """

    temperature: Size = 1.0
    grain: Size = 0.0


class Kernels(Gathering):
    """Codes (N, r), those of a group side by side; first (G,) and count (G,) of each group, bandwidths (G,)."""

    def __init__(self) -> None:
        super().__init__()
        self.hold("codes", torch.float32)
        self.hold("first", torch.int64)
        self.hold("count", torch.int64)
        self.hold("bandwidth", torch.float64)

    @property
    def known(self) -> bool:
        """Whether there are any."""
        return self.get_buffer("codes").numel() > 0

    def fit(self, codes: Tensor, group: Tensor, groups: int) -> None:
        """Take over codes (N, r) of groups (N,); group 0 is everything, whatever it holds itself."""
        order = group.argsort(stable=True)
        counts = torch.bincount(group, minlength=groups)
        first = counts.cumsum(0) - counts
        first[0], counts[0] = 0, len(codes)
        empty = counts == 0
        first[empty], counts[empty] = 0, len(codes)
        self.put(codes=codes[order], first=first, count=counts, bandwidth=torch.ones(groups))

    def of(self, group: int) -> Tensor:
        """Codes (n, r) of a group."""
        first, count = (int(self.get_buffer(name)[group]) for name in ("first", "count"))
        return self.get_buffer("codes")[first : first + count]

    def draw(self, where: Tensor, noise: Tensor, group: Tensor) -> Tensor:
        """Codes (B, r): the kernel that a uniform number (B, 1) falls on, plus normal noise (B, r)."""
        first, count, bandwidth = (self.get_buffer(name)[group] for name in ("first", "count", "bandwidth"))
        place = (where[:, 0].double() * count).long().minimum(count - 1)
        return self.get_buffer("codes")[first + place].double() + bandwidth[:, None] * noise.double()

    def log_density(self, codes: Tensor, group: int) -> Tensor:
        """log p (B,) in nats of codes (B, r)."""
        bandwidth = float(self.get_buffer("bandwidth")[group])
        kernels = self.of(group).double()
        parts = codes.split(max(1, AT_ONCE // len(kernels)))
        return torch.cat([log_kernels(squares(part, kernels), bandwidth, codes.shape[1]) for part in parts])


class KDE(api.Generator, api.Conditions, api.Scores):
    """Kernels around all pictures; a label leaves those of its class."""

    Config, Sampling = KDEConfig, KDESampling
    passes: ClassVar[int | None] = 2
    exact: ClassVar[bool] = False

    def __init__(self, config: KDEConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, msgspec.structs.replace(spec, attributes=spec.attributes[:1])
        self.groups = 1 + len(spec.classes)
        self.codes = PrincipalCodes(math.prod(spec.shape), config.components, config.pictures, VARIANCE)
        self.kernels = Kernels()

    @classmethod
    def check(cls, config: KDEConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        if columns_for(math.prod(spec.shape), 1) < min(8, math.prod(spec.shape)):
            raise UserError(f"{spec} pictures are too large for the principal components of kde: take a smaller --size")

    def stages(self) -> tuple[Stage, ...]:
        """Two looks at every picture."""
        return (Stage("look", (Phase("look", (), self.look, None),)),)

    def look(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """The first pass gives the axes, the second the codes."""
        self.codes.look(*looked_at(batch.pictures, batch.labels, batch.epoch), progress.fraction)
        return {}

    def finish(self) -> None:
        """Kernels around the codes, around the mean where there are none; then a bandwidth for each class."""
        self.codes.solve()
        rows = self.codes.rows
        if not self.codes.frame.known or (self.kernels.known and not len(rows)):
            return
        if not len(rows):
            rows.add(torch.zeros(1, self.codes.width), torch.zeros(1, dtype=torch.int64))
        self.kernels.fit(rows.of(), rows.get_buffer("group"), self.groups)
        rows.empty()
        bandwidths = [self._bandwidth(group) for group in range(self.groups)]
        self.kernels.put(bandwidth=torch.tensor(bandwidths, dtype=torch.float64))

    def _bandwidth(self, group: int) -> float:
        if self.config.bandwidth is not None:
            return self.config.bandwidth
        kernels = self.kernels.of(group)
        widest = float(self.codes.frame.get_buffer("values")[0].mean().sqrt())
        if len(kernels) < 3:
            return widest
        narrowest = min(math.sqrt(VARIANCE), widest / 2)
        # Judges come from all over the kernels, which lie side by side by class.
        judges = torch.linspace(0, len(kernels) - 1, min(self.config.judges, len(kernels))).long().unique()
        apart = squares(kernels[judges], kernels)
        apart[torch.arange(len(judges)), judges] = torch.inf
        low, high = math.log(narrowest), math.log(widest)
        for _ in range(3):
            tried = torch.linspace(low, high, 8).exp().tolist()
            judged = [float(log_kernels(apart, each, kernels.shape[1]).mean()) for each in tried]
            best = max(range(len(tried)), key=judged.__getitem__)
            low, high = (math.log(tried[max(best - 1, 0)]), math.log(tried[min(best + 1, len(tried) - 1)]))
        return tried[best]

    def paint(self, draws: Draws, condition: Condition, options: KDESampling) -> Iterator[Tensor]:
        """A picture's code, shaken; white noise before any picture was seen."""
        where, noise = draws.uniform("kernel", 1), options.temperature * draws.normal("code", self.codes.width)
        grain = options.grain * draws.normal("grain", math.prod(self.spec.shape))
        if not self.kernels.known:
            yield draws.normal("noise", *self.spec.shape).clamp(-1.0, 1.0)
            return
        codes = self.kernels.draw(where, noise, groups_of(condition.labels, draws.size, self.device))
        pictures = self.codes.frame.lift(codes, 0, grain).to(draws.dtype)
        yield pictures.view(-1, *self.spec.shape).clamp(-1.0, 1.0)

    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) of the 8-bit pictures under the kernels of all, see `limner.losses.dequantisation`."""
        return bits(self.log_density(dequantised(pictures, draws)), math.prod(self.spec.shape)).to(pictures.dtype)

    def log_density(self, pictures: Tensor, group: int = 0) -> Tensor:
        """log p(x) (B,) in nats of pictures (B, C, H, W) in [-1, 1]; `group` 0 is all, k + 1 is class k."""
        x = pictures.flatten(1)
        if not self.kernels.known:
            return -(x.double().square() + math.log(2 * math.pi)).sum(1) / 2
        codes = self.codes.frame.project(x)
        return self.kernels.log_density(codes, group) + self.codes.frame.outside(x, codes)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Bits per dimension."""
        return {"bits per dimension": self.bits_per_dimension(batch.pictures, batch.draws).mean()}


def squares(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances (A, B) between codes (A, r) and (B, r)."""
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp_min_(0.0)


def log_kernels(apart: Tensor, bandwidth: float, size: int) -> Tensor:
    """log of the mean of Gaussian kernels (A,) at squared distances (A, N); infinite ones are left out."""
    count = torch.isfinite(apart).sum(1)
    scale = size * math.log(2 * math.pi * bandwidth**2) / 2
    return torch.logsumexp(apart / (-2 * bandwidth**2), 1) - count.log() - scale

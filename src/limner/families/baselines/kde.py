"""Kernel density: a Gaussian around every picture, in the space of the leading principal components.

Rosenblatt 1956; Parzen 1962. The bandwidth is the one under which each picture is likeliest given all the others
(Duin 1976, "On the choice of smoothing parameters for Parzen estimators of probability density functions"). It is the
density that scikit-learn's `KernelDensity` gives, computed for many pictures and bandwidths at a time.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from limner.api import Spec
from limner.config import Options, Positive, Size
from limner.families.baselines.closed_form import Coded
from limner.losses.dequantisation import VARIANCE
from limner.nn.gathering import Gathering

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


class KDE(Coded):
    """Kernels around all pictures; a label leaves those of its class."""

    Config, Sampling = KDEConfig, KDESampling
    choice = "kernel"

    def __init__(self, config: KDEConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.kernels = Kernels()

    @property
    def of_codes(self) -> Kernels:
        """See `Coded`."""
        return self.kernels

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


def squares(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances (A, B) between codes (A, r) and (B, r)."""
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp_min_(0.0)


def log_kernels(apart: Tensor, bandwidth: float, size: int) -> Tensor:
    """log of the mean of Gaussian kernels (A,) at squared distances (A, N); infinite ones are left out."""
    count = torch.isfinite(apart).sum(1)
    scale = size * math.log(2 * math.pi * bandwidth**2) / 2
    return torch.logsumexp(apart / (-2 * bandwidth**2), 1) - count.log() - scale

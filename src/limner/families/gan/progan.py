"""Networks that grow.

Karras, Aila, Laine & Lehtinen 2018, "Progressive growing of GANs for improved quality, stability, and variation",
arXiv 1710.10196: training begins with small pictures; each stage doubles their sides, and what is new fades in (figure
2). Equalised learning rates, in G each pixel's features normalised, in D the standard deviation among pictures.

Different from the paper: pictures end in tanh, so that they stay in range whatever fades.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan import conditioning, config
from limner.families.gan.config import Architecture, GANConfig
from limner.families.gan.critic import Critic as Judge
from limner.nn.conv import channels, cropped, padded, pyramid
from limner.nn.equalised import GAIN, EqualisedConv2d, EqualisedLinear, Leaky, fall, unit
from limner.nn.norm import norm
from limner.nn.resample import Downsample, upsampled

COARSEST = 8
"""Sides of the first stage's pictures are up to twice this."""

FADES = 0.5
"""Share of a stage in which what is new fades in."""


class Growth(nn.Module):
    """How far a network has grown: its level, and how much of that level's own features counts, from 0 to 1.

    Kept with the weights, so that what is loaded paints as large as it had learnt to.
    """

    grown: Tensor

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        self.start, self.levels = pyramid(spec.height, spec.width, config.coarsest or COARSEST)
        self.size = spec.height, spec.width
        self.widths = channels(config.width, config.widest, self.levels)[::-1]  # from the coarsest to the finest
        self.register_buffer("grown", torch.tensor([0.0, 1.0]))

    def grow(self, level: int, fraction: float) -> None:
        """Be at `level` (0 to levels), of whose stage a `fraction` is over."""
        share = 1.0 if level == 0 else min(1.0, fraction / FADES)
        self.grown.copy_(torch.tensor([float(level), share]))

    @property
    def now(self) -> tuple[int, float]:
        """(level, share)."""
        if self.grown.is_meta:  # where nothing is known, all is there
            return self.levels, 1.0
        level, share = self.grown.tolist()
        return int(level), share

    def shape(self, level: int) -> tuple[int, int]:
        """Of the features of a level."""
        return self.start[0] * 2**level, self.start[1] * 2**level

    def shown(self, level: int) -> tuple[int, int]:
        """Of the pictures of a level: the sides halved so often, rounded up."""
        step = 2 ** (self.levels - level)
        return -(-self.size[0] // step), -(-self.size[1] // step)


class Painter(config.Painter):
    """G: a latent (B, latent) and labels (B, A) to pictures (B, C, H, W) in [-1, 1].

    In training pictures have the size of the stage; otherwise the set's own, pixels repeated.
    """

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        self.growth = growth = Growth(config, spec)
        kind, widths, start = config.generator_norm or "pixel", growth.widths, growth.start
        self.wanted = (config.latent,)
        self.labels = conditioning.painter_table(config, spec)
        given = config.latent + (config.embedding if self.labels else 0)
        self.project = nn.Sequential(
            EqualisedLinear(given, widths[0] * start[0] * start[1], gain=GAIN / 4),
            nn.Unflatten(1, (widths[0], *start)),
            Leaky(),
            norm(kind, widths[0]),
        )

        def layer(before: int, after: int) -> list[nn.Module]:
            return [EqualisedConv2d(before, after, 3), Leaky(), norm(kind, after)]

        self.levels = nn.ModuleList([nn.Sequential(*layer(widths[0], widths[0]))])
        for before, after in zip(widths, widths[1:], strict=False):
            self.levels.append(nn.Sequential(*layer(before, after), *layer(after, after)))
        self.colours = nn.ModuleList(EqualisedConv2d(width, spec.channels, 1) for width in widths)

    def grow(self, level: int, fraction: float) -> None:
        """See `Growth.grow`."""
        self.growth.grow(level, fraction)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent)."""
        level, share = self.growth.now
        x = self.levels[0](self.project(conditioning.joined(unit(z), labels, self.labels)))
        before = x
        for finer in self.levels[1 : level + 1]:
            before, x = x, finer(upsampled(x, "nearest"))
        colours = self.colours[level](x)
        if share < 1:
            colours = torch.lerp(upsampled(self.colours[level - 1](before), "nearest"), colours, share)
        pictures = torch.tanh(colours)
        if self.training:
            return cropped(pictures, *self.growth.shown(level))
        whole = self.growth.shape(self.growth.levels)
        return cropped(F.interpolate(pictures, size=whole, mode="nearest"), *self.growth.size)


class Critic(Judge):
    """D: pictures (B, C, H, W) and labels (B, A) to logits (B,); pictures larger than its level are made smaller."""

    minibatch = "deviation"

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        self.growth = growth = Growth(config, spec)
        widths, start = growth.widths, growth.start
        self.planes = conditioning.planes_table(config, spec)
        given = spec.channels + (config.embedding if self.planes else 0)
        self.look = nn.ModuleList(nn.Sequential(EqualisedConv2d(given, width, 1), Leaky()) for width in widths)
        halve = Downsample("average")
        self.levels = nn.ModuleList(
            fall(before, after, halve) for after, before in zip(widths, widths[1:], strict=False)
        )
        self.gather = nn.Sequential(
            EqualisedConv2d(widths[0], widths[0], 3),
            Leaky(),
            nn.Flatten(),
            EqualisedLinear(widths[0] * start[0] * start[1], widths[0]),
            Leaky(),
        )
        self.inner = conditioning.projection_table(config, spec, widths[0])
        self.conclude(config, spec, widths[0])
        conditioning.forget(self.inner)

    def grow(self, level: int, fraction: float) -> None:
        """See `Growth.grow`."""
        self.growth.grow(level, fraction)

    def features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """x (B, C, H, W)."""
        level, share = self.growth.now
        shown = self.growth.shown(level)
        if x.shape[-2:] != shown:
            x = F.interpolate(x, size=shown, mode="area")
        x = conditioning.with_planes(padded(x, *self.growth.shape(level)), labels, self.planes)
        y = self.look[level](x)
        if level:
            y = self.levels[level - 1](y)
            if share < 1:
                y = torch.lerp(self.look[level - 1](F.avg_pool2d(x, 2)), y, share)
            for coarser in reversed(self.levels[: level - 1]):
                y = coarser(y)
        found: Tensor = self.gather(y)
        return found


def sizes(config: GANConfig, spec: Spec) -> list[tuple[int, int]]:
    """(height, width) of the pictures of each stage."""
    growth = Growth(config, spec)
    return [growth.shown(level) for level in range(growth.levels + 1)]


NETWORKS = Architecture(
    Painter,
    Critic,
    heeds=("widest", "coarsest"),
    norms=("pixel", "batch", "none"),
    critic_norms=(),
    smallest=8,
    sizes=sizes,
    scaled=True,
)

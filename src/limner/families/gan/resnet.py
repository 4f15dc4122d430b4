"""Networks of residual blocks.

Gulrajani et al. 2017, "Improved training of Wasserstein GANs", arXiv 1704.00028, appendix C: 3x3 convolutions, halving
and doubling inside the blocks, the mean over all places before the critic's last layer. Channels follow the
resolution, as in Brock et al. 2019, so that large pictures stay affordable.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan import conditioning, config
from limner.families.gan.config import Architecture, GANConfig
from limner.nn.conv import channels, cropped, padded, pyramid
from limner.nn.norm import NormName, norm
from limner.nn.resample import Up, up


class Rise(nn.Module):
    """Features (B, before, H, W) to (B, after, 2H, 2W)."""

    def __init__(self, before: int, after: int, way: Up, kind: NormName) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            norm(kind, before),
            nn.ReLU(),
            up(way, before, after),
            norm(kind, after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1),
        )
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W)."""
        # A 1x1 convolution and repeating pixels can be exchanged; this order has a quarter of the work.
        straight = F.interpolate(self.shortcut(x), scale_factor=2.0, mode="nearest")
        return straight + self.layers(x)


class Fall(nn.Module):
    """Features (B, before, H, W) to (B, after, H/2, W/2); `first`: of pictures, which are not cut off at 0."""

    def __init__(self, before: int, after: int, kind: NormName, halve: bool = True, first: bool = False) -> None:
        super().__init__()
        opening: list[nn.Module] = [] if first else [norm(kind, before), nn.ReLU()]
        middle = nn.Identity() if first else norm(kind, after)
        self.layers = nn.Sequential(
            *opening, nn.Conv2d(before, after, 3, 1, 1), middle, nn.ReLU(), nn.Conv2d(after, after, 3, 1, 1)
        )
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)
        self.halve = halve

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W)."""
        if not self.halve:
            return self.shortcut(x) + self.layers(x)
        return self.shortcut(F.avg_pool2d(x, 2)) + F.avg_pool2d(self.layers(x), 2)


class Painter(config.Painter):
    """G: a latent (B, latent) and labels (B, A) to pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        way: Up = config.upsample or "nearest"
        kind = config.generator_norm or "batch"
        self.size, self.wanted = (spec.height, spec.width), (config.latent,)
        self.start, levels = pyramid(*self.size)
        widths = [max(config.width // 2, 8), *channels(config.width, config.widest, levels - 1)][::-1]
        self.labels = conditioning.painter_table(config, spec)
        given = config.latent + (config.embedding if self.labels else 0)
        self.project = nn.Linear(given, widths[0] * math.prod(self.start))
        self.layers = nn.Sequential(
            *(Rise(before, after, way, kind) for before, after in zip(widths, widths[1:], strict=False)),
            norm(kind, widths[-1]),
            nn.ReLU(),
            nn.Conv2d(widths[-1], spec.channels, 3, 1, 1),
        )

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent)."""
        x = self.project(conditioning.joined(z, labels, self.labels)).unflatten(1, (-1, *self.start))
        return cropped(torch.tanh(self.layers(x)), *self.size)


class Critic(nn.Module):
    """D: pictures (B, C, H, W) and labels (B, A) to logits (B,)."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        kind = config.judging_norm("layer")
        start, levels = pyramid(spec.height, spec.width)
        self.padded = start[0] * 2**levels, start[1] * 2**levels
        widths = channels(config.width, config.widest, levels - 1)
        self.first = Fall(spec.channels, widths[0], kind, first=True)
        self.planes = conditioning.planes_table(config, spec)
        joined = [widths[0] + (config.embedding if self.planes else 0), *widths[1:]]
        self.layers = nn.Sequential(
            *(Fall(before, after, kind) for before, after in zip(joined, widths[1:], strict=False)),
            Fall(joined[-1], widths[-1], kind, halve=False),
            nn.ReLU(),
        )
        self.score = nn.Linear(widths[-1], 1, bias=config.judging_bias)
        self.inner = conditioning.projection_table(config, spec, widths[-1])
        conditioning.forget(self.inner)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """x (B, C, H, W)."""
        x = self.first(padded(x, *self.padded))
        x = self.layers(conditioning.with_planes(x, labels, self.planes)).mean((2, 3))
        return conditioning.projected(self.score(x).squeeze(1), x, labels, self.inner)


NETWORKS = Architecture(
    Painter,
    Critic,
    heeds=("widest", "upsample"),
    norms=("batch", "layer", "group", "instance", "rms", "pixel", "none"),
    smallest=8,
)

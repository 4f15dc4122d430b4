"""Networks of residual blocks.

Gulrajani et al. 2017, "Improved training of Wasserstein GANs", arXiv 1704.00028, appendix C: 3x3 convolutions, halving
and doubling inside the blocks, the mean over all places before the critic's last layer. Channels follow the
resolution, as in Brock et al. 2019, so that large pictures stay affordable.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan import conditioning, config
from limner.families.gan.config import PLAIN, Architecture, GANConfig
from limner.families.gan.critic import Critic as Judge
from limner.nn.conditional import through, told_norm
from limner.nn.conv import channels, cropped, padded, pyramid
from limner.nn.resample import Up
from limner.nn.residual import Fall, Rise


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
        self.told = conditioning.norm_table(config, spec)
        told = config.embedding if self.told else 0
        given = config.latent + (config.embedding if self.labels else 0)
        self.project = nn.Linear(given, widths[0] * math.prod(self.start))
        self.layers = nn.Sequential(
            *(Rise(before, after, way, kind, told) for before, after in zip(widths, widths[1:], strict=False)),
            told_norm(kind, widths[-1], told),
            nn.ReLU(),
            nn.Conv2d(widths[-1], spec.channels, 3, 1, 1),
        )

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent)."""
        x = self.project(conditioning.joined(z, labels, self.labels)).unflatten(1, (-1, *self.start))
        told = None if self.told is None else self.told(labels, len(z))
        return cropped(torch.tanh(through(self.layers, x, told)), *self.size)


class Critic(Judge):
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
        self.conclude(config, spec, widths[-1])
        self.inner = conditioning.projection_table(config, spec, widths[-1])
        conditioning.forget(self.inner)

    def features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """x (B, C, H, W)."""
        x = self.first(padded(x, *self.padded))
        found: Tensor = self.layers(conditioning.with_planes(x, labels, self.planes)).mean((2, 3))
        return found


NETWORKS = Architecture(
    Painter,
    Critic,
    heeds=("widest", "upsample"),
    norms=("batch", "layer", "group", "instance", "rms", "pixel", "none"),
    smallest=8,
    conditionings=(*PLAIN, "normalisation"),
)

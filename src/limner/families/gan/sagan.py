"""Networks of residual blocks in which places attend to each other.

Zhang, Goodfellow, Metaxas & Odena 2019, "Self-attention generative adversarial networks", arXiv 1805.08318: one layer
of self-attention in either network, batch normalisation that is told the label in G, none in D. With spectral
normalisation of both networks, hinge loss and two learning rates (recipe `sagan`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan import conditioning, config
from limner.families.gan.attentive import AttentiveCritic
from limner.families.gan.config import PLAIN, Architecture, GANConfig
from limner.nn.attention import GatedAttention
from limner.nn.conditional import through, told_norm
from limner.nn.conv import channels, cropped, pyramid
from limner.nn.residual import Rise, attending


class Painter(config.Painter):
    """G: a latent (B, latent) and labels (B, A) to pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        way, kind = config.upsample or "nearest", config.generator_norm or "batch"
        self.size, self.wanted = (spec.height, spec.width), (config.latent,)
        self.patch = config.patch or 1
        self.start, levels = pyramid(*self.size, patch=self.patch)
        widths = channels(config.width, config.widest, levels)[::-1]
        self.labels = conditioning.painter_table(config, spec)
        self.told = conditioning.norm_table(config, spec)
        told = config.embedding if self.told else 0
        given = config.latent + (config.embedding if self.labels else 0)
        self.project = nn.Linear(given, widths[0] * math.prod(self.start))
        layers: list[nn.Module] = []
        attend = attending(self.start, levels)
        for level, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [GatedAttention(before)] if level == attend else []
            layers.append(Rise(before, after, way, kind, told))
        self.layers = nn.Sequential(*layers)
        self.paint = nn.Sequential(
            told_norm(kind, widths[-1], told), nn.ReLU(), nn.Conv2d(widths[-1], spec.channels * self.patch**2, 3, 1, 1)
        )

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent)."""
        x = self.project(conditioning.joined(z, labels, self.labels)).unflatten(1, (-1, *self.start))
        told = None if self.told is None else self.told(labels, len(z))
        x = through(self.paint, through(self.layers, x, told), told)
        return cropped(torch.tanh(F.pixel_shuffle(x, self.patch)), *self.size)


NETWORKS = Architecture(
    Painter,
    AttentiveCritic,
    heeds=("widest", "upsample", "patch"),
    norms=("batch", "layer", "group", "instance", "rms", "pixel", "none"),
    critic_norms=(),
    smallest=8,
    conditionings=(*PLAIN, "normalisation"),
    families=("sagan", "gan"),
)

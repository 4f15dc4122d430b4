"""Networks of residual blocks, each of which is told the label and a part of the latent.

Brock, Donahue & Simonyan 2019, "Large scale GAN training for high fidelity natural image synthesis", arXiv 1809.11096,
section 3 and appendix B: one embedding of labels for all norms of G, which scale and shift by a linear function of it
and of the block's own part of the latent; self-attention; weights that start orthogonal; D by projection.
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
from limner.nn.conditional import ConditionalNorm
from limner.nn.conv import channels, cropped, pyramid
from limner.nn.norm import norm
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
        self.parts = split(config.latent, levels + 1)
        self.labels = conditioning.painter_table(config, spec)
        self.told = conditioning.norm_table(config, spec)
        shared = config.embedding if self.told else 0
        given = self.parts[0] + (config.embedding if self.labels else 0)
        self.project = nn.Linear(given, widths[0] * math.prod(self.start))
        pairs = zip(widths, widths[1:], self.parts[1:], strict=False)
        self.rises = nn.ModuleList(Rise(before, after, way, kind, shared + part) for before, after, part in pairs)
        self.attend = attending(self.start, levels)
        self.attention = GatedAttention(widths[self.attend])
        colours = spec.channels * self.patch**2
        self.paint = nn.Sequential(norm(kind, widths[-1]), nn.ReLU(), nn.Conv2d(widths[-1], colours, 3, 1, 1))
        orthogonal(self)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent)."""
        first, *parts = z.split(self.parts, 1)
        x = self.project(conditioning.joined(first, labels, self.labels)).unflatten(1, (-1, *self.start))
        shared = None if self.told is None else self.told(labels, len(z))  # (B, E)
        for level, (rise, part) in enumerate(zip(self.rises, parts, strict=True)):
            if level == self.attend:
                x = self.attention(x)
            x = rise(x, part if shared is None else torch.cat([shared, part], 1))
        return cropped(torch.tanh(F.pixel_shuffle(self.paint(x), self.patch)), *self.size)


class Critic(AttentiveCritic):
    """D: that of self-attention, its weights orthogonal at first."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        orthogonal(self)


def split(latent: int, parts: int) -> list[int]:
    """Sizes of the latent's parts, as equal as can be, the larger ones first."""
    return [latent // parts + (place < latent % parts) for place in range(parts)]


def orthogonal(network: nn.Module) -> None:
    """Weights that start orthogonal (Saxe et al. 2014, 1312.6120), but for those of norms, which start at almost 1."""
    told = {id(part.film) for part in network.modules() if isinstance(part, ConditionalNorm)}
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and id(part) not in told:
            nn.init.orthogonal_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


NETWORKS = Architecture(
    Painter,
    Critic,
    heeds=("widest", "upsample", "patch"),
    norms=("batch", "layer", "group", "instance", "rms", "pixel", "none"),
    critic_norms=(),
    smallest=8,
    conditionings=(*PLAIN, "normalisation"),
    families=("sagan", "gan"),
)

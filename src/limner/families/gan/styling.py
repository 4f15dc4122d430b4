"""What style-based generators have in common: a mapping network, a style for each layer, mixing.

Karras, Laine & Aila 2019, "A style-based generator architecture for generative adversarial networks", arXiv 1812.04948,
sections 2 and 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan import conditioning
from limner.families.gan.config import GANConfig, Painter
from limner.families.gan.critic import Critic
from limner.nn.conv import channels, padded, pyramid
from limner.nn.embed import LabelEmbedding
from limner.nn.equalised import EqualisedConv2d, EqualisedLinear, Leaky
from limner.nn.mapping import Mapping, mixed
from limner.nn.resample import Downsample

DEPTH = 4
"""Layers from latent to style; the papers' eight are for faces at 1024 pixels."""


class StylePainter(Painter, ABC):
    """G: forward(z, labels) is picture(styles(z, labels)), in training with styles of two latents mixed.

    An architecture calls `begin` once, when it knows how many styles it takes, and gives `picture`.

    Attributes:
        mapping: makes styles of `latent` values, and knows their mean, `mapping.middle`.
        count: how many styles a picture takes.
    """

    mapping: Mapping
    labels: LabelEmbedding | None
    count: int

    def begin(self, config: GANConfig, spec: Spec, count: int) -> None:
        """Make the mapping network."""
        self.size, self.wanted, self.count = (spec.height, spec.width), (config.latent,), count
        self.labels = conditioning.painter_table(config, spec)
        told = config.embedding if self.labels else 0
        self.mapping = Mapping(config.latent, told, config.latent, config.depth or DEPTH)

    @abstractmethod
    def picture(self, styles: Tensor) -> Tensor:
        """Styles (B, count, D) to pictures (B, C, H, W) in [-1, 1]; noise comes from the turn that is running."""

    def styles(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Latents (B, latent) and labels (B, A) to styles (B, count, D), equal for all layers."""
        told = None if self.labels is None else self.labels(labels, len(z))
        w: Tensor = self.mapping(z, told)
        return w[:, None].expand(-1, self.count, -1)

    def traced(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """See `Painter`: along styles (Karras et al. 2020, section 3.2)."""
        at = self.styles(z, labels)
        return at, self.picture(at)

    def painted(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """See `Painter`: nothing mixed in."""
        return self.picture(self.styles(z, labels))

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent)."""
        styles = self.styles(z, labels)
        if self.training:
            other, takes = mixed(z, self.count)
            styles = torch.lerp(styles, self.styles(other, labels), takes.to(styles.dtype))
        return self.picture(styles)


class StyleCritic(Critic):
    """D: pictures (B, C, H, W) and labels (B, A) to logits (B,); it sees how alike its neighbours are.

    An architecture says how a resolution falls to the next: `fall(before, after, halve)`.
    """

    minibatch = "deviation"

    @staticmethod
    @abstractmethod
    def fall(before: int, after: int, halve: nn.Module) -> nn.Module:
        """Features (B, before, H, W) to (B, after, H / 2, W / 2)."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        self.patch = config.patch or 1
        start, levels = pyramid(spec.height, spec.width, patch=self.patch)
        self.whole = start[0] * 2**levels * self.patch, start[1] * 2**levels * self.patch
        widths = channels(config.width, config.widest, levels)
        self.look = nn.Sequential(EqualisedConv2d(spec.channels * self.patch**2, widths[0], 1), Leaky())
        halve = Downsample("average")
        falls = (self.fall(before, after, halve) for before, after in zip(widths, widths[1:], strict=False))
        self.layers = nn.Sequential(*falls, EqualisedConv2d(widths[-1], widths[-1], 3), Leaky(), nn.Flatten())
        self.gather = nn.Sequential(EqualisedLinear(widths[-1] * start[0] * start[1], widths[-1]), Leaky())
        self.inner = conditioning.projection_table(config, spec, widths[-1])
        self.conclude(config, spec, widths[-1])
        conditioning.forget(self.inner)

    def features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """x (B, C, H, W)."""
        x = F.pixel_unshuffle(padded(x, *self.whole), self.patch)
        found: Tensor = self.gather(self.layers(self.look(x)))
        return found

"""What style-based generators have in common: a mapping network, a style for each layer, mixing.

Karras, Laine & Aila 2019, "A style-based generator architecture for generative adversarial networks", arXiv 1812.04948,
sections 2 and 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from limner.api import Spec
from limner.families.gan import conditioning
from limner.families.gan.config import GANConfig, Painter
from limner.nn.embed import LabelEmbedding
from limner.nn.mapping import Mapping, mixed

DEPTH = 4
"""Layers from latent to style; the papers' eight are for faces at 1024 pixels."""


class StylePainter(Painter):
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

    def picture(self, styles: Tensor) -> Tensor:
        """Styles (B, count, D) to pictures (B, C, H, W) in [-1, 1]; noise comes from the turn that is running."""
        raise NotImplementedError

    def styles(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Latents (B, latent) and labels (B, A) to styles (B, count, D), equal for all layers."""
        told = None if self.labels is None else self.labels(labels, len(z))
        w: Tensor = self.mapping(z, told)
        return w[:, None].expand(-1, self.count, -1)

    def traced(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """See `Painter`: along styles (Karras et al. 2020, section 3.2)."""
        at = self.styles(z, labels)
        return at, self.picture(at)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent)."""
        styles = self.styles(z, labels)
        if self.training:
            other, takes = mixed(z, self.count)
            styles = torch.lerp(styles, self.styles(other, labels), takes.to(styles.dtype))
        return self.picture(styles)

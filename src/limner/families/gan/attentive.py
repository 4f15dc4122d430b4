"""The discriminator of residual blocks in which places attend to each other.

Zhang, Goodfellow, Metaxas & Odena 2019, "Self-attention generative adversarial networks", arXiv 1805.08318.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from limner.api import Spec
from limner.families.gan import conditioning
from limner.families.gan.config import GANConfig
from limner.families.gan.critic import Critic
from limner.nn.conv import channels, padded, pyramid
from limner.nn.residual import Fall, attending, descent


class AttentiveCritic(Critic):
    """D: pictures (B, C, H, W) and labels (B, A) to logits (B,)."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        self.patch = config.patch or 1
        start, levels = pyramid(spec.height, spec.width, patch=self.patch)
        self.whole = start[0] * 2**levels * self.patch, start[1] * 2**levels * self.patch
        widths = channels(config.width, config.widest, levels - 1)
        self.first = Fall(spec.channels * self.patch**2, widths[0], "none", first=True)
        self.planes = conditioning.planes_table(config, spec)
        given = widths[0] + (config.embedding if self.planes else 0)
        self.layers = descent(widths, given, levels - 1 - attending(start, levels))
        self.inner = conditioning.projection_table(config, spec, widths[-1])
        self.conclude(config, spec, widths[-1])
        conditioning.forget(self.inner)

    def features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """x (B, C, H, W)."""
        x = self.first(F.pixel_unshuffle(padded(x, *self.whole), self.patch))
        found: Tensor = self.layers(conditioning.with_planes(x, labels, self.planes)).sum((2, 3))
        return found

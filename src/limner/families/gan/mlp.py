"""Networks of layers over whole pictures.

Goodfellow et al. 2014, "Generative adversarial nets", arXiv 1406.2661, had such networks; the generator's hidden layers
have the batch normalisation (Ioffe & Szegedy 2015) that came a year later.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan import conditioning, config
from limner.families.gan.config import Architecture, GANConfig
from limner.families.gan.critic import Critic as Judge
from limner.nn.dropout import Dropout
from limner.nn.norm import norm

UNITS = 8
DEPTH = 3


def hidden(config: GANConfig) -> list[int]:
    """Units of G's hidden layers; D has them the other way round."""
    depth, units = config.depth or DEPTH, UNITS * config.width
    return [units * 2**layer if config.doubling else units for layer in range(depth)]


class Painter(config.Painter):
    """G: a latent (B, latent) and labels (B, A) to pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        kind = config.generator_norm or "batch"
        self.shape, self.wanted = spec.shape, (config.latent,)
        self.labels = conditioning.painter_table(config, spec)
        before = config.latent + (config.embedding if self.labels else 0)
        layers: list[nn.Module] = []
        for units in hidden(config):
            layers += [nn.Linear(before, units, bias=kind == "none"), norm(kind, units), nn.LeakyReLU(0.2)]
            before = units
        self.layers = nn.Sequential(*layers, nn.Linear(before, math.prod(spec.shape)))

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent)."""
        return torch.tanh(self.layers(conditioning.joined(z, labels, self.labels))).unflatten(1, self.shape)


class Critic(Judge):
    """D: pictures (B, C, H, W) and labels (B, A) to logits (B,)."""

    drops_itself = True

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        kind, share, widths = config.judging_norm("none"), config.dropout or 0.0, hidden(config)[::-1]
        self.planes = conditioning.planes_table(config, spec)
        self.inner = conditioning.projection_table(config, spec, widths[-1])
        before = math.prod(spec.shape) + (config.embedding if self.planes else 0)
        layers: list[nn.Module] = []
        for units in widths:
            layers += [nn.Linear(before, units, bias=kind == "none"), norm(kind, units), nn.LeakyReLU(0.2)]
            layers.append(Dropout(share))
            before = units
        self.layers = nn.Sequential(*layers)
        self.conclude(config, spec, widths[-1])
        conditioning.forget(self.inner)

    def features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """x (B, C, H, W)."""
        found: Tensor = self.layers(conditioning.with_planes(x.flatten(1), labels, self.planes))
        return found


NETWORKS = Architecture(Painter, Critic, heeds=("depth", "doubling"), norms=("batch", "layer", "none"), smallest=1)

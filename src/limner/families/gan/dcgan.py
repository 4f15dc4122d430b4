"""Networks of the deep convolutional GAN.

Radford, Metz & Chintala 2016, "Unsupervised representation learning with deep convolutional generative adversarial
networks", arXiv 1511.06434: strided and transposed convolutions, batch normalisation in both networks, ReLU in the
generator, LeakyReLU 0.2 in the discriminator, tanh at the end, weights from N(0, 0.02).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan import conditioning, config
from limner.families.gan.config import Architecture, GANConfig
from limner.families.gan.critic import Critic as Judge
from limner.nn.conv import channels, cropped, padded, pyramid
from limner.nn.dropout import Dropout
from limner.nn.norm import BatchNorm, norm
from limner.nn.resample import Up, down, up


class Painter(config.Painter):
    """G: a latent, or noise that it encodes first, and labels (B, A) to pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        dense = config.architecture == "dense"
        way: Up = config.upsample or ("nearest" if dense else "transposed")
        kernel = config.kernel or (5 if dense else 4)
        kind = config.generator_norm or "batch"
        self.size = spec.height, spec.width
        self.start, levels = pyramid(*self.size)
        widths = channels(config.width, config.widest, levels - 1)[::-1]
        self.wanted = (config.latent,)
        self.encode: nn.Module | None = None
        if config.code == "encoded":
            self.wanted = (1, self.start[0] * 2**levels, self.start[1] * 2**levels)
            self.encode = encoder(self.start, 1, [max(w // 4, 8) for w in widths[::-1]], config.latent)
        self.labels = conditioning.painter_table(config, spec)
        given = config.latent + (config.embedding if self.labels else 0)
        bare = kind == "none"  # nothing behind a convolution that would add a bias of its own
        self.project = nn.Linear(given, widths[0] * math.prod(self.start), bias=bare)
        layers: list[nn.Module] = [norm(kind, widths[0]), nn.ReLU()]
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [up(way, before, after, kernel, bias=bare), norm(kind, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, up(way, widths[-1], spec.channels, kernel))
        if not bare:  # weights of 0.02 need the normalisation after them
            initialise(self)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent), or (B, 1, H, W) where it is encoded first."""
        code = self.encode(z) if self.encode else z  # (B, latent)
        x = self.project(conditioning.joined(code, labels, self.labels)).unflatten(1, (-1, *self.start))
        return cropped(torch.tanh(self.layers(x)), *self.size)


class Critic(Judge):
    """D: pictures (B, C, H, W) and labels (B, A) to logits (B,)."""

    drops_itself = True

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        dense = config.architecture == "dense"
        kernel = config.kernel or (5 if dense else 4)
        share = config.dropout if config.dropout is not None else 0.3 * dense
        kind = config.judging_norm("none" if dense else "batch")
        start, levels = pyramid(spec.height, spec.width)
        self.padded = start[0] * 2**levels, start[1] * 2**levels
        widths = channels(config.width, config.widest, levels - 1)
        self.planes = conditioning.planes_table(config, spec)
        self.inner = conditioning.projection_table(config, spec, widths[-1] * math.prod(start))
        way = config.downsample or "strided"
        self.first = nn.Sequential(down(way, spec.channels, widths[0], kernel), nn.LeakyReLU(0.2), Dropout(share))
        layers: list[nn.Module] = []
        joined = config.embedding if self.planes else 0
        for before, after in zip(widths, widths[1:], strict=False):
            layers.append(down(way, before + joined, after, kernel, bias=kind == "none"))
            layers += [norm(kind, after), nn.LeakyReLU(0.2), Dropout(share)]
            joined = 0
        self.layers = nn.Sequential(*layers)
        self.conclude(config, spec, (widths[-1] + joined) * math.prod(start))
        if kind != "none":
            initialise(self)
        conditioning.forget(self.inner)

    def features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """x (B, C, H, W)."""
        x = self.first(padded(x, *self.padded))
        found: Tensor = self.layers(conditioning.with_planes(x, labels, self.planes)).flatten(1)
        return found


def encoder(start: tuple[int, int], before: int, widths: list[int], latent: int) -> nn.Sequential:
    """Noise (B, 1, H, W) to a normalised code (B, latent) through strided convolutions."""
    layers: list[nn.Module] = []
    for after in widths:
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), BatchNorm(after), nn.LeakyReLU(0.2)]
        before = after
    flat = nn.Linear(before * math.prod(start), latent, bias=False)
    return nn.Sequential(*layers, nn.Flatten(), flat, BatchNorm(latent, affine=False))


def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02), gains of batch normalisation from N(1, 0.02) (section 3, "Details")."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(part.weight, 0.0, 0.02)
        elif isinstance(part, BatchNorm) and part.weight is not None:
            nn.init.normal_(part.weight, 1.0, 0.02)
        bias = getattr(part, "bias", None)
        if bias is not None:
            nn.init.zeros_(bias)


NETWORKS = Architecture(
    Painter,
    Critic,
    heeds=("code", "widest", "upsample", "downsample", "kernel"),
    norms=("batch", "layer", "group", "instance", "rms", "pixel", "none"),
    smallest=8,
)

"""Networks of modern residual blocks.

Huang, Gokaslan, Kuleshov & Tompkin 2024, "The GAN is dead; long live the GAN! A modern GAN baseline", arXiv 2501.05441,
section 4: residual blocks of a grouped convolution between two of one pixel, no normalisation anywhere, weights that
start as Zhang et al. 2019 have them ("Fixup initialization", arXiv 1901.09321), so that each block starts as x.

Different from the paper, for minutes rather than days: squares of `patch` pixels are channels, so that nothing is
computed at the picture's own resolution; the latent becomes the first features by a dense layer; tanh at the end.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan import conditioning, config
from limner.families.gan.config import Architecture, GANConfig
from limner.families.gan.critic import Critic as Judge
from limner.nn.conv import channels, cropped, padded, pyramid
from limner.nn.resample import Downsample, Up, Upsample, up

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""What a LeakyReLU takes of the size of its input."""

DEPTH, GROUP, WIDER = 1, 16, 2
"""Blocks at each resolution, channels of a group, and how much wider than its ends a block is inside."""


class Block(nn.Module):
    """x + f(x) for (B, C, H, W); starts as x.

    f is a 1x1 convolution to twice the channels, a 3x3 one in groups of `group` channels and a 1x1 one back; with
    `group` 0 it is two whole 3x3 convolutions instead. Its first weights are the smaller the more blocks there are.
    """

    def __init__(self, width: int, group: int, blocks: int) -> None:
        super().__init__()
        if group:
            wide = WIDER * width
            self.layers = nn.ModuleList(
                [nn.Conv2d(width, wide, 1), nn.Conv2d(wide, wide, 3, 1, 1, groups=groups(wide, group))]
            )
            last = nn.Conv2d(wide, width, 1, bias=False)
        else:
            self.layers = nn.ModuleList([nn.Conv2d(width, width, 3, 1, 1)])
            last = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.last = last
        for layer in self.layers:
            start(layer, GAIN)
        # Of m layers, the m - 1 that do not start at zero share the factor L^(-1/2) (1901.09321, section 3).
        inner = self.layers[-1]
        with torch.no_grad():
            inner.weight.mul_(blocks ** (-1 / (2 * (len(self.layers) + 1) - 2)))  # type: ignore[operator]
        nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        y = x
        for layer in self.layers:
            y = F.leaky_relu(layer(y), SLOPE)
        return x + self.last(y)


def groups(width: int, group: int) -> int:
    """The smallest number of groups that divides `width` into groups of at most `group` channels."""
    return next(count for count in range(1, width + 1) if width % count == 0 and width // count <= group)


def start(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    """The layer with weights that keep the size of what goes through, times `gain`, and biases of zero."""
    assert isinstance(layer, nn.Conv2d | nn.Linear | nn.ConvTranspose2d), layer
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def rise(way: Up, before: int, after: int) -> nn.Module:
    """A layer (B, before, H, W) to (B, after, 2H, 2W)."""
    if way in ("transposed", "pixel-shuffle"):
        return up(way, before, after, 1)
    # A 1x1 convolution and interpolation can be exchanged; this order has a quarter of the work.
    return nn.Sequential(start(nn.Conv2d(before, after, 1, bias=False)), Upsample(way))


def fall(before: int, after: int) -> nn.Module:
    """A layer (B, before, H, W) to (B, after, H/2, W/2)."""
    return nn.Sequential(Downsample("average"), start(nn.Conv2d(before, after, 1, bias=False)))


class Frame:
    """How a picture of any size lies on the resolutions of the two networks."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        self.patch = config.patch or 1
        self.start, levels = pyramid(spec.height, spec.width, patch=self.patch)
        scale = self.patch * 2**levels
        self.whole = self.start[0] * scale, self.start[1] * scale
        self.widths = channels(config.width, config.widest, levels)  # from the finest to the coarsest
        self.depth = config.depth or DEPTH
        self.group = GROUP if config.group_width is None else config.group_width

    def blocks(self, width: int) -> list[nn.Module]:
        """Those of one resolution."""
        return [Block(width, self.group, self.depth * len(self.widths)) for _ in range(self.depth)]


class Painter(config.Painter):
    """G: a latent (B, latent) and labels (B, A) to pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        frame = Frame(config, spec)
        self.size, self.wanted = (spec.height, spec.width), (config.latent,)
        self.labels = conditioning.painter_table(config, spec)
        given = config.latent + (config.embedding if self.labels else 0)
        widths = frame.widths[::-1]
        self.project = start(nn.Linear(given, widths[0] * math.prod(frame.start)))
        self.start = frame.start
        layers = frame.blocks(widths[0])
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [rise(config.upsample or "nearest", before, after), *frame.blocks(after)]
        self.layers = nn.Sequential(*layers)
        self.paint = start(nn.Conv2d(widths[-1], spec.channels * frame.patch**2, 3, 1, 1))
        self.patch = frame.patch

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent)."""
        x = self.project(conditioning.joined(z, labels, self.labels)).unflatten(1, (-1, *self.start))
        x = F.pixel_shuffle(self.paint(self.layers(x)), self.patch)
        return cropped(torch.tanh(x), *self.size)


class Critic(Judge):
    """D: pictures (B, C, H, W) and labels (B, A) to logits (B,)."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        frame = Frame(config, spec)
        self.whole, self.patch, widths = frame.whole, frame.patch, frame.widths
        self.planes = conditioning.planes_table(config, spec)
        given = spec.channels * frame.patch**2 + (config.embedding if self.planes else 0)
        self.look = start(nn.Conv2d(given, widths[0], 3, 1, 1))
        layers = frame.blocks(widths[0])
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [fall(before, after), *frame.blocks(after)]
        self.layers = nn.Sequential(*layers)
        # Each channel's places weighed: a convolution of as many groups as channels, over the whole map.
        self.gather = nn.Parameter(torch.empty(widths[-1], *frame.start))
        nn.init.normal_(self.gather, 0.0, math.prod(frame.start) ** -0.5)
        self.bounded = config.regularisers.spectral
        self.conclude(config, spec, widths[-1])
        start(self.score)
        self.inner = conditioning.projection_table(config, spec, widths[-1])
        conditioning.forget(self.inner)

    def features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """x (B, C, H, W)."""
        x = F.pixel_unshuffle(padded(x, *self.whole), self.patch)
        x = self.layers(self.look(conditioning.with_planes(x, labels, self.planes)))
        gather: Tensor = self.gather
        if self.bounded:  # as spectral normalisation does with layers: each channel's row has length one
            gather = F.normalize(gather.flatten(1), dim=1).view_as(gather)
        return (x * gather.to(x.dtype)).sum((2, 3))


NETWORKS = Architecture(
    Painter,
    Critic,
    heeds=("widest", "depth", "upsample", "patch", "group_width"),
    norms=("none",),
    smallest=8,
)

"""Networks for few pictures.

Liu, Zhu, Song & Elgammal 2021, "Towards faster and stabilized GAN training for high-fidelity few-shot image synthesis",
arXiv 2101.04775: in G coarse features gate fine ones (skip-layer excitation, eq. 1), in D small decoders have to paint
real pictures again from its features, whole and in parts (section 3.2), so that it cannot learn a few of them by heart.

Different from the paper, which is of 256 to 1024 pixels: D's logits are of all its last features, not of parts of them;
decoded pictures are compared by absolute differences, since a perceptual distance needs a network that has seen others.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.api import Spec
from limner.draws import layer_uniform
from limner.families.gan import conditioning, config
from limner.families.gan.config import Architecture, GANConfig
from limner.families.gan.critic import Critic as Judge
from limner.families.gan.critic import Judgement
from limner.nn.conv import channels, cropped, padded, pyramid
from limner.nn.modulation import Noise
from limner.nn.norm import NormName, norm

FARTHEST = 4
"""Doublings between features that gate and features that are gated, where a picture has so many."""


class Excitation(nn.Module):
    """Fine features (B, C, H, W) times a gate for each channel made of coarse ones (B, C', h, w), eq. 1, figure 3."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Conv2d(coarse, fine, 4), nn.SiLU(), nn.Conv2d(fine, fine, 1), nn.Sigmoid()
        )

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(B, C, H, W), (B, C', h, w)."""
        gated: Tensor = fine * self.layers(coarse)
        return gated


def step(before: int, after: int, kind: NormName, noisy: bool) -> list[nn.Module]:
    """(B, before, H, W) to (B, after, H, W): a convolution, noise where asked, norm, gated linear units."""
    noise: list[nn.Module] = [Noise()] if noisy else []
    return [nn.Conv2d(before, 2 * after, 3, 1, 1, bias=False), *noise, norm(kind, 2 * after), nn.GLU(1)]


def rise(before: int, after: int, kind: NormName) -> nn.Sequential:
    """(B, before, H, W) to (B, after, 2H, 2W)."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2), *step(before, after, kind, noisy=True), *step(after, after, kind, noisy=True)
    )


class Painter(config.Painter):
    """G: a latent (B, latent) and labels (B, A) to pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        kind = config.generator_norm or "batch"
        self.size, self.wanted = (spec.height, spec.width), (config.latent,)
        start, levels = pyramid(*self.size)
        widths = channels(config.width, config.widest, levels)[::-1]
        self.labels = conditioning.painter_table(config, spec)
        given = config.latent + (config.embedding if self.labels else 0)
        self.project = nn.Sequential(
            nn.Linear(given, 2 * widths[0] * start[0] * start[1], bias=False),
            nn.Unflatten(1, (2 * widths[0], *start)),
            norm(kind, 2 * widths[0]),
            nn.GLU(1),
        )
        self.rises = nn.ModuleList(rise(*pair, kind) for pair in zip(widths, widths[1:], strict=False))
        self.reach = max(1, min(FARTHEST, levels - 1))
        self.gates = nn.ModuleList(Excitation(*pair) for pair in zip(widths, widths[self.reach :], strict=False))
        self.paint = nn.Conv2d(widths[-1], spec.channels, 3, 1, 1)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (B, latent)."""
        maps = [self.project(conditioning.joined(z, labels, self.labels))]
        for level, finer in enumerate(self.rises, 1):
            x = finer(maps[-1])
            if level >= self.reach:
                x = self.gates[level - self.reach](x, maps[level - self.reach])
            maps.append(x)
        return cropped(torch.tanh(self.paint(maps[-1])), *self.size)


class Fall(nn.Module):
    """Features (B, before, H, W) to (B, after, H/2, W/2): the mean of two ways (figure 4)."""

    def __init__(self, before: int, after: int, kind: NormName) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(before, after, 4, 2, 1, bias=False),
            norm(kind, after),
            nn.LeakyReLU(0.2),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            norm(kind, after),
            nn.LeakyReLU(0.2),
        )
        self.direct = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(before, after, 1, bias=False), norm(kind, after), nn.LeakyReLU(0.2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W)."""
        return (self.main(x) + self.direct(x)) / 2


class Decoder(nn.Module):
    """Features (B, C, h, w) to a picture, `doublings` times as large."""

    def __init__(self, before: int, channels: int, doublings: int, kind: NormName) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(doublings):
            after = max(before // 2, 8)
            layers += [nn.Upsample(scale_factor=2), *step(before, after, kind, noisy=False)]
            before = after
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, channels, 3, 1, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w)."""
        painted: Tensor = self.layers(x)
        return painted


class Critic(Judge):
    """D: pictures (B, C, H, W) and labels (B, A) to logits (B,)."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        kind = config.judging_norm("batch")
        start, self.levels = pyramid(spec.height, spec.width)
        self.whole = start[0] * 2**self.levels, start[1] * 2**self.levels
        widths = channels(config.width, config.widest, self.levels - 1)
        self.look = nn.Sequential(nn.Conv2d(spec.channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2))
        self.planes = conditioning.planes_table(config, spec)
        widths[0] += config.embedding if self.planes else 0
        self.falls = nn.ModuleList(Fall(*pair, kind) for pair in zip(widths, widths[1:], strict=False))
        # Half the picture's size, as the paper's decoders stop short of the whole one too.
        self.decode = Decoder(widths[-1], spec.channels, self.levels - 1, kind)
        self.decode_part = Decoder(widths[-2], spec.channels, self.levels - 1, kind) if len(self.falls) else None
        width = widths[-1] * start[0] * start[1]
        self.inner = conditioning.projection_table(config, spec, width)
        self.conclude(config, spec, width)
        conditioning.forget(self.inner)

    def maps(self, x: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Pictures (B, C, H, W) to their features at the coarsest size, and before that."""
        x = conditioning.with_planes(self.look(padded(x, *self.whole)), labels, self.planes)
        before = x
        for fall in self.falls:
            before, x = x, fall(x)
        return x, before

    def features(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """x (B, C, H, W)."""
        return self.maps(x, labels)[0].flatten(1)

    def judge(self, x: Tensor, labels: Tensor | None) -> Judgement:
        """See `Critic.judge`; with the features that `tasks` takes."""
        coarse, before = self.maps(x, labels)
        return self.judgement(coarse.flatten(1), labels)._replace(maps=(coarse, before))

    def tasks(self, maps: tuple[Tensor, ...], pictures: Tensor) -> dict[str, Tensor]:
        """How far pictures (B, C, H, W) painted again are from what they were, whole and in one of their quarters."""
        coarse, before = maps
        pictures = padded(pictures, *self.whole)
        half = F.interpolate(pictures, size=(self.whole[0] // 2, self.whole[1] // 2), mode="area")
        found = {"decoded": (self.decode(coarse) - half).abs().mean()}
        if self.decode_part is not None:
            which = (4 * layer_uniform(pictures[:, :1, 0, 0].float())).long().squeeze(1)  # (B,)
            painted = self.decode_part(quarter(before, which))
            there = F.interpolate(quarter(pictures, which), size=painted.shape[-2:], mode="area")
            found["decoded_part"] = (painted - there).abs().mean()
        return found


def quarter(x: Tensor, which: Tensor) -> Tensor:
    """Of each (C, H, W) of (B, C, H, W) the quarter 0 to 3 that `which` (B,) names: (B, C, H/2, W/2)."""
    parts = torch.stack([part for rows in x.chunk(2, 2) for part in rows.chunk(2, 3)], 1)  # (B, 4, C, H/2, W/2)
    return parts[torch.arange(len(x), device=x.device), which]


NETWORKS = Architecture(
    Painter,
    Critic,
    heeds=("widest",),
    norms=("batch", "layer", "group", "instance", "none"),
    smallest=8,
)

"""Networks of which each layer has a style.

Karras, Laine & Aila 2019, "A style-based generator architecture for generative adversarial networks", arXiv 1812.04948:
a learned constant, convolutions, noise for each layer, adaptive instance normalisation by styles; the discriminator of
Karras et al. 2018 (arXiv 1710.10196). Equalised learning rates.

Different from the paper: all resolutions are trained at once (`progan` grows); squares of `patch` pixels are channels;
the constant starts from N(0, 1), since ones have nothing to be normalised; pictures end in tanh.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan.config import Architecture, GANConfig
from limner.families.gan.styling import StyleCritic, StylePainter
from limner.nn.conv import channels, cropped, pyramid
from limner.nn.equalised import EqualisedConv2d, Leaky, fall
from limner.nn.modulation import AdaIN, Noise
from limner.nn.resample import upsampled


class Layer(nn.Module):
    """Features (B, before, H, W) to (B, after, ...), twice as large where asked, with noise, under a style.

    Without `before` it takes what comes as it is.
    """

    def __init__(self, before: int | None, after: int, style: int, rises: bool = False) -> None:
        super().__init__()
        self.rises = rises
        self.conv = nn.Identity() if before is None else EqualisedConv2d(before, after, 3)
        self.noise, self.act, self.norm = Noise(after), Leaky(), AdaIN(after, style)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, before, H, W), (B, D)."""
        x = self.conv(upsampled(x, "bilinear") if self.rises else x)
        x = self.norm(self.act(self.noise(x)), style)
        return x


class Painter(StylePainter):
    """G: a latent (B, latent) and labels (B, A) to pictures (B, C, H, W) in [-1, 1]; two layers a resolution."""

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        self.patch = config.patch or 1
        start, levels = pyramid(spec.height, spec.width, patch=self.patch)
        self.begin(config, spec, 2 * levels + 2)
        widths, style = channels(config.width, config.widest, levels)[::-1], config.latent
        self.constant = nn.Parameter(nn.init.normal_(torch.empty(1, widths[0], *start)))
        self.layers = nn.ModuleList([Layer(None, widths[0], style), Layer(widths[0], widths[0], style)])
        for before, after in zip(widths, widths[1:], strict=False):
            self.layers += [Layer(before, after, style, rises=True), Layer(after, after, style)]
        self.colours = EqualisedConv2d(widths[-1], spec.channels * self.patch**2, 1)

    def picture(self, styles: Tensor) -> Tensor:
        """See `StylePainter`."""
        x = self.constant.expand(len(styles), -1, -1, -1)
        for layer, style in zip(self.layers, styles.unbind(1), strict=True):
            x = layer(x, style)
        return cropped(torch.tanh(F.pixel_shuffle(self.colours(x), self.patch)), *self.size)


class Critic(StyleCritic):
    """D, of convolutions, one after the other."""

    @staticmethod
    def fall(before: int, after: int, halve: nn.Module) -> nn.Module:
        """See `StyleCritic`."""
        return fall(before, after, halve)


NETWORKS = Architecture(
    Painter,
    Critic,
    heeds=("widest", "depth", "patch"),
    norms=(),
    smallest=8,
    conditionings=("none", "auxiliary", "style"),
    families=("stylegan",),
    scaled=True,
)

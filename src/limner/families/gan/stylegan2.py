"""Networks whose weights are scaled by styles.

Karras, Laine, Aittala, Hellsten, Lehtinen & Aila 2020, "Analyzing and improving the image quality of StyleGAN",
arXiv 1912.04958: a constant, convolutions with modulated and demodulated weights, noise for each layer, pictures of all
resolutions added up in G (figure 7b), residual blocks in D (figure 7c), equalised learning rates.

Different from the paper: squares of `patch` pixels are channels; D halves by averages, which a processor does faster
than blurring; pictures end in tanh.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.api import Spec
from limner.families.gan.config import Architecture, GANConfig
from limner.families.gan.styling import StyleCritic, StylePainter
from limner.nn.conv import channels, cropped, pyramid
from limner.nn.equalised import GAIN, Residual
from limner.nn.modulation import ModulatedConv2d, Noise
from limner.nn.resample import upsampled


class Layer(nn.Module):
    """Features (B, before, H, W) to (B, after, ...), twice as large where asked: one convolution under a style."""

    def __init__(self, before: int, after: int, style: int, rises: bool = False) -> None:
        super().__init__()
        self.rises = rises
        self.conv = ModulatedConv2d(before, after, 3, style)
        self.noise = Noise()
        self.bias = nn.Parameter(torch.zeros(after))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, before, H, W), (B, D)."""
        x = self.noise(self.conv(upsampled(x, "bilinear") if self.rises else x, style))
        return F.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], 0.2) * GAIN


class Colours(nn.Module):
    """Features (B, before, H, W) under a style to pictures (B, C, patch H, patch W), which are not demodulated."""

    def __init__(self, before: int, after: int, style: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.conv = ModulatedConv2d(before, after * patch**2, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(after * patch**2))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, before, H, W), (B, D)."""
        x = self.conv(x, style)
        # Pixels again before they are interpolated: squares of them would come out as a pattern.
        return F.pixel_shuffle(x + self.bias.to(x.dtype)[:, None, None], self.patch)


class Painter(StylePainter):
    """G: a latent (B, latent) and labels (B, A) to pictures (B, C, H, W) in [-1, 1].

    Two layers for each resolution and one for the last one's colours, each with a style of its own; the first
    resolution has one layer.
    """

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        self.patch = config.patch or 1
        start, levels = pyramid(spec.height, spec.width, patch=self.patch)
        self.begin(config, spec, 2 * levels + 2)
        widths, style = channels(config.width, config.widest, levels)[::-1], config.latent
        self.constant = nn.Parameter(nn.init.normal_(torch.empty(1, widths[0], *start)))
        self.layers = nn.ModuleList([Layer(widths[0], widths[0], style)])
        for before, after in zip(widths, widths[1:], strict=False):
            self.layers += [Layer(before, after, style, rises=True), Layer(after, after, style)]
        self.colours = nn.ModuleList(Colours(width, spec.channels, style, self.patch) for width in widths)

    def picture(self, styles: Tensor) -> Tensor:
        """See `StylePainter`."""
        style = styles.unbind(1)
        x = self.layers[0](self.constant.expand(len(styles), -1, -1, -1), style[0])
        colours = self.colours[0](x, style[1])
        for level, to_colours in enumerate(self.colours[1:]):
            x = self.layers[2 * level + 1](x, style[2 * level + 1])
            x = self.layers[2 * level + 2](x, style[2 * level + 2])
            colours = upsampled(colours, "bilinear") + to_colours(x, style[2 * level + 3])
        return cropped(torch.tanh(colours), *self.size)


class Critic(StyleCritic):
    """D, of residual blocks."""

    @staticmethod
    def fall(before: int, after: int, halve: nn.Module) -> nn.Module:
        """See `StyleCritic`."""
        return Residual(before, after, halve)


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

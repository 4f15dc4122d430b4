"""How a style enters: by scaling the weights of a convolution, by scale and shift of its result; noise between them.

Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", arXiv 1912.04958, section 2.2.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.draws import layer_normal
from limner.nn.conditional import ConditionalNorm
from limner.nn.equalised import EqualisedLinear
from limner.nn.wide import wide


class ModulatedConv2d(nn.Module):
    """(B, before, H, W) and styles (B, D) to (B, after, H, W): equations 1 and 3.

    The weight of a picture, w'_ijk = s_i w_ijk / sqrt(sum_ik (s_i w_ijk)^2 + eps), is never made: its input is scaled
    by s, its output by what demodulates, and all pictures share one convolution (appendix B says they are the same).
    """

    def __init__(self, before: int, after: int, kernel: int, style: int, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(after, before, kernel, kernel))
        nn.init.normal_(self.weight)
        self.scale, self.demodulate = 1 / math.sqrt(before * kernel**2), demodulate
        self.style = EqualisedLinear(style, before, bias=1.0)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, before, H, W), (B, D)."""
        s, weight = self.style(style).to(x.dtype), self.weight * self.scale
        y = F.conv2d(x * s[:, :, None, None], weight, padding=weight.shape[-1] // 2)
        if not self.demodulate:
            return y
        with wide(x):
            held = weight.to(torch.promote_types(weight.dtype, torch.float32)).square().sum((2, 3))  # (after, before)
            size = torch.rsqrt(s.to(held).square() @ held.T + 1e-8)  # (B, after)
        return y * size.to(y.dtype)[:, :, None, None]


class Noise(nn.Module):
    """x + strength n, n one standard normal number a place and picture, shared by the channels; strength from 0.

    Args:
        channels: how many have a strength of their own (1812.04948); 1 for one of all (1912.04958).
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W)."""
        return x + self.strength.to(x.dtype) * layer_normal(x.detach()[:, :1])


class AdaIN(ConditionalNorm):
    """Adaptive instance normalisation (B, C, H, W) by styles (B, D), at an equalised rate (1812.04948, eq. 1)."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__("instance", channels, style)
        self.film = EqualisedLinear(style, 2 * channels)

"""Layers whose weights are all of unit size, so that one learning rate is the same for each of them.

Karras et al. 2018, "Progressive growing of GANs", arXiv 1710.10196, section 4.1: weights start from N(0, 1), and what
others do once at the start, dividing by sqrt(fan in), is done at each pass.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GAIN = math.sqrt(2.0)


class EqualisedLinear(nn.Linear):
    """(B, before) to (B, after).

    Args:
        rate: how much slower than others the layer learns (Karras et al. 2019, appendix C: 0.01 in mapping networks).
        gain: size of what comes out, where what goes in has size 1. bias: what it starts from.
    """

    def __init__(self, before: int, after: int, rate: float = 1.0, gain: float = 1.0, bias: float = 0.0) -> None:
        super().__init__(before, after)
        nn.init.normal_(self.weight, 0.0, 1 / rate)
        nn.init.constant_(self.bias, bias / rate)
        self.scale, self.rate = gain * rate / math.sqrt(before), rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, before) to (B, after)."""
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualisedConv2d(nn.Conv2d):
    """(B, before, H, W) to (B, after, H, W), or half as large with `stride` 2."""

    def __init__(
        self, before: int, after: int, kernel: int, stride: int = 1, gain: float = 1.0, bias: bool = True
    ) -> None:
        super().__init__(before, after, kernel, stride, (kernel - 1) // 2, bias=bias)
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self.scale = gain / math.sqrt(before * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W)."""
        return F.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


class Leaky(nn.Module):
    """LeakyReLU 0.2 that keeps the size of what goes through it, nearly: times sqrt(2)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return F.leaky_relu(x, 0.2) * GAIN


def fall(before: int, after: int, halve: nn.Module) -> nn.Sequential:
    """Features (B, before, H, W) to (B, after, H/2, W/2) (1710.10196, table 2)."""
    return nn.Sequential(EqualisedConv2d(before, before, 3), Leaky(), EqualisedConv2d(before, after, 3), Leaky(), halve)


class Residual(nn.Module):
    """Features (B, before, H, W) to (B, after, H/2, W/2): (shortcut + branch) / sqrt(2) (1912.04958, figure 7c)."""

    def __init__(self, before: int, after: int, halve: nn.Module) -> None:
        super().__init__()
        self.layers = fall(before, after, halve)
        self.shortcut = nn.Sequential(halve, EqualisedConv2d(before, after, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W)."""
        return (self.shortcut(x) + self.layers(x)) / GAIN


def unit(x: Tensor) -> Tensor:
    """Vectors (B, D) divided by their root mean square."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)

"""Residual blocks of adversarial networks: twice as large, half as large, their norms told labels where there are any.

Gulrajani et al. 2017, 1704.00028, appendix C; Miyato et al. 2018, 1802.05957; Brock et al. 2019, 1809.11096, figure 15.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from limner.nn.attention import GatedAttention
from limner.nn.conditional import through, told_norm
from limner.nn.norm import NormName, norm
from limner.nn.resample import Up, up


class Rise(nn.Module):
    """Features (B, before, H, W) to (B, after, 2H, 2W).

    Args:
        way: of doubling. kind: of the norms. told: length of what these are told, 0 for nothing.
    """

    def __init__(self, before: int, after: int, way: Up, kind: NormName, told: int = 0) -> None:
        super().__init__()
        self.told = told
        self.layers = nn.Sequential(
            told_norm(kind, before, told),
            nn.ReLU(),
            up(way, before, after),
            told_norm(kind, after, told),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1),
        )
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        """(B, before, H, W) and what is told, (B, E)."""
        # A 1x1 convolution and repeating pixels can be exchanged; this order has a quarter of the work.
        straight = F.interpolate(self.shortcut(x), scale_factor=2.0, mode="nearest")
        return straight + through(self.layers, x, told)


class Fall(nn.Module):
    """Features (B, before, H, W) to (B, after, H/2, W/2); `first`: of pictures, which are not cut off at 0."""

    def __init__(self, before: int, after: int, kind: NormName, halve: bool = True, first: bool = False) -> None:
        super().__init__()
        opening: list[nn.Module] = [] if first else [norm(kind, before), nn.ReLU()]
        middle = nn.Identity() if first else norm(kind, after)
        self.layers = nn.Sequential(
            *opening, nn.Conv2d(before, after, 3, 1, 1), middle, nn.ReLU(), nn.Conv2d(after, after, 3, 1, 1)
        )
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)
        self.halve = halve

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W)."""
        if not self.halve:
            return self.shortcut(x) + self.layers(x)
        return self.shortcut(F.avg_pool2d(x, 2)) + F.avg_pool2d(self.layers(x), 2)


LARGEST = 32
"""Side of the largest features that attend: its cost grows with the fourth power of the side."""


def attending(start: tuple[int, int], levels: int) -> int:
    """After how many of `levels` doublings of `start` features attend to all places: half the picture's size, or 32."""
    fits = [level for level in range(levels) if max(start) * 2**level <= LARGEST]
    return fits[-1] if fits else 0


def descent(widths: Sequence[int], given: int, attend: int) -> nn.Sequential:
    """Features (B, given, H, W) to (B, widths[-1], ...): blocks without norms, each but the last one halving.

    Args:
        widths: channels before the first of these blocks and after each. given: channels that really come, labels'
            planes among them. attend: before which block features attend, counted from 0.
    """
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(zip([given, *widths[1:]], [*widths[1:], widths[-1]], strict=True)):
        if place == attend:
            layers.append(GatedAttention(before))
        layers.append(Fall(before, after, "none", halve=place + 1 < len(widths)))
    return nn.Sequential(*layers, nn.ReLU())

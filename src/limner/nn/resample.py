"""Twice as large, half as large: every way by name, and the cubic spline between them.

`up` and `down` make a layer that also changes the number of channels; `upsampled` and `downsampled` are the plain
functions behind those ways that have no weights of their own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Up = Literal["transposed", "nearest", "bilinear", "cubic", "pixel-shuffle"]
Down = Literal["strided", "average", "max", "antialiased"]


def up(way: Up, before: int, after: int, kernel: int = 3, bias: bool = True) -> nn.Module:
    """A layer (B, before, H, W) to (B, after, 2H, 2W).

    Args:
        way: "transposed" is a transposed convolution of stride 2 (its kernel made even, so that every pixel of the
            result gets the same number of contributions); "nearest", "bilinear" and "cubic" interpolate and then
            convolve; "pixel-shuffle" convolves to four times the channels and moves them into space (Shi et al. 2016).
        kernel: side of the convolution; an even one is made odd where nothing is strided.
    """
    if way == "transposed":
        side = kernel + kernel % 2
        return nn.ConvTranspose2d(before, after, side, 2, side // 2 - 1, bias=bias)
    kernel -= 1 - kernel % 2
    if way == "pixel-shuffle":
        wide = nn.Conv2d(before, 4 * after, kernel, 1, kernel // 2, bias=bias)
        return nn.Sequential(wide, nn.PixelShuffle(2))
    return nn.Sequential(Upsample(way), nn.Conv2d(before, after, kernel, 1, kernel // 2, bias=bias))


def down(way: Down, before: int, after: int, kernel: int = 3, bias: bool = True) -> nn.Module:
    """A layer (B, before, H, W) to (B, after, H/2, W/2) for even H and W.

    Args:
        way: "strided" is a convolution of stride 2; the others convolve and then take the average, the maximum, or
            every second pixel of the picture blurred with (1, 3, 3, 1) (Zhang 2019).
        kernel: side of the convolution; an even one is made odd where nothing is strided.
    """
    if way == "strided":
        return nn.Conv2d(before, after, kernel, 2, (kernel - 1) // 2, bias=bias)
    kernel -= 1 - kernel % 2
    return nn.Sequential(nn.Conv2d(before, after, kernel, 1, kernel // 2, bias=bias), Downsample(way))


class Upsample(nn.Module):
    """(B, C, H, W) to (B, C, 2H, 2W) by interpolation; see `upsampled`."""

    def __init__(self, way: Up = "nearest") -> None:
        super().__init__()
        self.way: Up = way

    def forward(self, x: Tensor) -> Tensor:
        """Twice as large."""
        return upsampled(x, self.way)


class Downsample(nn.Module):
    """(B, C, H, W) to (B, C, H/2, W/2) without weights; see `downsampled`."""

    def __init__(self, way: Down = "average") -> None:
        super().__init__()
        self.way: Down = way

    def forward(self, x: Tensor) -> Tensor:
        """Half as large."""
        return downsampled(x, self.way)


def upsampled(x: Tensor, way: Up) -> Tensor:
    """Pictures (B, C, H, W) twice as large by "nearest", "bilinear" or "cubic" (interpolating cubic spline).

    Pixels are areas: centres of the new ones lie at a quarter and three quarters of the old ones, edges coincide.
    """
    if way == "nearest":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    if way == "bilinear":
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert way == "cubic", f"{way} has weights: use `up`"
    return spline_resized(x, (2 * x.shape[-2], 2 * x.shape[-1]))


def downsampled(x: Tensor, way: Down) -> Tensor:
    """Pictures (B, C, H, W) half as large by "average", "max" or "antialiased" (blurred, then every second pixel)."""
    if way == "average":
        return F.avg_pool2d(x, 2)
    if way == "max":
        return F.max_pool2d(x, 2)
    assert way == "antialiased", f"{way} has weights: use `down`"
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device, dtype=x.dtype) / 8
    channels = x.shape[1]
    kernel = torch.outer(row, row).expand(channels, 1, 4, 4)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=channels)


def spline_resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures (B, C, H, W) at `size` (height, width) by the interpolating cubic spline (Unser 1999, "Splines").

    Outside, the picture is mirrored about its edges. Exact, not windowed: two small matrix products.
    """
    rows = spline_matrix(x.shape[-2], size[0]).to(x)
    columns = spline_matrix(x.shape[-1], size[1]).to(x)
    return rows @ x @ columns.T  # (H', H) (B, C, H, W) (W, W')


@lru_cache(maxsize=64)
def spline_matrix(before: int, after: int) -> Tensor:
    """(after, before) weights of the cubic spline through `before` samples, at the centres of `after` samples.

    The spline is sum_k c_k beta(t - k) with the cubic B-spline beta; c solves sum_k c_k beta(n - k) = sample n.
    """
    places = (torch.arange(after, dtype=torch.float64) + 0.5) * before / after - 0.5
    at_samples = _basis(torch.arange(before, dtype=torch.float64), before)
    return _basis(places, before) @ torch.linalg.inv(at_samples)


def _basis(places: Tensor, count: int) -> Tensor:
    """(len(places), count) values of the B-splines, those beyond an edge mirrored onto the ones inside."""
    knots = torch.arange(-2, count + 2)
    t = (places[:, None] - knots).abs()
    beta = torch.where(t < 1, 2 / 3 - t.square() + t**3 / 2, (2 - t).clamp_min(0) ** 3 / 6)
    period = knots % (2 * count)
    mirrored = torch.minimum(period, 2 * count - 1 - period)
    return torch.zeros(len(places), count, dtype=places.dtype).index_add_(1, mirrored, beta)

"""Ways to spoil pictures, each with a strength in [0, 1]: what generators get wrong, made on purpose.

Every function takes and gives float pictures (B, 3, H, W) in [0, 1]. Lengths scale with the side, so that a strength
looks alike at 32 and 64 pixels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

Spoil = Callable[[Tensor, float, torch.Generator], Tensor]


def blur(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """Gaussian blur; standard deviation up to 3 pixels of 32."""
    sigma = 0.25 + 2.75 * strength * x.shape[-1] / 32
    reach = min(math.ceil(2.5 * sigma), x.shape[-1] - 1)
    at = torch.arange(-reach, reach + 1, dtype=x.dtype)
    kernel = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    x = F.pad(x, (reach, reach, reach, reach), mode="reflect")
    x = F.conv2d(x, kernel[:, :, None, :], groups=x.shape[1])
    return F.conv2d(x, kernel[:, :, :, None], groups=x.shape[1])


def noise(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """White Gaussian noise; standard deviation up to 0.35 of the range."""
    return (x + (0.01 + 0.34 * strength) * torch.randn(x.shape, generator=draw)).clamp(0, 1)


def jpeg(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """JPEG at quality 80 down to 4, chroma halved as encoders do by default."""
    quality = round(80 * (4 / 80) ** strength)
    out = []
    for picture in (x * 255).round().byte().permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        out.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2).float() / 255


def shuffle(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """Some tiles of a 4x4 cut change places: parts are right, the whole is not."""
    tiles = x.unfold(2, x.shape[2] // 4, x.shape[2] // 4).unfold(3, x.shape[3] // 4, x.shape[3] // 4)
    b, c, _, _, h, w = tiles.shape
    tiles = tiles.reshape(b, c, 16, h, w)
    moved = torch.randperm(16, generator=draw)[: 2 + round(14 * strength)]
    order = torch.arange(16)
    order[moved] = moved.roll(1)
    tiles = tiles[:, :, order].reshape(b, c, 4, 4, h, w)
    return tiles.permute(0, 1, 2, 4, 3, 5).reshape(b, c, 4 * h, 4 * w)


def tint(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """A colour cast: each channel is moved by up to 0.35, their mean by none."""
    cast = torch.randn(3, generator=draw)
    cast = cast - cast.mean()
    return (x + (0.02 + 0.33 * strength) * (cast / cast.abs().max())[None, :, None, None]).clamp(0, 1)


def fade(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """Contrast falls towards each picture's mean, down to a tenth."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (1 - 0.9 * strength)


def ghost(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """Another picture shines through: what lies between two modes."""
    return x + (0.05 + 0.45 * strength) * (x.roll(1, 0) - x)


def warp(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """A smooth random displacement of up to about 4 pixels of 32."""
    field = F.interpolate(
        torch.randn(x.shape[0], 2, 5, 5, generator=draw), x.shape[2:], mode="bicubic", align_corners=True
    )
    identity = F.affine_grid(torch.eye(2, 3).expand(x.shape[0], 2, 3), list(x.shape), align_corners=False)
    grid = identity + (0.01 + 0.14 * strength) * field.permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(0, 1)


def checker(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """The grid that transposed convolutions leave: every second row and column is lighter."""
    grid = torch.ones(2, 2)
    grid[int(torch.randint(2, (), generator=draw)), int(torch.randint(2, (), generator=draw))] = -3
    grid = grid.repeat(x.shape[2] // 2, x.shape[3] // 2) / 3
    return (x * (1 - (0.03 + 0.4 * strength) * grid)).clamp(0, 1)


def coarse(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """Towards the picture at half the resolution of 32 pixels, put back by nearest neighbour."""
    small = F.interpolate(x, (16, 16), mode="area")
    return x + (0.05 + 0.95 * strength) * (F.interpolate(small, x.shape[2:], mode="nearest") - x)


def patch(x: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """A square is filled with its own mean; its side is up to 0.7 of the picture's."""
    side = max(2, round((0.1 + 0.6 * strength) * x.shape[-1]))
    top, left = (int(torch.randint(s - side + 1, (), generator=draw)) for s in x.shape[2:])
    x = x.clone()
    hole = x[:, :, top : top + side, left : left + side]
    hole[:] = hole.mean((2, 3), keepdim=True)
    return x


WAYS: dict[str, Spoil] = {
    f.__name__: f for f in (blur, noise, jpeg, shuffle, tint, fade, ghost, warp, checker, coarse, patch)
}

"""Changes to whole batches that keep a picture a picture. Off unless a recipe or a person asks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from limner.config import Augment
from limner.draws import TurnDraws


def augmented(pictures: Tensor, augment: Augment, draws: TurnDraws) -> Tensor:
    """Changed pictures (b, C, H, W) of the same shape and range; what is drawn depends on `draws` alone."""
    if augment.flip:
        mirrored = draws.uniform("flip").view(-1, 1, 1, 1) < augment.flip
        pictures = torch.where(mirrored, pictures.flip(-1), pictures)
    if augment.shift:
        pictures = _shifted(pictures, augment.shift, draws.uniform("shift", 2))
    if augment.crop < 1 or augment.turn:
        pictures = _warped(pictures, augment.crop, augment.turn, draws.uniform("crop", 3), draws.uniform("turn"))
    return pictures


def _shifted(pictures: Tensor, share: float, drawn: Tensor) -> Tensor:
    """Moved by whole pixels, so that nothing is blurred."""
    b, _, height, width = pictures.shape
    most = torch.tensor([round(share * height), round(share * width)])
    by = torch.floor(drawn * (2 * most + 1)).long() - most  # (b, 2)
    rows = (torch.arange(height) - by[:, :1]).clamp(0, height - 1)  # (b, H)
    columns = (torch.arange(width) - by[:, 1:]).clamp(0, width - 1)  # (b, W)
    return pictures[torch.arange(b)[:, None, None], :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def _warped(pictures: Tensor, crop: float, degrees: float, place: Tensor, angle: Tensor) -> Tensor:
    """Cut out (never beyond the edge), turned, and sampled bilinearly."""
    b, _, height, width = pictures.shape
    scale = 1 - (1 - crop) * place[:, 0]
    centre = (1 - scale)[:, None] * (2 * place[:, 1:] - 1)
    radians = (2 * angle - 1) * degrees * torch.pi / 180
    cos, sin = torch.cos(radians) * scale, torch.sin(radians) * scale
    ratio = height / width  # the grid's units differ along the sides
    matrix = torch.stack(
        [torch.stack([cos, -sin * ratio, centre[:, 0]], 1), torch.stack([sin / ratio, cos, centre[:, 1]], 1)], 1
    )
    grid = F.affine_grid(matrix, [b, 1, height, width], align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)

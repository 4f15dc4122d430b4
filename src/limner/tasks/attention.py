"""Where the places of pictures look, drawn over them (Zhang et al. 2019, arXiv 1805.08318, figure 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from limner.api import Attends, Generator, needs
from limner.data.pixels import to_uint8
from limner.tasks.painting import as_painted
from limner.tasks.sample import options_of

POINTS = ((0.5, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75))
"""Places that are asked, from the top and from the left, as shares of the height and the width."""

SIDE = 96
"""Of a drawn picture, in pixels, at least."""

LIGHT, DARK = np.array([255, 196, 0]), 0.25
"""Colour of what is looked at, and how much of the picture is left where nobody looks."""

MARKS = ((230, 25, 75), (0, 130, 200), (60, 180, 75), (245, 130, 48), (145, 30, 180))
"""Colours of the places that are asked."""


def attention(
    model: Generator,
    indices: Sequence[int],
    seed: int = 0,
    label: Any = None,
    options: Mapping[str, Any] | None = None,
    others: Iterable[str] = (),
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Pictures (n, H, W, C) uint8, and by a layer's name what each of h x w places looks at: (n, h, w, h', w').

    Args:
        indices: numbers of pictures, as `sample` numbers them under the seed.
        label, options: as in `Request`. others: recipes whose models can, for the error.

    Raises:
        UserError: a model without attention.
    """
    needs(model, "attend", others)
    assert isinstance(model, Attends)
    how = options_of(model, options or {})
    with as_painted(model, seed, indices, label) as (draws, condition):
        pictures, seen = model.attention(draws, condition, how)
        return to_uint8(pictures), {name: weights.float().cpu().numpy() for name, weights in seen.items()}


def drawn(pixels: np.ndarray, seen: Mapping[str, np.ndarray]) -> tuple[np.ndarray, int]:
    """Cells (N, H', W', 3) uint8 for a sheet, and how many make a row: of each picture and layer the picture with its
    `POINTS` marked, then for each point the picture, light where that point looks."""
    cells = []
    for i, picture in enumerate(pixels):
        large = _large(picture[..., :3].repeat(3 // min(3, picture.shape[2]), axis=2))
        for weights in seen.values():
            height, width = weights.shape[1:3]
            marked, lit = large.copy(), []
            for (down, right), colour in zip(POINTS, MARKS, strict=True):
                _mark(marked, down, right, colour)
                looks = weights[i, min(int(down * height), height - 1), min(int(right * width), width - 1)]
                lit.append(_lit(large, looks))
                _mark(lit[-1], down, right, colour)
            cells += [marked, *lit]
    return np.stack(cells), 1 + len(POINTS)


def _large(picture: np.ndarray) -> np.ndarray:
    zoom = -(-SIDE // max(picture.shape[:2]))
    return picture.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _mark(picture: np.ndarray, down: float, right: float, colour: tuple[int, int, int]) -> None:
    height, width = picture.shape[:2]
    top, left, half = int(down * height), int(right * width), max(2, SIDE // 32)
    picture[top - half - 1 : top + half + 1, left - half - 1 : left + half + 1] = 255
    picture[top - half : top + half, left - half : left + half] = colour


def _lit(picture: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) darkened, its places the lighter the larger `looks` (h', w') is there."""
    from PIL import Image

    height, width = picture.shape[:2]
    share = Image.fromarray((looks / looks.max()).astype(np.float32))
    smooth = np.asarray(share.resize((width, height), Image.Resampling.BICUBIC))[..., None]
    grey = picture.mean(2, keepdims=True)
    lit: np.ndarray = DARK * grey + smooth * (0.5 * LIGHT + 0.5 * picture - DARK * grey)
    return lit.round().clip(0, 255).astype(np.uint8)

"""Resizing that is antialiased and agrees with Pillow bit for bit, because Pillow does it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from PIL import Image

Filter = Literal["box", "bilinear", "hamming", "bicubic", "lanczos"]
FILTER: Filter = "bicubic"
_FILTERS = {name: Image.Resampling[name.upper()] for name in ("box", "bilinear", "hamming", "bicubic", "lanczos")}


def resize(pictures: np.ndarray, size: tuple[int, int], filter: Filter = FILTER) -> np.ndarray:
    """Pictures (..., H, W, C), uint8 or uint16, to `size` = (height, width), stretched where the aspect differs.

    Equal to `PIL.Image.resize` with the same filter; transparency (C = 4) is weighted as Pillow weights it. uint16 goes
    through Pillow's 32-bit float pictures, one channel at a time, and is rounded once.
    """
    *front, height, width, channels = pictures.shape
    if (height, width) == tuple(size):
        return pictures.copy()
    if pictures.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"pixels must be uint8 or uint16, got {pictures.dtype}")
    flat = pictures.reshape(-1, height, width, channels)
    out = np.empty((len(flat), *size, channels), pictures.dtype)
    one = _resize_bytes if pictures.dtype == np.uint8 and channels in (1, 3, 4) else _resize_floats
    for source, target in zip(flat, out, strict=True):
        one(source, target, _FILTERS[filter])
    return out.reshape(*front, *size, channels)


def _resize_bytes(source: np.ndarray, target: np.ndarray, filter: Image.Resampling) -> None:
    image = Image.fromarray(source[..., 0] if source.shape[-1] == 1 else source)
    resized = image.resize((target.shape[1], target.shape[0]), filter)
    target[...] = np.asarray(resized).reshape(target.shape)


def _resize_floats(source: np.ndarray, target: np.ndarray, filter: Image.Resampling) -> None:
    top = np.iinfo(source.dtype).max
    for channel in range(source.shape[-1]):
        image = Image.fromarray(source[..., channel].astype(np.float32))
        resized = np.asarray(image.resize((target.shape[1], target.shape[0]), filter))
        target[..., channel] = np.clip(np.rint(resized), 0, top).astype(source.dtype)


def to_shape(image: Image.Image, size: tuple[int, int], crop: str, key: int = 0) -> Image.Image:
    """One picture to exactly `size` = (height, width) by a crop mode of `DataOptions`.

    `key` chooses the place of a random crop. `fit` scales down only, and centres the picture on white (transparent
    where the picture has alpha); the other modes scale up where they must.
    """
    height, width = size
    if image.size == (width, height):
        return image
    method = _FILTERS[FILTER]
    if crop == "stretch":
        return image.resize((width, height), method)
    if crop == "fit":
        return _fit(image, size)
    # The largest box of the target's aspect, as in PIL.ImageOps.fit.
    wide, high = image.size
    box_wide, box_high = (
        (high * width / height, high) if wide * height >= high * width else (wide, wide * height / width)
    )
    across, down = (0.5, 0.5) if crop == "center" else ((key & 0xFFFF) / 0xFFFF, (key >> 16 & 0xFFFF) / 0xFFFF)
    left, top = (wide - box_wide) * across, (high - box_high) * down
    return image.resize((width, height), method, box=(left, top, left + box_wide, top + box_high))


def _fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    height, width = size
    scale = min(width / image.width, height / image.height, 1.0)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if inner != image.size:
        image = image.resize(inner, _FILTERS[FILTER])
    whites: dict[str, Any] = {"L": 255, "F": 65535.0, "RGB": (255, 255, 255), "RGBA": (255, 255, 255, 0)}
    canvas = Image.new(image.mode, (width, height), whites[image.mode])
    canvas.paste(image, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


def scale_of(native: tuple[int, int], size: tuple[int, int], crop: str) -> float:
    """How much larger (> 1) or smaller (< 1) a picture of `native` (height, width) becomes."""
    ratios = size[0] / native[0], size[1] / native[1]
    return min(*ratios, 1.0) if crop == "fit" else max(ratios)

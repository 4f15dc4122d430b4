"""Small pictures that differ from each other, and folders full of them."""

from pathlib import Path

import numpy as np
from PIL import Image


def pixels(number: int, size=(24, 24), channels: int = 3) -> np.ndarray:
    """Smooth random colours: every number another picture, alike in no cell."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    full = np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC))
    return full if channels == 3 else full[..., :1]


def picture(number: int, size=(24, 24), mode: str = "RGB") -> Image.Image:
    return Image.fromarray(pixels(number, size)).convert(mode)


def folder(root: Path, count: int, size=(24, 24), first: int = 0, ending: str = "png") -> Path:
    """`count` pictures named by their number."""
    root.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        picture(first + i, size).save(root / f"{i:03d}.{ending}")
    return root


def aside(report) -> dict[str, str]:
    """What was set aside, with reasons."""
    values = report if isinstance(report, dict) else report.to_dict()
    return {entry["file"]: entry["reason"] for entry in values["set_aside"]}

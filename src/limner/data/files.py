"""Picture files that a person names, brought to the form that a model takes: no set, no pack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from limner.data.decode import Refused
from limner.data.part import place
from limner.data.plan import Plan
from limner.data.sources.base import hidden
from limner.errors import UserError


def named(places: Iterable[str | Path]) -> list[Path]:
    """The files of a list of files and folders; of a folder all that are not hidden, in the order of their names.

    Raises:
        UserError: a path that is not there, or a folder without files.
    """
    found: list[Path] = []
    for one in map(Path, places):
        if one.is_dir():
            inside = sorted(path for path in one.rglob("*") if path.is_file() and not hidden(path.name))
            if not inside:
                raise UserError(f"{one} has no files in it: name pictures, or a folder of them")
            found += inside
        elif one.is_file():
            found.append(one)
        else:
            raise UserError(f"no file at {one}: name pictures, or a folder of them")
    if not found:
        raise UserError("no pictures were named: give files, or a folder of them")
    return found


def read(paths: Sequence[Path], shape: tuple[int, int, int], depth: int = 8, crop: str = "center") -> np.ndarray:
    """Pixels (n, H, W, C) of picture files, uint8 or with `depth` 16 uint16, scaled and cropped as a set's are.

    Args:
        shape: (channels, height, width).

    Raises:
        UserError: a file that is not a whole picture.
    """
    channels, height, width = shape
    alpha = "keep" if channels == 4 else "composite"
    plan = Plan(height=height, width=width, channels=channels, depth=depth, crop=crop, alpha=alpha, fixed=True)
    pixels = np.zeros((len(paths), *plan.shape), plan.dtype)
    for target, path in zip(pixels, paths, strict=True):
        try:
            place(target, path.read_bytes(), plan)
        except Refused as reason:
            raise UserError(f"{path} cannot be read as a picture: {reason}") from None
    return pixels

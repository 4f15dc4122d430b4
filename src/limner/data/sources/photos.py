"""The built-in set `photos`: crops of the photographs that scikit-learn and scikit-image ship in their wheels."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from limner.data.options import DataOptions
from limner.data.resize import to_shape
from limner.data.sources.base import FILE, SPLIT, TEST, TRAIN, Found, Payload, Source, numbered
from limner.errors import UserError

COUNT, SIDE, LARGEST = 2000, 64, 192
HELD = 10  # every tenth crop is a held-out one
PHOTOGRAPHS = {
    "astronaut": "skimage/data/astronaut.png",
    "brick": "skimage/data/brick.png",
    "camera": "skimage/data/camera.png",
    "cat": "skimage/data/chelsea.png",
    "china": "sklearn/datasets/images/china.jpg",
    "coffee": "skimage/data/coffee.png",
    "coins": "skimage/data/coins.png",
    "flower": "sklearn/datasets/images/flower.jpg",
    "grass": "skimage/data/grass.png",
    "gravel": "skimage/data/gravel.png",
    "hubble": "skimage/data/hubble_deep_field.jpg",
    "moon": "skimage/data/moon.png",
    "motorcycle": "skimage/data/motorcycle_left.png",
    "retina": "skimage/data/retina.jpg",
    "rocket": "skimage/data/rocket.jpg",
    "tissue": "skimage/data/ihc.png",
}


def find_photos(count: int | None, options: DataOptions) -> Found:
    """`count` square or oblong crops (2,000 of 64x64 unless told otherwise), labelled by photograph.

    Each covers one to four times the size asked for and is scaled down, never up. Every tenth comes from an end of the
    photograph that no other crop touches: those are held out. Raises UserError for sizes above 192 px.
    """
    count = count or options.limit or COUNT
    height, width = options.height_width or (SIDE, SIDE)
    if max(height, width) > LARGEST:
        raise UserError(f"size {width}x{height} is more than the photographs have: 'photos' gives at most {LARGEST} px")
    stamp = f"photos-1 {count} {height} {width} {options.seed}"
    return Found("photos", stamp, lambda: _open(count, height, width, options.seed))


def _open(count: int, height: int, width: int, seed: int) -> Source:
    numbers = np.arange(count)
    names = pa.array(list(PHOTOGRAPHS))
    parts = pa.array([TEST, TRAIN]).take(pa.array((numbers // len(PHOTOGRAPHS) % HELD != HELD - 1).astype(np.int64)))
    return Source(
        kind="photos",
        name="photos",
        layout="built-in: crops of the photographs of scikit-learn and scikit-image",
        table=pa.table(
            {
                FILE: numbered(count, "crop "),
                SPLIT: parts,
                "photograph": names.take(pa.array(numbers % len(PHOTOGRAPHS))),
            }
        ),
        settings={"height": height, "width": width, "seed": seed},
        label_column="photograph",
    )


@lru_cache
def photograph(name: str) -> Image.Image:
    """One of `PHOTOGRAPHS` in colour."""
    import importlib.util

    package, _, path = PHOTOGRAPHS[name].partition("/")
    found = importlib.util.find_spec(package)  # not imported: only its files are wanted
    assert found is not None and found.origin is not None, f"{package} is a dependency"
    with Image.open(Path(found.origin).parent / path) as image:
        return image.convert("RGB")


class PhotosReader:
    """Cuts the crops it is asked for."""

    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        self.size, self.seed = (settings["height"], settings["width"]), settings["seed"]

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        for i in rows.tolist():
            image = photograph(list(PHOTOGRAPHS)[i % len(PHOTOGRAPHS)])
            held = i // len(PHOTOGRAPHS) % HELD == HELD - 1
            crop = image.crop(self._box(random.Random(f"photos {self.seed} {i}"), image.size, held))
            yield np.asarray(to_shape(crop, self.size, "center"))

    def _box(self, draw: random.Random, size: tuple[int, int], held: bool) -> tuple[int, int, int, int]:
        """A crop inside the last fifth (or as much as one crop needs) of the longer side, or inside the rest."""
        height, width = self.size
        low, high = [0, 0], list(size)
        axis = 0 if size[0] >= size[1] else 1
        edge = size[axis] - max(size[axis] // 5, (width, height)[axis])
        if held:
            low[axis] = edge
        else:
            high[axis] = edge
        room = (high[0] - low[0]) / width, (high[1] - low[1]) / height
        scale = math.exp(draw.uniform(0, math.log(max(1.0, min(4.0, *room)))))
        wide, tall = int(width * scale), int(height * scale)
        left, top = draw.randint(low[0], high[0] - wide), draw.randint(low[1], high[1] - tall)
        return left, top, left + wide, top + tall

"""The built-in set `shapes`: drawn scenes with captions and exact truth, any number, any size, seeded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limner.data.options import DataOptions
from limner.data.scenes import BACKGROUNDS, COLOURS, SHAPES, SIZES, Scene, paint, scene
from limner.data.sources.base import FILE, Found, Payload, Source
from limner.data.sources.tree import Columns

COUNT, SIDE = 10_000, 32
_WORDS = ("shape", "colour", "size", "place")


def find_shapes(count: int | None, options: DataOptions) -> Found:
    """`count` scenes (10,000 unless told otherwise), drawn at the size asked for (32x32).

    Columns: caption; scene, the whole truth as JSON; shape, colour, size, place of the first shape named and, with a 2
    behind them, of the second; background, count, relation, overlap.
    """
    count = count or options.limit or COUNT
    height, width = options.height_width or (SIDE, SIDE)
    return Found(
        "shapes", f"shapes-2 {count} {height} {width} {options.seed}", lambda: _open(count, height, width, options.seed)
    )


def _open(count: int, height: int, width: int, seed: int) -> Source:
    text = pa.large_string()
    names = [*_WORDS, *(f"{word}2" for word in _WORDS), "background", "relation"]
    columns = Columns(
        **{FILE: text, "caption": text, "scene": text},
        **dict.fromkeys(names, pa.string()),
        count=pa.int32(),
        overlap=pa.bool_(),
    )
    for i in range(count):
        columns.add(**_row(i, scene(seed, i, width / height)))
    table = columns.table()
    for name, words in _vocabularies().items():  # so that codes do not depend on the number of scenes
        position = table.column_names.index(name)
        codes = pc.index_in(table[name], value_set=pa.array(words)).combine_chunks()
        table = table.set_column(position, name, pa.DictionaryArray.from_arrays(codes, pa.array(words)))
    return Source(
        kind="shapes",
        name="shapes",
        layout="built-in: drawn scenes of coloured shapes",
        table=table,
        settings={"height": height, "width": width, "seed": seed},
        label_column="shape",
        caption_column="caption",
    )


def _vocabularies() -> dict[str, list[str]]:
    places = [
        f"{row} {column}".strip() or "centre" for row in ("top", "", "bottom") for column in ("left", "", "right")
    ]
    words = {"shape": list(SHAPES), "colour": list(COLOURS), "size": list(SIZES), "place": places}
    relations = ["left of", "right of", "above", "below", "in front of"]
    return {
        **words,
        **{f"{name}2": values for name, values in words.items()},
        "background": list(BACKGROUNDS),
        "relation": relations,
    }


def _row(i: int, what: Scene) -> dict[str, Any]:
    row: dict[str, Any] = {
        FILE: f"scene {i}",
        "caption": what.caption,
        "scene": msgspec.json.encode(what).decode(),
        "background": what.background,
        "relation": what.relation or None,
        "count": len(what.shapes),
        "overlap": what.overlap,
    }
    for ending, shape in zip(("", "2"), (*what.shapes, None), strict=False):
        row.update({f"{word}{ending}": getattr(shape, word, None) for word in _WORDS})
    return row


class ShapesReader:
    """Draws the scenes it is asked for."""

    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        self.height, self.width, self.seed = settings["height"], settings["width"], settings["seed"]

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        for i in rows.tolist():
            yield paint(scene(self.seed, i, self.width / self.height), self.height, self.width)

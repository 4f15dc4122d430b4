"""The built-in set `digits`: scikit-learn's 1,797 handwritten digits, 8x8 grey (E. Alpaydin and C. Kaynak, UCI)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from limner.data.options import DataOptions
from limner.data.sources.base import FILE, Found, Payload, Source, numbered


def _load() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return np.rint(found.images * (255 / 16)).astype(np.uint8), found.target


def find_digits(count: int | None, options: DataOptions) -> Found:
    """1,797 digits with ten classes; values 0..16 are stretched to 0..255."""
    return Found("digits", f"digits-1 {count}", lambda: _open(count))


def _open(count: int | None) -> Source:
    pixels, target = _load()
    pixels, target = pixels[:count], target[:count]
    return Source(
        kind="digits",
        name="digits",
        layout="built-in: handwritten digits of scikit-learn",
        table=pa.table({FILE: numbered(len(pixels), "digit "), "label": pa.array(target)}),
        settings={},
        label_names={"label": tuple("0123456789")},
        label_column="label",
    )


class DigitsReader:
    """Reads the digits that scikit-learn ships."""

    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        self.pixels = _load()[0]

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        yield from self.pixels[rows]

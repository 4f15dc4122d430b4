"""The pictures of a report, as data inside the page."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from limner.errors import UserError
from limner.evaluation.features import as_bytes
from limner.evaluation.reference import shuffled
from limner.evaluation.samples import open_samples
from limner.pictures import grid, image
from limner.studies.page import data_uri

if TYPE_CHECKING:
    from limner.data import Pack

ACROSS, DOWN = 8, 4
_SIDE = 64  # pictures larger than this are shown smaller


class Sheets:
    """Sheets of pictures as PNG data URIs; None where there is nothing to show any more.

    Args:
        folder: of the comparison. pack: the real pictures. show_real: whether any of them may be seen.
    """

    def __init__(self, folder: Path, pack: Pack, show_real: bool = True) -> None:
        self.folder, self.pack, self.show_real = folder, pack, show_real

    def real(self) -> str | None:
        """Pictures that no model has seen; training ones where nothing is held out."""
        if not self.show_real:
            return None
        part = self.pack.held_out if len(self.pack.held_out) else self.pack.train
        return _sheet(self.pack.read(shuffled(part, 0, "shown")[: ACROSS * DOWN]))

    def samples(self, path: str) -> str | None:
        """The first pictures of a set."""
        try:
            opened = open_samples(path, tuple(self.pack.shape[1:]), ACROSS * DOWN, 0)  # type: ignore[arg-type]
            return _sheet(np.concatenate(list(opened.blocks))[: ACROSS * DOWN])
        except UserError:
            return None  # moved away since it was measured: the numbers stand

    def nearest(self, row: str) -> str | None:
        """Samples over their nearest training pictures, as the measurement wrote them."""
        path = self.folder / "rows" / f"{row}-nearest.png"
        return data_uri(path.read_bytes()) if self.show_real and path.is_file() else None


def _sheet(pictures: np.ndarray) -> str:
    pixels = as_bytes(pictures)
    step = -(-max(pixels.shape[1:3]) // _SIDE)
    file = io.BytesIO()
    image(grid(pixels[:, ::step, ::step], ACROSS, zoom=1)).save(file, "PNG", optimize=True)
    return data_uri(file.getvalue())

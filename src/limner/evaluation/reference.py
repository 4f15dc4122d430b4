"""The real side of a measurement: pictures chosen from a pack, and their features, kept for next time."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from limner import storage
from limner.data.cache import cache_folder
from limner.draws import seed_of
from limner.errors import UserError
from limner.evaluation.features import Features
from limner.evaluation.protocol import digest

if TYPE_CHECKING:
    from limner.data import Pack

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""

_BLOCK = 1000


def shuffled(indices: np.ndarray, seed: int, name: str) -> np.ndarray:
    """The indices in a random order that depends on (seed, name) alone; a shorter draw is the start of a longer one."""
    order = np.random.Generator(np.random.PCG64(seed_of(seed, "evaluation", name)))
    return np.asarray(indices, dtype=np.int64)[order.permutation(len(indices))]


def read_blocks(pack: Pack, indices: np.ndarray) -> Iterator[np.ndarray]:
    """The pack's pictures at `indices`, in that order, in blocks (b, H, W, C)."""
    for first in range(0, len(indices), _BLOCK):
        yield pack.read(indices[first : first + _BLOCK])


def features_of(pack: Pack, indices: np.ndarray, features: Features, progress: Progress | None = None) -> np.ndarray:
    """Features (n, D) of the pack's pictures at `indices`, from the cache where they have been taken before."""
    path = (
        cache_folder()
        / "features"
        / f"{digest(str(pack.id), features.hash, features.resizer, indices.astype('<i8').tobytes())}.npy"
    )
    if path.is_file():
        with contextlib.suppress(ValueError, EOFError):  # a damaged file is taken again, below
            found = np.load(path, allow_pickle=False)
            if found.shape == (len(indices), features.dimension):
                return found
    parts = []
    for done, block in enumerate(read_blocks(pack, indices)):
        parts.append(features.extract(block))
        if progress is not None:
            progress("features of real pictures", min(1.0, (done + 1) * _BLOCK / len(indices)))
    taken = np.concatenate(parts)
    _write(path, taken)
    return taken


def _write(path: Path, array: np.ndarray) -> None:
    """Written whole or not at all. A cache that cannot be written costs time, not the result."""
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    with contextlib.suppress(OSError, UserError):
        path.parent.mkdir(parents=True, exist_ok=True)
        storage.write_file(path, data.getvalue())

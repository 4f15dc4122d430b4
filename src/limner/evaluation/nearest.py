"""Which training pictures come nearest to a few samples: in features and in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from limner.data.pixels import to_float
from limner.evaluation.features import as_bytes
from limner.evaluation.neighbours import nearest_rows
from limner.evaluation.reference import Progress, read_blocks, shuffled
from limner.evaluation.result import Nearest
from limner.pictures import grid

if TYPE_CHECKING:
    from limner.data import Pack

_PIXEL_BYTES = 1 << 30  # training pictures read for the search by pixels


def nearest_training(
    pack: Pack,
    pictures: np.ndarray,
    numbers: np.ndarray,
    features: np.ndarray,
    pool: np.ndarray,
    pool_features: np.ndarray,
    usual: float,
    seed: int,
    progress: Progress | None = None,
) -> Nearest:
    """Nearest training pictures of a few samples.

    Args:
        pictures, numbers, features: the samples (n, H, W, C), their numbers, their features (n, D).
        pool, pool_features: training pictures searched by features: numbers (m,) in the pack and features (m, D).
        usual: what the feature distance is for real pictures.
    """
    at, far = nearest_rows(features, pool_features)
    looked = shuffled(pack.train, seed, "nearest")[: max(1, _PIXEL_BYTES // max(1, pictures[0].nbytes))]
    by_pixels, rms = _nearest_in_pixels(pack, pictures, np.sort(looked), progress)
    rows = [_coloured(x) for x in (pictures, pack.read(pool[at]), pack.read(by_pixels))]
    return Nearest(
        samples=numbers,
        in_features=pool[at],
        feature_distances=far,
        in_pixels=by_pixels,
        pixel_distances=rms,
        usual=usual,
        searched=(len(pool), len(looked)),
        training=len(pack.train),
        sheet=grid(np.concatenate(rows), columns=len(pictures)),
    )


def _coloured(x: np.ndarray) -> np.ndarray:
    x = as_bytes(x)
    return np.repeat(x, 3, axis=3) if x.shape[3] == 1 else x


def _flat(x: np.ndarray) -> torch.Tensor:
    """(n, 3 H W) float32, half the range of `to_float`: differences are shares of the whole range."""
    return to_float(_coloured(x)).flatten(1) / 2


def _nearest_in_pixels(
    pack: Pack, pictures: np.ndarray, looked: np.ndarray, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    wanted = _flat(pictures)
    best = torch.full((len(wanted),), torch.inf)
    found = torch.zeros(len(wanted), dtype=torch.long)
    seen = 0
    for block in read_blocks(pack, looked):
        real = _flat(block)
        squared = (wanted**2).sum(1)[:, None] + (real**2).sum(1) - 2 * wanted @ real.T
        near = squared.min(1)
        closer = near.values < best
        best = torch.where(closer, near.values, best)
        found = torch.where(closer, near.indices + seen, found)
        seen += len(block)
        if progress is not None:
            progress("nearest training pictures", seen / len(looked))
    numbers = looked[found.numpy()]
    exact = (wanted - _flat(pack.read(numbers))).square().mean(1).sqrt()  # free of the cancellation above
    return numbers, exact.numpy()

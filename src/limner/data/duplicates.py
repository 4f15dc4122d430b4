"""Pictures that are there twice: exactly, by a hash of their pixels; nearly, by small thumbs. No all-pairs comparison.

Near duplicates are found by the sorted-neighbourhood method (Hernandez and Stolfo 1995): pictures are sorted by a
64-bit difference hash of their thumb, rotated four ways, and each is compared with the few that follow it.
Cost grows as n log n; besides the index nothing is kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

WINDOW = 6
MAX_BITS = 8
THUMB_MAX, THUMB_MEAN = 12, 3.0
GREY_MAX, GREY_MEAN, GREY_SHARE = 12.0, 3.0, 0.1
COLOUR_MAX, COLOUR_MEAN = 32.0, 5.0
_ROTATIONS = (0, 16, 32, 48)
_FLAT = 4
_CHUNK = 1 << 17


class Duplicates(NamedTuple):
    """group: int64 (n,), equal for pictures that belong together. exact, near: pictures that repeat an earlier one."""

    group: np.ndarray
    exact: int
    near: int


def find(digests: np.ndarray, thumbs: np.ndarray, read: Callable[[np.ndarray], np.ndarray]) -> Duplicates:
    """Groups n pictures by digests (n, 2) uint64 and thumbs (n, 64) uint8; `read` gives pixels of rows for the proof.

    Near means: the same picture saved, scaled or compressed anew. A picture with another detail is another picture.
    """
    n = len(digests)
    same = _exact_pairs(digests)
    groups, exact_group = _components(n, [same])
    # One picture of each exact group stands for it in the search for near ones: the first.
    first = np.empty(groups, np.int64)
    first[exact_group[::-1]] = np.arange(n - 1, -1, -1)
    pairs = _near_pairs(thumbs, first)
    together, group = _components(n, [same, pairs[_proved(pairs, read)]])
    return Duplicates(group, n - groups, groups - together)


def _exact_pairs(digests: np.ndarray) -> np.ndarray:
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    ranked = digests[order]
    equal = np.flatnonzero((ranked[1:] == ranked[:-1]).all(1))
    return np.stack([order[equal], order[equal + 1]], 1)


def _near_pairs(thumbs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Pairs (m, 2) of the pictures `rows` whose thumbs agree, among those that come close in one of the orders."""
    hashes, brightness = np.empty(len(rows), np.uint64), np.empty(len(rows), np.float32)
    for i in range(0, len(rows), _CHUNK):
        block = thumbs[rows[i : i + _CHUNK]]
        hashes[i : i + _CHUNK], brightness[i : i + _CHUNK] = difference_hash(block), block.mean(1, dtype=np.float32)
    results = [np.empty((0, 2), np.int64)]
    for turn in _ROTATIONS:
        turned = (hashes << np.uint64(turn)) | (hashes >> np.uint64((64 - turn) % 64)) if turn else hashes
        order = np.lexsort((brightness, turned))
        for ahead in range(1, min(WINDOW, len(order) - 1) + 1):
            for i in range(0, len(order) - ahead, _CHUNK):
                a, b = order[i : i + _CHUNK], order[i + ahead : i + ahead + _CHUNK]
                a = a[: len(b)]
                close = _count_bits(hashes[a] ^ hashes[b]) <= MAX_BITS
                pair = rows[np.stack([a[close], b[close]], 1)]
                results.append(pair[_thumbs_agree(thumbs, pair)])
    return np.unique(np.sort(np.concatenate(results), 1), axis=0)


def difference_hash(thumbs: np.ndarray) -> np.ndarray:
    """64 bits of each thumb: is the next cell to the right brighter (56 bits), the next below on the diagonal (8)?"""
    cells = thumbs.reshape(-1, 8, 8).astype(np.int16)
    right = (cells[:, :, 1:] - cells[:, :, :-1] > _FLAT).reshape(-1, 56)
    below = np.diagonal(np.roll(cells, -1, 1) - cells, axis1=1, axis2=2) > _FLAT
    return np.packbits(np.concatenate([right, below], 1), axis=1).view(">u8")[:, 0].astype(np.uint64)


_BITS = np.array([bin(i).count("1") for i in range(256)], np.uint8)


def _count_bits(x: np.ndarray) -> np.ndarray:
    return _BITS[np.ascontiguousarray(x).view(np.uint8)].reshape(-1, 8).sum(1)


def _thumbs_agree(thumbs: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    a, b = (thumbs[pairs[:, side]].astype(np.int16) for side in (0, 1))
    apart = np.abs(a - b)
    return (apart.max(1, initial=0) <= THUMB_MAX) & (apart.mean(1) <= THUMB_MEAN)


def _proved(pairs: np.ndarray, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Which pairs agree in their pixels too: patch by patch in brightness, more loosely in colour.

    A codec errs up and down about an edge, so over a patch its error averages out, and it is careless with colour;
    another detail differs over whole patches.
    """
    proved = np.empty(len(pairs), bool)
    for i in range(0, len(pairs), 512):
        chunk = pairs[i : i + 512]
        a, b = (_patches(read(chunk[:, side])) for side in (0, 1))
        grey = np.abs(a.mean(-1) - b.mean(-1)).reshape(len(chunk), -1)
        contrast = np.minimum(a.mean(-1).std((1, 2)), b.mean(-1).std((1, 2)))
        colour = np.abs(a - b).reshape(len(chunk), -1)
        proved[i : i + 512] = (
            (grey.max(1) <= GREY_MAX)
            & (colour.max(1) <= COLOUR_MAX)
            & (colour.mean(1) <= COLOUR_MEAN)
            & (grey.mean(1) <= np.clip(GREY_SHARE * contrast, 0.5, GREY_MEAN))
        )
    return proved


def _patches(x: np.ndarray) -> np.ndarray:
    """Float averages, 0 to 255, over patches: 4x4 from 32 px on, 2x2 from 16 px on, single pixels below."""
    n, height, width, channels = x.shape
    side = 4 if min(height, width) >= 32 else 2 if min(height, width) >= 16 else 1
    x = x[:, : height // side * side, : width // side * side]
    scale = 1.0 if x.dtype == np.uint8 else 1 / 257
    return x.reshape(n, height // side, side, width // side, side, channels).mean((2, 4), dtype=np.float32) * scale


def _components(n: int, pairs: list[np.ndarray]) -> tuple[int, np.ndarray]:
    """Connected components: how many there are, and for each of n pictures the number of its own.

    Every picture points to a smaller one of its component until all point to the smallest: hooking and pointer jumping
    (Shiloach and Vishkin 1982).
    """
    a, b = np.concatenate(pairs).T
    parent = np.arange(n)
    while True:
        low, high = np.minimum(parent[a], parent[b]), np.maximum(parent[a], parent[b])
        apart = low != high
        if not apart.any():
            break
        a, b = a[apart], b[apart]
        np.minimum.at(parent, high[apart], low[apart])
        while (parent[parent] != parent).any():
            parent = parent[parent]
    smallest = parent == np.arange(n)
    return int(smallest.sum()), (np.cumsum(smallest) - 1)[parent]

"""A random order of any number of pictures that needs no memory: position -> index is a pure function.

A keyed permutation by alternating Feistel rounds over the smallest power of two that holds n, with cycle walking for
what falls outside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains", section 4). Round function: the
finaliser of SplitMix64 (Steele et al. 2014).
"""

from __future__ import annotations

import numpy as np

ROUNDS = 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def order(positions: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Indices (int64) of the pictures at these positions of an endless sequence of epochs over n pictures.

    Each epoch (positions e * n to e * n + n - 1) is a permutation of 0..n-1; consecutive epochs have different keys.
    """
    positions = np.asarray(positions, dtype=np.int64)
    if n == 1:
        return np.zeros_like(positions)
    epoch, place = np.divmod(positions, n)
    with np.errstate(over="ignore"):
        start = _mix(np.array([seed % 2**64], dtype=np.uint64) + _GOLDEN)
        keys = _mix(start + epoch.astype(np.uint64) * _GOLDEN)
        result = _encrypt(place.astype(np.uint64), keys, n)
        outside = np.flatnonzero(result >= n)
        while outside.size:
            result[outside] = _encrypt(result[outside], keys[outside], n)
            outside = outside[result[outside] >= n]
    return result.astype(np.int64)


def _encrypt(x: np.ndarray, keys: np.ndarray, n: int) -> np.ndarray:
    bits = max(2, (n - 1).bit_length())
    low_bits = np.uint64(bits // 2)
    low_mask = np.uint64((1 << (bits // 2)) - 1)
    high_mask = np.uint64((1 << (bits - bits // 2)) - 1)
    high, low = x >> low_bits, x & low_mask
    for number in range(ROUNDS):
        key = keys + np.uint64(number + 1) * _GOLDEN
        if number % 2:
            low = low ^ (_mix(high ^ key) & low_mask)
        else:
            high = high ^ (_mix(low ^ key) & high_mask)
    return (high << low_bits) | low

"""How often classes come: sampling that evens them out, and long-tailed versions of labelled sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from limner.data.permutation import order
from limner.errors import UserError

POWERS = {"sqrt": 0.5, "full": 0.0}
"""A class of n pictures is drawn in proportion to n to this power (1 is as it comes)."""


class Balanced:
    """An endless order over n pictures in which classes come as often as asked, as a pure function of the position.

    Every n consecutive positions from a multiple of n on hold each class exactly as often as its share of n says, in
    random places. After any number of such rounds the pictures of a class have come equally often (but for one).
    Pictures without a class (code -1) come as often as they are.

    Args:
        codes: (n,) class of each picture. how: "sqrt" or "full". key: a seed.
    """

    def __init__(self, codes: np.ndarray, how: str, key: int) -> None:
        self.length, self.key = len(codes), key
        classes, counts = np.unique(codes, return_counts=True)
        self.members = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
        self.turns = counts.copy()
        named = classes >= 0
        if named.any():
            weights = counts[named].astype(np.float64) ** POWERS[how]
            self.turns[named] = apportioned(weights, int(counts[named].sum()))
        self.ends = np.cumsum(self.turns)

    def order(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the pictures at these positions, and how often each was shown before; int64 of the same shape."""
        from limner.draws import seed_of  # brings torch, which packing does without

        positions = np.asarray(positions, dtype=np.int64)
        slots = order(positions, self.length, self.key)
        group = np.searchsorted(self.ends, slots, side="right")
        turns = self.turns[group]
        # How often this class has come before: whole rounds, and its earlier slots of this one.
        times = positions // self.length * turns + slots - (self.ends[group] - turns)
        found, before = np.empty(len(positions), np.int64), np.empty(len(positions), np.int64)
        for number in np.unique(group):
            here, rows = group == number, self.members[number]
            found[here] = rows[order(times[here], len(rows), seed_of(self.key, int(number)))]
            before[here] = times[here] // len(rows)
        return found, before


def apportioned(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers of at least 1 that add up to `total` (>= len(weights)), as near to the weights' shares as can be.

    By largest remainders; what the least of 1 adds is taken from the largest.
    """
    exact = weights * (total / weights.sum())
    parts = np.maximum(1, np.floor(exact)).astype(np.int64)
    missing = total - int(parts.sum())
    if missing > 0:
        parts[np.argsort(parts - exact, kind="stable")[:missing]] += 1
    while missing < 0:
        most = int(parts.argmax())
        parts[most] -= 1
        missing += 1
    return parts


def score(name: str, *purpose: str | int) -> float:
    """A number in [0, 1) that a picture's name gives for a purpose, the same everywhere and always."""
    digest = hashlib.blake2b("\x1f".join(map(str, (*purpose, name))).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "little") / 2**64


def long_tail(
    codes: np.ndarray, names: Iterable[str], classes: int, factor: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which pictures stay so that class sizes fall exponentially from the first class to the last.

    Class c of K keeps m * factor^(-c / (K - 1)) pictures (Cui et al. 2019, "Class-balanced loss based on effective
    number of samples", section 5.1), with the largest m that all classes have enough for, so that the first is
    `factor` times as large as the last. Which stay is decided by a hash of their names.

    Args:
        codes: (n,) classes 0 .. `classes` - 1; pictures of class -1 do not stay. names: of the n pictures.

    Returns:
        (n,) bool, and (classes,) float: below which score a picture of each class stays.

    Raises:
        UserError: fewer than two classes with pictures.
    """
    counts = np.bincount(codes[codes >= 0], minlength=classes)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise UserError(
            f"--longtail {factor:g} needs two classes with pictures, there are {len(present)}: leave it out"
        )
    falls = factor ** (-np.arange(len(present)) / (len(present) - 1))
    wanted = np.maximum(1, np.rint(falls * (counts[present] / falls).min())).astype(np.int64)
    scores = np.fromiter((score(name, "long tail", seed) for name in names), np.float64, len(codes))
    stays, cuts = np.zeros(len(codes), bool), np.zeros(classes)
    for code, count in zip(present, np.minimum(wanted, counts[present]), strict=True):
        rows = np.flatnonzero(codes == code)
        chosen = rows[np.argsort(scores[rows], kind="stable")[:count]]
        stays[chosen] = True
        cuts[code] = np.nextafter(scores[chosen].max(), 1.0)
    return stays, cuts


def no_classes(option: str, value: object) -> UserError:
    """The error for what only makes sense with classes."""
    return UserError(f"{option} {value} needs classes, but these pictures have none: name a column by --labels")

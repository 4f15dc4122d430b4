"""Frames that belong together: films that are never torn by the division, and clips as ranges of packed frames."""

from __future__ import annotations

import hashlib

import numpy as np

STRETCHES = 10


def together(codes: np.ndarray, digests: np.ndarray, length: int = 1) -> np.ndarray:
    """Group of each of n frames (int64), for `divide`: its film, or scan, or recording.

    Frames of one film are nearly the same, so none may train while another is held out. What is the same from end
    to end counts as one. A single film is cut into ten stretches of two clips or more, so that there is something to
    hold out.

    Args:
        codes: (n,) integers, equal for what belongs together; its frames lie one after the other.
        digests: (n, 2) uint64, equal for equal frames.
        length: frames of a clip.
    """
    _, firsts, group = np.unique(codes, return_index=True, return_inverse=True)
    if len(firsts) == 1:
        clip = np.arange(len(codes)) // length  # cuts lie between clips that do not overlap
        count = clip[-1] + 1
        return clip * min(STRETCHES, max(1, count // 2)) // count
    whole: dict[bytes, int] = {}
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(len(firsts) + 1))
    stand_in = np.arange(len(firsts))
    for number in range(len(firsts)):
        rows = order[edges[number] : edges[number + 1]]
        content = hashlib.sha256(np.ascontiguousarray(digests[rows]).data).digest()
        stand_in[number] = whole.setdefault(content, number)
    return stand_in[group].astype(np.int64)


def starts(film: np.ndarray, frame: np.ndarray, group: np.ndarray, length: int, stride: int) -> np.ndarray:
    """Mask (n,) of the rows at which a clip of `length` frames begins: every `stride` frames of a film.

    The frames of a clip lie in `length` rows that follow each other without a gap, in one film and one group.
    """
    n = len(film)
    found = np.zeros(n, bool)
    if n < length:
        return found
    first, last = np.arange(n - length + 1), np.arange(length - 1, n)
    found[first] = (
        (film[first] == film[last])
        & (group[first] == group[last])
        & (frame[last] - frame[first] == length - 1)
        & (frame[first] % stride == 0)
    )
    return found

"""Which pictures train and which are held out, fixed once for a pack."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PART_TEST, PART_VALIDATION = 1, 2
HELD_SHARE, HELD_MOST = 0.1, 5000
SMALL, VALIDATION_SHARE, VALIDATION_SHARE_SMALL, VALIDATION_MOST = 500, 0.2, 1 / 3, 2000


class Split(NamedTuple):
    """Ascending int64 row numbers. `left_out`: pictures of the training part that the held-out side has as well."""

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray
    left_out: np.ndarray


def divide(digests: np.ndarray, group: np.ndarray, parts: np.ndarray | None, films: bool = False) -> Split:
    """Cuts n pictures into training, validation and held-out ones.

    Where the source has a part `test` (int8 `parts`: PART_TEST, PART_VALIDATION, 0 for others), that is the held-out
    side; else a tenth of the pictures, at most 5,000, chosen by the hash of their contents, so that the order and names
    of files do not matter and a set that grows keeps its choice. Groups of duplicates are never torn: where a given
    part tears one, its training pictures are left out. The validation slice, which scores in training use, is a
    source's own part of that name, else a fifth of the held-out side (a third of a side below 500), at most 2,000.
    Where groups are whole `films` and the held-out side is one of them, another one validates. Below four pictures
    nothing is held out.
    """
    n = len(digests)
    parts = np.zeros(n, np.int8) if parts is None else parts
    is_test, is_validation = parts == PART_TEST, parts == PART_VALIDATION
    held = is_test | is_validation if is_test.any() or is_validation.any() else None
    if held is None or held.all():
        target = 0 if n < 4 else min(HELD_MOST, max(2, round(n * HELD_SHARE)))
        held = _choose(digests, group, np.ones(n, bool), target)
        is_test, is_validation = held, np.zeros(n, bool)
    elif not is_test.any():
        is_test, is_validation = held, np.zeros(n, bool)
    if not is_validation.any():
        count = int(is_test.sum())
        share = VALIDATION_SHARE_SMALL if count < SMALL else VALIDATION_SHARE
        target = min(VALIDATION_MOST, round(count * share)) if count > 1 else 0
        is_validation = _choose(digests, group, is_test, max(target, int(count > 1)))
        if not is_validation.any() and films and count > 1 and not parts.any() and len(np.unique(group[~held])) > 1:
            is_validation = _choose(digests, group, ~held, 1)  # the held-out side is one group: another one validates
            held = held | is_validation
    held_out = held & ~is_validation
    # A given part may tear a group: what reported scores use wins over validation, both win over training.
    torn = np.isin(group, group[held_out]) & is_validation & (parts == PART_VALIDATION)
    is_validation = is_validation & ~torn
    leaked = np.isin(group, group[held]) & ~held
    train = ~held & ~leaked
    found = (train, is_validation, held_out, leaked | torn)
    return Split(*(np.flatnonzero(mask).astype(np.int64) for mask in found))


def _choose(digests: np.ndarray, group: np.ndarray, among: np.ndarray, target: int) -> np.ndarray:
    """Whole groups among a mask, in the order of their smallest digest, until `target` pictures are chosen."""
    rows = np.flatnonzero(among)
    chosen = np.zeros(len(among), bool)
    if not target or not len(rows):
        return chosen
    ordered = rows[np.lexsort((digests[rows, 0], digests[rows, 1]))]
    groups, first, sizes = np.unique(group[ordered], return_index=True, return_counts=True)
    by_digest = np.argsort(first, kind="stable")
    left, most = target, len(groups) - 1  # at least one group stays on the other side
    taken: list[int] = []
    for number in by_digest:
        if left <= 0 or len(taken) >= most:
            break
        if sizes[number] <= left:
            taken.append(groups[number])
            left -= sizes[number]
    if not taken and most > 0:  # every group is larger than the target
        taken.append(groups[by_digest[np.argmin(sizes[by_digest])]])
    chosen[rows] = np.isin(group[rows], np.array(taken, dtype=np.int64))
    return chosen

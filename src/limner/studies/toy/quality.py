"""How near points are to those they should be: a divergence with its floor, modes covered, share of good ones."""

from __future__ import annotations

import math
import statistics
from typing import Any

import torch
from torch import Tensor

from limner.studies.toy.points import REACH, Target

BINS = {1: 64, 2: 40}
"""Of each dimension, by the number of dimensions."""

GOOD = 3.0
"""Deviations from the nearest mode up to which a point is good; of true points in two dimensions 98.9 % are."""

OTHERS = 4

FAIR = 0.2
"""A mode is covered where it has at least this share of the good points that it should have."""


def histogram(points: Tensor, bins: int | None = None) -> Tensor:
    """Shares of points (n, D) in the bins of [-REACH, REACH]^D, (bins,) or (bins, bins) with x first; float64.

    What lies beyond is counted in the outermost bins, so that nothing that is wrong gets lost.
    """
    dimensions = points.shape[1]
    bins = bins or BINS[dimensions]
    place = ((points.double() + REACH) * (bins / (2 * REACH))).floor().long().clamp(0, bins - 1)
    flat = place[:, 0] if dimensions == 1 else place[:, 0] * bins + place[:, 1]
    counts = torch.bincount(flat, minlength=bins**dimensions).double()
    return (counts / len(points)).view((bins,) * dimensions)


def jsd(p: Tensor, q: Tensor) -> float:
    """Jensen-Shannon divergence of two lists of shares, in nats: 0 where equal, log 2 where they never meet."""
    middle = (p + q) / 2

    def half(a: Tensor) -> float:
        some = a > 0
        return float((a[some] * (a[some] / middle[some]).log()).sum()) / 2

    return min(max(half(p) + half(q), 0.0), math.log(2))


def quality(made: Tensor, target: Target, seed: int) -> dict[str, Any]:
    """What points (n, D) are worth, each number beside that of as many true ones.

    Returns:
        jsd and floor (the mean of that of `OTHERS` true sets of this size); where there are modes
        also modes, of, good and good_floor.
    """
    n = len(made)
    real = target.sample(n, seed, "measured")
    seen = histogram(real)
    floors = [jsd(histogram(target.sample(n, seed, "measured", other)), seen) for other in range(OTHERS)]
    found: dict[str, Any] = {"n": n, "jsd": jsd(histogram(made), seen), "floor": statistics.fmean(floors)}
    if target.modes is not None:
        counts, good = per_mode(made, target.modes, target.sigma)
        _, floor = per_mode(real, target.modes, target.sigma)
        fair = FAIR * floor * n / len(target.modes)
        found |= {"modes": int((counts >= fair).sum()), "of": len(target.modes), "good": good, "good_floor": floor}
    return found


def per_mode(points: Tensor, modes: Tensor, sigma: float) -> tuple[Tensor, float]:
    """(good points of each mode (K,), share of good points)."""
    far, nearest = torch.cdist(points.double(), modes).min(1)
    good = far <= GOOD * sigma
    return torch.bincount(nearest[good], minlength=len(modes)), float(good.double().mean())

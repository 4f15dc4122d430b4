"""What nearest neighbours tell: precision, recall, density, coverage, and the nearest training picture.

Blocks of one jackknife group bound the memory: no (N, M) matrix is ever held. Pairs within reach are few, so that the
jackknife over all groups of both sets runs over those alone, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from limner.evaluation.intervals import Estimate, estimate, group_slices

_BLOCK = 1024  # rows of a distance matrix held at a time
_PAIRS = 500_000  # pairs within reach handled at a time


@dataclass(frozen=True)
class Manifold:
    """Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020)."""

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances (n, m) between rows of float64 tensors (n, D) and (m, D), as float32."""
    squared = torch.addmm(y.square().sum(1), x, y.T, alpha=-2).add_(x.square().sum(1, keepdim=True))
    return squared.float().clamp_(min=0).sqrt_()


def _blocks(n: int) -> list[tuple[int, slice]]:
    """(group, rows) in order: groups, cut further where they are long."""
    return [
        (g, slice(first, min(first + _BLOCK, part.stop)))
        for g, part in enumerate(group_slices(n))
        for first in range(part.start, part.stop, _BLOCK)
    ]


def radii(x: Tensor, k: int) -> Tensor:
    """Distances (N, G + 1) to the k-th nearest other row: with all rows (first column), and without each group.

    A row's own group left out leaves the row out too: its radius there is -1, so that nothing lies within it.
    """
    parts = group_slices(len(x))
    group_of = torch.repeat_interleave(torch.tensor([part.stop - part.start for part in parts]))
    out = torch.empty(len(x), len(parts) + 1)
    for group, rows in _blocks(len(x)):
        d = distances(x[rows], x)
        d[torch.arange(d.shape[0]), torch.arange(rows.start, rows.stop)] = torch.inf
        near, at = d.topk(min(3 * k, d.shape[1]), 1, largest=False)  # mostly enough to lose a group
        out[rows, 0] = near[:, k - 1]
        for g, part in enumerate(parts):
            rank = (group_of[at] != g).cumsum(1)
            out[rows, g + 1] = near.gather(1, (rank >= k).int().argmax(1, keepdim=True))[:, 0]
            for row in (rank[:, -1] < k).nonzero()[:, 0].tolist():
                rest = torch.cat([d[row, : part.start], d[row, part.stop :]])
                out[rows.start + row, g + 1] = rest.kthvalue(k).values
        out[rows, group + 1] = -1
    return out


class Balls:
    """A set (N, D) and how far each row's k-th neighbour is: the balls that make up its manifold.

    Raises:
        ValueError: too few rows for k neighbours once a group is left out.
    """

    def __init__(self, features: np.ndarray, k: int = 5) -> None:
        self.features = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float64))
        self.k, n = k, len(self.features)
        if n - max(part.stop - part.start for part in group_slices(n)) <= k:
            raise ValueError(f"{n} rows are too few for {k} neighbours")

    @cached_property
    def radii(self) -> Tensor:
        """See `radii`."""
        return radii(self.features, self.k)


def manifold(reals: np.ndarray | Balls, samples: np.ndarray | Balls, k: int = 5) -> Manifold:
    """Precision, recall, density and coverage of `samples` (M, D) against `reals` (N, D), with intervals.

    Raises:
        ValueError: see `Balls`.
    """
    a, b = (f if isinstance(f, Balls) else Balls(f, k) for f in (reals, samples))
    x, y, radii_x, radii_y = a.features, b.features, a.radii, b.radii  # radii (N, G+1), (M, H+1)
    within_x = torch.zeros(len(y), radii_x.shape[1], dtype=torch.int32)  # balls around reals that hold a sample
    within_y = torch.zeros(len(x), radii_y.shape[1], dtype=torch.int32)  # balls around samples that hold a real
    nearest = torch.full((len(x), len(group_slices(len(y)))), torch.inf)  # each real's nearest sample of each group
    most_x, most_y = radii_x.max(1).values, radii_y.max(1).values
    for group, rows in _blocks(len(y)):
        d = distances(y[rows], x)
        nearest[:, group] = torch.minimum(nearest[:, group], d.min(0).values)
        _count(within_x, d < most_x, d, radii_x, rows.start, of_row=True)
        _count(within_y, d < most_y[rows, None], d, radii_y, rows.start, of_row=False)
    return Manifold(
        precision=_share(within_x > 0),
        recall=_share(within_y > 0),
        density=_share(within_x / k),
        coverage=_coverage(nearest, radii_x),
    )


def _count(counts: Tensor, near: Tensor, d: Tensor, reach: Tensor, first: int, of_row: bool) -> None:
    """Adds to `counts` (rows or columns, G + 1) how many balls, of columns or rows, hold each row or column."""
    for pairs in near.nonzero().split(_PAIRS):
        sample, real = pairs[:, 0], pairs[:, 1]
        ball, held = (real, sample + first) if of_row else (sample + first, real)
        inside = d[sample, real][:, None] < reach[ball]
        counts.index_add_(0, held, inside.int())


def _share(terms: Tensor) -> Estimate:
    """Mean over rows of (n, G + 1) terms; column 0 from everything, the others without a group of the other set."""
    terms = terms.double()
    means = terms.mean(0)
    own = [
        (terms[:, 0].sum() - terms[s, 0].sum()) / (len(terms) - (s.stop - s.start)) for s in group_slices(len(terms))
    ]
    return estimate(float(means[0]), means[1:].numpy(), torch.stack(own).numpy())


def _coverage(nearest: Tensor, reach: Tensor) -> Estimate:
    """Share of reals whose ball holds a sample, from each real's nearest sample of each group (N, H)."""
    closest, others = nearest.min(1), nearest.clone()
    covered = closest.values[:, None] < reach  # (N, G + 1)
    without_reals = [
        covered[:, g + 1].double().sum() / (len(reach) - (s.stop - s.start))
        for g, s in enumerate(group_slices(len(reach)))
    ]
    others.scatter_(1, closest.indices[:, None], torch.inf)
    second = others.min(1).values
    groups = torch.arange(nearest.shape[1])
    left = torch.where(groups == closest.indices[:, None], second[:, None], closest.values[:, None])  # (N, H)
    without_samples = (left < reach[:, :1]).double().mean(0)
    return estimate(float(covered[:, 0].double().mean()), torch.stack(without_reals).numpy(), without_samples.numpy())


def nearest_rows(
    queries: np.ndarray, pool: np.ndarray, skip: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Index (n,) into `pool` (M, D) of each query's nearest row, and its Euclidean distance (n,).

    `skip` (n,) names a row of the pool for each query that is passed over, as a rule the query itself.
    """
    x, y = (torch.from_numpy(np.ascontiguousarray(f, dtype=np.float64)) for f in (queries, pool))
    found = []
    for first in range(0, len(x), _BLOCK):
        d = distances(x[first : first + _BLOCK], y)
        if skip is not None:
            d[torch.arange(len(d)), torch.from_numpy(skip[first : first + _BLOCK])] = torch.inf
        found.append(d.min(1))
    return torch.cat([f.indices for f in found]).numpy(), torch.cat([f.values for f in found]).numpy()


def nearest_others(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row of (N, D), which other row is nearest, and how far it is."""
    return nearest_rows(rows, rows, skip=np.arange(len(rows)))

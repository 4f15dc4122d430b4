"""Distances between two sets of features: Fréchet distance and kernel distance, each with a jackknife interval.

Sets are (N, D) and (M, D) arrays; everything is computed in float64. Both are expected in random order,
because the jackknife's groups are consecutive rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch

from limner.evaluation.intervals import Estimate, Floats, estimate, group_slices

_BLOCK = 1024  # rows of a kernel matrix held at a time


class Moments:
    """Mean and covariance of a set (N, D) and of the set without each jackknife group."""

    def __init__(self, features: np.ndarray) -> None:
        self.features = np.asarray(features, dtype=np.float64)
        self.n = len(self.features)
        self._sum, self._outer = self.features.sum(0), self.features.T @ self.features
        self.mean, self.covariance = _mean_and_covariance(self.n, self._sum, self._outer)

    @cached_property
    def root(self) -> Floats:
        """The symmetric square root of the covariance (D, D)."""
        return _root(self.covariance)

    def without(self) -> Iterator[tuple[Floats, Floats]]:
        """(mean, covariance) without each group in turn."""
        for part in group_slices(self.n):
            rows = self.features[part]
            yield _mean_and_covariance(self.n - len(rows), self._sum - rows.sum(0), self._outer - rows.T @ rows)


def _mean_and_covariance(n: int, total: Floats, outer: Floats) -> tuple[Floats, Floats]:
    mean = total / n
    return mean, (outer - n * np.outer(mean, mean)) / (n - 1)


def _root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


def frechet(mean_x: Floats, covariance_x: Floats, mean_y: Floats, covariance_y: Floats) -> float:
    """|mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)) (Dowson and Landau 1982; Heusel et al. 2017, eq. 6).

    The trace of the root is the sum of the roots of the eigenvalues of S_x^(1/2) S_y S_x^(1/2), which is symmetric: no
    general matrix root, and a singular covariance is as good as any.
    """
    return _frechet_with_root(_root(covariance_x), mean_x, covariance_x, mean_y, covariance_y)


def _frechet_with_root(root_x: Floats, mean_x: Floats, cov_x: Floats, mean_y: Floats, cov_y: Floats) -> float:
    product = root_x @ cov_y @ root_x
    roots = np.sqrt(np.clip(np.linalg.eigvalsh((product + product.T) / 2), 0, None))
    return float(np.square(mean_x - mean_y).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * roots.sum())


def frechet_distance(x: np.ndarray | Moments, y: np.ndarray | Moments) -> Estimate:
    """Fréchet distance between Gaussians fitted to two sets of features (N, D), (M, D), with its interval."""
    a = x if isinstance(x, Moments) else Moments(x)
    b = y if isinstance(y, Moments) else Moments(y)
    value = _frechet_with_root(a.root, a.mean, a.covariance, b.mean, b.covariance)
    without_x = [_frechet_with_root(b.root, b.mean, b.covariance, *left) for left in a.without()]
    without_y = [_frechet_with_root(a.root, a.mean, a.covariance, *left) for left in b.without()]
    return estimate(value, np.array(without_x), np.array(without_y))


def frechet_value(x: Moments, y: Moments) -> float:
    """The Fréchet distance alone."""
    return _frechet_with_root(x.root, x.mean, x.covariance, y.mean, y.covariance)


class Kernel:
    """A set (N, D) and its sums of the cubic kernel (x.y / D + 1)^3, by pairs of jackknife groups."""

    def __init__(self, features: np.ndarray) -> None:
        self.features = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float64))
        self.n = len(self.features)

    @cached_property
    def own(self) -> Floats:
        """(G, G) within the set, no picture paired with itself."""
        return self.sums(self)

    def sums(self, other: Kernel) -> Floats:
        """(G, H) of the kernel over pairs with another set."""
        x, y = self.features, other.features
        columns = group_slices(other.n)
        found = np.zeros((len(group_slices(self.n)), len(columns)))
        for g, part in enumerate(group_slices(self.n)):
            for first in range(part.start, part.stop, _BLOCK):
                last = min(first + _BLOCK, part.stop)
                # A set's own sums are symmetric: columns before this group are known.
                start = part.start if other is self else 0
                one = torch.ones((), dtype=torch.float64)
                kernel = torch.addmm(one, x[first:last], y[start:].T, alpha=1 / x.shape[1])
                kernel = kernel.square().mul_(kernel)
                if other is self:
                    kernel[torch.arange(last - first), torch.arange(first, last) - start] = 0
                total = kernel.sum(0)
                for h, column in enumerate(columns):
                    if column.start >= start:
                        found[g, h] += float(total[column.start - start : column.stop - start].sum())
        if other is self:
            found = np.triu(found) + np.triu(found, 1).T
        return found


def _unbiased_mmd(xx: float, n: int, yy: float, m: int, xy: float) -> float:
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)


def kernel_distance(x: np.ndarray | Kernel, y: np.ndarray | Kernel) -> Estimate:
    """KID: the unbiased squared maximum mean discrepancy under the cubic kernel (Binkowski et al. 2018, eq. 4).

    One subset that is the whole set: all pairs, in blocks, instead of an average over random subsets. It has the
    same expectation at any N and the least variance, and nothing in it is drawn at random. It can be slightly negative.
    """
    a, b = (f if isinstance(f, Kernel) else Kernel(f) for f in (x, y))
    xx, yy, xy = a.own, b.own, a.sums(b)
    n, m = a.n, b.n
    value = _unbiased_mmd(xx.sum(), n, yy.sum(), m, xy.sum())
    without_x = [
        _unbiased_mmd(xx.sum() - 2 * xx[g].sum() + xx[g, g], n - _size(part), yy.sum(), m, xy.sum() - xy[g].sum())
        for g, part in enumerate(group_slices(n))
    ]
    without_y = [
        _unbiased_mmd(xx.sum(), n, yy.sum() - 2 * yy[h].sum() + yy[h, h], m - _size(part), xy.sum() - xy[:, h].sum())
        for h, part in enumerate(group_slices(m))
    ]
    return estimate(value, np.array(without_x), np.array(without_y))


def _size(part: slice) -> int:
    return int(part.stop - part.start)


def inception_score(probabilities: np.ndarray) -> Estimate:
    """exp(E KL(p(y|x) || p(y))) of class probabilities (N, K), over the whole set (Salimans et al. 2016, section 4)."""
    p = np.asarray(probabilities, dtype=np.float64)
    parts = group_slices(len(p))
    negentropy = (p * np.log(np.clip(p, 1e-300, None))).sum(1)

    def score(total: Floats, inner: float, n: int) -> float:
        marginal = total / n
        return float(np.exp(inner / n - (marginal * np.log(np.clip(marginal, 1e-300, None))).sum()))

    total, inner = p.sum(0), float(negentropy.sum())
    left = [score(total - p[s].sum(0), inner - float(negentropy[s].sum()), len(p) - _size(s)) for s in parts]
    return estimate(score(total, inner, len(p)), np.array(left))

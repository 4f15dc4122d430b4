"""Principal axes from sums, and Gaussians that are exact along them and isotropic in the rest of the space."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from limner.nn.gathering import Gathering, Sums


class Spectrum(NamedTuple):
    """mean (D,); variances (r,) along orthonormal axes (D, r), the largest first; the sum of all D variances."""

    mean: Tensor
    values: Tensor
    axes: Tensor
    trace: Tensor

    def rest(self, along: int) -> Tensor:
        """Mean variance outside the first `along` axes; 0 where they are all there are."""
        size = len(self.mean)
        left = (self.trace - self.values[:along].sum()).clamp_min(0.0)
        return left / max(1, size - along) if along < size else torch.zeros_like(left)


def spectrum(sums: Sums) -> Spectrum:
    """Of the covariance (divided by n), in float64.

    Where only the product with test vectors was kept, the leading part of it by Nystroem's approximation: Tropp et al.
    2017, "Fixed-rank approximation of a positive-semidefinite matrix from streaming data", arXiv 1706.05736,
    algorithm 3; of its axes the better two thirds.
    """
    mean = sums.total / sums.count
    trace = (sums.power / sums.count - mean.square().sum()).clamp_min(0.0)
    if sums.test is None:
        values, axes = torch.linalg.eigh(sums.second / sums.count - torch.outer(mean, mean))
        return Spectrum(mean, values.flip(0).clamp_min(0.0), _signed(axes.flip(1)), trace)
    product = sums.second / sums.count
    shift = math.sqrt(len(mean)) * torch.finfo(product.dtype).eps * torch.linalg.matrix_norm(product)
    shift = shift.clamp_min(torch.finfo(product.dtype).tiny ** 0.5)
    product = product - torch.outer(mean, mean @ sums.test) + shift * sums.test  # (covariance + shift) times test
    inner = sums.test.T @ product
    factor = torch.linalg.cholesky((inner + inner.T) / 2)
    axes, roots, _ = torch.linalg.svd(
        torch.linalg.solve_triangular(factor, product.T, upper=False).T, full_matrices=False
    )
    kept = max(1, 2 * len(roots) // 3)
    return Spectrum(mean, (roots.square() - shift).clamp_min(0.0)[:kept], _signed(axes[:, :kept]), trace)


def shrinkage(sums: Sums, known: Spectrum) -> float:
    """How far the covariance is best drawn towards a multiple of the identity, 0 to 1.

    Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices", Lemma 3.3.
    """
    size, mean, along = len(known.mean), known.mean, known.values
    square, rest = mean.square().sum(), known.rest(len(along))
    frobenius = along.square().sum() + rest.square() * (size - len(along))  # of the covariance, squared
    projected = (mean @ known.axes).square()
    spread = projected @ along + rest * (square - projected.sum()).clamp_min(0.0)  # mean' covariance mean
    # E |x - mean|^4 from the moments of x itself
    centred = sums.quartic / sums.count + 4 * (spread + square**2) + square**2
    centred += -4 * mean @ sums.cubic / sums.count + 2 * square * sums.power / sums.count - 4 * square**2
    noise = (centred - frobenius) / sums.count
    distance = frobenius - known.trace**2 / size
    return float((noise / distance).clamp(0.0, 1.0)) if distance > 0 else 1.0


class Ellipsoids(Gathering):
    """Gaussians over vectors (D,), one a group: variances `values` along `axes`, `rest` in every other direction.

    Empty until `fit`. Axes are kept in float32 and arithmetic with them is done in float64.
    """

    def __init__(self) -> None:
        super().__init__()
        for name in ("mean", "axes"):  # (G, D), (G, D, q)
            self.hold(name, torch.float32)
        for name in ("values", "rest"):  # (G, q), (G,)
            self.hold(name, torch.float64)

    @property
    def known(self) -> bool:
        """Whether it was fitted."""
        return self.get_buffer("rest").numel() > 0

    def fit(self, spectra: list[Spectrum], values: list[Tensor], rest: list[Tensor]) -> None:
        """Take over each group's mean and as many of its axes as it has `values` (q,); `rest` is 0 where q is D."""
        along = min(map(len, values))
        self.put(
            mean=torch.stack([each.mean for each in spectra]),
            axes=torch.stack([each.axes[:, :along] for each in spectra]),
            values=torch.stack([each[:along] for each in values]),
            rest=torch.stack(rest),
        )

    def project(self, x: Tensor, group: int = 0) -> Tensor:
        """Coordinates (B, q) of vectors (B, D) along the group's axes, in float64."""
        return (x.double() - self.get_buffer("mean")[group].double()) @ self.get_buffer("axes")[group].double()

    def lift(self, codes: Tensor, group: int = 0, noise: Tensor | None = None) -> Tensor:
        """Vectors (B, D) at coordinates (B, q); outside the axes they are `noise` (B, D), standard normal, or 0."""
        axes = self.get_buffer("axes")[group].double()
        x = self.get_buffer("mean")[group].double() + codes.double() @ axes.T
        if noise is not None:
            noise = noise.double()
            x = x + self.get_buffer("rest")[group].sqrt() * (noise - noise @ axes @ axes.T)
        return x

    def paint(self, noise: Tensor, group: Tensor) -> Tensor:
        """Vectors (B, D) of standard normal ones (B, D): mean + covariance^(1/2) noise, whatever signs axes have.

        Each group is computed for all rows, so that a row does not depend on which groups the others are of.
        """
        if not self.known:
            return noise
        x = torch.zeros_like(noise, dtype=torch.float64)
        for number in _numbers(group):
            along = noise.double() @ self.get_buffer("axes")[number].double()
            ours = self.lift(self.get_buffer("values")[number].sqrt() * along, number, noise)
            x = torch.where((group == number)[:, None], ours, x)
        return x.to(noise.dtype)

    def outside(self, x: Tensor, codes: Tensor, group: int = 0) -> Tensor:
        """log density (B,) of what of x (B, D) lies outside the axes, codes (B, q) being its coordinates."""
        left = x.shape[1] - codes.shape[1]
        if not left:
            return torch.zeros(len(x), dtype=torch.float64, device=x.device)
        centred = x.double() - self.get_buffer("mean")[group].double()
        square = (centred.square().sum(1) - codes.square().sum(1)).clamp_min(0.0)
        rest = self.get_buffer("rest")[group]
        return -(square / rest + left * (rest * 2 * math.pi).log()) / 2

    def log_density(self, x: Tensor, group: int = 0) -> Tensor:
        """log p(x) (B,) in nats of vectors (B, D) under one group's Gaussian."""
        codes, values = self.project(x, group), self.get_buffer("values")[group]
        along = -(codes.square() / values + (values * 2 * math.pi).log()).sum(1) / 2
        return along + self.outside(x, codes, group)


def _numbers(group: Tensor) -> list[int]:
    """The groups that occur; on the meta device, where nobody knows, the first."""
    return [0] if group.is_meta else group.unique().tolist()


def _signed(axes: Tensor) -> Tensor:
    """Axes (D, r), each turned so that its largest component is positive."""
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0)

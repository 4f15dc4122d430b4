"""A mixture of Gaussians over the leading principal components, fitted by expectation and maximisation.

Dempster, Laird & Rubin 1977, J. R. Statist. Soc. B 39(1); McLachlan & Peel 2000. The fit is scikit-learn's.
"""

from __future__ import annotations

import math
import warnings
from typing import Annotated

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor

from limner.api import Spec
from limner.config import Options, Positive, Size
from limner.families.baselines.closed_form import Coded
from limner.nn.gathering import Gathering


class GMMConfig(Options):
    """The mixture.

    Attributes:
        mixtures: Gaussians, each with a full covariance; of everything, and again of each class. Fewer where a class
            has not `per_mixture` pictures for each.
        components: principal components that they live in; pictures of so many values or fewer are taken whole.
        pictures: how many, drawn at random, the mixture is fitted to.
        rounds: of expectation and maximisation, at most.
    """

    mixtures: Positive = 12
    per_mixture: Positive = 100
    components: Positive = 50
    pictures: Positive = 12_000
    rounds: Positive = 30


class GMMSampling(Options):
    """How pictures are drawn.

    Attributes:
        temperature: deviation of the noise around a mixture's mean.
        grain: deviation of the isotropic noise outside the principal components, 1 as the model has it.
    """

    temperature: Annotated[float, Meta(gt=0)] = 1.0
    grain: Size = 0.0


class Mixtures(Gathering):
    """Weights (G, M), centres (G, M, r) and Cholesky factors (G, M, r, r) of mixtures, one a group."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("weights", "centres", "factors"):
            self.hold(name, torch.float32)

    @property
    def known(self) -> bool:
        """Whether it was fitted."""
        return self.get_buffer("weights").numel() > 0

    def fit(self, fits: list[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Take over each group's (weights (M,), centres (M, r), factors (M, r, r)); absent ones weigh nothing."""
        most = max(len(weights) for weights, _, _ in fits)
        names = ("weights", "centres", "factors")
        for name, values in zip(names, zip(*fits, strict=True), strict=True):
            self.put(**{name: torch.stack([_longer(value, most) for value in values])})

    def draw(self, where: Tensor, noise: Tensor, group: Tensor) -> Tensor:
        """Codes (B, r) from uniform numbers (B, 1), which choose the Gaussian, and normal ones (B, r)."""
        steps = self.get_buffer("weights")[group].double().cumsum(1)
        chosen = (where.double() * steps[:, -1:] >= steps).sum(1).clamp_max(steps.shape[1] - 1)
        factors = self.get_buffer("factors")[group, chosen]
        return self.get_buffer("centres")[group, chosen] + (factors @ noise.float()[:, :, None])[:, :, 0]

    def log_density(self, codes: Tensor, group: int) -> Tensor:
        """log p (B,) in nats of codes (B, r)."""
        found = []
        for weight, centre, factor in zip(
            *(self.get_buffer(name)[group].double() for name in ("weights", "centres", "factors")), strict=True
        ):
            if weight > 0:
                apart = torch.linalg.solve_triangular(factor, (codes - centre).T, upper=False)  # (r, B)
                scale = factor.diagonal().log().sum() + len(centre) * math.log(2 * math.pi) / 2
                found.append(weight.log() - apart.square().sum(0) / 2 - scale)
        return torch.logsumexp(torch.stack(found), 0)


class GMM(Coded):
    """A mixture over all pictures, and one for each value of the first attribute."""

    Config, Sampling = GMMConfig, GMMSampling
    choice = "mixture"

    def __init__(self, config: GMMConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.mixtures = Mixtures()

    @property
    def of_codes(self) -> Mixtures:
        """See `Coded`."""
        return self.mixtures

    def finish(self) -> None:
        """Fit all mixtures to the codes; one Gaussian where there are none."""
        self.codes.solve()
        if not self.codes.frame.known or (self.mixtures.known and not len(self.codes.rows)):
            return
        self.mixtures.fit([self._fitted(group) for group in range(self.groups)])
        self.codes.rows.empty()

    def _fitted(self, group: int) -> tuple[Tensor, Tensor, Tensor]:
        rows = self.codes.rows.of(group or None)
        if group and len(rows) < 2:
            return self._fitted(0)
        if len(rows) < 2:
            values = self.codes.frame.get_buffer("values")[0]
            return torch.ones(1), torch.zeros(1, len(values)), values.sqrt().diag()[None]
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(
            max(1, min(self.config.mixtures, len(rows) // self.config.per_mixture)),
            reg_covar=self.codes.floor,
            max_iter=self.config.rounds,
            init_params="k-means++",  # the usual start sums up in whichever order its threads come to an end
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # `rounds` is the limit that was asked for
            mixture.fit(rows.cpu().numpy())
        weights, means, covariances = (
            torch.from_numpy(each) for each in (mixture.weights_, mixture.means_, mixture.covariances_)
        )
        return weights, means, torch.linalg.cholesky(covariances.double())


def _longer(value: Tensor, rows: int) -> Tensor:
    """`value` (n, ...) with rows of zeros at its end."""
    return F.pad(value, [0, 0] * (value.ndim - 1) + [0, rows - len(value)])

"""A mixture of Gaussians over the leading principal components, fitted by expectation and maximisation.

Dempster, Laird & Rubin 1977, J. R. Statist. Soc. B 39(1); McLachlan & Peel 2000. The fit is scikit-learn's.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Annotated, ClassVar

import msgspec
import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor

from limner import api
from limner.api import Batch, Condition, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Options, Positive, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.losses.dequantisation import VARIANCE, bits, dequantised
from limner.nn.codes import PrincipalCodes
from limner.nn.gathering import Gathering, columns_for, groups_of, looked_at


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


class GMM(api.Generator, api.Conditions, api.Scores):
    """A mixture over all pictures, and one for each value of the first attribute."""

    Config, Sampling = GMMConfig, GMMSampling
    passes: ClassVar[int | None] = 2
    exact: ClassVar[bool] = False

    def __init__(self, config: GMMConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, msgspec.structs.replace(spec, attributes=spec.attributes[:1])
        self.groups = 1 + len(spec.classes)
        self.codes = PrincipalCodes(math.prod(spec.shape), config.components, config.pictures, VARIANCE)
        self.mixtures = Mixtures()

    @classmethod
    def check(cls, config: GMMConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        if columns_for(math.prod(spec.shape), 1) < min(8, math.prod(spec.shape)):
            raise UserError(f"{spec} pictures are too large for the principal components of gmm: take a smaller --size")

    def stages(self) -> tuple[Stage, ...]:
        """Two looks at every picture."""
        return (Stage("look", (Phase("look", (), self.look, None),)),)

    def look(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """The first pass gives the axes, the second the codes."""
        self.codes.look(*looked_at(batch.pictures, batch.labels, batch.epoch), progress.fraction)
        return {}

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

    def paint(self, draws: Draws, condition: Condition, options: GMMSampling) -> Iterator[Tensor]:
        """A code from the mixture, and its picture; white noise before any picture was seen."""
        where, noise = draws.uniform("mixture", 1), options.temperature * draws.normal("code", self.codes.width)
        grain = options.grain * draws.normal("grain", math.prod(self.spec.shape))
        if not self.mixtures.known:
            yield draws.normal("noise", *self.spec.shape).clamp(-1.0, 1.0)
            return
        codes = self.mixtures.draw(where, noise, groups_of(condition.labels, draws.size, self.device))
        pictures = self.codes.frame.lift(codes, 0, grain).to(draws.dtype)
        yield pictures.view(-1, *self.spec.shape).clamp(-1.0, 1.0)

    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) of the 8-bit pictures under the mixture of all, see `limner.losses.dequantisation`."""
        return bits(self.log_density(dequantised(pictures, draws)), math.prod(self.spec.shape)).to(pictures.dtype)

    def log_density(self, pictures: Tensor, group: int = 0) -> Tensor:
        """log p(x) (B,) in nats of pictures (B, C, H, W) in [-1, 1]; `group` 0 is all, k + 1 is class k."""
        x = pictures.flatten(1)
        if not self.mixtures.known:
            return -(x.double().square() + math.log(2 * math.pi)).sum(1) / 2
        codes = self.codes.frame.project(x)
        return self.mixtures.log_density(codes, group) + self.codes.frame.outside(x, codes)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Bits per dimension."""
        return {"bits per dimension": self.bits_per_dimension(batch.pictures, batch.draws).mean()}


def _longer(value: Tensor, rows: int) -> Tensor:
    """`value` (n, ...) with rows of zeros at its end."""
    return F.pad(value, [0, 0] * (value.ndim - 1) + [0, rows - len(value)])

"""Diffusion over points: the paths, targets and solvers that the recipes `flow`, `ddpm` and `edm` are made of.

Lipman et al., 2210.02747; Ho et al. 2020, 2006.11239; Karras et al. 2022, 2206.00364.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor

from limner.api import Batch, Condition, Generator, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Optimiser, Options, Positive
from limner.draws import Draws
from limner.noising.discrete import Chain
from limner.noising.paths import DEVIATION, HIGH, Additive, Straight, convert, mixed, noised, spread
from limner.noising.preconditioning import preconditioning
from limner.noising.times import draw_levels, draw_times
from limner.samplers.ddim import ddim
from limner.samplers.ddpm import ancestral
from limner.samplers.following import Time, follow, moment, velocity_of
from limner.samplers.multistep import MULTISTEP
from limner.samplers.schedules import karras, times
from limner.samplers.stochastic import stochastic
from limner.studies.toy.networks import Guide

FOLLOWERS = ("euler", "heun", "midpoint", "dpm++", "unipc", "adaptive")
TIME_MEAN, TIME_STD = -1.0, 1.5
"""Of the logit of flow's times: points have finer details than pictures for their size, which little noise decides."""

CHURN = 5.0
"""Of the stochastic solver."""


class DenoisingConfig(Options):
    """The network and how it learns.

    Attributes:
        width: units of each of its three hidden layers.
    """

    width: Positive = 128
    optimiser: Optimiser = Optimiser(rate=3e-3, warmup=0.02, decay=0.5)


class StepsConfig(DenoisingConfig):
    """Beside that, `timesteps`: how many noise levels there are."""

    timesteps: Annotated[int, Meta(ge=100, le=100_000)] = 1000


class LevelsConfig(DenoisingConfig):
    """Beside that, `noise_mean` and `noise_std` of the logarithm of the noise levels that are trained on."""

    noise_mean: float = -1.5
    noise_std: Annotated[float, Meta(gt=0)] = 1.5


class DenoisingSampling(Options):
    """How points are made."""

    steps: Positive = 32
    solver: str = ""


class Denoising(Generator):
    """Points from noise; a concrete class says what is noised how, and what follows the way back.

    Attributes:
        solvers: by name, the first one of first order and without fresh noise.
        fine: the solver that is nearest to the exact way. looks: how often the network was asked.
    """

    Config: ClassVar[type[DenoisingConfig]] = DenoisingConfig
    Sampling = DenoisingSampling
    solvers: ClassVar[tuple[str, ...]] = FOLLOWERS
    fine: ClassVar[str] = "heun"

    def __init__(self, config: DenoisingConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.network = Guide(spec.channels, config.width)
        self.looks = 0

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase."""
        return (Stage("denoise", (Phase("denoise", (self.network,), self.loss, self.config.optimiser),)),)

    @abstractmethod
    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """As the recipe of that name trains."""

    @abstractmethod
    def times(self, steps: int) -> Sequence[float]:
        """`steps` + 1 times from noise to points."""

    @abstractmethod
    def walk(self, solver: str, z: Tensor, when: Sequence[float], draws: Draws) -> Iterator[Tensor]:
        """States (B, D, 1, 1) of a solver at the times but the first, from z."""

    def prior(self, draws: Draws) -> Tensor:
        """Noise (B, D, 1, 1) where the way begins."""
        return draws.normal("noise", *self.spec.shape)

    def seen(self, z: Tensor, time: float) -> Tensor:
        """z as it is drawn, of about the same size at all times."""
        return z

    @torch.no_grad()
    def paint(self, draws: Draws, condition: Condition, options: DenoisingSampling) -> Iterator[Tensor]:
        """The states of a solver."""
        yield from self.walk(options.solver or self.fine, self.prior(draws), self.times(options.steps), draws)

    def asked(self, z: Tensor, ratio: Tensor) -> Tensor:
        """What the network says at z (B, D, 1, 1) and ratios sigma / alpha (B,), counted."""
        self.looks += 1
        said: Tensor = self.network(z, ratio.log() / 4)
        return said


class Flow(Denoising):
    """The velocity of straight lines (2210.02747; 2209.03003)."""

    path = Straight()

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """E |v(z, t) - (n - x)|^2 with z = (1 - t) x + t n."""
        time = draw_times(batch.draws, self.path, "logit-normal", TIME_MEAN, TIME_STD)
        point = noised(self.path, batch.pictures, batch.draws.normal("noise", *self.spec.shape), time)
        return {"velocity": F.mse_loss(self.said(point.z, time), point.target("velocity"))}

    def times(self, steps: int) -> Sequence[float]:
        """See `Denoising.times`."""
        return times(steps)

    def said(self, z: Tensor, time: Tensor) -> Tensor:
        """The velocity at times (B,)."""
        level = self.path.at(time)
        return self.asked(z, level.sigma / level.alpha)

    def walk(self, solver: str, z: Tensor, when: Sequence[float], draws: Draws) -> Iterator[Tensor]:
        """See `Denoising.walk`."""

        def velocity(z: Tensor, time: Time) -> Tensor:
            return self.said(z, moment(z, time, self.path))

        return follow(solver, velocity, z, when, self.path, None)  # type: ignore[arg-type]


class Steps(Denoising):
    """The noise in a chain of small noisings (2006.11239; the levels of 2102.09672)."""

    Config = StepsConfig
    solvers = ("ddim", "ancestral", "dpm++", "unipc")
    fine = "dpm++"

    def __init__(self, config: StepsConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.chain = Chain("cosine", config.timesteps)

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """L_simple (equation 14)."""
        x = batch.pictures
        step = batch.draws.integers("step", self.chain.steps) + 1
        noise = batch.draws.normal("noise", *self.spec.shape)
        level = self.chain.at(step, x)
        point = mixed(level, x, noise, step.to(x.dtype))
        return {"noise": F.mse_loss(self.asked(point.z, level.sigma / level.alpha), noise)}

    def times(self, steps: int) -> Sequence[float]:
        """See `Denoising.times`."""
        return self.chain.times(steps)

    def clean(self, z: Tensor, step: float) -> Tensor:
        """E[x | z] at a step of the chain, brought to where points lie: near pure noise it is a quotient by little."""
        level = self.chain.at(int(step), z)
        found = convert(self.asked(z, (level.sigma / level.alpha).expand(len(z))), z, level, "noise", "x")
        return found.clamp(-1, 1)

    def walk(self, solver: str, z: Tensor, when: Sequence[float], draws: Draws) -> Iterator[Tensor]:
        """See `Denoising.walk`; ancestral sampling with the variance beta."""

        def noise(step: int) -> Tensor:
            return draws.normal(f"noise {step}", *self.spec.shape)

        def reverse(z: Tensor, step: int, to: int) -> tuple[Tensor, Tensor]:
            back = self.chain.back(step, to, z)
            return back.mean(self.clean(z, step), z), spread(back.log_most / 2, z).exp()

        steps = [int(time) for time in when]
        if solver == "ddim":
            return ddim(self.clean, z, self.chain, steps, noise)
        if solver == "ancestral":
            return ancestral(reverse, z, steps, noise)
        return MULTISTEP[solver](self.clean, z, steps, self.chain.scale)


class Levels(Denoising):
    """A denoiser at unit size for any noise level (2206.00364)."""

    Config = LevelsConfig
    config: LevelsConfig
    solvers = (*FOLLOWERS, "stochastic")
    path = Additive()

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """E lambda |D(x + sigma n; sigma) - x|^2 (equation 2, weighted as in table 1)."""
        sigma = draw_levels(batch.draws, self.config.noise_mean, self.config.noise_std)
        point = noised(self.path, batch.pictures, batch.draws.normal("noise", *self.spec.shape), sigma)
        error = (self.denoised(point.z, sigma) - point.x).square().flatten(1).mean(1)
        return {"denoising": (error * preconditioning(sigma, DEVIATION).weight).mean()}

    def denoised(self, z: Tensor, sigma: Tensor) -> Tensor:
        """D(z; sigma), equation 7."""
        known = preconditioning(sigma, DEVIATION)
        return spread(known.skip, z) * z + spread(known.out, z) * self.asked(spread(known.into, z) * z, sigma)

    def times(self, steps: int) -> Sequence[float]:
        """See `Denoising.times`."""
        return karras(steps)

    def prior(self, draws: Draws) -> Tensor:
        """See `Denoising.prior`."""
        return HIGH * super().prior(draws)

    def seen(self, z: Tensor, time: float) -> Tensor:
        """See `Denoising.seen`; divided by the noise's size as it grows beyond 1."""
        return z / (1 + time**2) ** 0.5

    def walk(self, solver: str, z: Tensor, when: Sequence[float], draws: Draws) -> Iterator[Tensor]:
        """See `Denoising.walk`."""

        def clean(z: Tensor, level: Time) -> Tensor:
            return self.denoised(z, moment(z, level, self.path))

        def noise(step: int) -> Tensor:
            return draws.normal(f"noise {step}", *self.spec.shape)

        if solver == "stochastic":
            return stochastic(clean, z, when, noise, CHURN)
        return follow(solver, velocity_of(clean, self.path), z, when, self.path, None)  # type: ignore[arg-type]


KINDS: dict[str, Any] = {"flow": Flow, "ddpm": Steps, "edm": Levels}

"""Diffusion with everything at unit size: a denoiser for any noise level, and a few well placed steps.

Karras, Aittala, Aila & Laine 2022, "Elucidating the design space of diffusion-based generative models", 2206.00364.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from limner.api import (
    Batch,
    Condition,
    Conditions,
    Denoises,
    Encodes,
    Generator,
    Losses,
    Phase,
    Progress,
    Scores,
    Scratch,
    Spec,
    Stage,
)
from limner.config import Fraction, Optimiser, Options, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.losses.dequantisation import bits, dequantised
from limner.nn.embed import LabelMemory, labels_to_paint, labels_to_train
from limner.nn.unet import UNet, UNetConfig
from limner.noising.paths import DEVIATION, HIGH, LOW, Additive, noised, spread
from limner.noising.preconditioning import preconditioning
from limner.noising.times import draw_levels
from limner.samplers.following import FollowerName, Says, Time, follow, looks, moment, velocity_of
from limner.samplers.guidance import guided, strength
from limner.samplers.likelihood import Likelihood, settled_log_density
from limner.samplers.ode import heun
from limner.samplers.schedules import RHO, karras, times
from limner.samplers.stochastic import stochastic

Positive = Annotated[float, Meta(gt=0)]
Level = Annotated[float, Meta(ge=LOW, le=HIGH)]


class EDMConfig(Options):
    """The denoiser as trained.

    Attributes:
        deviation: standard deviation that the pictures' values are taken to have (sigma_data).
        noise_mean, noise_std: of the logarithm of the noise levels that are trained on (P_mean, P_std).
        label_dropout: share of labels hidden in training, for pictures without a label and for guidance.
    """

    unet: UNetConfig = UNetConfig()
    deviation: Positive = DEVIATION
    noise_mean: float = -1.2
    noise_std: Positive = 1.2
    conditional: bool = True
    label_dropout: Fraction = 0.1
    score: Likelihood = Likelihood()
    optimiser: Optimiser = Optimiser(rate=1e-3, warmup=0.02, decay=0.4)


class EDMSampling(Options):
    """The denoiser as sampled.

    Attributes:
        steps: of the solver; the adaptive one begins with steps of this length.
        lowest, highest, rho: noise levels, evenly spaced in their rho-th root (equation 5).
        tolerance: error a step of the adaptive solver, for values in [-1, 1]; not given: 0.001.
        guidance: 1 asks for the label as it is, more exaggerates it (2207.12598).
        interval: the noise levels at which there is guidance (2404.07724).
        churn, churned, inflation: of the stochastic solver, the noise it adds over all steps (S_churn), the levels it
            adds it at (S_min, S_max), and its deviation (S_noise).
    """

    steps: Annotated[int, Meta(ge=1, le=1000)] = 18
    solver: FollowerName | Literal["stochastic"] = "heun"
    lowest: Level = LOW
    highest: Level = HIGH
    rho: Annotated[float, Meta(ge=1, le=20)] = RHO
    tolerance: Positive | None = None
    guidance: Size = 1.0
    interval: tuple[Size, Size] = (0.0, HIGH)
    churn: Size = 5.0
    churned: tuple[Size, Size] = (0.05, 50.0)
    inflation: Positive = 1.003

    def check(self) -> None:
        """Raise `UserError` for what cannot be, and for what the solver would not heed."""
        if self.lowest >= self.highest:
            raise UserError(f"lowest noise level {self.lowest:g} is not below the highest, {self.highest:g}")
        heeds = {"churn": "stochastic", "churned": "stochastic", "inflation": "stochastic", "tolerance": "adaptive"}
        for name, solver in heeds.items():
            if getattr(self, name) != getattr(EDMSampling(), name) and self.solver != solver:
                raise UserError(f"{name} belongs to solver {solver}: leave it out with {self.solver}")
        if self.solver == "adaptive" and self.rho != RHO:
            raise UserError("solver adaptive finds its own steps: leave rho out")


CODE_STEPS = 50


class EDM(Generator, Conditions, Encodes, Denoises, Scores):
    """Pictures by denoising from a high noise level down."""

    Config = EDMConfig
    Sampling = EDMSampling
    exact: ClassVar[bool] = False

    @classmethod
    def check(cls, config: EDMConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        config.unet.check()
        if min(spec.height, spec.width) < 4:
            raise UserError(f"edm paints pictures of 4x4 pixels and more, not {spec}")

    def __init__(self, config: EDMConfig, spec: Spec) -> None:
        super().__init__()
        if not config.conditional:
            spec = msgspec.structs.replace(spec, attributes=())  # labels that are not used cannot be asked for either
        self.config, self.spec = config, spec
        self.path = Additive()
        self.network = UNet(config.unet, spec.channels, spec.channels, [len(a.values) for a in spec.attributes])
        self.memory = LabelMemory(len(spec.attributes)) if spec.attributes else None

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase."""
        return (Stage("denoise", (Phase("denoise", (self.network,), self.loss, self.config.optimiser),)),)

    # The loss.

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """E lambda |D(x + sigma n; sigma) - x|^2 (equation 2, weighted as in table 1)."""
        labels = labels_to_train(self.memory, batch.labels, batch.draws, self.config.label_dropout)
        return {"denoising": self.errors(batch, labels).mean()}

    def errors(self, batch: Batch, labels: Tensor | None) -> Tensor:
        """(B,) weighted squared errors at drawn noise levels, per value of a picture."""
        x = batch.pictures
        noise = batch.draws.normal("noise", *x.shape[1:])
        sigma = draw_levels(batch.draws, self.config.noise_mean, self.config.noise_std)
        found = self.clean(noised(self.path, x, noise, sigma).z, sigma, labels)
        error = (found - x).square().flatten(1).mean(1)
        return error * preconditioning(sigma, self.config.deviation).weight

    def clean(self, z: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        """D(z; sigma), equation 7, in float32 or more; z (B, C, H, W), sigma (B,), labels (B, A) or None."""
        known = preconditioning(sigma, self.config.deviation)
        said = self.network(spread(known.into, z) * z, known.noise, labels)
        said = said if said.dtype == torch.float64 else said.float()
        return spread(known.skip, z) * z + spread(known.out, z) * said

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """The loss on given pictures, nothing hidden."""
        return {"denoising": self.errors(batch, batch.labels).mean()}

    # Sampling.

    @torch.no_grad()
    def paint(self, draws: Draws, condition: Condition, options: EDMSampling) -> Iterator[Tensor]:
        """Denoised previews, one a step, then the picture; labels not asked for are drawn as training saw them."""
        options.check()
        labels = labels_to_paint(self.memory, condition.labels, draws, options.guidance)
        levels = karras(options.steps, options.rho, options.highest, options.lowest)
        z = options.highest * draws.normal("noise", *self.spec.shape)
        previews: list[Tensor] = []

        def clean(z: Tensor, level: Time) -> Tensor:
            scale = strength(options.guidance, level, options.interval)
            previews[:] = [guided(self.clean, z, moment(z, level, self.path), labels, scale)]
            return previews[0]

        def noise(step: int) -> Tensor:
            return draws.normal(f"noise {step}", *self.spec.shape)

        if options.solver == "stochastic":
            states = stochastic(clean, z, levels, noise, options.churn, options.churned, options.inflation)
        else:
            field = velocity_of(clean, self.path)
            states = follow(options.solver, field, z, levels, self.path, options.tolerance)
        for z in states:  # noqa: B007
            yield previews[0].clamp(-1, 1)
        yield z.clamp(-1, 1)

    def evaluations(self, options: EDMSampling) -> int:
        """See `Generator.evaluations`; guidance looks twice."""
        solver = "heun" if options.solver == "stochastic" else options.solver
        return (2 if options.guidance != 1 else 1) * looks(solver, options.steps)

    def quick(self) -> EDMSampling:
        """See `Generator.quick`."""
        return EDMSampling(steps=8)

    # Codes, noise levels and likelihood.

    @torch.no_grad()
    def encode(self, pictures: Tensor, condition: Condition | None = None) -> Tensor:
        """The noise (B, C, H, W) that leads to the pictures: the flow followed backwards in `CODE_STEPS` Heun steps."""
        *_, z = self._walk(pictures, condition, times(CODE_STEPS, RHO, LOW, HIGH))
        return z / HIGH

    @torch.no_grad()
    def decode(self, codes: Tensor, condition: Condition | None = None) -> Tensor:
        """Pictures (B, C, H, W) of noise (B, C, H, W)."""
        *_, z = self._walk(HIGH * codes, condition, times(CODE_STEPS, RHO, HIGH, LOW))
        return z.clamp(-1, 1)

    def _walk(self, z: Tensor, condition: Condition | None, levels: list[float]) -> Iterator[Tensor]:
        return heun(self._field(condition), z, levels)

    def _field(self, condition: Condition | None) -> Says:
        return velocity_of(lambda z, t: self.denoise(z, moment(z, t, self.path), condition), self.path)

    def denoise(self, noisy: Tensor, sigma: Tensor, condition: Condition | None = None) -> Tensor:
        """See `Denoises.denoise`; below the lowest noise level that one is taken to be there."""
        labels = condition.labels if condition is not None and self.memory is not None else None
        return self.clean(noisy, self.path.inner(sigma), labels)

    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) by the flow, see `limner.samplers.likelihood`; a bound, as pictures have 8 bits and a probe guesses."""
        nats = settled_log_density(
            self._field(None),
            dequantised(pictures, draws),
            lambda steps: times(steps, RHO, LOW, HIGH),
            HIGH,
            draws,
            self.config.score,
        )
        return bits(nats, math.prod(self.spec.shape))

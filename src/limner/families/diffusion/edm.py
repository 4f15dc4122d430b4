"""Diffusion with everything at unit size: a denoiser for any noise level, and a few well placed steps.

Karras, Aittala, Aila & Laine 2022, "Elucidating the design space of diffusion-based generative models", 2206.00364.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor

from limner.api import Batch, Condition, Progress, Spec
from limner.config import Size
from limner.draws import Draws
from limner.errors import UserError
from limner.families.diffusion.denoiser import Denoiser, DenoiserSampling, FlowsAlong, FollowedConfig
from limner.noising.paths import DEVIATION, HIGH, LOW, Additive, noised, spread
from limner.noising.preconditioning import preconditioning
from limner.noising.times import draw_levels
from limner.samplers.following import FollowerName, Says, Time, follow, looks, moment, velocity_of
from limner.samplers.guidance import autoguided, guided, strength
from limner.samplers.schedules import RHO, karras, times
from limner.samplers.stochastic import stochastic

Positive = Annotated[float, Meta(gt=0)]
Level = Annotated[float, Meta(ge=LOW, le=HIGH)]


class EDMConfig(FollowedConfig):
    """The denoiser as trained.

    Attributes:
        deviation: standard deviation that the pictures' values are taken to have (sigma_data).
        noise_mean, noise_std: of the logarithm of the noise levels that are trained on (P_mean, P_std).
    """

    deviation: Positive = DEVIATION
    noise_mean: float = -1.2
    noise_std: Positive = 1.2


class EDMSampling(DenoiserSampling):
    """The denoiser as sampled.

    Attributes:
        steps: of the solver; the adaptive one begins with steps of this length.
        lowest, highest, rho: noise levels, evenly spaced in their rho-th root (equation 5).
        tolerance: error a step of the adaptive solver, for values in [-1, 1]; not given: 0.001.
        churn, churned, inflation: of the stochastic solver, the noise it adds over all steps (S_churn), the levels it
            adds it at (S_min, S_max), and its deviation (S_noise).
    """

    steps: Annotated[int, Meta(ge=1, le=1000)] = 18
    solver: FollowerName | Literal["stochastic"] = "heun"
    lowest: Level = LOW
    highest: Level = HIGH
    rho: Annotated[float, Meta(ge=1, le=20)] = RHO
    tolerance: Positive | None = None
    interval: tuple[Size, Size] = (0.0, HIGH)
    churn: Size = 5.0
    churned: tuple[Size, Size] = (0.05, 50.0)
    inflation: Positive = 1.003

    def check(self) -> None:
        """Raise `UserError` for what cannot be, and for what the solver would not heed."""
        super().check()
        if self.churned[0] > self.churned[1]:
            raise UserError(f"churned {self.churned[0]:g},{self.churned[1]:g} holds nothing: give the lower end first")
        if self.lowest >= self.highest:
            raise UserError(f"lowest noise level {self.lowest:g} is not below the highest, {self.highest:g}")
        heeds = {"churn": "stochastic", "churned": "stochastic", "inflation": "stochastic", "tolerance": "adaptive"}
        for name, solver in heeds.items():
            if getattr(self, name) != getattr(EDMSampling(), name) and self.solver != solver:
                raise UserError(f"{name} belongs to solver {solver}: leave it out with {self.solver}")
        if self.solver == "adaptive" and self.rho != RHO:
            raise UserError("solver adaptive finds its own steps: leave rho out")


class EDM(Denoiser, FlowsAlong):
    """Pictures by denoising from a high noise level down."""

    Config = EDMConfig
    Sampling = EDMSampling
    config: EDMConfig
    prior = HIGH

    def __init__(self, config: EDMConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.path = Additive()

    # The loss.

    def terms(self, batch: Batch, labels: Tensor | None, progress: Progress | None = None) -> dict[str, Tensor]:
        """lambda |D(x + sigma n; sigma) - x|^2 per value (equation 2, weighted as in table 1)."""
        x = batch.pictures
        noise = self.noise(batch)
        sigma = draw_levels(batch.draws, self.config.noise_mean, self.config.noise_std)
        found = self.clean(noised(self.path, x, noise, sigma).z, sigma, labels)
        error = (found - x).square().flatten(1).mean(1)
        return {"denoising": error * preconditioning(sigma, self.config.deviation).weight}

    def clean(self, z: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        """D(z; sigma), equation 7, in float32 or more; z (B, C, H, W), sigma (B,), labels (B, A) or None."""
        known = preconditioning(sigma, self.config.deviation)
        said = self.said(spread(known.into, z) * z, known.noise, labels)
        return spread(known.skip, z) * z + spread(known.out, z) * said

    # Sampling.

    @torch.no_grad()
    def paint(self, draws: Draws, condition: Condition, options: EDMSampling) -> Iterator[Tensor]:
        """Denoised previews, one a step, then the picture; labels not asked for are drawn as training saw them."""
        asked = replace(condition, labels=self.asked_to_paint(draws, condition, options))
        levels = karras(options.steps, options.rho, options.highest, options.lowest)
        z = options.highest * draws.normal("noise", *self.spec.shape)
        previews: list[Tensor] = []

        def clean(z: Tensor, level: Time) -> Tensor:
            previews[:] = [self.beyond(z, level, asked, options)]
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

    def beyond(self, z: Tensor, level: Time, asked: Condition, options: EDMSampling) -> Tensor:
        """D(z; level) as options exaggerate it."""
        sigma = moment(z, level, self.path)
        clean = guided(self.clean, z, sigma, asked.labels, strength(options.guidance, level, options.interval))
        scale = strength(options.autoguidance, level, options.interval)
        return autoguided(clean, "x", z, self.path.at(sigma), asked, scale)

    def moments(self, ratio: Tensor) -> Tensor:
        """See `Denoiser.moments`: noise levels themselves."""
        return ratio

    def evaluations(self, options: EDMSampling) -> int:
        """See `Generator.evaluations`."""
        solver = "heun" if options.solver == "stochastic" else options.solver
        levels = karras(options.steps, options.rho, options.highest, options.lowest)
        return options.passes(looks(solver, levels, self.path))

    def quick(self) -> EDMSampling:
        """See `Generator.quick`."""
        return EDMSampling(steps=8)

    # Codes, noise levels and likelihood.

    def field(self, condition: Condition | None) -> Says:
        """See `FlowsAlong.field`."""
        return velocity_of(lambda z, t: self.denoise(z, moment(z, t, self.path), condition), self.path)

    def way(self, steps: int) -> list[float]:
        """See `FlowsAlong.way`."""
        return times(steps, RHO, LOW, HIGH)

    def denoise(self, noisy: Tensor, sigma: Tensor, condition: Condition | None = None) -> Tensor:
        """See `Denoises.denoise`; noise below the lowest level is taken for it, noise above the highest is made it."""
        level = self.path.inner(sigma)
        there = (level / sigma).clamp(max=1)
        return self.clean(spread(there, noisy) * noisy, level, self.asked(condition))

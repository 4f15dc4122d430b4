"""Denoising diffusion: learn to undo a chain of small noisings, and undo it from pure noise.

Ho et al. 2020, "Denoising diffusion probabilistic models", 2006.11239; Nichol & Dhariwal 2021, "Improved denoising
diffusion probabilistic models", 2102.09672; sampled as there, or by Song et al. 2020, 2010.02502 (DDIM).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor

from limner.api import Batch, Condition, Progress, Scores, Spec
from limner.config import Fraction, Positive, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.families.diffusion.denoiser import Denoiser, DenoiserConfig, DenoiserSampling
from limner.losses import likelihoods
from limner.noising.discrete import Chain, ScheduleName, circle
from limner.noising.paths import Level, convert, mixed, spread
from limner.samplers.ddim import ddim
from limner.samplers.ddpm import ancestral
from limner.samplers.guidance import autoguided, guided, strength
from limner.samplers.multistep import MULTISTEP

VLB = 1e-3
"""Weight of the bound in the hybrid loss (2102.09672, section 3.1)."""


class DDPMConfig(DenoiserConfig):
    """Denoising diffusion as trained.

    Attributes:
        timesteps: T, the number of noise levels.
        schedule: "linear" (2006.11239) or "cosine" (2102.09672, equation 17).
        prediction: what the network says and L_simple compares; "velocity" is v of 2202.00512.
        variance: of p(z_s | z_t): "beta" or "beta-tilde" (2006.11239, section 3.2), or "learned" between the two.
        vlb: weight of the bound, which trains a learned variance. Not given: 0.001 (2102.09672, equation 16).
        score_terms: terms of the bound that a likelihood looks at, besides the first and the last; T - 1 is all.
    """

    timesteps: Annotated[int, Meta(ge=100, le=100_000)] = 1000
    schedule: ScheduleName = "linear"
    prediction: Literal["noise", "x", "velocity", "residual"] = "noise"
    variance: Literal["beta", "beta-tilde", "learned"] = "beta"
    vlb: Size | None = None
    score_terms: Positive = 100


class DDPMSampling(DenoiserSampling):
    """Denoising diffusion as sampled.

    Attributes:
        steps: of the T levels, evenly spaced, as many are visited.
        solver: "ddim"; "ancestral", which draws from the learned p(z_s | z_t); "dpm++" or "unipc", of higher order.
        eta: noise that DDIM adds: 0 none, 1 as much as ancestral sampling with beta-tilde.
        clip: whether each estimate of the picture is brought into [-1, 1].
    """

    steps: Positive = 50
    solver: Literal["ddim", "ancestral", "dpm++", "unipc"] = "ddim"
    eta: Fraction = 0.0
    clip: bool = True


class DDPM(Denoiser, Scores):
    """Pictures by undoing a chain of noisings."""

    Config = DDPMConfig
    Sampling = DDPMSampling
    config: DDPMConfig
    exact: ClassVar[bool] = False

    @classmethod
    def check(cls, config: DDPMConfig, spec: Spec) -> None:  # type: ignore[override]
        """See `Generator.check`."""
        super().check(config, spec)
        if config.vlb is not None and config.variance != "learned":
            raise UserError(
                f"vlb={config.vlb:g} trains a learned variance alone: set variance=learned or leave vlb out"
            )

    def __init__(self, config: DDPMConfig, spec: Spec) -> None:
        super().__init__(config, spec, outputs=2 if config.variance == "learned" else 1)
        self.chain = Chain(config.schedule, config.timesteps)

    def read(self, said: Tensor, z: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """(picture, share of log beta in the log-variance), each (B, C, H, W), in what the network said.

        r in [-1, 1] is a share in [0, 1], as in the authors' code.
        """
        channels = self.spec.channels
        x = convert(said[:, :channels], z, level, self.config.prediction, "x")
        if self.config.variance == "learned":
            return x, (said[:, channels:] + 1) / 2
        return x, torch.full_like(x, 1.0 if self.config.variance == "beta" else 0.0)

    # The loss.

    def terms(self, batch: Batch, labels: Tensor | None, progress: Progress | None = None) -> dict[str, Tensor]:
        """L_simple (2006.11239, equation 14); with a learned variance L_hybrid (2102.09672, equation 16).

        Steps are drawn alike from 1 to T.
        """
        x = batch.pictures
        step = batch.draws.integers("step", self.chain.steps) + 1
        noise = self.noise(batch)
        point = mixed(self.chain.at(step, x), x, noise, self.time(step, x))
        said = self.said(point.z, point.time, labels)
        prediction = said[:, : self.spec.channels]
        target = point.target(self.config.prediction).to(said.dtype)
        terms = {"simple": F.mse_loss(prediction, target, reduction="none").flatten(1).mean(1)}
        if self.config.variance == "learned":
            weight = VLB if self.config.vlb is None else self.config.vlb
            frozen = torch.cat([prediction.detach(), said[:, self.spec.channels :]], 1)  # the bound trains r alone
            terms["vlb"] = weight * self.chain.steps * self.bits(x, point.z, step, frozen, clip=False)
        return terms

    def bits(self, x: Tensor, z: Tensor, step: Tensor, said: Tensor, clip: bool) -> Tensor:
        """L_{t-1} of steps t (B,) in bits a value, (B,) (2006.11239, equation 5).

        From t = 1, where p gives the mass of the 8-bit value (equation 13), it is L_0.
        """
        mean_x, share = self.read(said, z, self.chain.at(step, z))
        mean_x = mean_x.clamp(-1, 1) if clip else mean_x
        back = self.chain.back(step, step - 1, z)
        mean, log_variance = back.mean(mean_x, z), back.log_variance(share)
        true_mean, true_log_variance = back.mean(x, z), back.log_variance(torch.zeros_like(share))
        divergence = likelihoods.kl(true_mean, true_log_variance, mean, log_variance)
        surprise = likelihoods.discretised_gaussian(x, mean, log_variance / 2)
        return torch.where(spread(step, x) == 1, surprise, divergence).flatten(1).mean(1) / math.log(2)

    def time(self, step: int | Tensor, like: Tensor) -> Tensor:
        """What the network is told of steps: t / T, (B,)."""
        return torch.as_tensor(step, device=like.device).expand(len(like)).to(like.dtype) / self.chain.steps

    # Sampling.

    @torch.no_grad()
    def paint(self, draws: Draws, condition: Condition, options: DDPMSampling) -> Iterator[Tensor]:
        """Estimates of the picture, one a step, then the picture; labels not asked for as training saw them."""
        if options.eta and options.solver != "ddim":
            raise UserError(f"eta {options.eta:g} belongs to solver ddim: leave it out with {options.solver}")
        labels = self.asked_to_paint(draws, condition, options)
        asked = Condition(labels, condition.weaker)
        times = self.chain.times(options.steps)
        previews: list[Tensor] = []

        def believed(z: Tensor, step: int) -> tuple[Tensor, Tensor]:
            time, level = step / self.chain.steps, self.chain.at(step, z)
            scale = strength(options.guidance, time, options.interval)
            said = guided(self.said, z, self.time(step, z), labels, scale, self.spec.channels)
            x, share = self.read(said, z, level)
            x = autoguided(x, "x", z, level, asked, strength(options.autoguidance, time, options.interval))
            x = x.clamp(-1, 1) if options.clip else x
            previews[:] = [x]
            return x, share

        def reverse(z: Tensor, step: int, to: int) -> tuple[Tensor, Tensor]:
            x, share = believed(z, step)
            back = self.chain.back(step, to, z)
            return back.mean(x, z), (back.log_variance(share) / 2).exp()

        def noise(step: int) -> Tensor:
            return draws.normal(f"noise {step}", *self.spec.shape)

        def clean(z: Tensor, step: float) -> Tensor:
            return believed(z, int(step))[0]

        start = draws.normal("noise", *self.spec.shape)
        if options.solver == "ddim":
            states = ddim(clean, start, self.chain, times, noise, options.eta)
        elif options.solver == "ancestral":
            states = ancestral(reverse, start, times, noise)
        else:
            states = MULTISTEP[options.solver](clean, start, times, self.chain.scale)
        for state in states:  # noqa: B007
            yield previews[0].clamp(-1, 1)
        yield state.clamp(-1, 1)

    def moments(self, ratio: Tensor) -> Tensor:
        """See `Denoiser.moments`: t / T."""
        return self.chain.find(ratio) / self.chain.steps

    def evaluations(self, options: DDPMSampling) -> int:
        """See `Generator.evaluations`; guidance looks twice."""
        return options.passes([step / self.chain.steps for step in self.chain.times(options.steps)[:-1]])

    def quick(self) -> DDPMSampling:
        """See `Generator.quick`."""
        return DDPMSampling(steps=16)

    # Noise levels and likelihood.

    def denoise(self, noisy: Tensor, sigma: Tensor, condition: Condition | None = None) -> Tensor:
        """See `Denoises.denoise`; between two of the chain's levels the network is told a time between theirs."""
        alpha = (1 + sigma.square()).rsqrt()
        z = spread(alpha, noisy) * noisy
        said = self.said(z, self.time(self.chain.find(sigma), z), self.asked(condition))
        return self.read(said, z, circle(alpha, sigma * alpha))[0]

    @torch.no_grad()
    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) upper bounds (2006.11239, equation 5): L_T and L_0 whole, the sum between estimated without bias.

        The T - 1 terms are dealt to `score_terms` strata, and one of each is looked at, with noise of its own.
        """
        chain, count = self.chain, min(self.config.score_terms, self.chain.steps - 1)
        last = chain.at(chain.steps, pictures)
        total = likelihoods.kl_to_standard(
            spread(last.alpha, pictures) * pictures, 2 * spread(last.sigma.log(), pictures)
        )
        bits = total.flatten(1).mean(1) / math.log(2)
        edges = [1, *(2 + (chain.steps - 1) * k // count for k in range(count + 1))]
        for place, (first, end) in enumerate(zip(edges, edges[1:], strict=False)):
            step = first + draws.integers(f"step {place}", end - first)
            noise = draws.normal(f"noise {place}", *pictures.shape[1:])
            point = mixed(chain.at(step, pictures), pictures, noise, self.time(step, pictures))
            said = self.said(point.z, point.time, None)
            bits = bits + (end - first) * self.bits(pictures, point.z, step, said, clip=True)
        return bits

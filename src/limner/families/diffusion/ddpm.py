"""Denoising diffusion: learn to undo a chain of small noisings, and undo it from pure noise.

Ho et al. 2020, "Denoising diffusion probabilistic models", 2006.11239; Nichol & Dhariwal 2021, "Improved denoising
diffusion probabilistic models", 2102.09672; sampled as there, or by Song et al. 2020, 2010.02502 (DDIM).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import msgspec
import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor

from limner.api import (
    Batch,
    Condition,
    Conditions,
    Denoises,
    Generator,
    Losses,
    Phase,
    Progress,
    Scores,
    Scratch,
    Spec,
    Stage,
)
from limner.config import Fraction, Optimiser, Options, Positive, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.losses import likelihoods
from limner.nn.embed import LabelMemory, labels_to_paint, labels_to_train
from limner.nn.unet import UNet, UNetConfig
from limner.noising.discrete import Chain, ScheduleName, circle
from limner.noising.paths import Level, convert, mixed, spread
from limner.samplers.ddim import ddim
from limner.samplers.ddpm import ancestral
from limner.samplers.guidance import guided, strength
from limner.samplers.multistep import MULTISTEP

VLB = 1e-3
"""Weight of the bound in the hybrid loss (2102.09672, section 3.1)."""


class DDPMConfig(Options):
    """Denoising diffusion as trained.

    Attributes:
        timesteps: T, the number of noise levels.
        schedule: "linear" (2006.11239) or "cosine" (2102.09672, equation 17).
        prediction: what the network says and L_simple compares; "velocity" is v of 2202.00512.
        variance: of p(z_s | z_t): "beta" or "beta-tilde" (2006.11239, section 3.2), or "learned" between the two.
        vlb: weight of the bound, which trains a learned variance. Not given: 0.001 (2102.09672, equation 16).
        label_dropout: share of labels hidden in training, for pictures without a label and for guidance.
        score_terms: terms of the bound that a likelihood looks at, besides the first and the last; T - 1 is all.
    """

    unet: UNetConfig = UNetConfig()
    timesteps: Annotated[int, Meta(ge=100, le=100_000)] = 1000
    schedule: ScheduleName = "linear"
    prediction: Literal["noise", "x", "velocity", "residual"] = "noise"
    variance: Literal["beta", "beta-tilde", "learned"] = "beta"
    vlb: Size | None = None
    conditional: bool = True
    label_dropout: Fraction = 0.1
    score_terms: Positive = 100
    optimiser: Optimiser = Optimiser(rate=1e-3, warmup=0.02, decay=0.4)


class DDPMSampling(Options):
    """Denoising diffusion as sampled.

    Attributes:
        steps: of the T levels, evenly spaced, as many are visited.
        solver: "ddim"; "ancestral", which draws from the learned p(z_s | z_t); "dpm++" or "unipc", of higher order.
        eta: noise that DDIM adds: 0 none, 1 as much as ancestral sampling with beta-tilde.
        guidance: 1 asks for the label as it is, more exaggerates it (2207.12598).
        interval: the times t / T at which there is guidance (2404.07724).
        clip: whether each estimate of the picture is brought into [-1, 1].
    """

    steps: Positive = 50
    solver: Literal["ddim", "ancestral", "dpm++", "unipc"] = "ddim"
    eta: Fraction = 0.0
    guidance: Size = 1.0
    interval: tuple[Fraction, Fraction] = (0.0, 1.0)
    clip: bool = True


class DDPM(Generator, Conditions, Denoises, Scores):
    """Pictures by undoing a chain of noisings."""

    Config = DDPMConfig
    Sampling = DDPMSampling
    exact: ClassVar[bool] = False

    @classmethod
    def check(cls, config: DDPMConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        config.unet.check()
        if min(spec.height, spec.width) < 4:
            raise UserError(f"ddpm paints pictures of 4x4 pixels and more, not {spec}")
        if config.vlb is not None and config.variance != "learned":
            raise UserError(
                f"vlb={config.vlb:g} trains a learned variance alone: set variance=learned or leave vlb out"
            )

    def __init__(self, config: DDPMConfig, spec: Spec) -> None:
        super().__init__()
        if not config.conditional:
            spec = msgspec.structs.replace(spec, attributes=())  # labels that are not used cannot be asked for either
        self.config, self.spec = config, spec
        self.chain = Chain(config.schedule, config.timesteps)
        says = spec.channels * (2 if config.variance == "learned" else 1)
        self.network = UNet(config.unet, spec.channels, says, [len(a.values) for a in spec.attributes])
        self.memory = LabelMemory(len(spec.attributes)) if spec.attributes else None

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase."""
        return (Stage("denoise", (Phase("denoise", (self.network,), self.loss, self.config.optimiser),)),)

    def says(self, z: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        """Prediction (B, C, H, W), then r (B, C, H, W) where the variance is learned, for times t / T (B,)."""
        said: Tensor = self.network(z, time, labels)
        return said if said.dtype == torch.float64 else said.float()

    def read(self, said: Tensor, clip: bool, z: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """(picture, share of log beta in the log-variance), each (B, C, H, W), in what the network said.

        r in [-1, 1] is a share in [0, 1], as in the authors' code.
        """
        channels = self.spec.channels
        x = convert(said[:, :channels], z, level, self.config.prediction, "x")
        x = x.clamp(-1, 1) if clip else x
        if self.config.variance == "learned":
            return x, (said[:, channels:] + 1) / 2
        return x, torch.full_like(x, 1.0 if self.config.variance == "beta" else 0.0)

    # The loss.

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """L_simple (2006.11239, equation 14); with a learned variance L_hybrid (2102.09672, equation 16)."""
        labels = labels_to_train(self.memory, batch.labels, batch.draws, self.config.label_dropout)
        return {name: value.mean() for name, value in self.terms(batch, labels).items()}

    def terms(self, batch: Batch, labels: Tensor | None) -> dict[str, Tensor]:
        """The losses of each picture, (B,), at steps drawn alike from 1 to T."""
        x = batch.pictures
        step = batch.draws.integers("step", self.chain.steps) + 1
        noise = batch.draws.normal("noise", *x.shape[1:])
        point = mixed(self.chain.at(step, x), x, noise, self.time(step, x))
        said = self.says(point.z, point.time, labels)
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
        mean_x, share = self.read(said, clip, z, self.chain.at(step, z))
        back = self.chain.back(step, step - 1, z)
        mean, log_variance = back.mean(mean_x, z), back.log_variance(share)
        true_mean, true_log_variance = back.mean(x, z), back.log_variance(torch.zeros_like(share))
        divergence = likelihoods.kl(true_mean, true_log_variance, mean, log_variance)
        surprise = likelihoods.discretised_gaussian(x, mean, log_variance / 2)
        return torch.where(spread(step, x) == 1, surprise, divergence).flatten(1).mean(1) / math.log(2)

    def time(self, step: int | Tensor, like: Tensor) -> Tensor:
        """What the network is told of steps: t / T, (B,)."""
        return torch.as_tensor(step, device=like.device).expand(len(like)).to(like.dtype) / self.chain.steps

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """The losses on given pictures, nothing hidden."""
        return {name: value.mean() for name, value in self.terms(batch, batch.labels).items()}

    # Sampling.

    @torch.no_grad()
    def paint(self, draws: Draws, condition: Condition, options: DDPMSampling) -> Iterator[Tensor]:
        """Estimates of the picture, one a step, then the picture; labels not asked for as training saw them."""
        if options.eta and options.solver != "ddim":
            raise UserError(f"eta {options.eta:g} belongs to solver ddim: leave it out with {options.solver}")
        labels = labels_to_paint(self.memory, condition.labels, draws, options.guidance)
        times = self.chain.times(options.steps)
        previews: list[Tensor] = []

        def believed(z: Tensor, step: int) -> tuple[Tensor, Tensor]:
            scale = strength(options.guidance, step / self.chain.steps, options.interval)
            said = guided(self.says, z, self.time(step, z), labels, scale, self.spec.channels)
            x, share = self.read(said, options.clip, z, self.chain.at(step, z))
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

    def evaluations(self, options: DDPMSampling) -> int:
        """See `Generator.evaluations`; guidance looks twice."""
        return (2 if options.guidance != 1 else 1) * options.steps

    def quick(self) -> DDPMSampling:
        """See `Generator.quick`."""
        return DDPMSampling(steps=16)

    # Noise levels and likelihood.

    def denoise(self, noisy: Tensor, sigma: Tensor, condition: Condition | None = None) -> Tensor:
        """See `Denoises.denoise`; between two of the chain's levels the network is told a time between theirs."""
        labels = condition.labels if condition is not None and self.memory is not None else None
        alpha = (1 + sigma.square()).rsqrt()
        z = spread(alpha, noisy) * noisy
        said = self.says(z, self.time(self.chain.find(sigma), z), labels)
        return self.read(said, False, z, circle(alpha, sigma * alpha))[0]

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
            said = self.says(point.z, point.time, None)
            bits = bits + (end - first) * self.bits(pictures, point.z, step, said, clip=True)
        return bits

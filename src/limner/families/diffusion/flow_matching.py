"""Flow matching: learn the velocity of straight lines from noise to pictures, and follow it.

Lipman et al., "Flow Matching for Generative Modeling", 2210.02747; Liu et al., "Flow Straight and Fast", 2209.03003.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar

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
from limner.noising.paths import PATHS, PathName, Target, convert, noised, spread
from limner.noising.times import Sampling, Weighting, draw_times, weights
from limner.samplers.following import FollowerName, Time, denoised, follow, looks, moment
from limner.samplers.guidance import guided, strength
from limner.samplers.likelihood import Likelihood, settled_log_density
from limner.samplers.ode import heun
from limner.samplers.schedules import ScheduleName, scheduled, times


class FlowConfig(Options):
    """Flow matching as trained.

    Attributes:
        prediction: what the network says; the loss is on the velocity in any case.
        time, time_mean, time_std: which times are trained on; mean and std are of the logit-normal.
        label_dropout: share of labels hidden in training, for pictures without a label and for guidance.
    """

    unet: UNetConfig = UNetConfig()
    path: PathName = "straight"
    prediction: Target = "velocity"
    time: Sampling = "logit-normal"
    time_mean: float = 0.0
    time_std: Annotated[float, Meta(gt=0)] = 1.0
    weighting: Weighting = "none"
    conditional: bool = True
    label_dropout: Fraction = 0.1
    score: Likelihood = Likelihood()
    optimiser: Optimiser = Optimiser(rate=1e-3, warmup=0.02, decay=0.4)


class FlowSampling(Options):
    """Flow matching as sampled.

    Attributes:
        steps: of the solver; the adaptive one begins with steps of this length.
        schedule: where the steps lie. power: above 1 those of the uniform one crowd near the picture.
        tolerance: error a step of the adaptive solver, for values in [-1, 1]; not given: 0.001.
        guidance: 1 asks for the label as it is, more exaggerates it (2207.12598).
        interval: the times at which there is guidance (2404.07724).
    """

    steps: Annotated[int, Meta(ge=1, le=1000)] = 20
    solver: FollowerName = "heun"
    schedule: ScheduleName = "uniform"
    power: Annotated[float, Meta(ge=0.2, le=5)] = 1.0
    tolerance: Annotated[float, Meta(gt=0)] | None = None
    guidance: Size = 1.0
    interval: tuple[Fraction, Fraction] = (0.0, 1.0)


CODE_STEPS = 50


class FlowMatching(Generator, Conditions, Encodes, Denoises, Scores):
    """Pictures by following a learned velocity from noise."""

    Config = FlowConfig
    Sampling = FlowSampling
    exact: ClassVar[bool] = False

    @classmethod
    def check(cls, config: FlowConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        config.unet.check()
        if min(spec.height, spec.width) < 4:
            raise UserError(f"flow matching paints pictures of 4x4 pixels and more, not {spec}")

    def __init__(self, config: FlowConfig, spec: Spec) -> None:
        super().__init__()
        if not config.conditional:
            spec = msgspec.structs.replace(spec, attributes=())  # labels that are not used cannot be asked for either
        self.config, self.spec = config, spec
        self.path = PATHS[config.path]()
        self.network = UNet(config.unet, spec.channels, spec.channels, [len(a.values) for a in spec.attributes])
        self.memory = LabelMemory(len(spec.attributes)) if spec.attributes else None

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase."""
        return (Stage("flow", (Phase("flow", (self.network,), self.loss, self.config.optimiser),)),)

    # The loss.

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """E |v(z, t) - (n - x)|^2 with z = (1 - t) x + t n (2209.03003, equation 1, with time reversed)."""
        labels = labels_to_train(self.memory, batch.labels, batch.draws, self.config.label_dropout)
        return {"velocity": self.errors(batch, labels).mean()}

    def errors(self, batch: Batch, labels: Tensor | None) -> Tensor:
        """(B,) squared errors of the velocity at drawn times, per value of a picture."""
        config = self.config
        x = batch.pictures
        noise = batch.draws.normal("noise", *x.shape[1:])
        time = draw_times(batch.draws, self.path, config.time, config.time_mean, config.time_std)
        level = noised(self.path, x, noise, time)
        said = self.velocity(level.z, time, labels)
        error = F.mse_loss(said, level.target("velocity").to(said.dtype), reduction="none").flatten(1).mean(1)
        return error * weights(config.weighting, level.level)

    def velocity(self, z: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        """dz/dt as the network sees it, in float32 or more; z (B, C, H, W), times (B,), labels (B, A) or None."""
        said = self.network(z, time, labels)
        said = said if said.dtype == torch.float64 else said.float()
        return convert(said, z, self.path.at(time), self.config.prediction, "velocity")

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """The loss on given pictures, nothing hidden."""
        return {"velocity": self.errors(batch, batch.labels).mean()}

    # Sampling.

    @torch.no_grad()
    def paint(self, draws: Draws, condition: Condition, options: FlowSampling) -> Iterator[Tensor]:
        """Denoised previews, one a step, then the picture; labels not asked for are drawn as training saw them."""
        if options.power != 1 and options.schedule != "uniform":
            raise UserError(
                f"power {options.power:g} belongs to schedule uniform: leave it out with {options.schedule}"
            )
        if options.solver == "adaptive" and (options.power != 1 or options.schedule != "uniform"):
            raise UserError("solver adaptive finds its own steps: leave schedule and power out")
        labels = labels_to_paint(self.memory, condition.labels, draws, options.guidance)
        z = self._prior() * draws.normal("noise", *self.spec.shape)
        previews: list[Tensor] = []

        def field(z: Tensor, t: Time) -> Tensor:
            velocity = self._guided(z, t, labels, options)
            previews[:] = [denoised(velocity, z, t, self.path)]
            return velocity

        state, when = z, scheduled(options.schedule, options.steps, self.path, options.power)
        for state in follow(options.solver, field, z, when, self.path, options.tolerance):  # noqa: B007
            yield previews[0].clamp(-1, 1)
        yield state.clamp(-1, 1)

    def evaluations(self, options: FlowSampling) -> int:
        """See `Generator.evaluations`; guidance looks twice."""
        return (2 if options.guidance != 1 else 1) * looks(options.solver, options.steps)

    def quick(self) -> FlowSampling:
        """See `Generator.quick`."""
        return FlowSampling(steps=8)

    def _guided(self, z: Tensor, t: Time, labels: Tensor | None, options: FlowSampling) -> Tensor:
        scale = strength(options.guidance, t, options.interval)
        return guided(self.velocity, z, moment(z, t, self.path), labels, scale)

    def _prior(self) -> float:
        return float(self.path.at(torch.ones(1)).sigma)

    # Codes, noise levels and likelihood.

    @torch.no_grad()
    def encode(self, pictures: Tensor, condition: Condition | None = None) -> Tensor:
        """The noise (B, C, H, W) that leads to the pictures: the flow followed backwards in `CODE_STEPS` Heun steps."""
        *_, z = self._follow(pictures, condition, list(reversed(times(CODE_STEPS))))
        return z / self._prior()

    @torch.no_grad()
    def decode(self, codes: Tensor, condition: Condition | None = None) -> Tensor:
        """Pictures (B, C, H, W) of noise (B, C, H, W)."""
        *_, z = self._follow(self._prior() * codes, condition, times(CODE_STEPS))
        return z.clamp(-1, 1)

    def _follow(self, z: Tensor, condition: Condition | None, when: list[float]) -> Iterator[Tensor]:
        labels = condition.labels if condition is not None and self.memory is not None else None
        return heun(lambda z, t: self._guided(z, t, labels, FlowSampling()), z, when)

    def denoise(self, noisy: Tensor, sigma: Tensor, condition: Condition | None = None) -> Tensor:
        """See `Denoises.denoise`; the path's z is alpha times the noisy picture."""
        labels = condition.labels if condition is not None and self.memory is not None else None
        time = self.path.inner(self.path.time(sigma))
        level = self.path.at(time)
        z = spread(level.alpha, noisy) * noisy
        return convert(self.velocity(z, time, labels), z, level, "velocity", "x")

    def bits_per_dimension(self, pictures: Tensor, draws: Draws) -> Tensor:
        """(B,) by the flow, see `limner.samplers.likelihood`; a bound, as pictures have 8 bits and a probe guesses."""
        nats = settled_log_density(
            lambda z, t: self._guided(z, t, None, FlowSampling()),
            dequantised(pictures, draws),
            lambda steps: times(steps, 3.0, 0.0, 1.0),
            self._prior(),
            draws,
            self.config.score,
        )
        return bits(nats, math.prod(self.spec.shape))

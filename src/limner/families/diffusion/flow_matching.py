"""Flow matching: learn the velocity of straight lines from noise to pictures, and follow it.

Lipman et al., "Flow Matching for Generative Modeling", 2210.02747; Liu et al., "Flow Straight and Fast", 2209.03003.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from limner.api import Batch, Condition, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Size
from limner.draws import Draws
from limner.errors import UserError
from limner.families.diffusion.aligning import NEARER, Foreteller
from limner.families.diffusion.denoiser import Denoiser, DenoiserConfig, DenoiserSampling, FlowsAlong, FollowedConfig
from limner.families.diffusion.finish import Finish, Judge, difference, evened, frozen
from limner.losses.adversarial import relativistic_generator
from limner.nn.norm import wide
from limner.nn.uncertainty import Uncertainty
from limner.noising.paths import PATHS, Noised, PathName, Target, convert, noised, spread
from limner.noising.times import Sampling, Weighting, draw_times, weights
from limner.samplers.following import FollowerName, Says, Time, denoised, follow, looks, moment
from limner.samplers.guidance import autoguided, guided, strength
from limner.samplers.schedules import ScheduleName, scheduled, times

FINISH = "finish"


class FlowConfig(FollowedConfig):
    """Flow matching as trained.

    Attributes:
        prediction: what the network says; the loss is on the velocity in any case.
        time, time_mean, time_std: which times are trained on; mean and std are of the logit-normal.
        alignment: weight of the error in foretelling what the network itself knows of the picture with less noise.
        finish: what is asked of the end of the training, beside the error of the velocity.
    """

    path: PathName = "straight"
    prediction: Target = "velocity"
    time: Sampling = "logit-normal"
    time_mean: float = 0.0
    time_std: Annotated[float, Meta(gt=0)] = 1.0
    weighting: Weighting = "none"
    alignment: Size = 0.0
    finish: Finish = Finish()


class FlowSampling(DenoiserSampling):
    """Flow matching as sampled.

    Attributes:
        steps: of the solver; the adaptive one begins with steps of this length.
        schedule: where the steps lie. power: above 1 those of the uniform one crowd near the picture.
        tolerance: error a step of the adaptive solver, for values in [-1, 1]; not given: 0.001.
    """

    steps: Annotated[int, Meta(ge=1, le=1000)] = 20
    solver: FollowerName = "unipc"
    schedule: ScheduleName = "uniform"
    power: Annotated[float, Meta(ge=0.2, le=5)] = 1.0
    tolerance: Annotated[float, Meta(gt=0)] | None = None

    def check(self) -> None:
        """Raise `UserError` for what would not be heeded."""
        super().check()
        if self.power != 1 and self.schedule != "uniform":
            raise UserError(f"power {self.power:g} belongs to schedule uniform: leave it out with {self.schedule}")
        if self.solver == "adaptive" and (self.power != 1 or self.schedule != "uniform"):
            raise UserError("solver adaptive finds its own steps: leave schedule and power out")


class FlowMatching(Denoiser, FlowsAlong):
    """Pictures by following a learned velocity from noise."""

    Config = FlowConfig
    Sampling = FlowSampling
    config: FlowConfig

    @classmethod
    def check(cls, config: DenoiserConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        super().check(config, spec)
        assert isinstance(config, FlowConfig)
        config.finish.check(config.small)
        if config.time == "uniform" and (config.time_mean, config.time_std) != (0, 1):
            raise UserError("time_mean and time_std are of the logit-normal times: leave them out with time=uniform")

    def __init__(self, config: FlowConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.path = PATHS[config.path]()
        self.uncertainty = Uncertainty() if config.weighting == "learned" else None
        self.prior = float(self.path.at(torch.ones(1, device="cpu")).sigma)
        self.foreteller = Foreteller(self.network.known) if config.alignment else None
        self.judge = Judge(self.network.known) if config.finish.adversarial else None

    def stages(self) -> tuple[Stage, ...]:
        """See `Denoiser.stages`; in the last part a judge may learn beside."""
        *before, whole = super().stages()
        finish = self.config.finish
        if not finish.asked:
            return (*before, whole)
        judging = Phase("judge", (self.judge,), self.judging, finish.optimiser) if self.judge is not None else None
        phases = whole.phases if judging is None else (judging, *whole.phases)
        begun = replace(whole, share=finish.since - self.config.small)
        return (*before, begun, Stage(FINISH, phases, 1 - finish.since))

    def trained(self) -> tuple[nn.Module, ...]:
        """See `Denoiser.trained`."""
        return tuple(part for part in (self.network, self.uncertainty, self.foreteller) if part is not None)

    # The loss.

    def terms(self, batch: Batch, labels: Tensor | None, progress: Progress | None = None) -> dict[str, Tensor]:
        """|v(z, t) - (n - x)|^2 per value, with z = (1 - t) x + t n (2209.03003, equation 1, with time reversed)."""
        point, known, said = self.guess(batch, labels)
        error = F.mse_loss(said, point.target("velocity").to(said.dtype), reduction="none").flatten(1).mean(1)
        if self.uncertainty is not None:
            terms = {"velocity": self.uncertainty.weighted(error, point.time), "_error": error.detach()}
        else:
            terms = {"velocity": error * weights(self.config.weighting, point.level)}
        if progress is None:
            return terms
        if self.foreteller is not None:
            assert known is not None
            clearer = self.known_of_less(batch, point, labels)
            terms["alignment"] = self.config.alignment * self.foreteller.missed(known, clearer)
        if progress.stage != FINISH:
            return terms
        finish = self.config.finish
        found, true = self.looked_at(batch, convert(said, point.z, point.level, "velocity", "x"), labels)
        if finish.perceptual:
            terms["perceptual"] = finish.perceptual * difference(found, true)
        if self.judge is not None:
            terms["adversarial"] = finish.adversarial * relativistic_generator(self.judge(found), self.judge(true))
        return terms

    def judging(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """The judge's loss; what it sees has no gradient."""
        assert self.judge is not None
        labels = self.shown(batch)
        with torch.no_grad():
            point, _, said = self.guess(batch, labels)
            found, true = self.looked_at(batch, convert(said, point.z, point.level, "velocity", "x"), labels)
        return self.judge.loss(found, true, self.config.finish.slope)

    def guess(self, batch: Batch, labels: Tensor | None) -> tuple[Noised, Tensor | None, Tensor]:
        """The batch's pictures noised to times that are drawn, what is known of them if asked for, and the velocity."""
        config, noise = self.config, self.noise(batch)
        time = draw_times(batch.draws, self.path, config.time, config.time_mean, config.time_std)
        point = noised(self.path, batch.pictures, noise, time)
        if self.foreteller is None:
            return point, None, self.velocity(point.z, time, labels)
        known, said = self.network.knowing(point.z, time, self.told(labels, len(time)))
        return point, known, convert(wide(said), point.z, point.level, config.prediction, "velocity")

    @torch.no_grad()
    def known_of_less(self, batch: Batch, point: Noised, labels: Tensor | None) -> Tensor:
        """What the network knows of the same pictures with up to `NEARER` less of the same noise."""
        less = NEARER * batch.draws.uniform("less")  # (B,)
        time = self.path.inner(point.time - less.to(point.time.dtype))
        nearer = noised(self.path, batch.pictures, point.noise, time)
        return self.network.features(nearer.z, time, self.told(labels, len(time)))

    def looked_at(self, batch: Batch, clean: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the network knows of pictures (B, C, H, W) and of the batch's, noised alike at even times.

        The network is taken as it stands: it must not learn to see less.
        """
        again = replace(batch, draws=batch.draws.named("looked at"))
        noise, time = self.noise(again), draw_times(again.draws, self.path, "uniform")
        labels = self.told(labels, len(clean))

        def features(x: Tensor) -> Tensor:
            return evened(self.network.features(noised(self.path, x, noise, time).z, time, labels))

        with frozen(self.network):
            with torch.no_grad():
                true = features(batch.pictures)
            return features(clean), true

    def velocity(self, z: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        """dz/dt as the network sees it, in float32 or more; z (B, C, H, W), times (B,), labels (B, A) or None."""
        return convert(self.said(z, time, labels), z, self.path.at(time), self.config.prediction, "velocity")

    # Sampling.

    @torch.no_grad()
    def paint(self, draws: Draws, condition: Condition, options: FlowSampling) -> Iterator[Tensor]:
        """Denoised previews, one a step, then the picture; labels not asked for are drawn as training saw them."""
        asked = replace(condition, labels=self.asked_to_paint(draws, condition, options))
        z = self.prior * draws.normal("noise", *self.spec.shape)
        previews: list[Tensor] = []

        def field(z: Tensor, t: Time) -> Tensor:
            velocity = self.beyond(z, t, asked, options)
            previews[:] = [denoised(velocity, z, t, self.path)]
            return velocity

        state, when = z, scheduled(options.schedule, options.steps, self.path, options.power)
        for state in follow(options.solver, field, z, when, self.path, options.tolerance):  # noqa: B007
            yield previews[0].clamp(-1, 1)
        yield state.clamp(-1, 1)

    def beyond(self, z: Tensor, t: Time, asked: Condition, options: FlowSampling) -> Tensor:
        """The velocity as options exaggerate it."""
        time = moment(z, t, self.path)
        velocity = guided(self.velocity, z, time, asked.labels, strength(options.guidance, t, options.interval))
        scale = strength(options.autoguidance, t, options.interval)
        return autoguided(velocity, "velocity", z, self.path.at(time), asked, scale)

    def moments(self, ratio: Tensor) -> Tensor:
        """See `Denoiser.moments`: times."""
        return self.path.inner(self.path.time(ratio))

    def evaluations(self, options: FlowSampling) -> int:
        """See `Generator.evaluations`."""
        when = scheduled(options.schedule, options.steps, self.path, options.power)
        return options.passes(looks(options.solver, when, self.path))

    def quick(self) -> FlowSampling:
        """See `Generator.quick`."""
        return FlowSampling(steps=12)

    # Codes, noise levels and likelihood.

    def field(self, condition: Condition | None) -> Says:
        """See `FlowsAlong.field`."""
        return lambda z, t: self.velocity(z, moment(z, t, self.path), self.asked(condition))

    def way(self, steps: int) -> list[float]:
        """See `FlowsAlong.way`; most steps lie near the picture, where times do not crowd there by themselves."""
        return times(steps, self.path.crowding, 0.0, 1.0)

    def denoise(self, noisy: Tensor, sigma: Tensor, condition: Condition | None = None) -> Tensor:
        """See `Denoises.denoise`; the path's z is alpha times the noisy picture, as noisy as the path becomes."""
        time = self.path.inner(self.path.time(sigma))
        level = self.path.at(time)
        there = (level.sigma / level.alpha / sigma).clamp(max=1)
        z = spread(level.alpha * there, noisy) * noisy
        return convert(self.velocity(z, time, self.asked(condition)), z, level, "velocity", "x")

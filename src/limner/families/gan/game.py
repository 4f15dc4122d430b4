"""The game of two networks.

Goodfellow et al. 2014, "Generative adversarial nets", arXiv 1406.2661, algorithm 1: a discriminator D tells real
pictures from painted ones, a generator G paints what D takes for real. What they are made of, play for and are held to
is chosen in the config; the files beside this one have the networks, `limner.losses` has losses and penalties.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import torch
from torch import Tensor, nn

from limner import api
from limner.api import Batch, Condition, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.draws import Draws
from limner.families.gan import conditioning, rules
from limner.families.gan.architectures import architecture
from limner.families.gan.config import GANConfig, GANSampling
from limner.losses import adversarial, penalties
from limner.nn.augment import augment
from limner.nn.embed import LabelMemory


class GAN(api.Generator, api.Conditions, api.Critiques):
    """See the head of this file."""

    Config = GANConfig
    Sampling = GANSampling
    numbers = True

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        if config.conditioning == "none":
            spec = msgspec.structs.replace(spec, attributes=())  # labels that are not used cannot be asked for either
        self.config, self.spec = config, spec
        self.memory = LabelMemory(conditioning.values(spec)) if spec.attributes else None
        networks = architecture(config.architecture)
        self.painter = networks.painter(config, spec)
        self.critic = networks.critic(config, spec)
        self.loss = adversarial.LOSSES[config.loss]

    @classmethod
    def check(cls, config: GANConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        rules.check(config, spec)

    def stages(self) -> tuple[Stage, ...]:
        """D, then G; between them D's penalties, where they are not part of each of its steps."""
        c, every = self.config, self.config.penalty_every
        phases = [
            Phase("discriminator", (self.critic,), self.discriminator_loss, c.discriminator_optimiser, turns=c.turns)
        ]
        if every > 1:
            phases.append(
                Phase(
                    "penalty",
                    (self.critic,),
                    self.penalty_loss,
                    c.discriminator_optimiser,
                    every=every,
                    turns=c.turns,
                    shares="discriminator",
                )
            )
        phases.append(Phase("generator", (self.painter,), self.generator_loss, c.generator_optimiser))
        return (Stage("play", tuple(phases)),)

    def discriminator_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Real and fake pictures are judged apart, each under batch statistics of their own kind."""
        if self.memory is not None and batch.labels is not None:
            self.memory.see(batch.labels)
        fakes = self.painter(self.latent(batch.draws), batch.labels)
        shown = self.shown(batch.pictures, batch.draws, "real", progress)
        painted = self.shown(fakes.detach(), batch.draws, "fake", progress)
        real, fake = self.critic(shown, batch.labels), self.critic(painted, batch.labels)
        # G has not changed when its turn comes: its fakes, with their graph, are still its own.
        scratch["judged"] = fakes, batch.pictures, batch.labels
        losses = {"discriminator": self.loss.discriminator(real, fake, self.config.smoothing)}
        if self.config.penalty_every == 1:
            losses |= self.penalties(shown, painted, batch)
        return losses | {f"_{name}": value for name, value in self.loss.opinion(real, fake).items()}

    def penalty_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Penalties alone, on pictures of their own, as much heavier as they are rarer."""
        shown = painted = self.shown(batch.pictures, batch.draws, "real", progress)
        if self.config.gp or self.config.r2:
            with torch.no_grad():
                fakes = self.painter(self.latent(batch.draws), batch.labels)
            painted = self.shown(fakes, batch.draws, "fake", progress)
        return self.penalties(shown, painted, batch, self.config.penalty_every)

    def penalties(self, real: Tensor, painted: Tensor, batch: Batch, times: int = 1) -> dict[str, Tensor]:
        """What the config asks of D's slope at pictures (B, C, H, W) as D is shown them."""
        c = self.config
        found: dict[str, Tensor] = {}
        said: dict[str, Tensor] = {}

        def judge(pictures: Tensor) -> Tensor:
            # Not through __call__, behind which a compiled network may stand: those cannot be differentiated twice.
            logits: Tensor = self.critic.forward(pictures, batch.labels)
            return logits

        if c.gp:
            centre = 1.0 if c.gp_centre is None else c.gp_centre
            share = batch.draws.uniform("between", 1, 1, 1)
            slopes = penalties.slopes(judge, penalties.between(real, painted, share))  # (B,)
            found["gp"] = c.gp * penalties.off_centre(slopes, centre)
            if centre:
                said["_slope"] = slopes.mean() / centre
        if c.r1:
            found["r1"] = c.r1 / 2 * penalties.squared_slope(judge, real)
        if c.r2:
            found["r2"] = c.r2 / 2 * penalties.squared_slope(judge, painted)
        if times > 1:  # what is recorded as gp, r1, r2 means the same however rarely they are taken
            said |= {f"_{name}": value for name, value in found.items()}
            found = {f"lazy_{name}": times * value for name, value in found.items()}
        return found | said

    def generator_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """The fakes that D has just judged, judged again by the D that has learnt from them."""
        fakes, pictures, labels = scratch.pop("judged")
        fake = self.critic(self.shown(fakes, batch.draws, "fake", progress), labels)
        real = fake.detach()
        if self.loss.pairs:
            real = self.critic(self.shown(pictures, batch.draws, "real", progress), labels)
        return {"generator": self.loss.generator(fake, real)}

    def shown(self, x: Tensor, draws: Draws, name: str, progress: Progress) -> Tensor:
        """Pictures as D sees them: augmented, with instance noise (Sønderby et al. 2017, section 3.3)."""
        x = augment(x, draws.named(name), self.config.augmentation)
        sigma = self.config.instance_noise * (1 - progress.fraction)
        return x + sigma * draws.normal(f"instance noise {name}", *x.shape[1:]) if sigma else x

    def latent(self, draws: Draws, truncation: float | None = None) -> Tensor:
        """(B, latent), or (B, 1, H, W) where an encoder makes the latent of noise."""
        if self.config.prior == "uniform":
            return (2 * draws.uniform("latent", *self.painter.wanted) - 1) * (truncation or 1.0)
        z = draws.normal("latent", *self.painter.wanted)
        return z if truncation is None else truncated(z, truncation)

    def paint(self, draws: Draws, condition: Condition, options: GANSampling) -> Iterator[Tensor]:
        """One pass through G; what is not asked for is as frequent as in training."""
        labels = condition.labels if self.memory is None else self.memory.complete(condition.labels, draws)
        yield self.painter(self.latent(draws, options.truncation), labels)

    def averaged(self) -> Iterable[nn.Module]:
        """G alone: D has to follow the G of today."""
        return (self.painter,)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """D's belief in real pictures: where it drops on held-out ones, D knows its training set by heart.

        Where one logit alone says nothing, what tells real pictures from painted ones (Gulrajani et al. 2017, figure
        5).
        """
        real = self.critic(batch.pictures, batch.labels)
        if self.loss.opinion is adversarial.beliefs:
            return {"belief": real.sigmoid().mean()}
        painted = self.painter(self.latent(batch.draws), batch.labels)
        return self.loss.opinion(real, self.critic(painted, batch.labels))

    def critique(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        """D's logits (B,)."""
        logits: Tensor = self.critic(pictures, labels)
        return logits


def truncated(z: Tensor, limit: float) -> Tensor:
    """Standard normal numbers as those of a normal cut at +-limit: the same rank in the narrower distribution.

    So a picture changes continuously with the limit, and is the untruncated one for a large limit.
    """
    normal = torch.distributions.Normal(0.0, 1.0)
    edge = normal.cdf(torch.tensor(limit, dtype=torch.float64))
    rank = normal.cdf(z.double())
    return normal.icdf((1 - edge) + rank * (2 * edge - 1)).to(z)

"""The game of two networks over points: the losses and penalties that the adversarial recipes train with.

Goodfellow et al. 2014, "Generative adversarial nets", arXiv 1406.2661, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from msgspec import Meta
from torch import Tensor, nn

from limner.api import Batch, Condition, Generator, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.config import Optimiser, Options, Positive, Size
from limner.draws import Draws
from limner.errors import UserError
from limner.losses import adversarial, penalties
from limner.studies.toy.networks import Beside, Critic, Painter

Side = Literal["both", "discriminator", "generator"]


class GameConfig(Options):
    """The two networks and what they are held to.

    Attributes:
        latent: numbers that a point is made of; standard normal.
        width, critic_width: units of each of the three hidden layers of G and of D.
        r1, r2: gamma in gamma / 2 E slope^2 at real (r1) and at made (r2) points.
        gp, gp_centre: weight of (slope - centre)^2 between real and made points.
        noise: deviation of the noise on all that D sees, which falls to 0 over the first half of the training.
        smoothing: real targets are 1 - smoothing.
        dropout: share of D's units.
        minibatch: what D sees of a point's neighbours in the batch: their deviation (Karras et al. 2018), or how near
            they are (Salimans et al. 2016).
        turns: of D for one of G.
        moves: who learns; the other side stays as it is.
    """

    loss: adversarial.Name = "minimax"
    latent: Positive = 2
    width: Positive = 128
    critic_width: Positive = 64
    r1: Size = 0.0
    r2: Size = 0.0
    gp: Size = 0.0
    gp_centre: Size = 1.0
    noise: Size = 0.0
    smoothing: Annotated[float, Meta(ge=0, lt=0.5)] = 0.0
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    minibatch: Beside = "none"
    turns: Positive = 1
    moves: Side = "both"
    discriminator: Optimiser = Optimiser(name="adam", rate=4e-3, betas=(0.0, 0.99), decay=0.5)
    generator: Optimiser = Optimiser(name="adam", rate=2e-3, betas=(0.0, 0.99), decay=0.5)


class Game(Generator):
    """See the head of this file."""

    Config = GameConfig

    @classmethod
    def check(cls, config: GameConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        if config.minibatch != "none" and (config.r1 or config.r2 or config.gp):
            raise UserError(
                f"minibatch={config.minibatch} makes D's answer one about a whole batch, which has no slope at a "
                "point: "
                "leave it out, or r1, r2 and gp"
            )
        if not config.gp and config.gp_centre != 1:
            raise UserError(f"gp_centre={config.gp_centre:g} belongs to a penalty that is not there: add gp=10")
        if adversarial.LOSSES[config.loss].unbounded and not (config.r1 or config.r2 or config.gp):
            raise UserError(f"{config.loss} grows without end where nothing bounds D's slope: add gp=10, or r1=1")
        if config.smoothing and not adversarial.LOSSES[config.loss].smooths:
            able = ", ".join(name for name, loss in adversarial.LOSSES.items() if loss.smooths)
            raise UserError(f"smoothing needs targets between 0 and 1, which {config.loss} has not: take {able}")

    def __init__(self, config: GameConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.painter = Painter(config.latent, spec.channels, config.width)
        self.critic = Critic(spec.channels, config.critic_width, config.dropout, config.minibatch)

    @property
    def rules(self) -> adversarial.Adversarial:
        """What the two play for."""
        return adversarial.LOSSES[self.config.loss]

    def stages(self) -> tuple[Stage, ...]:
        """D, then G; one of them where the other stays as it is."""
        c = self.config
        phases = (
            Phase("discriminator", (self.critic,), self.discriminator_loss, c.discriminator, turns=c.turns),
            Phase("generator", (self.painter,), self.generator_loss, c.generator),
        )
        return (Stage("play", tuple(phase for phase in phases if c.moves in ("both", phase.name))),)

    def discriminator_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """What D is told, and what its slope costs."""
        fakes = self.painter(self.latent(batch.draws))
        shown = self.shown(batch.pictures, batch.draws, "real", progress)
        made = self.shown(fakes.detach(), batch.draws, "fake", progress)
        real, fake = self.critic(shown), self.critic(made)
        scratch["judged"] = fakes, batch.pictures
        losses = {"discriminator": self.rules.discriminator(real, fake, self.config.smoothing)}
        return losses | self.penalties(shown, made, batch.draws)

    def penalties(self, real: Tensor, made: Tensor, draws: Draws) -> dict[str, Tensor]:
        """What the config asks of D's slope at points (B, D, 1, 1) as D is shown them."""
        c, found = self.config, {}
        if c.gp:
            between = penalties.between(real, made, draws.uniform("between", 1, 1, 1))
            found["gp"] = c.gp * penalties.off_centre(penalties.slopes(self.critic, between), c.gp_centre)
        if c.r1:
            found["r1"] = c.r1 / 2 * penalties.squared_slope(self.critic, real)
        if c.r2:
            found["r2"] = c.r2 / 2 * penalties.squared_slope(self.critic, made)
        return found

    def generator_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """The points that D has just judged, judged again by the D that has learnt from them."""
        fakes, real = scratch.pop("judged", None) or (self.painter(self.latent(batch.draws)), batch.pictures)
        fake = self.critic(self.shown(fakes, batch.draws, "fake", progress))
        beside = self.critic(self.shown(real, batch.draws, "real", progress)) if self.rules.pairs else fake.detach()
        return {"generator": self.rules.generator(fake, beside)}

    def shown(self, x: Tensor, draws: Draws, name: str, progress: Progress) -> Tensor:
        """Points as D sees them: with instance noise (Sønderby et al. 2017, section 3.3)."""
        sigma = self.config.noise * max(0.0, 1 - 2 * progress.fraction)
        return x + sigma * draws.normal(f"instance noise {name}", *x.shape[1:]) if sigma else x

    def latent(self, draws: Draws) -> Tensor:
        """(B, latent)."""
        return draws.normal("latent", self.config.latent)

    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        """One pass through G."""
        yield self.painter(self.latent(draws))

    def averaged(self) -> Iterable[nn.Module]:
        """G alone: D has to follow the G of today."""
        return (self.painter,)

"""The game of two networks.

Goodfellow et al. 2014, "Generative adversarial nets", arXiv 1406.2661, algorithm 1: a discriminator D tells real
pictures from painted ones, a generator G paints what D takes for real. What they are made of, play for and are held to
is chosen in the config; the files beside this one have the networks, `limner.losses` has losses and penalties.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, cast

import msgspec
import torch
from torch import Tensor, nn

from limner import api
from limner.api import Batch, Condition, Loss, Losses, Phase, Progress, Scratch, Spec, Stage
from limner.draws import Draws
from limner.families.gan import conditioning, regularisers, rules, stabilisers
from limner.families.gan.architectures import architecture
from limner.families.gan.config import Family, GANConfig, GANSampling
from limner.families.gan.critic import Critic, Judgement
from limner.losses import adversarial, penalties
from limner.nn.augment import augment
from limner.nn.embed import LabelMemory
from limner.nn.spectral import spectral

OPEN = 16
"""Labels that a picture is judged beside where its own is left open."""


class Game(api.Generator, api.Conditions, api.Critiques):
    """See the head of this file."""

    Config = GANConfig
    Sampling = GANSampling
    plays: ClassVar[Family] = "gan"
    numbers = True

    def __init__(self, config: GANConfig, spec: Spec) -> None:
        super().__init__()
        if config.conditioning == "none":
            spec = msgspec.structs.replace(spec, attributes=())  # labels that are not used cannot be asked for either
        self.config, self.spec = config, spec
        self.memory = LabelMemory(conditioning.values(spec)) if spec.attributes else None
        networks = architecture(config.architecture)
        self.painter = networks.painter(config, spec)
        self.critic = cast(Critic, networks.critic(config, spec))
        self.group = self.critic.crowd.group if self.critic.crowd is not None else 1
        self.sizes = networks.sizes(config, spec) if networks.sizes else None
        self.loss = adversarial.LOSSES[config.loss]
        held, steady = config.regularisers, config.stabilisers
        if held.spectral:
            spectral(self.critic)
        if held.generator_spectral:
            spectral(self.painter)
        self.reach = regularisers.PathLength() if held.path_length else None
        self.encoder = stabilisers.Encoder(config, spec) if steady.modes else None
        networks_of = {"critic": self.critic, "painter": self.painter} if steady.historical else {}
        self.history = nn.ModuleDict({name: stabilisers.History(one) for name, one in networks_of.items()})
        self.adaptive = None
        if steady.adaptive:
            middle = self.loss.middle or 0.0
            self.adaptive = stabilisers.Adaptive(steady.adaptive, steady.adaptive_pictures, middle)

    @classmethod
    def check(cls, config: GANConfig, spec: Spec) -> None:
        """See `Generator.check`."""
        rules.check(config, spec, cls.plays)

    def stages(self) -> tuple[Stage, ...]:
        """D, then G; between and behind them what is asked of them at some steps only."""
        c, lazy, path = self.config, self.config.penalty_every, self.config.regularisers.path_every
        d, g = c.discriminator_optimiser, c.generator_optimiser
        painting = (self.painter,) if self.encoder is None else (self.painter, self.encoder)
        critic = (self.critic,)
        phases = [Phase("discriminator", critic, self.discriminator_loss, d, turns=c.turns)]
        if lazy > 1:
            phases.append(
                Phase("penalty", critic, self.penalty_loss, d, every=lazy, turns=c.turns, shares="discriminator")
            )
        phases.append(Phase("generator", painting, self.generator_loss, g))
        if self.reach is not None:
            phases.append(Phase("path", (self.painter,), self.path_loss, g, every=path, shares="generator"))
        if self.sizes is None:
            return (Stage("play", tuple(phases)),)
        return tuple(self.grown(level, size, phases) for level, size in enumerate(self.sizes))

    def grown(self, level: int, size: tuple[int, int], phases: list[Phase]) -> Stage:
        """The stage in which networks that grow are at `level`; the last one takes twice as long."""

        def there(loss: Loss) -> Loss:
            def at_level(batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
                for network in (self.painter, self.critic):
                    network.grow(level, progress.stage_fraction)  # type: ignore[operator]
                return loss(batch, progress, scratch)

            return at_level

        assert self.sizes is not None
        held = tuple(dataclasses.replace(phase, loss=there(phase.loss)) for phase in phases)
        share = 2.0 if level + 1 == len(self.sizes) else 1.0
        return Stage(f"{size[0]}x{size[1]}", held, share, size)

    def discriminator_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Real and fake pictures are judged apart, each under batch statistics of their own kind."""
        if self.memory is not None and batch.labels is not None:
            self.memory.see(batch.labels)
        self.clip()
        c, steady, draws, labels = self.config, self.config.stabilisers, batch.draws, batch.labels
        fakes = self.painter(self.latent(draws), labels)
        shown = self.shown(batch.pictures, draws, "real", progress)
        painted = self.shown(fakes if steady.reuse_logits else fakes.detach(), draws, "fake", progress)
        real, fake = self.judged(shown, labels), self.judged(painted, labels)
        # G has not changed when its turn comes: its fakes, with their graph, are still its own.
        scratch["judged"] = fakes, batch.pictures, labels
        if steady.reuse_logits:
            scratch["carried"] = stabilisers.carried(self.persuasion(real, fake, labels), fakes)
        told = stabilisers.flipped(real.logits, fake.logits, steady.flips, draws)
        losses = {"discriminator": steady.discriminator_weight * self.loss.discriminator(*told, c.smoothing)}
        if real.told and labels is not None:
            wrong = adversarial.wrong_about(real.told, labels) + adversarial.wrong_about(fake.told, labels)
            losses["auxiliary"] = steady.auxiliary_weight * wrong
        seen = shown, painted.detach()
        if c.penalty_every == 1:
            losses |= regularisers.slopes(c, self.slope_judge(labels), *seen, batch, 1)
        losses |= regularisers.consistency(
            c, lambda x: self.judged(x, labels).logits, seen, (real.logits, fake.logits), draws
        )
        losses |= self.critic.tasks(real.maps, shown)
        losses |= self.remembered("critic", self.critic)
        losses |= {f"_{name}": value for name, value in self.loss.opinion(real.logits, fake.logits).items()}
        if self.adaptive is not None:
            losses["_sure"] = self.adaptive.heed(real.logits)
            losses["_augmented"] = self.adaptive.probability
        return losses

    def penalty_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Penalties alone, on pictures of their own, as much heavier as they are rarer."""
        shown = painted = self.shown(batch.pictures, batch.draws, "real", progress)
        if self.config.gp or self.config.r2:
            with torch.no_grad():
                fakes = self.painter(self.latent(batch.draws), batch.labels)
            painted = self.shown(fakes, batch.draws, "fake", progress)
        times = self.config.penalty_every
        return regularisers.slopes(self.config, self.slope_judge(batch.labels), shown, painted, batch, times)

    def generator_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """The fakes that D has just judged, judged again by the D that has learnt from them."""
        self.clip()
        fakes, pictures, labels = scratch.pop("judged")
        if self.config.stabilisers.reuse_logits:
            told, gradient = scratch.pop("carried")
            losses = stabilisers.arrived(told, gradient, fakes)
        else:
            fake = self.judged(self.shown(fakes, batch.draws, "fake", progress), labels)
            real = stabilisers.real_beside(fake)
            if self.loss.pairs or self.config.stabilisers.feature_matching:
                real = self.judged(self.shown(pictures, batch.draws, "real", progress), labels)
            losses = self.persuasion(real, fake, labels)
        if self.encoder is not None:
            losses |= self.kept_modes(pictures, labels, batch, progress)
        if weight := self.config.regularisers.orthogonal:
            losses["orthogonal"] = weight * penalties.orthogonal(regularisers.filters(self.painter))
        return losses | self.remembered("painter", self.painter)

    def persuasion(self, real: Judgement, fake: Judgement, labels: Tensor | None) -> dict[str, Tensor]:
        """What G loses by what D says."""
        steady = self.config.stabilisers
        losses = {"generator": steady.generator_weight * self.loss.generator(fake.logits, real.logits)}
        if fake.told and labels is not None:
            losses["auxiliary"] = steady.auxiliary_weight * adversarial.wrong_about(fake.told, labels)
        if weight := steady.feature_matching:
            losses["features"] = weight * stabilisers.features_apart(real.features, fake.features)
        return losses

    def kept_modes(
        self, pictures: Tensor, labels: Tensor | None, batch: Batch, progress: Progress
    ) -> dict[str, Tensor]:
        """Real pictures painted again from their codes: G forgets none of them (Che et al. 2017, section 3.1)."""
        assert self.encoder is not None
        steady, again = self.config.stabilisers, self.painter.painted(self.encoder(pictures), labels)
        losses = {"modes": steady.modes * (pictures - again).square().mean()}
        if weight := steady.modes_realism:
            fake = self.judged(self.shown(again, batch.draws, "again", progress), labels)
            real = stabilisers.real_beside(fake)
            if self.loss.pairs:
                real = self.judged(self.shown(pictures, batch.draws, "real again", progress), labels)
            losses["realism"] = weight * self.loss.generator(fake.logits, real.logits)
        return losses

    def path_loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """How evenly pictures move with latents, as much heavier as it is taken more rarely."""
        assert self.reach is not None
        ours = self.config.regularisers
        found = {"path": ours.path_length * self.reach.penalty(self.painter, self.latent(batch.draws), batch)}
        return regularisers.lazily(found, ours.path_every)

    def remembered(self, name: str, network: nn.Module) -> dict[str, Tensor]:
        """What a network is asked for having left its own average."""
        if not self.config.stabilisers.historical:
            return {}
        history = cast(stabilisers.History, self.history[name])
        return {"historical": self.config.stabilisers.historical * history.penalty(network)}

    def judged(self, x: Tensor, labels: Tensor | None) -> Judgement:
        """All that D says of pictures (B, C, H, W)."""
        found: Judgement = self.critic(x, labels, whole=True)
        return found

    def slope_judge(self, labels: Tensor | None) -> Callable[[Tensor], Tensor]:
        """D's logits as a function of pictures that can be differentiated twice."""
        # Not through __call__, behind which a compiled network may stand.
        return lambda pictures: self.critic.judge(pictures, labels).logits

    def shown(self, x: Tensor, draws: Draws, name: str, progress: Progress) -> Tensor:
        """Pictures as D sees them: augmented, with instance noise (Sønderby et al. 2017, section 3.3)."""
        steady, adaptive = self.config.stabilisers, self.adaptive
        often = steady.augmentation_probability if adaptive is None else adaptive.probability
        x = augment(x, draws.named(name), self.config.augmentation, often)
        sigma = self.config.instance_noise * (1 - progress.fraction)
        return x + sigma * draws.normal(f"instance noise {name}", *x.shape[1:]) if sigma else x

    def clip(self) -> None:
        """D as its last step has left it, cut to its bounds (Arjovsky et al. 2017, algorithm 1, line 7)."""
        if bound := self.config.regularisers.clip_weights:
            regularisers.clip(self.critic, bound)

    def after_step(self, progress: Progress) -> None:
        """Bounds and averages of the weights as they are now."""
        self.clip()
        for name, history in self.history.items():
            cast(stabilisers.History, history).follow(getattr(self, name))

    def latent(self, draws: Draws, truncation: float | None = None) -> Tensor:
        """(B, latent), or (B, 1, H, W) where an encoder makes the latent of noise."""
        if self.config.prior == "uniform":
            return (2 * draws.uniform("latent", *self.painter.wanted) - 1) * (truncation or 1.0)
        z = draws.normal("latent", *self.painter.wanted)
        return z if truncation is None else truncated(z, truncation)

    def asked(self, condition: Condition, draws: Draws) -> Tensor | None:
        """Labels (B, A); what is not asked for is as frequent as in training."""
        return condition.labels if self.memory is None else self.memory.complete(condition.labels, draws)

    def paint(self, draws: Draws, condition: Condition, options: GANSampling) -> Iterator[Tensor]:
        """One pass through G."""
        yield self.painter(self.latent(draws, options.truncation), self.asked(condition, draws))

    def remarks(self) -> tuple[str, ...]:
        """See `Generator.remarks`."""
        return (self.loss.warning,) if self.loss.warning else ()

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
        """D's logits (B,); where labels are left open, the mean over those that training saw beside what is asked."""
        if self.memory is None or self.config.conditioning == "auxiliary":  # such a D is told no labels
            return cast(Tensor, self.critic(pictures, None))
        if labels is None:
            labels = torch.full((len(pictures), len(self.spec.attributes)), -1, device=pictures.device)
        if bool((labels >= 0).all()):
            return cast(Tensor, self.critic(pictures, labels))
        told = self.memory.spread(labels, OPEN)  # (B, OPEN, A)
        return torch.stack([self.critic(pictures, beside) for beside in told.unbind(1)]).mean(0)


class GAN(Game):
    """The game of networks whose latent goes in at one place."""


def truncated(z: Tensor, limit: float) -> Tensor:
    """Standard normal numbers as those of a normal cut at +-limit: the same rank in the narrower distribution.

    So a picture changes continuously with the limit, and is the untruncated one for a large limit.
    """
    normal = torch.distributions.Normal(0.0, 1.0)
    edge = normal.cdf(torch.tensor(limit, dtype=torch.float64))
    rank = normal.cdf(z.double())
    return normal.icdf((1 - edge) + rank * (2 * edge - 1)).to(z)

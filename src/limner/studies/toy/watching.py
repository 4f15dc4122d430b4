"""What a training shows while it goes on: numbers for the curves, pictures for the film, copies for later questions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limner.studies.toy import theory
from limner.studies.toy.game import Game
from limner.studies.toy.points import Target
from limner.studies.toy.quality import histogram, jsd, per_mode
from limner.training.loop import Record, Trainer

FEW = 4096


@dataclass(frozen=True)
class Shot:
    """A moment of a game.

    Attributes:
        made: (n, D) points of G. surface: (cells^D,) what D makes of the plane, in [0, 1]. lines: each (m, D), where G
            sends the lines of a lattice of latents.
    """

    step: int
    made: Tensor
    surface: Tensor
    lines: list[Tensor]


def moments(steps: int, count: int) -> list[int]:
    """About `count` steps from 0 to the last, closer together at the beginning."""
    return sorted({round(steps * (k / count) ** 1.5) for k in range(count + 1)})


class GameWatch:
    """Observes a game.

    Attributes:
        shots: for the film. numbers: one row a moment. copies: the game at shares of the training, by step.
    """

    def __init__(self, target: Target, seed: int, steps: int, frames: int, shares: Sequence[float]) -> None:
        self.target, self.seed = target, seed
        self.moments, self.kept = set(moments(steps, frames)), {round(steps * share) for share in shares}
        self.real = target.sample(FEW, seed, "watched")
        self.seen = histogram(self.real)
        self.shots: list[Shot] = []
        self.numbers: list[dict[str, Any]] = []
        self.copies: dict[int, Game] = {}

    def begin(self, trainer: Trainer) -> None:
        """The beginning is a moment too."""
        self._look(trainer)

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """Look where the step is one of the moments."""
        self._look(trainer)

    def end(self, trainer: Trainer) -> None:
        """The last step was one of them."""

    def _look(self, trainer: Trainer) -> None:
        game, step = trainer.model, trainer.step
        assert isinstance(game, Game)
        if step in self.kept:
            self.copies[step] = copy.deepcopy(game)
        if step in self.moments:
            game.eval()
            self._measure(game, trainer)
            self._shoot(game, step)
            game.train()

    @torch.no_grad()
    def _shoot(self, game: Game, step: int) -> None:
        judged = _in_unit(game.config.loss, game.critic(theory.centres(self.target.dimensions)))
        lines = [game.painter(line).flatten(1) for line in theory.lattice(game.config.latent)]
        self.shots.append(Shot(step, theory.points_of(game, self.seed, 700, "film"), judged, lines))

    def _measure(self, game: Game, trainer: Trainer) -> None:
        loss, made = game.config.loss, theory.points_of(game, self.seed, FEW, "watched")
        with torch.no_grad():
            real, fake = game.critic(self.real), game.critic(made)
            opinion = {name: float(found) for name, found in game.rules.opinion(real, fake).items()}
        mean = theory.points_of(trainer.average.model, self.seed, FEW, "watched")  # type: ignore[arg-type]
        row = {
            "step": trainer.step,
            "jsd": jsd(histogram(made), self.seen),
            "jsd_average": jsd(histogram(mean), self.seen),
            "pull": theory.pull(game, self.seed, loss),
            "right": float(torch.cat([real > fake.median(), fake <= real.median()]).float().mean()),
            **opinion,
        }
        if loss in theory.ENTROPY:
            row["value"] = theory.value(game, self.real, made)
            row["belief"] = float(torch.cat([real, fake]).sigmoid().mean())
        if self.target.modes is not None:
            counts, row["good"] = per_mode(made, self.target.modes, self.target.sigma)
            row["modes"] = int((counts > 0.2 * FEW / len(counts)).sum())
        self.numbers.append(row)


def _in_unit(loss: str, logits: Tensor) -> Tensor:
    """What D says, in [0, 1]: a probability where it is one, else its rank over the plane."""
    if loss in theory.ENTROPY:
        return logits.sigmoid()
    if loss == "least-squares":
        return logits.clamp(0, 1)
    if loss == "hinge":
        return (logits.clamp(-1, 1) + 1) / 2
    spread = (logits - logits.median()).abs().quantile(0.9).clamp_min(1e-6)
    return ((logits - logits.median()) / (2 * spread) + 0.5).clamp(0, 1)


class Samples:
    """Observes a generator of any kind: its loss, and points of the averaged weights at a few moments.

    Attributes:
        losses: (step, mean since the last row). rows: (step, divergence). shown: (step, points (n, D)).
    """

    def __init__(self, target: Target, seed: int, steps: int, count: int = 8) -> None:
        self.target, self.seed = target, seed
        self.moments, self.every = set(moments(steps, count)), max(1, steps // 60)
        self.seen = histogram(target.sample(FEW // 2, seed, "watched"))
        self.losses: list[tuple[int, float]] = []
        self.rows: list[tuple[int, float]] = []
        self.shown: list[tuple[int, Tensor]] = []
        self._since: list[float] = []

    def begin(self, trainer: Trainer) -> None:
        """Nothing is learnt yet."""

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """Keep the loss; at a moment make points."""
        self._since.append(sum(record.values().values()))
        if trainer.step % self.every == 0:
            self.losses.append((trainer.step, sum(self._since) / len(self._since)))
            self._since = []
        if trainer.step in self.moments:
            self._make(trainer)

    def end(self, trainer: Trainer) -> None:
        """The last step was one of the moments."""

    @torch.no_grad()
    def _make(self, trainer: Trainer) -> None:
        from limner.api import Condition
        from limner.draws import TurnDraws

        model = trainer.average.model
        *_, last = model.paint(TurnDraws((self.seed, "watched"), FEW // 2), Condition(), model.Sampling(steps=16))
        made = last.flatten(1)
        self.rows.append((trainer.step, jsd(histogram(made), self.seen)))
        self.shown.append((trainer.step, made))

"""What theory says of the game, in numbers: the best D for a G that stands still, the value, best responses.

Goodfellow et al. 2014, 1406.2661, section 4: V(D, G) = E log D(x) + E log(1 - D(G(z))); for a G that stands still the
best D is p / (p + q), with p the density of the data and q that of G, and V is then -log 4 + 2 JSD(p, q).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limner.config import Config, Optimiser
from limner.draws import TurnDraws
from limner.losses import adversarial
from limner.studies.toy.game import Game
from limner.studies.toy.points import REACH, PointPack, Target
from limner.studies.toy.quality import histogram, jsd
from limner.studies.toy.training import respond
from limner.training.loop import Record, Trainer

CELLS = {1: 200, 2: 64}
"""Of each dimension, by the number of dimensions."""

MANY = 2**18
"""Points of G that its density is counted from."""

FEW = 4096
ENTROPY = ("minimax", "non-saturating")
"""Losses whose D plays for the value V."""

ALONE: dict[str, Any] = {"r1": 0.0, "r2": 0.0, "gp": 0.0, "noise": 0.0, "smoothing": 0.0, "turns": 1}
"""Whoever answers best is held to nothing."""


@dataclass(frozen=True)
class Optimum:
    """The best D of a loss, for shares p and q of cells.

    Attributes:
        judged: logits to what is compared. critic: the best of it. loss: of the best D. words: what is measured then.
    """

    judged: Callable[[Tensor], Tensor]
    critic: Callable[[Tensor, Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], float]
    words: str


def _share(p: Tensor, q: Tensor) -> Tensor:
    return p / (p + q).clamp_min(1e-300)


_BINARY = Optimum(torch.sigmoid, _share, lambda p, q: math.log(4) - 2 * jsd(p, q), "the Jensen-Shannon divergence")
OPTIMA = {
    "minimax": _BINARY,
    "non-saturating": _BINARY,
    # Mao et al. 2017, equation 5, with b = c = 1 and a = 0: the value is 1/4 - 1/8 sum (p - q)^2 / (p + q).
    "least-squares": Optimum(
        lambda logits: logits, _share, lambda p, q: float((_share(p, q) * q).sum()) / 2, "the triangular discrimination"
    ),
    # Lim & Ye 2017: the sign; E max(0, 1 - D) + E max(0, 1 + D) is then 2 - 2 TV.
    "hinge": Optimum(
        lambda logits: logits.clamp(-1, 1),
        lambda p, q: (p - q).sign(),
        lambda p, q: 2 * float(torch.minimum(p, q).sum()),
        "the total variation",
    ),
}


def centres(dimensions: int, cells: int | None = None) -> Tensor:
    """Middles of the cells of [-REACH, REACH]^D, (cells^D, D), the last coordinate fastest."""
    cells = cells or CELLS[dimensions]
    line = (torch.arange(cells) + 0.5) * (2 * REACH / cells) - REACH
    return line[:, None] if dimensions == 1 else torch.cartesian_prod(line, line)


def true_shares(target: Target, cells: int | None = None) -> Tensor:
    """Probabilities (cells^D,) of the cells under the data's density: its mean at 4^D places of each, in float64."""
    count = cells or CELLS[target.dimensions]
    fine = target.density(centres(target.dimensions, 4 * count))
    if target.dimensions == 1:
        shares = fine.view(count, 4).mean(1)
    else:
        shares = fine.view(count, 4, count, 4).mean((1, 3)).flatten()
    return shares / shares.sum()


@torch.no_grad()
def made_shares(game: Game, seed: int, n: int = MANY, cells: int | None = None) -> Tensor:
    """Shares (cells^D,) of n points of G in the cells, float64."""
    return histogram(torch.cat(list(_made(game, seed, n))), cells or CELLS[game.spec.channels]).flatten()


def _made(game: Game, seed: int, n: int) -> Iterator[Tensor]:
    return (points_of(game, seed, FEW, place) for place in range(n // FEW))


@torch.no_grad()
def points_of(game: Game, seed: int, n: int, *key: int | str) -> Tensor:
    """n points (n, D) of G."""
    made: Tensor = game.painter(game.latent(TurnDraws((seed, "points", *key), n)))
    return made.flatten(1)


@torch.no_grad()
def value(game: Game, real: Tensor, fake: Tensor) -> float:
    """V(D, G) of real and made points (n, D), with D = sigmoid(logit)."""
    return -float(adversarial.cross_entropy(game.critic(real), game.critic(fake)))


def frozen(game: Game, target: Target, config: Config, pack: PointPack, steps: int) -> dict[str, Any]:
    """D trained on against a G that stands still, beside the best D there is.

    Returns:
        divergences, D and the best D with the weighted mean of their distance, and how the gradients that G would get
        changed as D was trained on (Arjovsky & Bottou 2017, 1701.04862, theorem 2.4).
    """
    loss = config.model.loss if config.model.loss in OPTIMA else "minimax"
    best, seed = OPTIMA[loss], config.train.seed
    watch = Pull(target, seed, steps)
    rate = Optimiser(name="adam", rate=2e-3, betas=(0.9, 0.99), decay=0.7)
    changes = {**ALONE, "moves": "discriminator", "loss": loss, "discriminator": rate}
    trained = respond(game, changes, config, pack, steps, [watch])
    p, q = true_shares(target), made_shares(game, seed)
    with torch.no_grad():
        logits = trained.critic(centres(target.dimensions)).double()
        real, fake = target.sample(MANY, seed, "value"), torch.cat(list(_made(trained, seed, MANY)))
        found = float(adversarial.LOSSES[loss].discriminator(trained.critic(real), trained.critic(fake), 0.0))
    judged, wanted, weight = best.judged(logits), best.critic(p, q), (p + q) / 2
    divergence = jsd(p, q)
    return {
        "loss": loss,
        "measures": best.words,
        "steps": steps,
        "jsd": divergence,
        "value": -found,
        "optimum": -best.loss(p, q),
        "error": float(weight @ (judged - wanted).abs()),
        "pulls": watch.pulls,
        "cells": {"p": p.tolist(), "q": q.tolist(), "found": judged.tolist(), "best": wanted.tolist()},
    }


class Pull:
    """While D is trained on: how strongly G would be pulled by two losses, and how sure D is.

    Attributes:
        pulls: rows (step, norm of G's gradient under minimax, under non-saturating, share that D tells right).
    """

    def __init__(self, target: Target, seed: int, steps: int, rows: int = 24) -> None:
        self.real = target.sample(FEW, seed, "pull")
        self.every = max(1, steps // rows)
        self.pulls: list[tuple[int, float, float, float]] = []

    def begin(self, trainer: Trainer) -> None:
        """Before D learns."""
        self._look(trainer)

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """Now and then."""
        if trainer.step % self.every == 0:
            self._look(trainer)

    def end(self, trainer: Trainer) -> None:
        """Nothing more."""

    def _look(self, trainer: Trainer) -> None:
        game = trainer.model
        assert isinstance(game, Game)
        game.eval()
        norms = [pull(game, trainer.config.train.seed, name) for name in ENTROPY]
        with torch.no_grad():
            right = [game.critic(self.real) > 0, game.critic(points_of(game, trainer.config.train.seed, FEW)) <= 0]
        game.train()
        self.pulls.append((trainer.step, *norms, float(torch.cat(right).float().mean())))  # type: ignore[arg-type]


def pull(game: Game, seed: int, loss: str) -> float:
    """Norm of the gradient that G gets from D as it is."""
    fake = game.critic(game.painter(game.latent(TurnDraws((seed, "pull"), FEW))))
    grads = torch.autograd.grad(
        adversarial.LOSSES[loss].generator(fake, fake.detach()), list(game.painter.parameters())
    )
    return float(torch.linalg.vector_norm(torch.stack([g.norm() for g in grads])))


def gap(game: Game, target: Target, config: Config, pack: PointPack, steps: int) -> dict[str, float]:
    """The duality gap: what either side could win, the other standing still, in `steps` steps of its own.

    max over D of V(D, G) less min over G of V(D, G): 0 at the equilibrium alone (Grnarova et al. 2019, 1811.05512).
    """
    rate, seed = Optimiser(name="adam", rate=2e-3, betas=(0.9, 0.99), decay=0.7), config.train.seed
    found = {}
    for side, key in (("discriminator", "upper"), ("generator", "lower")):
        changes = {**ALONE, "moves": side, "loss": "minimax", side: rate}
        answer = respond(game, changes, config, pack, steps)
        real, made = target.sample(4 * FEW, seed, "gap"), points_of(answer, seed, 4 * FEW, "gap")
        # Far out, where there never were points, a D says anything: G may not win there.
        found[key] = value(answer, real, made.clamp(-REACH, REACH))
    return {**found, "gap": found["upper"] - found["lower"]}


def lattice(latent: int, lines: int = 15, points: int = 61, reach: float = 2.4) -> list[Tensor]:
    """Lines of latents, each (points, latent): of a grid in the first two numbers; of one number the line itself."""
    along, across = torch.linspace(-reach, reach, points), torch.linspace(-reach, reach, lines)
    if latent == 1:
        return [along[:, None]]
    found = []
    for at, turned in itertools.product(across.tolist(), (False, True)):
        line = torch.zeros(points, latent)
        line[:, int(turned)], line[:, 1 - int(turned)] = along, at
        found.append(line)
    return found

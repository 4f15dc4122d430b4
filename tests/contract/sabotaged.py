"""A generator that keeps every promise, and one for each promise that breaks it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from limner.api import Batch, Condition, Conditions, Generator, Losses, Phase, Progress, Recipe, Scratch, Spec, Stage
from limner.config import Optimiser, Options, Positive, Training
from limner.draws import Draws
from limner.errors import UserError


class Config(Options):
    fakes: Positive = 24
    rate: float = 3e-3


class Sound(Generator, Conditions):
    """A perceptron whose nearest fake is drawn to each picture."""

    Config = Config

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        given = 4 + len(spec.attributes)
        size = spec.channels * spec.height * spec.width
        self.network = nn.Sequential(nn.Linear(given, 16), nn.SiLU(), nn.Linear(16, size), nn.Tanh())

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("fit", (Phase("fit", (self,), self.loss, Optimiser(rate=self.config.rate)),)),)

    def pictures(self, z: Tensor, labels: Tensor | None) -> Tensor:
        if self.spec.attributes:
            known = torch.zeros(len(z), 1) if labels is None else labels.to(z.dtype)
            z = torch.cat([z, known], 1)
        return self.network(z).view(-1, *self.spec.shape)

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        z = batch.draws.normal("z", self.config.fakes, 4).flatten(0, 1)
        labels = None if batch.labels is None else batch.labels.repeat_interleave(self.config.fakes, 0)
        fakes = self.pictures(z, labels).flatten(1)
        apart = (batch.pictures.flatten(1)[:, None] - fakes[None]).square().mean(-1)
        return {"nearest": apart.amin(1).mean()}

    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        yield self.pictures(draws.normal("z", 4), condition.labels)


class Choosy(Sound):
    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        if len(batch.pictures) % 3:
            raise UserError("it looks at three at a time")
        return super().loss(batch, progress, scratch)


class Turned(Sound):
    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        for canvas in super().paint(draws, condition, options):
            yield canvas.mT


class Overexposed(Sound):
    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        for canvas in super().paint(draws, condition, options):
            yield 100 * canvas


class Rambling(Sound):
    @classmethod
    def check(cls, config: Config, spec: Spec) -> None:
        if spec.height > 100:
            raise UserError("too large:\nchoose a smaller size\nor another model")


class Exploding(Sound):
    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        losses = super().loss(batch, progress, scratch)
        return {"nearest": losses["nearest"] / (3 - progress.step)}


class Idle(Sound):
    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.forgotten = nn.Linear(3, 3)


class Sociable(Sound):
    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        for canvas in super().paint(draws, condition, options):
            yield canvas - canvas.mean(0, keepdim=True)


class Forgetful(Sound):
    """What it has learnt is not among what is saved."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.register_buffer("dark", torch.zeros(()), persistent=False)

    def after_step(self, progress: Progress) -> None:
        self.dark += 0.05

    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        for canvas in super().paint(draws, condition, options):
            yield canvas - self.dark


class Remembering(Sound):
    """Its loss depends on how many steps it has taken since this process built it."""

    taken = 0

    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        self.taken += 1
        return {"nearest": super().loss(batch, progress, scratch)["nearest"] * self.taken**0.5}


class Moody(Sound):
    moods = itertools.count()

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config, spec)
        self.network[0].bias.data += next(self.moods)


class Lazy(Sound):
    def loss(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        return {
            "nearest": 1e-6 * super().loss(batch, progress, scratch)["nearest"].sqrt() + 0 * self.network[0].bias.sum()
        }

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("fit", (Phase("fit", (self,), self.loss, Optimiser(name="sgd", rate=1e-3)),)),)


class OneTrick(Sound):
    def paint(self, draws: Draws, condition: Condition, options: Any) -> Iterator[Tensor]:
        yield self.pictures(torch.zeros(draws.size, 4), condition.labels)


class Numb(Sound):
    numbers = True

    def pictures(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return super().pictures(z, None if labels is None else torch.zeros_like(labels))


class Deaf(Sound):
    def pictures(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return super().pictures(z, None)


class Crashing(Sound):
    numbers = True

    @classmethod
    def check(cls, config: Config, spec: Spec) -> None:
        1 / 0  # noqa: B018


def recipe(family: str) -> Recipe:
    return Recipe(family, family, "none", "for the tests of the tests", lambda situation: (Config(), Training(batch=8)))

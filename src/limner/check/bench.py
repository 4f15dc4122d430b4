"""A recipe on the bench: eight pictures to train on, a config made quick, and ways to take steps and to paint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limner.api import Attribute, Generator, Progress, Recipe, Situation, Spec
from limner.config import Config, override
from limner.data.pixels import to_uint8
from limner.errors import UserError
from limner.families import build, typing
from limner.labels import FINE
from limner.recipes import configure
from limner.runs import RunFolder
from limner.samplers.pictures import generate
from limner.training import train
from limner.training.engine import Engine, NotFinite
from limner.training.feed import Feed
from limner.training.loop import Record, Trainer

SHAPE = Attribute("shape", ("disc", "bar"))
ANGLE = Attribute("angle", range=(0.0, 315.0))
COUNT = 8


class Broken(Exception):
    """A promise that is not kept."""


class Drawn:
    """Eight pictures in memory, discs and bars on slopes of light, with the interface of a pack."""

    id, depth, frames, pictures = "drawn", 8, 0, COUNT

    def __init__(self, spec: Spec) -> None:
        self.shape = spec.shape
        self.attributes = {attribute.name: attribute.values for attribute in spec.attributes}
        self.classes = spec.classes
        self.pixels = to_uint8(torch.stack([_drawing(spec, i) for i in range(COUNT)]))  # (8, H, W, C)
        self.train = np.arange(COUNT)
        self.validation = self.held_out = np.arange(0)

    def __len__(self) -> int:
        return COUNT

    def read(self, indices: Any) -> np.ndarray:
        """Pixels (n, H, W, C)."""
        return self.pixels[np.asarray(indices)]

    def labels(self, indices: Any, column: str | None = None) -> np.ndarray | None:
        """Discs and bars in turn, or how far the light has turned: even steps over a number's range."""
        if column == ANGLE.name:
            return np.asarray(indices, np.int64) * FINE // (COUNT - 1)
        return np.asarray(indices, np.int64) % 2 if self.attributes else None


def _drawing(spec: Spec, number: int) -> torch.Tensor:
    """Picture `number` (C, H, W) in [-1, 1]: even ones hold a disc, odd ones a bar."""
    y = torch.linspace(-1, 1, spec.height)[:, None]
    x = torch.linspace(-1, 1, spec.width)
    angle = number * math.pi / 4
    ground = -0.6 + 0.3 * (x * math.cos(angle) + y * math.sin(angle))
    place = 0.4 * math.sin(angle)
    inside = ((x - place) ** 2 + (y + place) ** 2 < 0.25) if number % 2 == 0 else ((x - place).abs() < 0.25) & (y > -2)
    tints = torch.tensor([0.9, 0.3, -0.1, 1.0])[: spec.channels, None, None]
    return torch.where(inside, tints, ground.expand(spec.channels, -1, -1))


@dataclass(frozen=True)
class Subject:
    """A recipe and how it is tried.

    Attributes:
        size: (height, width) of the pictures that it is trained on.
        small: overrides of its config that make it quick. learns: more of them for `learns` alone.
        refuses: overrides that it must refuse in one line.
    """

    recipe: Recipe
    size: tuple[int, int] = (16, 16)
    small: Mapping[str, Any] = field(default_factory=dict)
    learns: Mapping[str, Any] = field(default_factory=dict)
    refuses: tuple[Mapping[str, Any], ...] = ()

    def spec(self, channels: int, *attributes: Attribute) -> Spec:
        """Pictures of the subject's size."""
        return Spec(channels=channels, height=self.size[0], width=self.size[1], attributes=attributes)

    def config(self, spec: Spec, **changes: Any) -> Config:
        """The config for pictures of `spec`, trained for 6 steps of batches of 4 unless `changes` say else."""
        config = configure(self.recipe, Situation(spec, COUNT, 60.0))
        quick = {"batch": 4, "steps": 6, "precision": "float32", "threads": 1, "seed": 0}
        return override(config, {**quick, **self.small, **changes}, typing)


class Watcher:
    """An observer that does nothing."""

    def begin(self, trainer: Trainer) -> None:
        """See `Observer`."""

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """See `Observer`."""

    def end(self, trainer: Trainer) -> None:
        """See `Observer`."""


class StopAt(Watcher):
    """Asks the training to stop after a step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """See `Observer`."""
        if trainer.step == self.step:
            trainer.stop = "asked to"


class Last(Watcher):
    """Keeps pictures of the last averaged weights."""

    pictures: np.ndarray

    def end(self, trainer: Trainer) -> None:
        """See `Observer`."""
        self.pictures = painted(trainer.average.model, range(5))


def require(kept: bool, otherwise: str) -> None:
    """Raise `Broken` with a line that says what is, where a promise is not kept."""
    if not kept:
        raise Broken(otherwise)


def one_line(refusal: UserError) -> None:
    """Require a refusal that can be read at a glance."""
    require("\n" not in str(refusal) and len(str(refusal)) > 20, f"a refusal that does not say what to do: {refusal}")


def steps(model: Generator, config: Config, count: int) -> Iterator[dict[str, float]]:
    """The losses of `count` steps of the last stage."""
    engine = Engine(model, config.train)
    feed = Feed(Drawn(config.spec), config.spec, config.train, engine)
    stage = model.stages()[-1]
    model.start(feed.batch(stage, stage.phases[0], 0, 0))
    for step in range(count):
        scratches = engine.scratches()
        said: dict[str, float] = {}
        progress = Progress(step, step / count, stage.name, step / count)
        for phase in stage.phases:
            for turn in range(phase.turns if step % phase.every == 0 else 0):
                batch = feed.batch(stage, phase, step, turn)
                try:
                    losses = engine.turn(stage, phase, batch, progress, scratches)
                except NotFinite as fault:
                    raise Broken(f"{fault}, at step {step}") from None
                said |= {f"{phase.name}/{name}": float(value) for name, value in losses.items()}
        model.after_step(progress)
        yield said
    model.finish()


def trained(config: Config, pack: Drawn, path: Path, *observers: Watcher) -> RunFolder:
    """The run in `path`, begun or gone on with."""
    path.mkdir(exist_ok=True)
    folder = RunFolder(path)
    threads = torch.get_num_threads()
    try:
        train(config, pack, folder, build, observers=observers, quiet=True)
    finally:
        torch.set_num_threads(threads)
    return folder


def painted(model: Generator, indices: Any, labels: np.ndarray | None = None, **how: Any) -> np.ndarray:
    """uint8 pictures (n, H, W, C) of seed 0; `how` goes to the sampler."""
    return np.concatenate(list(generate(model, 0, list(indices), labels, **how)))

"""Grids of pictures of fixed seeds, drawn while a generator trains."""

from __future__ import annotations

import math
import time

import numpy as np

from limner import storage
from limner.api import Conditions, Generator
from limner.pictures import grid, write_png
from limner.training.loop import Record, Trainer

GRID = 64
"""About so many pictures make a grid, in whole rows: those of the run's seed with indices 0 and up."""

SHARE = 0.03
"""Grids while training may cost this share of its time."""


class Grids:
    """Pictures of fixed seeds, the first within a minute; drawn from the averaged weights, as `limn sample` draws."""

    def __init__(self) -> None:
        self._next = 0.0
        self._cost = 0.0

    def begin(self, trainer: Trainer) -> None:
        """Plan the first grid."""
        self._next = trainer.clock.here + min(40.0, 0.1 * (trainer.config.train.budget or math.inf))

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """Draw at every `grid_every`-th step, or at growing intervals that cost at most 3 %."""
        every = trainer.config.train.grid_every
        if trainer.step % every == 0 if every else trainer.clock.here >= self._next:
            self.draw(trainer)
            here = trainer.clock.here
            self._next = here + max(0.5 * trainer.clock.seconds, self._cost / SHARE)

    def draw(self, trainer: Trainer) -> None:
        """Write samples/step-N.png."""
        began = time.monotonic()
        model = trainer.average.model
        indices = range(grid_size(model))
        pictures = trainer.together.pictures(indices, grid_labels(model))
        folder = trainer.folder.samples
        with storage.said_plainly(folder):
            folder.mkdir(exist_ok=True)
        about = {"recipe": trainer.config.recipe, "seed": trainer.config.train.seed, "step": trainer.step}
        write_png(folder / f"step-{trainer.step:08d}.png", grid(pictures, grid_columns(model)), about)
        self._cost = time.monotonic() - began
        trainer.planner.reserve = max(trainer.planner.reserve, self._cost)

    def end(self, trainer: Trainer) -> None:
        """The grid of the last weights."""
        if trainer.stop is None:
            self.draw(trainer)


def grid_labels(model: Generator) -> np.ndarray | None:
    """Labels of a grid: the classes, or a number's range, in turn, where the model knows any."""
    known = isinstance(model, Conditions) and bool(model.spec.attributes)
    return labels_in_turn(model, range(grid_size(model))) if known else None


def labels_in_turn(model: Generator, indices: range) -> np.ndarray:
    """(n, A) labels: the first attribute's values in turn, all other attributes left open."""
    labels = np.full((len(indices), len(model.spec.attributes)), -1, dtype=np.int64)
    turn = np.asarray(model.spec.attributes[0].in_turn)
    labels[:, 0] = turn[np.asarray(indices) % len(turn)]
    return labels


def grid_columns(model: Generator) -> int:
    """Columns of a grid: 8, or one a class where they are few."""
    classes = len(model.spec.classes) if isinstance(model, Conditions) else 0
    return classes if 4 <= classes <= 16 else 8


def grid_size(model: Generator) -> int:
    """Pictures in a grid."""
    columns = grid_columns(model)
    return columns * (GRID // columns)

"""The one loop: it trains any generator, and goes on to the bit where it was stopped.

Several processes run it side by side: all take the steps, the first one looks, saves and plans.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from safetensors.torch import save
from torch import Tensor

from limner import storage
from limner.api import Generator, Progress, Stage
from limner.config import Config
from limner.errors import UserError
from limner.processes import Lost, Processes, sharing
from limner.runs import AVERAGE, JOURNAL, WEIGHTS, RunFolder
from limner.training import checkpoint as checkpoints
from limner.training.averaging import Average
from limner.training.clock import Clock, Planner
from limner.training.engine import Engine, NotFinite
from limner.training.feed import Feed
from limner.training.plan import Plan
from limner.training.together import Together


@dataclass
class Record:
    """What one step gave: named losses of every phase, as "phase/name"."""

    step: int
    progress: Progress
    losses: dict[str, Tensor] = field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """The losses as numbers, the "_" of those that are only recorded taken off."""
        return {name.replace("/_", "/"): float(value) for name, value in self.losses.items()}


class Observer(Protocol):
    """Looks at the training from outside, in the first process; handed in by the caller. It must not change weights.

    Where it wants pictures, `trainer.together.pictures` has all processes paint them.
    """

    def begin(self, trainer: Trainer) -> None:
        """Before the first step of this process, after a checkpoint was loaded."""

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """After each step."""

    def end(self, trainer: Trainer) -> None:
        """Before the last checkpoint of this process."""


@dataclass
class Best:
    """The weights with the lowest score on the validation slice so far."""

    step: int
    score: float


class Trainer:
    """One training: model, averages, engine, plan, and the loop over them.

    Args:
        config: resolved (`limner.training.resolve`), with nothing left on "auto".
        model: built from `config`.
        pack: the packed pictures.
        folder: the run's folder, which only the first process reads and writes. observers: told of every step.
        processes: those that share the training. warn: takes one line for the user.
    """

    def __init__(
        self,
        config: Config,
        model: Generator,
        pack: Any,
        folder: RunFolder,
        observers: Iterable[Observer] = (),
        processes: Processes | None = None,
        warn: Any = print,
    ) -> None:
        self.config, self.model, self.pack, self.folder, self.warn = config, model, pack, folder, warn
        self.observers = list(observers)
        self.together = Together(self, processes or Processes())
        self.engine = Engine(model, config.train, self.together.processes)
        self.average = Average(model, config.train.average)
        self.feed = Feed(pack, config.spec, config.train, self.engine)
        self.stages = model.stages()
        self.step, self.tries = 0, 0
        self.best: Best | None = None
        self.scores: list[tuple[int, float]] = []
        self.smooth: dict[str, float] = {}
        self.plan = Plan.read(folder / JOURNAL) if self.together.first else Plan(None)
        self.clock = Clock()
        self.planner = Planner(self.plan, self.clock, config.train, config.resolved.get("seconds_per_step"))
        self.stop: str | None = None

    def run(self) -> str:
        """Train until the plan's end or until asked to stop. Returns the reason for stopping."""
        self._start()
        while not self.ended and self.stop is None:
            progress = self.progress(self.step)
            try:
                record = self._take(progress)
            except NotFinite as fault:
                self._roll_back(fault)
                continue
            with sharing(self.together.processes):
                self.model.after_step(progress)
            self.step += 1
            self.average.update(self.step)
            self._smooth(record)
            asked = self.together.asked_to_stop()
            if self.together.first:
                self._look(record)
                self.stop = self.stop or asked
                self.planner.replan(self.step)
            self.together.go_on()
        return self._finish()

    def _look(self, record: Record) -> None:
        with self.clock.aside():
            for observer in self.observers:
                observer.after_step(self, record)
            self._checkpoint_when_due()

    def _smooth(self, record: Record) -> None:
        # Kept in checkpoints, so that what is reported does not depend on where a run was interrupted.
        for name, value in record.values().items():
            weight = max(0.02, 1.0 / self.step)
            self.smooth[name] = value + (1.0 - weight) * (self.smooth.get(name, value) - value)

    def _take(self, progress: Progress) -> Record:
        """One step: every phase whose turn it is."""
        stage, record, scratches = self.stage(progress), Record(self.step + 1, progress), self.engine.scratches()
        for phase in stage.phases:
            if self.step % phase.every:
                continue
            for turn in range(phase.turns):
                batch = self.feed.batch(stage, phase, self.step, turn)
                try:
                    losses = self.engine.turn(stage, phase, batch, progress, scratches)
                except NotFinite as fault:
                    pictures = [] if batch.index is None else batch.index[:8].tolist()
                    raise NotFinite(f"{fault} (step {self.step}, pictures {pictures}...)") from None
                record.losses |= {f"{phase.name}/{name}": value for name, value in losses.items()}
        return record

    def progress(self, step: int) -> Progress:
        """Where the training stands before `step` is taken."""
        fraction = self.plan.fraction(step)
        total, begun = sum(stage.share for stage in self.stages), 0.0
        for stage in self.stages:
            share = stage.share / total
            if fraction < begun + share or stage is self.stages[-1]:
                return Progress(step, fraction, stage.name, min((fraction - begun) / share, 1.0))
            begun += share
        raise AssertionError("a generator has at least one stage")

    def stage(self, progress: Progress) -> Stage:
        """The stage that `progress` is in."""
        return next(stage for stage in self.stages if stage.name == progress.stage)

    def checkpoint(self) -> Path:
        """Write everything down. Raises `NotFinite` rather than save weights that are not finite."""
        if not all(bool(torch.isfinite(p).all()) for p in self.model.parameters()):
            raise NotFinite(f"the weights at step {self.step} are not finite")
        self.together.check()
        path = checkpoints.save(self.folder.checkpoints, self.state(), self.config.train.keep)
        if self.step:
            self._write_weights(self.folder / WEIGHTS)
        return path

    def state(self) -> checkpoints.Checkpoint:
        """All that the training needs to go on to the bit."""
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"{AVERAGE}/{name}": value for name, value in self.average.state().items()}
        engine_tensors, engine_plain = self.engine.state()
        tensors |= {f"engine/{name}": value for name, value in engine_tensors.items()}
        plain = {
            "engine": engine_plain,
            "seconds": self.clock.seconds,
            "tries": self.tries,
            "best": None if self.best is None else [self.best.step, self.best.score],
            "scores": self.scores,
            "smooth": self.smooth,
            "feed": self.feed.state(),
        }
        return checkpoints.Checkpoint(self.step, tensors, plain)

    def scored(self, score: float) -> None:
        """Take in a score of the averaged weights on the validation slice (lower is better); keeps the best weights.

        The last weights are preferred to older ones unless those are clearly better: a score is a noisy thing.
        """
        slack = 1.05 if self.ended else 1.0
        self.scores.append((self.step, score))
        if self.best is None or score <= slack * self.best.score:
            self.best = Best(self.step, score)
            self._write_weights(self._best_weights)

    @property
    def ended(self) -> bool:
        """Whether the plan's end is reached."""
        return self.step >= self.plan.total(self.step)

    @property
    def _best_weights(self) -> Path:
        return self.folder.checkpoints / "best.safetensors"

    def _write_weights(self, path: Path) -> None:
        storage.write_file(path, save({name: value.contiguous() for name, value in self.average.state().items()}))

    def _start(self) -> None:
        found = self.together.newest()
        if found is not None:
            self.load(found)
            self.clock.seconds_before = found.plain["seconds"]
        if self.together.first:
            self.planner.begin()
        self.clock.start()
        if found is None:
            self._begin()
        if self.together.first:
            if found is None:
                self.checkpoint()
            for observer in self.observers:
                observer.begin(self)
        self.together.go_on()

    def _begin(self) -> None:
        # What the data decides is decided by the global batch, which every process is shown.
        feed = Feed(self.pack, self.config.spec, self.config.train, self.engine, Processes())
        self.model.start(feed.batch(self.stages[0], self.stages[0].phases[0], 0, 0))
        self.together.level()
        self.average = Average(self.model, self.config.train.average)

    def load(self, found: checkpoints.Checkpoint) -> None:
        """Go back, or on, to a checkpoint."""
        self.model.load_state_dict(found.part("model"))
        self.average.load(found.part(AVERAGE))
        self.engine.load(found.part("engine"), found.plain["engine"])
        self.step, self.tries = found.step, found.plain["tries"]
        self.best = Best(*found.plain["best"]) if found.plain["best"] else None
        self.scores = [(int(step), float(score)) for step, score in found.plain["scores"]]
        self.smooth = dict(found.plain["smooth"])
        self.feed.load(found.plain.get("feed", {}))

    def _roll_back(self, fault: NotFinite) -> None:
        tries = self.tries + 1
        if tries > self.config.train.retries:
            raise UserError(
                f"training diverged {tries} times, last: {fault}; the last good weights are kept - "
                f"start again with a lower rate (--set rate=...) or --precision float32"
            )
        found = self.together.newest()
        assert found is not None, "there is a checkpoint from step 0 on"
        self.load(found)
        self.tries = tries
        self.engine.rate_scale *= 0.5
        self.warn(f"{fault}: back to step {self.step} with half the learning rate (try {tries})")

    def _checkpoint_when_due(self) -> None:
        every = self.config.train.checkpoint_every
        due = self.step % every == 0 if every else self.clock.checkpoint_due()
        if due:
            began = time.monotonic()
            self.checkpoint()
            self.clock.checkpointed(time.monotonic() - began)

    def _finish(self) -> str:
        if self.stop is None:
            with sharing(self.together.processes):
                self.model.finish()
            self.average.follow()
        if self.together.first:
            for observer in self.observers:
                observer.end(self)
            self.checkpoint()
            if self.stop is None and self.best is not None and self.best.step != self.step:
                storage.write_file(self.folder / WEIGHTS, self._best_weights.read_bytes())
        self.together.go_on()
        return self.stop or self._fulfilled()

    def _fulfilled(self) -> str:
        shown, passes = self.step * self.config.train.batch, self.model.passes
        if passes is not None and shown >= passes * self.pack.pictures:
            return "every picture was looked at, more steps would change nothing"
        return "the plan's end was reached"


class Interruptible:
    """While entered, SIGINT and SIGTERM ask `trainer` to stop after the step it is in; a second one stops at once.

    Of several processes one that is asked is enough: they stop together.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruptible:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, Lost):
            return  # the launcher will ask the ones that are left to end; first they say why
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.trainer.together.asked:
            raise KeyboardInterrupt
        self.trainer.together.asked = number

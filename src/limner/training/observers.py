"""What is written and shown while a generator trains: metrics, the live line, grids, scores."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import numpy as np
import psutil
import torch

from limner import storage
from limner.runs import METRICS
from limner.training import health
from limner.training.loop import Record, Trainer

SCORE_SHARE = 0.03
"""Scores while training may cost this share of the training's own work."""


class Metrics:
    """Appends to metrics.jsonl, at the same steps in every repetition, and to TensorBoard where that is asked for."""

    def __init__(self, tensorboard: bool = False) -> None:
        self._tensorboard = tensorboard
        self._writer: Any = None
        self._every = 1
        self._since = (0, 0.0)

    def begin(self, trainer: Trainer) -> None:
        """Cut what lies beyond the checkpoint, so that steps that are taken again are not told twice."""
        path = trainer.folder / METRICS
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines if _step_of(line) <= trainer.step]
        storage.write_file(path, "".join(line + "\n" for line in kept))
        self._every = max(1, trainer.plan.entries[0].total // 200)
        self._since = (trainer.step, trainer.clock.here)
        if self._tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(trainer.folder / "tensorboard"), purge_step=trainer.step + 1)

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """One line at every `every`-th step."""
        if trainer.step % self._every and trainer.step != 1:
            return
        step, seconds = self._since
        self._since = (trainer.step, trainer.clock.here)
        speed = (trainer.step - step) * trainer.config.train.batch / max(trainer.clock.here - seconds, 1e-9)
        values = {
            "step": trainer.step,
            "fraction": round(record.progress.fraction, 9),
            "stage": record.progress.stage,
            "losses": dict(trainer.smooth),
            "seconds": round(trainer.clock.seconds, 3),
            "pictures_per_second": round(speed, 1),
            "memory": memory(),
        }
        self.write(trainer, values)

    def write(self, trainer: Trainer, values: Mapping[str, Any]) -> None:
        """Append one record and show its numbers to TensorBoard."""
        with storage.said_plainly(trainer.folder.path), (trainer.folder / METRICS).open("a") as file:
            file.write(json.dumps(values) + "\n")
        if self._writer is not None:
            for group in ("losses", "score"):
                for name, value in values.get(group, {}).items():
                    self._writer.add_scalar(f"{group}/{name}", value, values["step"])

    def end(self, trainer: Trainer) -> None:
        """Let TensorBoard finish."""
        if self._writer is not None:
            self._writer.close()


class Line:
    """One live line on a terminal; in a log file a line every ten seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self._live = self.stream.isatty()
        self._next = 0.0
        self._width = 0
        self._since = (0, 0.0)

    def begin(self, trainer: Trainer) -> None:
        """Where the training begins or goes on."""
        self._since = (trainer.step, trainer.clock.here)
        if trainer.step:
            self.say(f"resuming at step {trainer.step:,} ({trainer.plan.fraction(trainer.step):.0%} done)")

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """Step, share of the budget, speed, losses, time left, memory."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.2 if self._live else 10.0)
        step, seconds = self._since
        elapsed = max(trainer.clock.here - seconds, 1e-9)
        speed = (trainer.step - step) * trainer.config.train.batch / elapsed
        self._since = (trainer.step, trainer.clock.here)
        fraction = trainer.plan.fraction(trainer.step)
        budget = trainer.config.train.budget
        spent = trainer.clock.seconds
        left = budget - spent if budget else spent * (1 - fraction) / max(fraction, 1e-9)
        losses = " ".join(f"{name.split('/')[-1]} {value:.3f}" for name, value in list(trainer.smooth.items())[:4])
        text = (
            f"step {trainer.step:,} | {fraction:4.0%} | {speed:,.0f} pictures/s | {losses} | "
            f"{duration(left)} left | {memory() / 2**30:.1f} GiB"
        )
        if self._live:
            self.stream.write("\r" + text.ljust(self._width))
            self.stream.flush()
            self._width = len(text)
        else:
            print(text, file=self.stream, flush=True)

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._live and self._width:
            self.stream.write("\r" + " " * self._width + "\r")
            self._width = 0
        print(text, file=self.stream, flush=True)

    def end(self, trainer: Trainer) -> None:
        """Leave the last state standing."""
        self._next = 0.0
        self.after_step(trainer, Record(trainer.step, trainer.progress(trainer.step)))
        if self._live:
            self.stream.write("\n")


class Scores:
    """Scores the averaged weights on the validation slice at fixed fractions of the plan, and keeps the best.

    Args:
        score: uint8 pictures (n, H, W, C) to named numbers, lower is better in `key`; evaluation is handed in.
    """

    def __init__(
        self, score: Callable[[np.ndarray], Mapping[str, float]], metrics: Metrics, say: Callable[[str], None]
    ) -> None:
        self.score, self.metrics, self.say = score, metrics, say
        self.key = "fd"  # at one number of pictures its bias is the same for all, and it is steadier than KID
        self._count = 0
        self._pictures = 0
        self._history: list[dict[str, Any]] = []

    def begin(self, trainer: Trainer) -> None:
        """Decide once how many pictures a score may cost; from then on it stands in the journal."""
        if "score_pictures" not in trainer.plan.notes:
            count, pictures = affordable(trainer)
            trainer.plan.note(scores=count, score_pictures=pictures)
        self._history = [r for r in trainer.folder.metrics() if "score" in r and r["step"] <= trainer.step]
        self._count, self._pictures = trainer.plan.notes["scores"], trainer.plan.notes["score_pictures"]

    def after_step(self, trainer: Trainer, record: Record) -> None:
        """Score where the plan passes k / count; the last score is taken at the end."""
        if not self._count:
            return
        before, after = trainer.plan.fraction(trainer.step - 1), trainer.plan.fraction(trainer.step)
        if int(after * self._count) > int(before * self._count) and not trainer.ended:
            self._take(trainer)

    def end(self, trainer: Trainer) -> None:
        """The last score, where the plan was fulfilled."""
        if trainer.stop is None and self._count:
            self._take(trainer)

    def _take(self, trainer: Trainer) -> None:
        began = time.monotonic()
        pictures = self._draw(trainer)
        values = {name: float(value) for name, value in self.score(pictures).items()}
        trainer.scored(values[self.key])
        seen, unseen = self._probe(trainer, trainer.pack.train), self._probe(trainer, trainer.pack.validation)
        found = health.findings(trainer, pictures, seen, unseen, self._history)
        record = {
            "step": trainer.step,
            "score": values,
            "global_batch": trainer.config.train.batch,
            "processes": trainer.together.processes.world,
            "train": seen,
            "held_out": unseen,
            "level": health.level(trainer.smooth),
            "health": {finding.name: str(finding) for finding in found},
        }
        self.metrics.write(trainer, record)
        known = self._history[-1]["health"] if self._history else {}
        for finding in found:
            if finding.name not in known:
                self.say(f"health: {finding}")
        self._history.append(record)
        trainer.planner.reserve = max(trainer.planner.reserve, time.monotonic() - began)

    def _draw(self, trainer: Trainer) -> np.ndarray:
        # Seeds of their own, so that the pictures that choose the weights are not the ones that are shown.
        indices = range(1_000_000, 1_000_000 + self._pictures)
        return trainer.together.pictures(indices, quick=True, batch=max(16, min(trainer.config.train.batch, 64)))

    @torch.no_grad()
    def _probe(self, trainer: Trainer, indices: np.ndarray) -> dict[str, float]:
        chosen = indices[np.linspace(0, len(indices) - 1, min(128, len(indices))).astype(int)] if len(indices) else []
        if len(chosen) == 0:
            return {}
        batch = trainer.feed.fixed(np.unique(chosen), trainer.stages[-1], "probe")
        return {name: float(value) for name, value in trainer.average.model.probe(batch).items()}


def affordable(trainer: Trainer) -> tuple[int, int]:
    """(scores, pictures a score) that cost at most `SCORE_SHARE` of the planned training.

    Counted in network passes, a training step's forward and backward as three, so that it is the same on every machine.
    """
    train, model = trainer.config.train, trainer.model
    work = 3.0 * trainer.plan.entries[0].total * train.batch * SCORE_SHARE
    passes = model.evaluations(model.quick())
    for count in range(train.scores, 0, -1):
        pictures = int(work / (count * passes))
        if pictures >= 64 or (count == 1 and pictures >= 32):
            return count, min(pictures, 1000, max(64, len(trainer.pack.validation)))
    return 0, 0


def memory() -> int:
    """Bytes that this process holds."""
    return int(psutil.Process(os.getpid()).memory_info().rss)


def duration(seconds: float) -> str:
    """Seconds as people write them: 2h05m, 3m12s, 9s."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except ValueError:
        return sys.maxsize  # a line that a kill has cut off

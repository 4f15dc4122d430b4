"""Running time, and the plan that follows from it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from limner.config import Training
from limner.training.plan import Plan

GUESSED_SECONDS_PER_STEP = 0.1

CHECKPOINT_SECONDS = 60.0
"""A run loses at most about this much to a kill."""


class Clock:
    """Seconds that the training has run, over all its processes' lives. Packing is not in it, checkpoints are."""

    def __init__(self) -> None:
        self.seconds_before = 0.0
        self._began: float | None = None
        self._aside = 0.0
        self._last_checkpoint = 0.0
        self._checkpoint_cost = 0.0

    def start(self) -> None:
        """Begin to count."""
        self._began = time.monotonic()
        self._last_checkpoint = self._began

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self.seconds_before + (0.0 if self._began is None else time.monotonic() - self._began)

    @property
    def here(self) -> float:
        """Seconds of this process."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    @property
    def stepping(self) -> float:
        """Seconds of this process that went into steps, not into observers and checkpoints."""
        return self.here - self._aside

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Time in here is not a step's."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._aside += time.monotonic() - began

    def checkpoint_due(self) -> bool:
        """Whether a minute has passed, or fifty times what a checkpoint costs where that is longer."""
        wait = max(CHECKPOINT_SECONDS, 50.0 * self._checkpoint_cost)
        return time.monotonic() - self._last_checkpoint >= wait

    def checkpointed(self, cost: float) -> None:
        """A checkpoint was written and took `cost` seconds."""
        self._last_checkpoint, self._checkpoint_cost = time.monotonic(), cost


class Planner:
    """Decides the plan's entries: once for a number of steps, again and again for a budget of time.

    Where there are both, the training ends with the first that is reached.
    """

    def __init__(self, plan: Plan, clock: Clock, train: Training, seconds_per_step: float | None = None) -> None:
        self.plan, self.clock, self.train = plan, clock, train
        self._guess = seconds_per_step or GUESSED_SECONDS_PER_STEP
        self.reserve = 0.0
        self._taken = 0
        self._next = 0.0

    def begin(self) -> None:
        """Make sure that there is an entry at step 0."""
        if self.plan.entries:
            return
        if self.train.plan:
            for step, total, fraction in self.train.plan:
                self.plan.decide(step, total, fraction)
        elif self.train.steps is not None:
            self.plan.decide(0, self.train.steps)
        else:
            assert self.train.budget is not None, "resolve() leaves steps or a budget"
            # A first guess that the clock mends after three steps.
            self.plan.decide(0, max(10, int(self.train.budget / self._guess)))

    def replan(self, step: int) -> None:
        """Bring the plan's end into line with the clock, at about fifty moments of the budget.

        Entries that a killed process has logged beyond `step` are replayed, never decided again.
        """
        budget = self.train.budget
        self._taken += 1
        if budget is None or self.train.plan or self.plan.decided(step):
            return
        seconds = self.clock.seconds
        left = budget - self.reserve - seconds
        if left <= 0:
            self.plan.decide(step, step)
            return
        if seconds < self._next or self._taken < 3:
            return
        self._next = seconds + max(0.01, min(0.02 * budget, 0.25 * left))
        share_of_steps = self.clock.stepping / self.clock.here
        total = step + max(1, int(left * share_of_steps / (self.clock.stepping / self._taken)))
        total = min(total, self.train.steps or total)
        if abs(total - self.plan.total(step)) > 0.01 * (total - step) or total - step < 20:
            self.plan.decide(step, total)

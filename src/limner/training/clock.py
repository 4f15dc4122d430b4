"""Running time, and the plan that follows from it."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator

from limner.config import Training
from limner.training.plan import Plan

GUESSED_SECONDS_PER_STEP = 0.1

OFTEN, LATELY, FEWEST = 0.02, 0.06, 3
"""Share of the budget, or of the plan, after which the plan is mended; share and steps by which a pace is known."""

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
        self._marks = deque([0.0])  # seconds of stepping after each of the last steps
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
        """Bring the plan's end into line with the clock, at about fifty moments of the budget and of the plan.

        The pace is that of the last steps, so that a machine that was busy for a while does not count as slow for good:
        steps that are planned to be few and then are many would take the training to its end in a moment. Entries that
        a killed process has logged beyond `step` are replayed, never decided again.
        """
        budget = self.train.budget
        self._marks.append(self.clock.stepping)
        if budget is None or self.train.plan or self.plan.decided(step):
            return
        seconds = self.clock.seconds
        left = budget - self.reserve - seconds
        if left <= 0:
            self.plan.decide(step, step)
            return
        advanced = self.plan.fraction(step) - self.plan.entries[-1].fraction
        if len(self._marks) <= FEWEST or (seconds < self._next and advanced < OFTEN):
            return
        self._next = seconds + max(0.01, min(OFTEN * budget, 0.25 * left))
        share_of_steps = self.clock.stepping / self.clock.here
        total = step + max(1, int(left * share_of_steps / self._seconds_per_step(LATELY * budget)))
        total = min(total, self.train.steps or total)
        if abs(total - self.plan.total(step)) > 0.01 * (total - step) or total - step < 20:
            self.plan.decide(step, total)

    def _seconds_per_step(self, window: float) -> float:
        """Of the steps of the last `window` seconds, and of the last `FEWEST` at least."""
        marks = self._marks
        while len(marks) > FEWEST + 1 and marks[-1] - marks[1] >= window:
            marks.popleft()
        return max((marks[-1] - marks[0]) / (len(marks) - 1), 1e-9)

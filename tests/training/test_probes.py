"""Measuring a machine that does other things as well."""

import itertools
import math
import time
from collections import namedtuple

import psutil
import pytest
import torch

from limner.config import Training
from limner.training.parity import TooLong, disparity
from limner.training.resolve import Company, fastest, saved

SOME, OTHER = ("float32", "contiguous"), ("bfloat16", "channels_last")


class Told:
    """A trial whose steps take as long as they are told, on a clock of their own."""

    def __init__(self, name, clock, log, seconds):
        self.name, self.clock, self.log, self.left = name, clock, log, itertools.cycle(seconds)

    def take(self):
        self.log.append(self.name)
        self.clock[0] += next(self.left)


def test_trials_take_turns_and_the_fastest_step_counts(monkeypatch):
    clock, log = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    # The better one is disturbed in most of its steps: its median would lose.
    trials = {SOME: Told("a", clock, log, [0.5]), OTHER: Told("b", clock, log, [2.0, 0.25, 2.0, 2.0])}
    found = fastest(trials, limit=100.0)
    assert found == {SOME: 0.5, OTHER: 0.25}
    assert log == ["a", "b"] * 8  # one round to warm up, seven that count


def test_slow_steps_are_taken_no_more_often_than_needed(monkeypatch):
    clock, log = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    fastest({SOME: Told("a", clock, log, [20.0])}, limit=7.5)
    assert len(log) == 3


def test_judging_may_cost_a_share_of_what_it_can_save():
    """Two minutes at 126 ms a step would be 188 s at 197 ms; what is slower saves less than nothing."""
    seconds = {SOME: 0.230, ("float32", "channels_last"): 0.197, OTHER: 0.126}
    assert saved(Training(budget=120.0), seconds) == pytest.approx(120 / 0.126 * (0.197 - 0.126))
    assert saved(Training(steps=1000), seconds) == pytest.approx(71)
    assert saved(Training(steps=1000), {OTHER: 0.1}) == pytest.approx(15), "nothing to compare with"
    assert saved(Training(steps=1000), {SOME: 0.1, OTHER: 0.2}) < 0


def test_company_is_what_others_have_used(monkeypatch):
    times, now = namedtuple("Times", "user system nice idle"), {}
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    monkeypatch.setattr(psutil, "cpu_times", lambda: times(now["all"], 0.0, 0.0, 0.0))
    monkeypatch.setattr(time, "monotonic", lambda: now["clock"])
    monkeypatch.setattr(time, "process_time", lambda: now["own"])
    now.update(clock=100.0, own=5.0, all=1000.0)
    company = Company()
    now.update(clock=110.0, own=19.0, all=1014.0)
    assert company.share() == 0.0
    now.update(all=1020.0)
    assert abs(company.share() - 0.3) < 1e-9


class Drifting:
    """A trial whose loss is `base`, in bfloat16 `rough`, and off by `sway` once its weights are shaken."""

    def __init__(self, precision, base, rough, sway):
        self.value, self.sway = (rough if precision == "bfloat16" else base), sway

    def shake(self, seed):
        self.value += self.sway * (-1) ** seed

    def take(self):
        return self.value

    def gradients(self, like):
        return torch.ones(3)


def trials(made, base=1.0, rough=1.0, sway=0.0, kind=Drifting):
    """What `disparity` makes its trials with; `made` counts the small ones."""

    def trial(precision, layout, batch=None):
        made.extend([precision] if batch else [])
        return kind(precision, base, rough, sway)

    return trial


@pytest.mark.parametrize(
    ("rough", "sway", "refused"),
    [(1.01, 0.0, False), (1.1, 0.0, True), (1.1, 0.09, False), (0.9, 0.09, False), (1.2, 0.09, True)],
)
def test_bfloat16_may_differ_by_what_float32_differs_from_itself(rough, sway, refused):
    assert (disparity(trials([], 1.0, rough, sway), "channels_last") is not None) == refused


@pytest.mark.parametrize(("rough", "runs"), [(1.01, 2), (0.92, 3), (1.1, 4), (1.3, 5), (math.nan, 2)])
def test_no_more_is_tried_than_the_verdict_needs(rough, runs):
    """The first shaken one goes down by 0.09, the second up: what lies within reach of either needs no third."""
    made = []
    disparity(trials(made, 1.0, rough, 0.09), "channels_last")
    assert len(made) == runs and made[:2] == ["float32", "bfloat16"] and set(made[2:]) <= {"float32"}


def test_gradients_that_differ_end_it_before_bfloat16_is_trained():
    class Apart(Drifting):
        def gradients(self, like):
            return torch.tensor([1.0, 0.0, 0.0]) if self.value == 1 else torch.tensor([1.0, 1.0, 0.0])

    made = []
    assert "cosine" in disparity(trials(made, 1.0, 2.0, kind=Apart), "channels_last") and made == ["float32"]


def test_judging_takes_no_more_than_its_share(monkeypatch):
    clock, steps, said = [0.0], [], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    class Slow(Drifting):
        def take(self):
            clock[0] += 0.5
            steps.append(1)
            return self.value

    with pytest.raises(TooLong, match="about 50 s, and 30 s is all"):
        disparity(trials([], kind=Slow), "channels_last", 30.0, said.append)
    assert len(steps) == 3, "it is foreseen after three steps"
    assert said == ["is bfloat16 as good as float32? About 50 s to find out ..."]
    steps.clear()
    assert disparity(trials([], kind=Slow), "channels_last", 60.0, said.append) is None and len(steps) == 100
    steps.clear()
    with pytest.raises(TooLong):
        disparity(trials([], 1.0, 1.1, 0.0, kind=Slow), "channels_last", 60.0, said.append)
    assert len(steps) == 103, "the third run, which is only needed where losses part, has no room"


def test_a_slow_first_step_is_not_taken_for_the_rule(monkeypatch):
    """Kernels are chosen in it: 50 steps take 4 s and 49 tenths, not 50 times the mean of the first three."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    class Cold(Drifting):
        begun = False

        def take(self):
            clock[0] += 0.1 if self.begun else 4.0
            self.begun = True
            return self.value

    assert disparity(trials([], kind=Cold), "channels_last", 20.0) is None

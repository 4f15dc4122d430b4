"""Measuring a machine that does other things as well."""

import itertools
import time
from collections import namedtuple

import psutil
import pytest
import torch

from limner.training.resolve import Company, _disparity, fastest

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


@pytest.mark.parametrize(
    ("rough", "sway", "refused"),
    [(1.01, 0.0, False), (1.1, 0.0, True), (1.1, 0.09, False), (0.9, 0.09, False), (1.2, 0.09, True)],
)
def test_bfloat16_may_differ_by_what_float32_differs_from_itself(rough, sway, refused):
    def trial(precision, layout, batch=None):
        return Drifting(precision, 1.0, rough, sway)

    assert (_disparity(trial, "channels_last") is not None) == refused

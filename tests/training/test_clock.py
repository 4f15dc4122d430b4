"""A budget of time becomes a plan of steps, whatever the machine does beside."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from limner.config import Training
from limner.training.clock import Planner
from limner.training.plan import Plan

BUDGET = 100.0


def trained(seconds_of_step) -> list[tuple[float, float]]:
    """Seconds and the fraction of the training at each step, where a step begun at `now` takes so long."""
    clock, plan = SimpleNamespace(seconds=0.0, here=0.0, stepping=0.0), Plan(None)
    planner = Planner(plan, clock, Training(budget=BUDGET), 0.1)  # type: ignore[arg-type]
    planner.begin()
    step, found = 0, []
    while step < plan.total(step):
        clock.seconds += seconds_of_step(clock.seconds)
        clock.here = clock.stepping = clock.seconds
        step += 1
        planner.replan(step)
        found.append((clock.seconds, plan.fraction(step)))
    return found


@pytest.mark.parametrize(
    "seconds_of_step",
    [
        pytest.param(lambda now: 0.1, id="steady"),
        pytest.param(lambda now: 5.0 if now < 30 else 0.1, id="busy at first"),
        pytest.param(lambda now: 5.0 if 40 < now < 60 else 0.1, id="busy for a while"),
        pytest.param(lambda now: 0.1 if now < 50 else 0.3, id="slower from now on"),
        pytest.param(lambda now: 4.0 if 90 < now < 94 else 0.05, id="busy near the end"),
        pytest.param(lambda now: 3.0 if int(now) % 20 == 10 else 0.05, id="a slow step now and then"),
    ],
)
def test_a_training_keeps_to_the_time_there_is(seconds_of_step) -> None:
    found = trained(seconds_of_step)
    assert found[-1][1] == 1 and BUDGET - 2 < found[-1][0] < BUDGET + 2
    steps = len(found)
    ahead = [fraction - seconds / BUDGET for seconds, fraction in found]
    assert max(ahead) < 0.2, "a fade of the rate that comes long before the end"
    assert sum(fraction > 0.98 for _, fraction in found) < 0.1 * steps, "steps that are taken at a rate of nothing"

"""Solvers against a flow that is known: from noise to Gaussian data, on a straight path."""

import math
from itertools import pairwise

import pytest
import torch

from limner.samplers.ode import SOLVERS, euler, heun, midpoint
from limner.samplers.schedules import times

MEAN, STD = 0.7, 0.4


def velocity(z, t):
    """E[n - x | z] for x ~ N(MEAN, STD^2): both are Gaussian, so the mean is linear in z."""
    variance = (1 - t) ** 2 * STD**2 + t**2
    slope = (t - (1 - t) * STD**2) / variance
    return slope * (z - (1 - t) * MEAN) - MEAN


def exact(z, start, end):
    """The flow keeps each point's rank: (z - mean(t)) / std(t) stays what it was."""

    def std(t):
        return math.sqrt((1 - t) ** 2 * STD**2 + t**2)

    return (1 - end) * MEAN + (z - (1 - start) * MEAN) / std(start) * std(end)


NOISE = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64).view(-1, 1, 1, 1)


def error(solver, steps, power=1.0, start=1.0, end=0.0):
    *_, last = solver(velocity, NOISE, times(steps, power, start, end))
    return (last - exact(NOISE, start, end)).abs().max().item()


ORDERS = [(euler, 1), (heun, 2), (midpoint, 2)]


@pytest.mark.parametrize(("solver", "order"), ORDERS)
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_order_of_convergence(solver, order, power):
    """Halving the step divides the error by 2^order; Heun's last step to t = 0, which is Euler's, does not spoil it."""
    errors = [error(solver, steps, power) for steps in (64, 128, 256)]
    for before, after in pairwise(errors):
        gained = math.log2(before / after)
        # The midpoint rule gains an order on this very problem; the next test has its usual one.
        assert gained == pytest.approx(3 if solver is midpoint else order, abs=0.15)


@pytest.mark.parametrize(("solver", "order"), ORDERS)
def test_order_of_convergence_where_the_velocity_is_not_linear(solver, order):
    """dz/dt = z^2 cos(5 t): 1 / z + sin(5 t) / 5 stays what it was."""
    start = torch.linspace(-0.8, 0.8, 9, dtype=torch.float64)
    expected = start / (1 + start * (math.sin(5 * 0.9) - math.sin(5 * 0.1)) / 5)
    errors = []
    for steps in (64, 128, 256):
        *_, last = solver(lambda z, t: z**2 * math.cos(5 * t), start, times(steps, 1.0, 0.9, 0.1))
        errors.append((last - expected).abs().max().item())
    for before, after in pairwise(errors):
        assert math.log2(before / after) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_backwards_is_the_inverse(solver):
    forward = times(400, 2.0)
    *_, picture = solver(velocity, NOISE, forward)
    *_, code = solver(velocity, picture, forward[::-1])
    assert (code - NOISE).abs().max().item() < (0.1 if solver is euler else 1e-3)


def test_a_straight_flow_needs_one_step():
    for solver in SOLVERS.values():
        (end,) = solver(lambda z, t: torch.full_like(z, 3.0), NOISE, [1.0, 0.0])
        assert torch.allclose(end, NOISE - 3)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_a_state_a_step_and_nothing_in_advance(solver):
    """The caller may stop: a state that is not asked for is not computed."""
    calls = []

    def counted(z, t):
        calls.append(t)
        return velocity(z, t)

    states = solver(counted, NOISE, times(10))
    next(states)
    assert len(calls) == (1 if solver is euler else 2)
    assert len(list(states)) == 9
    assert len(calls) == {euler: 10, heun: 19, midpoint: 20}[solver]


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_each_picture_goes_its_own_way(solver):
    *_, together = solver(velocity, NOISE, times(6))
    *_, alone = solver(velocity, NOISE[4:5], times(6))
    assert torch.equal(together[4:5], alone)


def test_times_begin_and_end_exactly_and_crowd_at_the_picture():
    even, crowded = times(10), times(10, 2.0)
    assert even == pytest.approx([1 - k / 10 for k in range(11)])
    for listed in (even, crowded, times(10, 3.0, 0.9, 0.1)):
        assert all(a > b for a, b in pairwise(listed))
    assert (crowded[0], crowded[-1]) == (1.0, 0.0)
    assert crowded[-2] == pytest.approx(0.01)
    assert times(4, 2.0, 0.0, 1.0) == pytest.approx(times(4, 2.0)[::-1])

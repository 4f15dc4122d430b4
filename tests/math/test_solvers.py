"""Solvers of more than one evaluation's memory, by their orders, on Gaussian data, whose exact flow is known."""

import math
from itertools import pairwise

import pytest
import torch

from limner.errors import UserError
from limner.noising.discrete import Chain
from limner.noising.paths import PATHS
from limner.samplers.adaptive import adaptive
from limner.samplers.following import follow
from limner.samplers.multistep import MULTISTEP
from limner.samplers.schedules import karras, scheduled, times
from limner.samplers.stochastic import stochastic

MEAN, STD = 0.7, 0.4
NOISE = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64).view(-1, 1, 1, 1)


def straight(t):
    return 1 - t, t


def deviation(alpha, sigma):
    return math.hypot(alpha * STD, sigma)


def posterior_mean(scale):
    """E[x | z] for x ~ N(MEAN, STD^2)."""

    def clean(z, t):
        alpha, sigma = scale(t)
        return MEAN + alpha * (STD / deviation(alpha, sigma)) ** 2 * (z - alpha * MEAN)

    return clean


def exact(z, scale, start, end):
    """The flow keeps each point's rank: (z - mean(t)) / std(t) stays what it was."""
    (a, s), (b, r) = scale(start), scale(end)
    return b * MEAN + (z - a * MEAN) / deviation(a, s) * deviation(b, r)


def error(solver, listed, scale=straight):
    *_, last = MULTISTEP[solver](posterior_mean(scale), NOISE, listed, scale)
    return (last - exact(NOISE, scale, listed[0], listed[-1])).abs().max().item()


def orders(errors):
    return [math.log2(before / after) for before, after in pairwise(errors)]


# Multistep solvers.


@pytest.mark.parametrize(("solver", "order"), [("dpm++", 2), ("unipc", 3)])
def test_order_of_convergence_between_noise_levels(solver, order):
    found = orders([error(solver, times(steps, 1.0, 0.9, 0.1)) for steps in (64, 128, 256)])
    assert found == pytest.approx([order] * 2, abs=0.15)


@pytest.mark.parametrize(
    ("schedule", "solver", "least"),
    [("uniform", "dpm++", 1.6), ("uniform", "unipc", 1.9), ("cosine", "dpm++", 1.9), ("cosine", "unipc", 2.9)],
)
def test_order_of_convergence_all_the_way(schedule, solver, least):
    """From pure noise to the picture, where log(alpha / sigma) is infinite and the first and last step of first order.

    Even times come near these ends in large steps of log(alpha / sigma), which costs the error a logarithm.
    """
    path = PATHS["straight"]()
    assert min(orders([error(solver, scheduled(schedule, steps, path)) for steps in (64, 128, 256)])) > least


@pytest.mark.parametrize("solver", MULTISTEP)
def test_order_of_convergence_on_a_variance_exploding_path(solver):
    """z = x + sigma n, at the noise levels of 2206.00364 down to the lowest."""

    def scale(t):
        return 1.0, t

    errors = []
    for steps in (32, 64, 128):
        listed = karras(steps)[:-1]
        *_, last = MULTISTEP[solver](posterior_mean(scale), 80 * NOISE, listed, scale)
        errors.append((last - exact(80 * NOISE, scale, 80.0, listed[-1])).abs().max().item())
    assert all(gained > (1.7 if solver == "dpm++" else 2.6) for gained in orders(errors))


@pytest.mark.parametrize("solver", MULTISTEP)
def test_order_of_convergence_where_the_picture_is_not_linear_in_z(solver):
    """x = +-1: E[x | z] = tanh(alpha z / sigma^2); against many more steps."""

    def clean(z, t):
        return torch.tanh((1 - t) * z / t**2)

    def solved(steps):
        *_, last = MULTISTEP[solver](clean, NOISE, times(steps, 1.0, 0.95, 0.3), straight)
        return last

    true = solved(4096)
    found = orders([(solved(steps) - true).abs().max().item() for steps in (64, 128, 256)])
    assert found == pytest.approx([2 if solver == "dpm++" else 3] * 2, abs=0.4)


def test_steps_of_known_pictures_are_exact():
    """Where all pictures are the same one, every solver paints it in one step and in any."""
    for solver in MULTISTEP.values():
        for steps in (1, 2, 7):
            *_, last = solver(lambda z, t: torch.full_like(z, 0.3), NOISE, times(steps), straight)
            assert torch.allclose(last, torch.full_like(NOISE, 0.3), atol=1e-12)


@pytest.mark.parametrize("solver", MULTISTEP)
def test_multistep_solvers_look_once_a_step_and_work_on_a_chain(solver):
    chain, looks = Chain("cosine", 1000), []

    def clean(z, t):
        looks.append(t)
        return posterior_mean(chain.scale)(z, t)

    listed = chain.times(40)
    states = list(MULTISTEP[solver](clean, NOISE, listed, chain.scale))
    assert len(states) == 40 and looks == listed[:-1]
    assert torch.allclose(states[-1], exact(NOISE, chain.scale, 1000, 0), atol=5e-3)


# The adaptive solver.


def velocity(z, time):
    """E[n - x | z] for x ~ N(MEAN, STD^2) on the straight path, each picture at its own time."""
    t = time.view(-1, 1, 1, 1)
    variance = (1 - t) ** 2 * STD**2 + t**2
    return (t - (1 - t) * STD**2) / variance * (z - (1 - t) * MEAN) - MEAN


def counted(tolerance, z=NOISE):
    """(largest error, tries)."""
    states = list(adaptive(velocity, z, 1.0, 0.0, tolerance))
    return (states[-1] - exact(z, straight, 1.0, 0.0)).abs().max().item(), len(states)


def test_the_adaptive_error_follows_the_tolerance():
    """A third-order step's error is its length cubed: a thousandth of the tolerance takes ten times the steps."""
    (coarse, few), (middle, more), (fine, most) = (counted(t) for t in (1e-4, 1e-7, 1e-10))
    assert coarse < 1e-3 and middle < 1e-6 and fine < 1e-9
    assert 6 < most / more < 14 and few < more
    assert 2 < math.log10(middle / fine) < 4


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_no_picture_is_changed_by_its_neighbours(tolerance):
    """To the bit in batches of one size; with another size, kernels round differently."""
    wild, tame = (torch.cat([NOISE, other]) for other in (30 * NOISE, 0 * NOISE))
    long, short = (list(adaptive(velocity, z, 1.0, 0.0, tolerance)) for z in (wild, tame))
    assert len(long) > len(short)  # the neighbours need more steps, and some of the others have long arrived
    assert torch.equal(long[-1][:11], short[-1][:11])
    for place in (0, 4, 9):
        *_, alone = adaptive(velocity, NOISE[place : place + 1], 1.0, 0.0, tolerance)
        assert torch.allclose(long[-1][place : place + 1], alone, rtol=0, atol=1e-12)


def test_adaptive_steps_are_long_where_the_flow_is_straight():
    states = list(adaptive(lambda z, t: torch.full_like(z, 3.0), NOISE, 1.0, 0.0, 1e-6))
    assert len(states) <= 4  # 1/20 of the way, then five times as long each
    assert torch.allclose(states[-1], NOISE - 3, atol=1e-12)


def test_adaptive_goes_both_ways():
    *_, picture = adaptive(velocity, NOISE, 1.0, 0.0, 1e-8)
    *_, code = adaptive(velocity, picture, 0.0, 1.0, 1e-8)
    assert torch.allclose(code, NOISE, atol=1e-6)


def test_a_tolerance_beyond_reach_is_refused():
    with pytest.raises(UserError, match="give a larger tolerance"):
        list(adaptive(lambda z, t: torch.full_like(z, math.nan), NOISE, 1.0, 0.0, 1e-3))
    with pytest.raises(UserError, match="belongs to solver adaptive"):
        follow("heun", velocity, NOISE, times(4), PATHS["straight"](), 1e-3)


# The stochastic solver: states are linear in the noises, so a batch of one noise each gives the exact variance.


def spread_after(steps, churn, interval=(0.0, math.inf), inflation=1.0, low=0.5):
    """The variance of the end, from noise of the exact variance at level 5, for pictures N(0, STD^2)."""
    listed = times(steps, 7.0, 5.0, low)
    start = torch.zeros(steps + 1, dtype=torch.float64)
    start[0] = math.hypot(5.0, STD)

    def noise(number):
        return torch.eye(steps + 1, dtype=torch.float64)[number + 1]

    def clean(z, sigma):
        return STD**2 / (STD**2 + sigma**2) * z

    *_, last = stochastic(clean, start, listed, noise, churn, interval, inflation)
    return last.square().sum().item()


@pytest.mark.parametrize("churn", [0.0, 5.0])
def test_the_stochastic_solver_keeps_the_variance_to_second_order(churn):
    true = STD**2 + 0.5**2
    found = orders([abs(spread_after(steps, churn) - true) for steps in (32, 64, 128)])
    assert found == pytest.approx([2] * 2, abs=0.2)


def test_churn_is_kept_to_its_interval_and_inflated_as_asked():
    still = spread_after(32, 0.0)
    assert spread_after(32, 5.0, interval=(6.0, 9.0)) == pytest.approx(still, rel=1e-12)
    assert spread_after(32, 5.0, inflation=1.05) > spread_after(32, 5.0) + 1e-3
    assert spread_after(8, 1e9) == pytest.approx(spread_after(8, 8 * (math.sqrt(2) - 1)), rel=1e-12)


def test_without_churn_it_is_heun_in_the_noise_level():
    path, listed = PATHS["exploding"](), karras(12)
    clean = posterior_mean(lambda sigma: (1.0, sigma))
    *_, last = stochastic(clean, 80 * NOISE, listed, lambda number: NOISE * math.nan, 0.0)

    def slope(z, sigma):
        return (z - clean(z, sigma)) / sigma

    *_, heun = follow("heun", slope, 80 * NOISE, listed, path, None)
    assert torch.allclose(last, heun, atol=1e-10)


# Schedules.


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["uniform", "cosine", "karras"])
@pytest.mark.parametrize("steps", [1, 2, 3, 20])
def test_schedules_fall_from_noise_to_picture(path, name, steps):
    listed = scheduled(name, steps, PATHS[path]())
    assert len(listed) == steps + 1 and (listed[0], listed[-1]) == (1.0, 0.0)
    assert all(a > b for a, b in pairwise(listed))


def test_schedules_lie_where_they_say():
    path = PATHS["straight"]()
    assert scheduled("uniform", 4, path, 2.0) == pytest.approx([1, 9 / 16, 4 / 16, 1 / 16, 0])
    assert scheduled("cosine", 4, path) == pytest.approx([1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4, 0])
    levels = torch.tensor(scheduled("karras", 18, path)[1:-1], dtype=torch.float64)
    assert (levels / (1 - levels)).tolist() == pytest.approx(times(18, 7.0, 80.0, 0.002)[1:-1])


def test_noise_levels_are_those_of_the_paper():
    """2206.00364, equation 5: the seventh roots are evenly spaced from 80 to 0.002, then comes 0."""
    roots = [level ** (1 / 7) for level in karras(18)[:-1]]
    gaps = [a - b for a, b in pairwise(roots)]
    assert gaps == pytest.approx([(80 ** (1 / 7) - 0.002 ** (1 / 7)) / 17] * 17)
    assert karras(18)[0] == 80 and karras(18)[-2] == 0.002 and karras(18)[-1] == 0
    assert karras(1) == [80.0, 0.0]

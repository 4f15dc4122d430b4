"""Chains of noise levels and their samplers: against published schedulers, and on Gaussian data, where all is known."""

import json
import math
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

import chain_cases as cases  # noqa: E402

from limner.errors import UserError  # noqa: E402
from limner.noising.discrete import Chain, betas  # noqa: E402
from limner.noising.paths import convert, mixed, spread  # noqa: E402
from limner.samplers.ddim import ddim  # noqa: E402
from limner.samplers.ddpm import ancestral  # noqa: E402

PUBLISHED = json.loads((GOLDEN / "chains.json").read_text())
NUMBER = torch.zeros(1, 1, dtype=torch.float64)
SCHEDULES = ("linear", "cosine")
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64).view(-1, 2, 1, 2, 3)


def close(found, expected):
    """To 1e-5 of the size of what is compared: estimates from almost pure noise are large."""
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * max(1.0, expected.abs().max().item()))


# Published numbers.


@EVERY_SCHEDULE
def test_levels_are_those_of_a_published_table(schedule):
    kept = torch.from_numpy(Chain(schedule, 1000).kept[[t + 1 for t in cases.LEVELS]])
    # Theirs is in float32: a thousand products, the last of which lose a ten-thousandth.
    assert torch.allclose(kept, torch.tensor(PUBLISHED["schedules"][schedule], dtype=torch.float64), rtol=1e-4, atol=0)


@EVERY_SCHEDULE
def test_variances_are_those_of_a_published_table(schedule):
    steps = torch.tensor(cases.LEVELS[1:]) + 1
    found = Chain(schedule, 1000).back(steps, steps - 1, NUMBER).deviation.square()
    expected = torch.tensor(PUBLISHED["variances"][schedule], dtype=torch.float64)
    assert torch.allclose(found, expected, rtol=2e-3, atol=0)


def clean(chain, prediction, clip, seen):

    def estimate(z, step):
        x = convert(cases.network(z, step), z, chain.at(step, z), prediction, "x")
        x = x.clamp(-1, 1) if clip else x
        seen.append(x)
        return x

    return estimate


@pytest.mark.parametrize("name", cases.ANCESTRAL)
def test_ancestral_goes_the_published_way(name):
    schedule, prediction, variance, clip = cases.ANCESTRAL[name]
    chain, seen = Chain(schedule, 1000), []
    estimate = clean(chain, prediction, clip, seen)

    def reverse(z, step, to):
        back = chain.back(step, to, z)
        shares = {
            "beta": torch.ones_like(z),
            "beta-tilde": torch.zeros_like(z),
            "learned": (cases.network(z, step, 2)[:, 1:] + 1) / 2,
        }
        return back.mean(estimate(z, step), z), (back.log_variance(shares[variance]) / 2).exp()

    states = torch.stack(list(ancestral(reverse, cases.start(), chain.times(cases.STEPS), cases.noise)))
    expected = PUBLISHED["ancestral"][name]
    close(states[:-1], tensor(expected["states"]))
    close(torch.stack(seen), tensor(expected["pictures"]))
    assert torch.allclose(states[-1], seen[-1])  # no noise on the last step


@pytest.mark.parametrize("name", cases.DDIM)
def test_ddim_goes_the_published_way(name):
    schedule, prediction, eta, clip = cases.DDIM[name]
    chain = Chain(schedule, 1000)
    times = chain.times(cases.STEPS)
    states = list(ddim(clean(chain, prediction, clip, []), cases.start(), chain, times, cases.noise, eta))
    close(torch.stack(states), tensor(PUBLISHED["ddim"][name]["states"]))


# The chain itself.


@EVERY_SCHEDULE
@pytest.mark.parametrize("steps", [100, 1000, 4000])
def test_chains_lead_from_pictures_to_noise(schedule, steps):
    kept = Chain(schedule, steps).kept
    assert kept[0] == 1 and len(kept) == steps + 1
    assert all(a > b > 0 for a, b in pairwise(kept))
    assert kept[-1] < 1e-3
    assert betas(schedule, steps).min() > 0 and betas(schedule, steps).max() <= 0.999


def test_the_linear_schedule_adds_as_much_noise_for_any_number_of_steps():
    thousand, four_thousand = Chain("linear", 1000), Chain("linear", 4000)
    assert four_thousand.kept[2000] == pytest.approx(thousand.kept[500], rel=0.02)


@EVERY_SCHEDULE
@pytest.mark.parametrize(("step", "to"), [(1, 0), (2, 1), (500, 499), (700, 300), (1000, 999), (1000, 0)])
def test_the_way_back_is_bayes_rule(schedule, step, to):
    """q(z_s | z_t, x) is proportional to q(z_t | z_s) q(z_s | x); precisions of Gaussians add up."""
    chain = Chain(schedule, 1000)
    here, there = (chain.at(t, NUMBER) for t in (step, to))
    back = chain.back(step, to, NUMBER)
    ratio = here.alpha / there.alpha
    beta = 1 - ratio**2
    if to == 0:
        assert (back.of_x, back.of_z, back.deviation) == (1, 0, 0)
        assert torch.isfinite(back.log_least)
        return
    precision = ratio**2 / beta + 1 / there.sigma**2
    assert torch.allclose(back.deviation**2, 1 / precision)
    assert torch.allclose(back.of_z, ratio / beta / precision)
    assert torch.allclose(back.of_x, there.alpha / there.sigma**2 / precision)
    assert torch.allclose(back.log_least, 2 * back.deviation.log())
    assert torch.allclose(back.log_most, beta.log())


def test_bounds_of_the_variance_are_those_of_pictures_that_are_known_and_of_noise():
    """p(z_s | z_t) for x ~ N(0, s^2): beta-tilde is right for s = 0, beta for s = 1 (2006.11239, section 3.2)."""
    chain = Chain("cosine", 1000)
    here, back = chain.at(600, NUMBER), chain.back(600, 500, NUMBER)
    for std, share in ((0.0, 0.0), (1.0, 1.0)):
        unknown = std**2 * here.sigma**2 / (here.alpha**2 * std**2 + here.sigma**2)
        exact = back.deviation**2 + back.of_x**2 * unknown
        assert torch.allclose(back.log_variance(torch.full_like(NUMBER, share)).exp().view(1), exact)


def test_velocity_is_that_of_progressive_distillation():
    """v = alpha n - sigma x (2202.00512, appendix D)."""
    chain = Chain("linear", 1000)
    x, n = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    level = chain.at(torch.arange(100, 600, 100), x)
    point = mixed(level, x, n, torch.zeros(5))
    assert torch.allclose(point.target("velocity"), spread(level.alpha, x) * n - spread(level.sigma, x) * x)
    assert torch.allclose(convert(point.target("velocity"), point.z, level, "velocity", "x"), x)


@EVERY_SCHEDULE
def test_a_step_is_found_by_its_noise(schedule):
    chain = Chain(schedule, 1000)
    steps = torch.tensor([1, 2, 77, 500, 998])
    level = chain.at(steps, NUMBER)
    assert torch.allclose(chain.find(level.sigma / level.alpha), steps.double())
    between = chain.find((level.sigma / level.alpha)[2:3] * 1.001)
    assert 77 < between.item() < 78
    assert chain.find(torch.zeros(1, dtype=torch.float64)).item() == 1


def test_steps_are_spread_over_the_chain():
    chain = Chain("linear", 1000)
    assert chain.times(4) == [1000, 750, 500, 250, 0]
    assert chain.times(1) == [1000, 0]
    assert chain.times(1000) == list(range(1000, -1, -1))
    for count in (3, 7, 333, 999):
        times = chain.times(count)
        assert len(times) == count + 1 and all(a > b for a, b in pairwise(times)) and times[-1] == 0
    for count in (0, 1001):
        with pytest.raises(UserError, match="1 to 1000"):
            chain.times(count)


# Gaussian pictures.

STD = 0.4


def posterior(chain, z, step):
    """E[x | z] for x ~ N(0, STD^2)."""
    level = chain.at(step, z)
    return level.alpha * STD**2 / (level.alpha**2 * STD**2 + level.sigma**2) * z


def variances(chain, times, deviation=None, start=1.0):
    """The variance of each state: all is linear in the start and the noises, so each is followed by itself."""
    rows = len(times)
    z = torch.zeros(rows, 1, dtype=torch.float64)
    z[0] = start

    def noise(step):
        one = torch.zeros(rows, 1, dtype=torch.float64)
        one[times.index(step)] = 1
        return one

    def reverse(z, step, to):
        back = chain.back(step, to, z)
        level = chain.at(step, z)
        unknown = STD**2 * level.sigma**2 / (level.alpha**2 * STD**2 + level.sigma**2)
        exact = (back.deviation**2 + back.of_x**2 * unknown).sqrt()
        chosen = {"exact": exact, "beta": (back.log_most / 2).exp(), "beta-tilde": back.deviation}[deviation]
        return back.of_x * posterior(chain, z, step) + back.of_z * z, chosen

    return [state.square().sum().item() for state in ancestral(reverse, z, times, noise)]


@EVERY_SCHEDULE
@pytest.mark.parametrize("deviation", ["beta", "beta-tilde"])
def test_ancestral_sampling_reproduces_the_variance_of_the_pictures(schedule, deviation):
    chain = Chain(schedule, 1000)
    assert variances(chain, chain.times(1000), deviation)[-1] == pytest.approx(STD**2, rel=0.03)


@EVERY_SCHEDULE
@pytest.mark.parametrize("count", [4, 20, 100])
def test_the_right_variance_is_right_for_any_number_of_steps(schedule, count):
    """With p(z_s | z_t) itself every state has the variance of q(z_s), however long the steps are."""
    chain = Chain(schedule, 1000)
    times = chain.times(count)
    levels = [chain.at(step, NUMBER) for step in times]
    expected = [(level.alpha**2 * STD**2 + level.sigma**2).item() for level in levels]
    found = variances(chain, times, "exact", math.sqrt(expected[0]))
    assert found[:-1] == pytest.approx(expected[1:-1], rel=1e-9)


@EVERY_SCHEDULE
def test_ancestral_sampling_reproduces_the_mean(schedule):
    """From any start: after a thousand steps nothing is left of it but its noise."""
    chain, mean = Chain(schedule, 1000), 0.3

    def reverse(z, step, to):
        back = chain.back(step, to, z)
        level = chain.at(step, z)
        return back.mean(mean + posterior(chain, z - level.alpha * mean, step), z), back.deviation

    *_, last = ancestral(reverse, torch.zeros(1, 1, dtype=torch.float64), chain.times(1000), lambda s: NUMBER)
    assert last.item() == pytest.approx(mean, abs=1e-3)


def flow(chain, z):
    """Where the exact flow leads: (z - mean) / std stays what it is."""
    level = chain.at(chain.steps, z)
    return STD * z / (level.alpha**2 * STD**2 + level.sigma**2).sqrt()


@EVERY_SCHEDULE
def test_ddim_is_of_first_order(schedule):
    chain = Chain(schedule, 1000)
    z = torch.linspace(-2, 2, 5, dtype=torch.float64).view(-1, 1)
    errors = []
    for count in (50, 100, 200):
        *_, last = ddim(lambda z, t: posterior(chain, z, t), z, chain, chain.times(count), lambda s: NUMBER)
        errors.append((last - flow(chain, z)).abs().max().item())
    assert errors[-1] < 0.02
    for before, after in pairwise(errors):
        assert math.log2(before / after) == pytest.approx(1, abs=0.15)


def test_ddim_with_all_its_noise_is_ancestral_sampling():
    chain = Chain("cosine", 1000)
    times = chain.times(30)

    def reverse(z, step, to):
        back = chain.back(step, to, z)
        return back.mean(posterior(chain, z, step), z), spread(back.deviation, z)

    one = list(ancestral(reverse, cases.start(), times, cases.noise))
    other = list(ddim(lambda z, t: posterior(chain, z, t), cases.start(), chain, times, cases.noise, eta=1.0))
    assert torch.allclose(torch.stack(one), torch.stack(other), atol=1e-12)


def test_a_state_a_step_and_nothing_in_advance():
    chain, calls = Chain("linear", 1000), []

    def counted(z, step):
        calls.append(step)
        return posterior(chain, z, step)

    states = ddim(counted, cases.start(), chain, chain.times(5), cases.noise)
    next(states)
    assert calls == [1000]
    assert len(list(states)) == 4
    assert calls == [1000, 800, 600, 400, 200]

"""The theory of the game against closed forms: divergences, the best D, the value, best responses."""

import math

import pytest
import torch

from limner.studies.toy import points, quality, theory
from limner.studies.toy.game import GameConfig
from limner.studies.toy.plan import MODELS, configured
from limner.studies.toy.points import PointPack
from limner.studies.toy.training import fresh


def gaussians_jsd(gap: float) -> float:
    """Of N(0, 1) and N(gap, 1), by quadrature with SciPy."""
    from scipy.integrate import quad
    from scipy.stats import norm

    def term(x: float) -> float:
        p, q = norm.pdf(x), norm.pdf(x, gap)
        m = (p + q) / 2
        return (p * math.log(p / m) + q * math.log(q / m)) / 2

    return float(quad(term, -12, 12 + gap)[0])


@pytest.mark.parametrize("gap", [0.0, 0.5, 2.0])
def test_jsd_of_shares_is_that_of_the_densities(gap):
    line = torch.linspace(-8, 8 + gap, 4001, dtype=torch.float64)
    p, q = ((-(line - at).square() / 2).exp() for at in (0.0, gap))
    assert quality.jsd(p / p.sum(), q / q.sum()) == pytest.approx(gaussians_jsd(gap), abs=1e-6)


def test_jsd_at_its_ends():
    p, q = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    assert quality.jsd(p, p) == 0 and quality.jsd(p, q) == pytest.approx(math.log(2))


def shares(seed: int) -> torch.Tensor:
    made = torch.rand(200, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return made / made.sum()


@pytest.mark.parametrize("loss", ["minimax", "non-saturating", "least-squares", "hinge"])
def test_no_d_does_better_than_the_best_one(loss):
    """The loss of the closed form is the loss of the rule itself at the best D, and every other D loses more."""
    from limner.losses.adversarial import LOSSES

    p, q, best = shares(0), shares(1), theory.OPTIMA[loss]
    critic = best.critic(p, q)
    logits = critic.logit() if loss in theory.ENTROPY else critic

    def lost(of: torch.Tensor) -> float:
        # A cell drawn as often as its share says: the loss of one cell beside a fixed one, taken apart again.
        zero = torch.zeros(1, dtype=torch.float64)
        rule = LOSSES[loss].discriminator
        base = float(rule(zero, zero, 0.0))
        alone = float(rule(zero, torch.full((1,), -1e9, dtype=torch.float64), 0.0)) if loss != "least-squares" else 0.5
        real = torch.stack([rule(one[None], zero, 0.0) for one in of]) - (base - alone)
        fake = torch.stack([rule(zero, one[None], 0.0) for one in of]) - alone
        return float(p @ real + q @ fake)

    found = lost(logits)
    assert found == pytest.approx(best.loss(p, q), abs=1e-9)
    for seed in range(5):
        other = logits + 0.3 * (shares(seed + 2) * 200 - 1)
        assert lost(other) >= found - 1e-12


def test_the_value_of_the_best_d_is_the_divergence():
    p, q = shares(0), shares(1)
    assert -theory.OPTIMA["minimax"].loss(p, q) == pytest.approx(-math.log(4) + 2 * quality.jsd(p, q))
    assert -theory.OPTIMA["minimax"].loss(p, p) == pytest.approx(-math.log(4))


@pytest.mark.parametrize("name", points.TARGETS)
def test_a_density_is_that_of_the_samples(name):
    target = points.target(name)
    p = theory.true_shares(target)
    total = target.density(theory.centres(target.dimensions, 4 * theory.CELLS[target.dimensions])).sum()
    cell = (2 * points.REACH / (4 * theory.CELLS[target.dimensions])) ** target.dimensions
    assert float(total * cell) == pytest.approx(1, abs=0.01)
    drawn = quality.histogram(target.sample(200_000, 0), theory.CELLS[target.dimensions]).flatten()
    assert quality.jsd(drawn, p) < 0.006
    assert torch.equal(target.sample(100, 0), target.sample(100, 0))
    assert not torch.equal(target.sample(100, 0), target.sample(100, 1))


def test_points_survive_the_way_through_the_pack():
    target = points.target("ring8")
    pack = PointPack(target, 0, 500)
    from limner.data.pixels import to_float

    assert (to_float(pack.read(pack.train))[..., 0, 0] - target.sample(500, 0, "training")).abs().max() < 2e-5


def test_modes_and_good_points_are_counted():
    target = points.target("ring8")
    assert target.modes is not None
    real = quality.quality(target.sample(4000, 5), target, 0)
    assert real["modes"] == 8 and real["good"] == pytest.approx(0.989, abs=0.01) and real["jsd"] < 1.5 * real["floor"]
    one = target.modes[:1].float().repeat(4000, 1)
    lost = quality.quality(one, target, 0)
    assert lost["modes"] == 1 and lost["good"] == 1.0 and lost["jsd"] > 0.3
    assert quality.quality(torch.full((100, 2), 7.0), target, 0)["good"] == 0


def test_a_trained_d_comes_to_the_best_one():
    """G is the standard normal itself, scaled: its density is known, and so is the best D."""
    target = points.target("gaussian")
    config = configured(target, "gan", None, 400, 0, settings={"width": 16, "critic_width": 32})
    game = fresh(MODELS["gan"], config)
    scale, shift = 0.35, -0.1
    painter = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Unflatten(1, (1, 1, 1)))
    with torch.no_grad():
        painter[0].weight.fill_(scale)
        painter[0].bias.fill_(shift)
    game.painter = painter
    q = theory.made_shares(game, 0, 2**16)
    truth = points.Mixture("g", torch.tensor([[shift]]), scale)
    assert quality.jsd(q, theory.true_shares(truth)) < 0.002
    found = theory.frozen(game, target, config, PointPack(target, 0, 20_000), 400)
    exact = quality.jsd(theory.true_shares(target), theory.true_shares(truth))
    assert found["jsd"] == pytest.approx(exact, abs=0.003)
    assert found["optimum"] == pytest.approx(-math.log(4) + 2 * exact, abs=0.006)
    assert found["value"] == pytest.approx(found["optimum"], abs=0.015) and found["value"] < found["optimum"] + 0.006
    assert found["error"] < 0.04
    first, last = found["pulls"][0], found["pulls"][-1]
    assert first[0] == 0 and last[3] > first[3], "D has learnt"


def test_the_gap_is_wide_where_g_is_far_off():
    target = points.target("gaussian")
    config = configured(target, "gan", None, 10, 0, settings={"width": 16, "critic_width": 32})
    game = fresh(MODELS["gan"], config)
    before = [p.clone() for p in game.parameters()]
    found = theory.gap(game, target, config, PointPack(target, 0, 5000), 200)
    assert found["gap"] == pytest.approx(found["upper"] - found["lower"]) and found["gap"] > 0.2
    assert found["upper"] > -math.log(4), "no G can keep the best D below it"
    assert all(torch.equal(a, b) for a, b in zip(before, game.parameters(), strict=True)), "only copies answer"


def test_the_defaults_go_with_the_scale_of_the_points():
    ring, line = (configured(points.target(name), "gan", None, 10, 0).model for name in ("ring8", "gaussian"))
    assert isinstance(ring, GameConfig) and ring.latent == 2 and line.latent == 1 and line.r1 > 10 * ring.r1

"""Penalties on a critic's slope against closed forms, finite differences and each other."""

import pytest
import torch
from torch import nn

from limner.losses import adversarial
from limner.losses.penalties import between, gradients, off_centre, orthogonal, path_lengths, slopes, squared_slope


def made(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("centre", [0.0, 1.0, 2.5])
def test_a_linear_critic_has_one_slope_everywhere(centre):
    """D(x) = w x: the penalty is (|w| - c)^2, and its gradient 2 (|w| - c) w / |w|."""
    w, x = made(12).requires_grad_(), made(5, 3, 2, 2, seed=1)
    penalty = off_centre(slopes(lambda x: x.flatten(1) @ w, x), centre)
    torch.testing.assert_close(penalty, (w.norm() - centre).square())
    (found,) = torch.autograd.grad(penalty, w)
    torch.testing.assert_close(found, 2 * (w.norm() - centre) * w.detach() / w.norm().detach())


def test_a_quadratic_critic():
    """D(x) = a |x|^2: R1 is E |2 a x|^2, and its derivative by a twice that over a."""
    a, x = torch.tensor(1.5, dtype=torch.float64, requires_grad=True), made(6, 1, 4, 3)
    found = squared_slope(lambda x: a * x.square().flatten(1).sum(1), x)
    wanted = (2 * a.detach() * x).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(torch.autograd.grad(found, a)[0], 2 * wanted / a.detach())


@pytest.mark.parametrize("norm", [nn.Identity(), nn.GroupNorm(1, 4)])
def test_the_penalties_gradient_against_finite_differences(norm):
    network = nn.Sequential(nn.Conv2d(2, 4, 3), norm, nn.Tanh(), nn.Flatten(), nn.Linear(4 * 9, 1)).double()
    x, weight = made(3, 2, 5, 5), network[0].weight

    def penalty(w):
        def critic(x):
            return torch.func.functional_call(network, {"0.weight": w}, (x,)).squeeze(1)

        return off_centre(slopes(critic, x)) + squared_slope(critic, x)

    assert torch.autograd.gradcheck(penalty, (weight.detach().clone().requires_grad_(),))


def test_slopes_are_each_pictures_own():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x = made(4, 3, 2, 2)
    alone = torch.cat([slopes(lambda x: network(x).squeeze(1), one[None]) for one in x])
    torch.testing.assert_close(slopes(lambda x: network(x).squeeze(1), x), alone)


def test_a_flat_critic_does_not_break_the_gradient():
    w = torch.zeros(4, requires_grad=True)
    penalty = off_centre(slopes(lambda x: (x.flatten(1) @ w).relu(), torch.ones(3, 1, 2, 2)))
    assert penalty == 1
    assert torch.isfinite(torch.autograd.grad(penalty, w)[0]).all()


def test_slopes_are_exact_under_autocast():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(8 * 36, 1))
    x = made(4, 1, 8, 8, dtype=torch.float32)

    def critic(x):
        return network(x).squeeze(1)

    def differentiated(penalty):
        return torch.autograd.grad(penalty, [network[0].weight, network[3].weight])

    exact = off_centre(slopes(critic, x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert critic(x).dtype == torch.bfloat16
        assert gradients(critic, x.bfloat16()).dtype == torch.float32
        under = off_centre(slopes(critic, x))
    assert torch.equal(under, exact)
    assert all(torch.equal(a, b) for a, b in zip(differentiated(under), differentiated(exact), strict=True))


def test_path_lengths_of_a_linear_painter():
    """G(z) = A z: every path is |A' y| long, y / sqrt(pixels) being the noise."""
    a, z, y = made(2 * 3 * 5, 7), made(4, 7, seed=1).requires_grad_(), made(4, 2, 3, 5, seed=2)
    lengths = path_lengths((z @ a.T).view(4, 2, 3, 5), z, y)
    torch.testing.assert_close(lengths, (y.flatten(1) @ a).norm(dim=1) / 15**0.5)


def test_path_lengths_of_styles_are_means_over_layers():
    a, w, y = made(3, 12, 7), made(4, 3, 7, seed=1).requires_grad_(), made(4, 1, 3, 4, seed=2)
    pictures = torch.einsum("lpd,bld->bp", a, w).view(4, 1, 3, 4)
    each = torch.einsum("lpd,bp->bld", a, y.flatten(1)) / 12**0.5
    torch.testing.assert_close(path_lengths(pictures, w, y), each.square().sum(2).mean(1).sqrt())


def test_path_lengths_can_be_differentiated():
    a, z, y = made(12, 5).requires_grad_(), made(3, 5, seed=1), made(3, 1, 3, 4, seed=2)

    def penalty(a):
        at = z.clone().requires_grad_()
        return (path_lengths((at @ a.T).tanh().view(3, 1, 3, 4), at, y) - 1.3).square().mean()

    assert torch.autograd.gradcheck(penalty, (a,))


def test_orthogonal_weights_cost_nothing_whatever_their_size():
    rows = torch.linalg.qr(made(6, 4)).Q.T  # four rows at right angles
    assert orthogonal([3 * rows, rows.view(4, 1, 2, 3)]) < 1e-20
    for shape in ((5, 2, 3, 3), (5, 2)):  # few long rows, and more than can be at right angles
        w = made(*shape).requires_grad_()
        products = w.flatten(1) @ w.flatten(1).T
        wanted = sum(products[i, j] ** 2 for i in range(5) for j in range(5) if i != j)
        torch.testing.assert_close(orthogonal([w]), wanted)
        assert torch.autograd.gradcheck(lambda w: orthogonal([w]), (w,))


def test_points_between():
    real, painted = made(3, 1, 2, 2), made(3, 1, 2, 2, seed=1)
    share = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64).view(3, 1, 1, 1)
    points = between(real, painted, share)
    assert torch.equal(points[0], painted[0]) and torch.allclose(points[2], real[2])
    torch.testing.assert_close(points[1], 0.25 * real[1] + 0.75 * painted[1])


def test_opinions_say_what_their_numbers_are():
    real, fake = torch.tensor([300.0, 302.0]), torch.tensor([299.0, 300.0])
    losses = adversarial.LOSSES
    assert losses["wasserstein"].opinion(real, fake) == {"distance": torch.tensor(1.5)}
    pair = losses["relativistic"].opinion(real, fake)["p_pair"]
    torch.testing.assert_close(pair, torch.tensor([1.0, 2.0]).sigmoid().mean())
    assert set(losses["hinge"].opinion(real, fake)) == {"p_real", "p_fake"}
    rough = losses["wasserstein"].opinion(real.bfloat16(), fake.bfloat16())["distance"]
    assert rough.dtype == torch.float32

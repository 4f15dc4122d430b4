"""Spectral normalisation against singular values from a decomposition."""

import copy

import pytest
import torch
from torch import nn

from limner.losses.penalties import squared_slope
from limner.nn.spectral import Spectral, spectral


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return spectral(make())


LAYERS = {
    "linear": lambda: nn.Linear(7, 5),
    "convolution": lambda: nn.Conv2d(3, 6, 3, 2, 1),
    "transposed": lambda: nn.ConvTranspose2d(4, 3, 4, 2, 1),
    "embedding": lambda: nn.Embedding(6, 9),
}


def largest(layer):
    return torch.linalg.matrix_norm(layer.matrix().detach() / layer.sigma().detach(), 2)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_largest_singular_value_is_one(kind):
    layer = seeded(LAYERS[kind]).double()
    for _ in range(100):
        layer.iterate()
    torch.testing.assert_close(largest(layer), torch.tensor(1.0, dtype=torch.float64), atol=1e-6, rtol=0)
    own = layer._parameters["weight"]
    torch.testing.assert_close(layer.weight, own / torch.linalg.matrix_norm(layer.matrix(), 2), atol=1e-6, rtol=0)


def test_it_follows_the_weight():
    """One iteration a pass is enough where the weight moves slowly, and in evaluation nothing moves."""
    layer, x = seeded(LAYERS["linear"]), torch.ones(2, 7)
    target = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    for _ in range(60):
        with torch.no_grad():
            layer._parameters["weight"].lerp_(target, 0.1)
        layer(x)
    assert largest(layer) == pytest.approx(1.0, abs=0.02)
    before, result = layer.u.clone(), layer.eval()(x)
    torch.testing.assert_close(layer(x), result)
    assert torch.equal(layer.u, before)


def test_the_gradient_is_that_of_the_quotient():
    """Eq. 12: dV/dW of V = W / sigma, with u v' as sigma's derivative."""
    layer = seeded(LAYERS["linear"]).double().eval()
    weight, u = layer._parameters["weight"].detach().clone().requires_grad_(), layer.u
    v = torch.nn.functional.normalize(u @ weight.detach(), dim=0)
    x = torch.randn(4, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (wanted,) = torch.autograd.grad((x @ (weight / (u @ weight @ v)).T).square().sum(), weight)
    (found,) = torch.autograd.grad((layer(x) - layer.bias).square().sum(), layer._parameters["weight"])
    torch.testing.assert_close(found, wanted)


def test_passes_before_a_gradient_and_a_penalty():
    """Two passes, then both gradients, one of them of a slope: the second pass must not spoil the first one's graph."""
    network = seeded(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 1)))
    x = torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    first, second = network(x), network(-x)
    loss = first.mean() - second.mean() + squared_slope(lambda x: network(x).squeeze(1), x)
    found = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    assert all(torch.isfinite(g).all() for g in found[:-1])
    assert found[0].norm() > 0 and found[2].norm() > 0


def test_names_stay_and_a_copy_goes_on_alike():
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 1))
    names, weight = set(plain.state_dict()), plain[0].weight
    network = spectral(plain)
    assert set(network.state_dict()) == names | {"0.u", "2.u"}
    assert dict(network.named_parameters())["0.weight"] is weight
    assert isinstance(network[0], nn.Conv2d) and not isinstance(network[1], Spectral)
    other = spectral(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 1)))
    other.load_state_dict(network.state_dict())
    x = torch.ones(2, 1, 5, 5)
    for _ in range(3):
        assert torch.equal(network[0](x), other[0](x))
    assert torch.equal(copy.deepcopy(network)[0](x), network[0](x))


def test_digits_are_kept_under_autocast():
    layer, x = seeded(LAYERS["linear"]).eval(), torch.ones(2, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        under = layer.weight
    assert torch.equal(under, layer.weight)


def test_weights_of_zero_get_a_direction():
    layer = nn.Embedding(4, 3)
    nn.init.zeros_(layer.weight)
    assert spectral(layer)(torch.tensor([1])).norm() > 0


def test_a_normalised_network_compiles():
    """The tracer sees through it: one graph, the same numbers, and the vector moves on."""
    network, other = (seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1))) for _ in range(2))
    compiled = torch.compile(other, backend="aot_eager", fullgraph=True)
    x = torch.ones(3, 6)
    for _ in range(3):
        wanted, found = network(x).sum(), compiled(x).sum()
        torch.testing.assert_close(found, wanted)
        for a, b in zip(network.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(
                torch.autograd.grad(found, b, retain_graph=True), torch.autograd.grad(wanted, a, retain_graph=True)
            )
    torch.testing.assert_close(other[0].u, network[0].u)

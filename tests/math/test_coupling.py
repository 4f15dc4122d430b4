"""The coupling flow: invertible, with the determinant of its Jacobian, and able to learn a density."""

import pytest
import torch

from limner.nn.coupling import CouplingFlow


def flow(size, given=0, layers=4):
    torch.manual_seed(0)
    made = CouplingFlow(size, given, layers, hidden=32).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


@pytest.mark.parametrize("size", [2, 5, 16])
@pytest.mark.parametrize("given", [0, 3])
def test_inverse_and_determinant(size, given):
    made = flow(size, given)
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(6, size, generator=generator, dtype=torch.float64)
    condition = torch.randn(6, given, generator=generator, dtype=torch.float64)
    noise, log_det = made(z, condition)
    assert (noise - z).abs().max() > 0.1
    torch.testing.assert_close(made.inverse(noise, condition), z)
    for row in range(6):
        alone = condition[row : row + 1]
        jacobian = torch.autograd.functional.jacobian(lambda v, c=alone: made(v[None], c)[0][0], z[row])
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, log_det[row])


def test_begins_as_the_identity():
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    noise, log_det = CouplingFlow(4)(z, torch.zeros(3, 0))
    assert torch.equal(noise, z) and not log_det.any()


def test_learns_two_blobs():
    """A density with two modes, which no Gaussian has: samples fall on both and on nothing between them."""
    torch.manual_seed(0)
    made = CouplingFlow(2, layers=4, hidden=32)
    optimiser = torch.optim.Adam(made.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)
    nothing = torch.zeros(256, 0)
    for _ in range(250):
        side = torch.randint(0, 2, (256, 1), generator=generator) * 4.0 - 2.0
        z = torch.cat([side, side], 1) + 0.3 * torch.randn(256, 2, generator=generator)
        noise, log_det = made(z, nothing)
        loss = (noise.square().sum(1) / 2 - log_det).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    drawn = made.inverse(torch.randn(256, 2, generator=generator), nothing)
    assert 80 < (drawn.sum(1) > 0).sum() < 176
    assert (drawn.abs() - 2).abs().lt(1.2).all(1).float().mean() > 0.9

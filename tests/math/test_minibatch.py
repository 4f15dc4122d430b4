"""What a discriminator sees of a picture's neighbours, against the formulas written out."""

import pytest
import torch

from limner.errors import UserError
from limner.nn.minibatch import Deviation, Discrimination


def features(batch=8, width=5, dtype=torch.float64):
    return torch.randn(batch, width, generator=torch.Generator().manual_seed(0), dtype=dtype)


def discrimination(width=5, group=4, kernels=3, size=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Discrimination(width, group, kernels, size).double()


def test_deviation_is_the_mean_over_features_in_each_group():
    x = features()
    found = Deviation(4).double()(x)
    wanted = [x[:4].std(0, unbiased=False).mean()] * 4 + [x[4:].std(0, unbiased=False).mean()] * 4
    torch.testing.assert_close(found, torch.stack(wanted)[:, None], atol=1e-6, rtol=1e-6)


def test_discrimination_is_its_formula():
    x, layer = features(), discrimination()
    found = layer(x)
    m = torch.einsum("nf,fbc->nbc", x, layer.tensor)
    for i in range(8):
        for b in range(3):
            others = [j for j in range(8) if j // 4 == i // 4 and j != i]
            wanted = sum(torch.exp(-(m[i, b] - m[j, b]).abs().sum()) for j in others)
            torch.testing.assert_close(found[i, b], wanted)


@pytest.mark.parametrize("make", [lambda: Deviation(4).double(), discrimination])
def test_a_generator_that_repeats_itself_is_seen(make):
    """Equal pictures stand out from different ones, and groups do not look at each other."""
    layer, x = make(), features()
    same = torch.cat([x[:4], x[:1].expand(4, -1)])
    found, before = layer(same), layer(x)
    torch.testing.assert_close(found[:4], before[:4])
    assert (found[4:] - before[4:]).abs().min() > 0.1


@pytest.mark.parametrize("make", [lambda: Deviation(2).double(), lambda: discrimination(group=2)])
def test_gradients(make):
    layer, x = make(), features(4).requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))


def test_outside_of_training_a_picture_is_judged_alone():
    layer = Deviation(4).double()
    for _ in range(80):
        layer(features())
    usual = layer(features()).mean()
    layer.eval()
    torch.testing.assert_close(layer(features(3)), usual.expand(3, 1).detach(), atol=1e-3, rtol=1e-3)


def test_a_batch_that_has_no_whole_groups_is_refused():
    with pytest.raises(UserError, match="groups of 4 need a multiple"):
        Deviation(4)(features(6))

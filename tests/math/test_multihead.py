"""Attention by name, against the formulas written out."""

import pytest
import torch

from limner.nn.multihead import MultiHead, linear_attention, masked_attention


def made(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MultiHead(8, **options).double()


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_softmax_with_a_mask_and_its_scale(alpha):
    """softmax((Q K^T + alpha M) / sqrt(d)) V."""
    q, k, v, mask = made(2, 5, 4), made(2, 6, 4, seed=1), made(2, 6, 3, seed=2), made(5, 6, seed=3)
    logits = (torch.einsum("btd,bsd->bts", q, k) + alpha * mask) / 4**0.5
    weights = logits.exp() / logits.exp().sum(2, keepdim=True)
    torch.testing.assert_close(masked_attention(q, k, v, mask, alpha), weights @ v)
    plain = (torch.einsum("btd,bsd->bts", q, k) / 4**0.5).softmax(2) @ v
    torch.testing.assert_close(masked_attention(q, k, v), plain)


def test_a_mask_of_minus_infinity_hides():
    q, k, v = made(1, 5, 4), made(1, 5, 4, seed=1), made(1, 5, 3, seed=2)
    mask = torch.full((5, 5), -torch.inf, dtype=torch.float64).triu(1)
    found = masked_attention(q, k, v, mask)
    other = v.clone()
    other[:, 3:] = 9
    torch.testing.assert_close(masked_attention(q, k, other, mask)[:, :3], found[:, :3])
    torch.testing.assert_close(found[:, 0], v[:, 0])


def test_linear_attention_is_its_weights():
    q, k, v = made(2, 5, 4), made(2, 6, 4, seed=1), made(2, 6, 3, seed=2)
    phi = lambda x: torch.where(x > 0, x + 1, x.exp())  # noqa: E731
    weights = torch.einsum("btd,bsd->bts", phi(q), phi(k))
    torch.testing.assert_close(linear_attention(q, k, v), weights / weights.sum(2, keepdim=True) @ v)


@pytest.mark.parametrize("kind", ["softmax", "linear"])
@pytest.mark.parametrize("heads", [1, 4])
def test_heads_look_side_by_side(kind, heads):
    attention, x, mask = layer(heads=heads, kind=kind), made(2, 5, 8), made(5, 5, seed=1)
    q, k, v = (part(x).chunk(heads, 2) for part in (attention.query, attention.key, attention.value))
    each = [
        linear_attention(*one) if kind == "linear" else masked_attention(*one, mask)
        for one in zip(q, k, v, strict=True)
    ]
    wanted = attention.out(torch.cat(each, 2))
    torch.testing.assert_close(attention(x, mask=None if kind == "linear" else mask), wanted)


def test_cross_attention_looks_at_the_other_sequence():
    attention, x, other = layer(heads=2, context=3), made(2, 5, 8), made(2, 7, 3, seed=1)
    found = attention(x, other)
    assert found.shape == (2, 5, 8)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(attention(x, other[:, order]), found)
    assert not torch.equal(attention(x, 2 * other), found)


def test_output_activation():
    plain, cut, x = layer(heads=2), layer(heads=2, activation="relu"), made(2, 5, 8)
    assert (plain(x) < 0).any()
    torch.testing.assert_close(cut(x), plain(x).clamp_min(0))


@pytest.mark.parametrize("kind", ["softmax", "linear"])
def test_gradients(kind):
    attention, x = layer(heads=2, kind=kind), made(1, 3, 8).requires_grad_()
    assert torch.autograd.gradcheck(attention, (x,))

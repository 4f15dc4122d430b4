"""What networks are held to: slopes of a critic at pictures, of pictures along latents, weights at right angles.

A critic is a function from pictures (B, C, H, W) to logits (B,), each a function of its own picture alone. Slopes are
taken in float32 or wider, also under autocast: a derivative of a derivative has no digits to spare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]


def gradients(critic: Critic, pictures: Tensor) -> Tensor:
    """The logits' gradients (B, C, H, W) at `pictures`, with a graph to the critic's weights."""
    with torch.autocast(pictures.device.type, enabled=False):
        at = pictures.detach().to(torch.promote_types(pictures.dtype, torch.float32)).requires_grad_()
        (found,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
    return found


def slopes(critic: Critic, pictures: Tensor) -> Tensor:
    """Euclidean norms (B,) of the logits' gradients."""
    return torch.linalg.vector_norm(gradients(critic, pictures).flatten(1), dim=1)


def off_centre(slopes: Tensor, centre: float = 1.0) -> Tensor:
    """E (slope - centre)^2 of slopes (B,): Gulrajani et al. 2017, eq. 3, for centre 1; Thanh-Tung et al. 2019 for 0."""
    return (slopes - centre).square().mean()


def squared_slope(critic: Critic, pictures: Tensor) -> Tensor:
    """E slope^2: R1 at real pictures, R2 at painted ones, without gamma / 2 (Mescheder et al. 2018, eq. 9 and 10)."""
    return gradients(critic, pictures).square().flatten(1).sum(1).mean()


def path_lengths(pictures: Tensor, at: Tensor, noise: Tensor) -> Tensor:
    """|J' y| (B,), J the Jacobian of pictures (B, C, H, W) by what they were painted from (Karras et al. 2020, eq. 4).

    Args:
        at: (B, D), or (B, L, D) for one style a layer, whose mean over layers is taken; in the graph of `pictures`.
        noise: standard normal y (B, C, H, W), divided here by the root of the number of pixels, so that lengths mean
            the same at any size.
    """
    scaled = noise / (pictures.shape[-1] * pictures.shape[-2]) ** 0.5
    (found,) = torch.autograd.grad((pictures * scaled).sum(), at, create_graph=True)
    return (found.square().sum(-1).flatten(1).mean(1) if found.dim() > 2 else found.square().sum(1)).sqrt()


def orthogonal(weights: Iterable[Tensor]) -> Tensor:
    """Sum of |W W' * (1 - I)|^2 over weights, rows being filters: all at right angles (Brock et al. 2019, eq. 3)."""
    total = torch.zeros(())
    for weight in weights:
        rows = weight.flatten(1)
        # In bfloat16 the small products that are left would be rounding alone.
        with torch.autocast(weight.device.type, enabled=False):
            if len(rows) <= rows.shape[1]:
                products = (rows @ rows.T).square()
                apart = products.sum() - products.diagonal().sum()
            else:  # |W W'| = |W' W|, and of many short rows the second has far fewer products
                apart = (rows.T @ rows).square().sum() - rows.square().sum(1).square().sum()
            total = total.to(weight) + apart
    return total


def between(real: Tensor, painted: Tensor, share: Tensor) -> Tensor:
    """Points (B, C, H, W) on the lines from painted to real pictures; `share` (B, 1, 1, 1) of each is the real one."""
    return painted + share * (real - painted)

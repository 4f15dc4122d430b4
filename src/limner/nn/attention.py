"""Self-attention over the places of a feature map."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.nn.norm import norm

HEAD_CHANNELS = 32

FEW = 512
"""Places up to which a processor is quickest with the whole matrix of weights: in bfloat16 more than twice, at 196."""


class SelfAttention(nn.Module):
    """x + attention(norm(x)) for (B, C, H, W), each place attending to all (1706.03762; queries and keys normalised).

    The last layer starts at zero: at first the block does nothing.
    """

    def __init__(self, channels: int, heads: int | None = None) -> None:
        super().__init__()
        self.heads = heads or max(1, channels // HEAD_CHANNELS)
        assert channels % self.heads == 0, (channels, self.heads)
        self.norm = norm("layer", channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        B, C, H, W = x.shape
        tokens = self.qkv(self.norm(x)).permute(0, 2, 3, 1).reshape(B, H * W, 3, self.heads, C // self.heads)
        q, k, v = tokens.permute(2, 0, 3, 1, 4)  # each (B, heads, H W, C / heads)
        # Unit queries and keys times sqrt(d): logits stay bounded however the weights grow (2010.04245).
        q, k = (F.normalize(part.float(), dim=-1).to(v.dtype) for part in (q, k))
        y = attend(q, k, v, float(C // self.heads) ** 0.5)
        return x + self.out(y.permute(0, 2, 1, 3).reshape(B, H, W, C).permute(0, 3, 1, 2))


class GatedAttention(nn.Module):
    """x + gamma attention(x) for (B, C, H, W), gamma learned from 0 (Zhang et al. 2019, 1805.08318, section 3).

    Queries and keys have an eighth of the channels, values half; keys and values are the largest of each 2x2 places,
    as in the authors' code. Logits are not scaled.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query = nn.Conv2d(channels, narrow, 1, bias=False)
        self.key = nn.Conv2d(channels, narrow, 1, bias=False)
        self.value = nn.Conv2d(channels, half, 1, bias=False)
        self.out = nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def weights(self, x: Tensor) -> Tensor:
        """How much each place looks at each 2x2 places: (B, H W, ceil(H/2) ceil(W/2)), rows of sum 1."""
        q, k = self.query(x).flatten(2), _pooled(self.key(x))
        return (q.transpose(1, 2) @ k).float().softmax(2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        v = _pooled(self.value(x))  # (B, C / 2, places)
        y = v @ self.weights(x).to(v.dtype).transpose(1, 2)  # (B, C / 2, H W)
        return x + self.gamma.to(x.dtype) * self.out(y.unflatten(2, x.shape[2:]))


@contextlib.contextmanager
def watched(network: nn.Module) -> Iterator[list[Tensor]]:
    """Inside, the list grows by what each layer of gated attention looks at when it runs: (B, H, W, h, w)."""
    seen: list[Tensor] = []

    def look(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, GatedAttention)
        height, width = given[0].shape[2:]
        looks = layer.weights(given[0]).unflatten(2, (-(-height // 2), -(-width // 2)))
        seen.append(looks.unflatten(1, (height, width)))

    layers = [layer for layer in network.modules() if isinstance(layer, GatedAttention)]
    held = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        yield seen
    finally:
        for hook in held:
            hook.remove()


def _pooled(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, ceil_mode=True).flatten(2)


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(scale q k^T) v (1706.03762, equation 1); each (B, heads, T, d)."""
    if q.device.type == "cpu" and k.shape[2] <= FEW:
        weights: Tensor = ((scale * q) @ k.mT).softmax(-1)  # (B, heads, T, T)
        return weights @ v
    return F.scaled_dot_product_attention(q, k, v, scale=scale)

"""Attention by name: softmax with a mask and its scale, linear, to itself or to another sequence.

Vaswani et al. 2017, "Attention is all you need", arXiv 1706.03762, section 3.2; Katharopoulos et al. 2020,
"Transformers are RNNs", arXiv 2006.16236.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["none", "relu"]
Kind = Literal["softmax", "linear"]


def masked_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, alpha: float = 1.0) -> Tensor:
    """softmax((q k' + alpha mask) / sqrt(d)) v.

    Args:
        q: (..., T, d). k: (..., S, d). v: (..., S, e).
        mask: added to the logits, broadcast to (..., T, S); -inf hides. alpha: how strongly, more than 0.
    """
    assert alpha > 0, alpha
    added = None if mask is None else (alpha / q.shape[-1] ** 0.5 * mask).to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=added)


def linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """phi(q) (phi(k)' v) / (phi(q) sum of phi(k)), phi(x) = elu(x) + 1: linear in the length (2006.16236, eq. 5, 7).

    Args:
        q: (..., T, d). k: (..., S, d). v: (..., S, e).
    """
    with torch.autocast(q.device.type, enabled=False):  # sums over all places, divided by each other
        wide = torch.promote_types(q.dtype, torch.float32)
        q, k = (F.elu(part.to(wide)) + 1 for part in (q, k))
        found = q @ (k.transpose(-1, -2) @ v.to(wide))
        total = q @ k.sum(-2, keepdim=True).transpose(-1, -2)  # (..., T, 1)
        return (found / total).to(v.dtype)


class MultiHead(nn.Module):
    """Tokens (B, T, W) to (B, T, W): several attentions side by side, joined by a linear layer (section 3.2.2).

    Args:
        width: W. heads: how many; they share the width.
        context: width of the other sequence that is looked at (cross-attention); None for the tokens themselves.
        kind: "softmax", or "linear", which takes no mask. alpha: strength of the mask.
        activation: of what comes out.
    """

    def __init__(
        self,
        width: int,
        heads: int = 1,
        context: int | None = None,
        kind: Kind = "softmax",
        alpha: float = 1.0,
        activation: Activation = "none",
    ) -> None:
        super().__init__()
        assert width % heads == 0 and alpha > 0, (width, heads, alpha)
        self.heads, self.kind, self.alpha, self.activation = heads, kind, alpha, activation
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context or width, width)
        self.value = nn.Linear(context or width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Tokens (B, T, W), what they look at (B, S, C) or themselves, mask broadcast to (B, heads, T, S)."""
        seen = x if context is None else context
        q, k, v = (self._split(part) for part in (self.query(x), self.key(seen), self.value(seen)))
        if self.kind == "linear":
            assert mask is None, "linear attention has no logits that a mask could be added to"
            found = linear_attention(q, k, v)
        else:
            found = masked_attention(q, k, v, mask, self.alpha)
        y: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return y.relu() if self.activation == "relu" else y

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, W / heads)

"""Dropout whose random numbers belong to the turn it runs in, so that a resumed run repeats them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from limner.draws import layer_uniform


class Dropout(nn.Module):
    """Zeroes a share `rate` of the values and scales up the others, in training alone.

    Args:
        rate: share that is dropped, in [0, 1).
        along: dimensions whose places are dropped together: (2, 3) drops whole feature maps of (B, C, H, W).
    """

    def __init__(self, rate: float, along: Sequence[int] = ()) -> None:
        super().__init__()
        assert 0 <= rate < 1, rate
        self.rate, self.along = rate, tuple(along)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        if not self.training or self.rate == 0:
            return x
        like = x.detach()
        for dim in self.along:
            like = like.narrow(dim, 0, 1)
        kept = layer_uniform(like) >= self.rate
        return x * kept.to(x.dtype).div(1 - self.rate)

"""Dropout whose random numbers belong to the turn it runs in, so that a resumed run repeats them."""

from __future__ import annotations

from torch import Tensor, nn

from limner.draws import layer_uniform


class Dropout(nn.Module):
    """Zeroes a share `rate` of the values and scales up the others, in training alone.

    Args:
        rate: share that is dropped, in [0, 1).
        channels: drop whole feature maps (B, C, H, W) rather than single values.
    """

    def __init__(self, rate: float, channels: bool = False) -> None:
        super().__init__()
        assert 0 <= rate < 1, rate
        self.rate, self.channels = rate, channels

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        if not self.training or self.rate == 0:
            return x
        like = x.mean((2, 3), keepdim=True) if self.channels else x
        kept = layer_uniform(like.detach()) >= self.rate
        return x * kept.to(x.dtype).div(1 - self.rate)

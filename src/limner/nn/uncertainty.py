"""How hard each noise level is, learned along: so that none outweighs the others."""

from __future__ import annotations

from torch import Tensor, nn

from limner.nn.embed import sinusoid


class Uncertainty(nn.Module):
    """u(t), the logarithm of the error to be expected at time t, at first 0 (Karras et al. 2024, 2312.02696, (21))."""

    def __init__(self, frequencies: int = 64) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.out = nn.Linear(frequencies, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, time: Tensor) -> Tensor:
        """(B,) in [0, 1] to (B,)."""
        features = sinusoid(time, self.frequencies, longest=100.0, scale=20.0)
        found: Tensor = self.out(features.to(self.out.weight.dtype))[:, 0]
        return found

    def weighted(self, error: Tensor, time: Tensor) -> Tensor:
        """error / exp(u) + u for errors (B,) at times (B,): least where u is the logarithm of the mean error."""
        u = self(time)
        return error * (-u).exp() + u

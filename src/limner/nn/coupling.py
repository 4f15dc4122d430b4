"""An invertible network for vectors, with a density: affine coupling layers (Dinh et al. 2017, RealNVP, 1605.08803)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

REACH = 2.0
"""Bound of the log of a layer's scales: no layer can blow a value up beyond e^2."""


class Coupling(nn.Module):
    """One half of the values scaled and shifted by what the other half and the condition say (eq. 7 and 8)."""

    keep: Tensor
    change: Tensor

    def __init__(self, size: int, given: int, hidden: int, turn: int) -> None:
        super().__init__()
        # Halves are drawn anew for every layer, from a generator of their own, so that all values meet.
        order = torch.randperm(size, generator=torch.Generator().manual_seed(turn))
        self.register_buffer("keep", order[: size - size // 2])
        self.register_buffer("change", order[size - size // 2 :])
        last = nn.Linear(hidden, 2 * len(self.change))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(
            nn.Linear(len(self.keep) + given, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last
        )

    def said(self, z: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """(log scale, shift), (B, D / 2) each, for the half that changes."""
        said = self.network(torch.cat([z[:, self.keep], given], 1)).to(z.dtype)
        log_scale, shift = said.chunk(2, 1)
        return REACH * torch.tanh(log_scale / REACH), shift

    def forward(self, z: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, D) to (changed z, log |det| (B,))."""
        log_scale, shift = self.said(z, given)
        return z.index_copy(1, self.change, (z[:, self.change] + shift) * log_scale.exp()), log_scale.sum(1)

    def inverse(self, z: Tensor, given: Tensor) -> Tensor:
        """What `forward` has changed, changed back."""
        log_scale, shift = self.said(z, given)
        return z.index_copy(1, self.change, z[:, self.change] * (-log_scale).exp() - shift)


class CouplingFlow(nn.Module):
    """A density of vectors (B, size): noise of N(0, 1) through the inverse of `layers` couplings.

    Args:
        size: values of a vector, at least 2. given: values of the condition (B, given); 0 for none.
        layers: couplings. hidden: units of each of their two hidden layers.
    """

    def __init__(self, size: int, given: int = 0, layers: int = 8, hidden: int = 256) -> None:
        super().__init__()
        assert size >= 2, "a coupling needs two halves"
        self.layers = nn.ModuleList(Coupling(size, given, hidden, turn) for turn in range(layers))

    def forward(self, z: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, size) to (noise (B, size), log |det| (B,)): log p(z) is log N(noise) + log |det|."""
        total = z.new_zeros(len(z))
        for layer in self.layers:
            z, change = layer(z, given)
            total = total + change
        return z, total

    def inverse(self, noise: Tensor, given: Tensor) -> Tensor:
        """Noise (B, size) to z (B, size)."""
        for layer in reversed(self.layers):
            assert isinstance(layer, Coupling)
            noise = layer.inverse(noise, given)
        return noise

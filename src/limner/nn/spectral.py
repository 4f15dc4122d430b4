"""Spectral normalisation: layers whose weight has a largest singular value of one.

Miyato et al. 2018, "Spectral normalization for generative adversarial networks", arXiv 1802.05957: the weight is
divided by its largest singular value, which one power iteration at each pass in training follows (algorithm 1).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.nn.wide import wide

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Embedding)
"""Layers that are normalised, and those derived from them."""

FIRST = 15
"""Power iterations before the first pass."""


def spectral(network: nn.Module) -> nn.Module:
    """The same network (or layer), every weight of its `LAYERS` divided by its largest singular value.

    Parameters and their names stay; each normalised layer gets a buffer `u`, its left singular vector. Call it once
    the weights are initialised. A weight of zeros, which has no direction, is drawn from N(0, 1).
    """
    for layer in network.modules():
        if isinstance(layer, LAYERS) and not isinstance(layer, Spectral):
            weight = layer.weight
            if not weight.is_meta and not bool(weight.any()):
                nn.init.normal_(weight)
            changed: Any = layer
            kind: Any = type(layer)
            changed.__class__ = _normalised(kind)
            changed.begin()
    return network


@cache
def _normalised(kind: type[nn.Module]) -> type[nn.Module]:
    return type(f"Spectral{kind.__name__}", (Spectral, kind), {})


class Spectral(nn.Module):
    """A layer's normalised kind: whoever asks for its weight gets W / sigma(W), with a graph to the parameter W."""

    u: Tensor

    def begin(self) -> None:
        """Find the singular vector of the weight as it is."""
        matrix = self.matrix().detach()
        self.register_buffer("u", F.normalize(nn.init.normal_(torch.empty_like(matrix[:, 0])), dim=0))
        for _ in range(FIRST):
            self.iterate()

    def forward(self, *given: Any) -> Tensor:
        """What the layer itself does."""
        if self.training:
            self.iterate()
        result: Tensor = super().forward(*given)
        return result

    @property
    def weight(self) -> Tensor:
        """W / sigma(W), in the shape of W."""
        held: Tensor = self._parameters["weight"]  # type: ignore[assignment]
        return held / self.sigma()

    def sigma(self) -> Tensor:
        """|W' u|: u' W v of algorithm 1, whose derivative by W is u v' as well. A scalar."""
        with wide(self.u):  # in three digits the weights would be scaled up and down by a percent
            # A copy: the next pass moves u on, and this one's gradient is taken later.
            return torch.linalg.vector_norm(self.u.clone() @ self.matrix())

    @torch.no_grad()
    def iterate(self) -> None:
        """One power iteration. Processes that share a batch hold equal weights, and so take equal steps."""
        matrix = self.matrix()  # (out, in)
        with wide(self.u):
            v = F.normalize(self.u @ matrix, dim=0)
            self.u.copy_(F.normalize(matrix @ v, dim=0))

    def matrix(self) -> Tensor:
        """The weight as (out, everything else)."""
        held: Tensor = self._parameters["weight"]  # type: ignore[assignment]
        return (held.transpose(0, 1) if isinstance(self, nn.ConvTranspose2d) else held).flatten(1)

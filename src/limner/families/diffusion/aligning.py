"""Self-alignment: what is known of a noisy picture has to foretell what is known of it with less noise.

Jiang et al. 2025, "No other representation component is needed: diffusion transformers can provide representation
guidance by themselves", 2505.02831, section 3.2: there the teacher is the averaged network, here the network itself,
whose own loss keeps it from knowing nothing.
"""

from __future__ import annotations

from torch import Tensor, nn

from limner.families.diffusion.finish import difference, evened

NEARER = 0.2
"""How much less noise the teacher sees, at most, as a share of the whole way."""


class Foreteller(nn.Sequential):
    """From features (B, W, h, w) of a noisier picture to those of a less noisy one."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Conv2d(width, width, 1), nn.SiLU(), nn.Conv2d(width, width, 1))

    def missed(self, known: Tensor, clearer: Tensor) -> Tensor:
        """How far (B,) the features foretold from `known` are from `clearer`: 0 to 4, 2 of what is unrelated."""
        return difference(evened(self(known)), evened(clearer.detach()))

"""From a latent to a style: the mapping network of style-based generators, and what is done with its styles."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limner.draws import layer_normal, layer_uniform
from limner.nn.equalised import EqualisedLinear, Leaky, unit
from limner.processes import current

RATE = 0.01
"""How much slower than all others a mapping network learns (1812.04948, appendix C)."""

MIXED = 0.9
"""Share of training pictures whose coarse and fine layers have styles of two latents (1812.04948, section 3.1)."""

FOLLOWS = 0.005
"""How far the mean style moves at each pass in training towards the mean of the batch."""


class Mapping(nn.Module):
    """f: latents and what is known of labels to styles (Karras et al. 2019, 1812.04948, section 2)."""

    middle: Tensor

    def __init__(self, latent: int, told: int, style: int, depth: int) -> None:
        super().__init__()
        sizes = [latent + told, *[style] * depth]
        layers: list[nn.Module] = []
        for before, after in zip(sizes, sizes[1:], strict=False):
            layers += [EqualisedLinear(before, after, RATE), Leaky()]
        self.layers = nn.Sequential(*layers)
        self.register_buffer("middle", torch.zeros(style))

    def forward(self, z: Tensor, told: Tensor | None) -> Tensor:
        """(B, latent) and (B, E) to (B, D); both are brought to unit size first."""
        x = unit(z) if told is None else torch.cat([unit(z), unit(told)], 1)
        w: Tensor = self.layers(x)
        if self.training:
            self.follow(w.detach())
        return w

    @torch.no_grad()
    def follow(self, w: Tensor) -> None:
        """Move the mean style towards that of (B, D), and of all processes that share the batch."""
        processes = current()
        mean = processes.total(w.to(self.middle.dtype).mean(0)) / processes.world
        self.middle.lerp_(mean, FOLLOWS)


def mixed(z: Tensor, layers: int) -> tuple[Tensor, Tensor]:
    """Other latents (B, Z), and for each layer whether it takes the style of those: (B, layers, 1) of 0 and 1.

    In a share `MIXED` of the pictures all layers from a random one on do.
    """
    other = layer_normal(z)
    share, place = layer_uniform(z[:, :2].float()).unbind(1)  # each (B,)
    first = 1 + (place * (layers - 1)).floor()  # from the second layer to the last
    first = torch.where(share < MIXED, first, torch.full_like(first, layers))
    return other, (torch.arange(layers, device=z.device) >= first[:, None])[:, :, None].to(z.dtype)


def truncated(styles: Tensor, middle: Tensor, share: float) -> Tensor:
    """middle + share (styles - middle): styles (B, layers, D) nearer to the mean one (1812.04948, section 3.2)."""
    return torch.lerp(middle.to(styles.dtype).expand_as(styles), styles, share)

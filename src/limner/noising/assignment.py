"""Which noise belongs to which picture."""

from __future__ import annotations

import torch
from torch import Tensor

from limner.draws import Draws


def nearest_noise(draws: Draws, pictures: Tensor, candidates: int = 1) -> Tensor:
    """Standard normal noise (B, C, H, W): of `candidates` draws for each picture the one that is most like it.

    Noise and pictures are mixed less, so that there is less for a network to tell apart (Li et al. 2025, "Improved
    immiscible diffusion", 2505.18521, section 3.2, with distances taken as if all noise had one length: the nearest
    would otherwise often be the shortest, and training would see less noise than sampling begins with).
    """
    if candidates == 1:
        return draws.normal("noise", *pictures.shape[1:])
    drawn = draws.normal("noise", candidates, *pictures.shape[1:])  # (B, K, C, H, W)
    likeness = torch.einsum("bkd,bd->bk", drawn.flatten(2), pictures.flatten(1))
    return drawn[torch.arange(len(drawn), device=drawn.device), likeness.argmax(1)]

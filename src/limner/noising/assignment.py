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


def exchanged(noise: Tensor, pictures: Tensor, among: int) -> Tensor:
    """The same noise (B, C, H, W), exchanged among each `among` pictures so that their squared distances are least.

    Optimal transport within a batch (Pooladian et al. 2023, "Multisample flow matching", 2304.14772; Tong et al. 2023,
    2302.00482): lines cross less, and all noise is used, so that training sees what sampling begins with. Labels are
    not looked at; where pictures have some, noise comes to say a little of them, which sampling does not keep to.
    The last group is smaller where B is no multiple of `among`.
    """
    from scipy.optimize import linear_sum_assignment

    found = []
    for near, own in zip(noise.split(among), pictures.split(among), strict=True):
        likeness = own.detach().flatten(1).double() @ near.flatten(1).double().T  # (G, G)
        _, chosen = linear_sum_assignment(likeness.cpu().numpy(), maximize=True)
        found.append(near[torch.as_tensor(chosen, device=near.device)])
    return torch.cat(found)

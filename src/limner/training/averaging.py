"""Averages of the weights over the training: the power-function profile of Karras et al. 2024 (EDM2), section 3."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from limner.api import Generator


def exponent(sigma_rel: float) -> float:
    """gamma of a profile whose width is `sigma_rel` of the training so far (EDM2, appendix C: the cubic's root)."""
    t = sigma_rel**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())


class Average:
    """A second set of weights that trails the trained ones; 0 as width means no average.

    The profile stretches with the training, so nobody has to choose a half-life for a budget.
    """

    def __init__(self, model: Generator, sigma_rel: float) -> None:
        self.gamma = exponent(sigma_rel) if sigma_rel else None
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        trailing = {id(p) for part in model.averaged() for p in part.parameters()} if sigma_rel else set()
        pairs = list(zip(model.parameters(), self.model.parameters(), strict=True))
        self._averaged = [(live, mean) for live, mean in pairs if id(live) in trailing]
        self._copied: list[tuple[Tensor, Tensor]] = [(a, b) for a, b in pairs if id(a) not in trailing]
        self._copied += [(live, mean) for live, mean in zip(model.buffers(), self.model.buffers(), strict=True)]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after the `step`-th step (from 1)."""
        if self.gamma is not None and self._averaged:
            live, mean = (list(side) for side in zip(*self._averaged, strict=True))
            weight = 1.0 - (1.0 - 1.0 / step) ** (self.gamma + 1.0)
            torch._foreach_lerp_(mean, [p.detach() for p in live], weight)
        self.follow()

    @torch.no_grad()
    def follow(self) -> None:
        """Take over what is not averaged; buffers may have changed their size."""
        for source, target in self._copied:
            if target.shape != source.shape:
                target.resize_(source.shape)
            target.copy_(source)

    def state(self) -> dict[str, Tensor]:
        """Tensors by name."""
        return dict(self.model.state_dict())

    def load(self, state: dict[str, Tensor]) -> None:
        """Take `state` over."""
        self.model.load_state_dict(state)

"""What a discriminator sees of a picture's neighbours, so that a generator cannot paint one picture all over again.

Pictures look at each other in groups of neighbours in the batch. A process has whole groups alone, so that none lies
across processes. Outside of training a picture is judged alone, beside what was usual in training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from limner.errors import UserError
from limner.processes import current

MOMENTUM = 0.1


class Minibatch(nn.Module, ABC):
    """Features (B, F) to what can be said of their group, (B, `width`); outside of training its running mean."""

    usual: Tensor

    def __init__(self, width: int, group: int) -> None:
        super().__init__()
        self.width, self.group = width, group
        self.register_buffer("usual", torch.zeros(width))

    @abstractmethod
    def among(self, features: Tensor) -> Tensor:
        """Features (groups, G, F), float32 or wider, to (groups, G, width)."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) to (B, width).

        Raises:
            UserError: a batch that cannot be divided into groups.
        """
        if not self.training:
            return self.usual.to(features).expand(len(features), -1)
        if len(features) % self.group:
            raise UserError(
                f"groups of {self.group} need a multiple of it on each process, and there are {len(features)} "
                f"pictures: choose another --batch, or minibatch_group"
            )
        with torch.autocast(features.device.type, enabled=False):
            wide = features.to(torch.promote_types(features.dtype, torch.float32))
            seen = self.among(wide.unflatten(0, (-1, self.group))).flatten(0, 1)
            with torch.no_grad():
                processes = current()
                mean = processes.total(seen.detach().mean(0)) / processes.world
                self.usual.lerp_(mean.to(self.usual), MOMENTUM)
        return seen.to(features)


class Deviation(Minibatch):
    """The standard deviation in the group, one number: the mean over all features (Karras et al. 2018, section 3)."""

    def __init__(self, group: int = 4) -> None:
        super().__init__(1, group)

    def among(self, features: Tensor) -> Tensor:
        """(groups, G, F) to (groups, G, 1)."""
        spread = (features.var(1, unbiased=False) + 1e-8).sqrt().mean(1)  # (groups,)
        return spread[:, None, None].expand(-1, features.shape[1], 1)


class Discrimination(Minibatch):
    """o(x_i)_b = sum over j of exp(-|M_ib - M_jb|_1), M_i = f(x_i) T (Salimans et al. 2016, section 3.2).

    Args:
        features: F. kernels: B of the paper, the numbers that come out. size: C, the length of each M_ib.
    """

    def __init__(self, features: int, group: int = 4, kernels: int = 32, size: int = 8) -> None:
        super().__init__(kernels, group)
        self.tensor = nn.Parameter(torch.empty(features, kernels, size))
        nn.init.normal_(self.tensor, 0.0, features**-0.5)

    def among(self, features: Tensor) -> Tensor:
        """(groups, G, F) to (groups, G, kernels)."""
        m = torch.einsum("ngf,fbc->ngbc", features, self.tensor.to(features))
        apart = (m[:, :, None] - m[:, None]).abs().sum(-1)  # (groups, G, G, kernels)
        return (-apart).exp().sum(2) - 1  # itself, at no distance, says nothing

"""The processes that share a training: who this one is, and what they say to each other."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from limner.errors import UserError


@dataclass(frozen=True)
class Processes:
    """This process's `rank` among `world`; one process needs no set-up."""

    rank: int = 0
    world: int = 1

    @classmethod
    def join(cls, device: str) -> Processes:
        """The processes that torchrun started, or this one alone."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def slice(self, batch: int) -> tuple[int, int]:
        """(first picture, number of pictures) of this process in the global batch."""
        if batch % self.world:
            raise UserError(f"a global batch of {batch} cannot be shared by {self.world} processes: choose a multiple")
        size = batch // self.world
        return self.rank * size, size

    def mean(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their mean over all processes: one all-reduce of the flattened whole."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        offset = 0
        for t in tensors:
            t.copy_(flat[offset : offset + t.numel()].view_as(t))
            offset += t.numel()

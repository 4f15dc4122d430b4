"""What the launcher of several processes (torchrun) says of this one. Imports nothing slow."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """This process's place among those that were started together.

    Attributes:
        rank, world: its number among all processes, and how many there are.
        local_rank, local_world: the same on this machine.
        restarts, max_restarts: how often the launcher has begun again after a failure, and how often it may.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    restarts: int = 0
    max_restarts: int = 0

    @property
    def first(self) -> bool:
        """Whether this process speaks for all of them."""
        return self.rank == 0


def launch() -> Launch:
    """This process's place; alone where no launcher has started it."""

    def number(name: str, otherwise: int) -> int:
        return int(os.environ.get(name, otherwise))

    return Launch(
        number("RANK", 0),
        number("WORLD_SIZE", 1),
        number("LOCAL_RANK", 0),
        number("LOCAL_WORLD_SIZE", 1),
        number("TORCHELASTIC_RESTART_COUNT", 0),
        number("TORCHELASTIC_MAX_RESTARTS", 0),
    )

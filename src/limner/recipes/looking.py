"""The training of what is fitted in closed form: some looks at every picture, then it is solved."""

from __future__ import annotations

import math

from limner.api import Situation
from limner.config import Training

VALUES = 4_000_000
"""Of a batch's pictures, which are handled in float64."""


def looks(situation: Situation, passes: int | None) -> Training:
    """As large batches as are quick, and so many epochs that each picture is seen `passes` times."""
    room = min(1024, VALUES // math.prod(situation.spec.shape), situation.pictures)
    batch = 1 << max(0, room.bit_length() - 1)  # a power of two, so that processes can share it
    return Training(batch=batch, epochs=float(passes or 1), average=0.0, scores=1)

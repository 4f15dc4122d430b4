"""Whether bfloat16 trains as well as float32 here: the same gradients, and losses that go the same way.

At most five short trainings of eight pictures, in an order that ends as soon as the verdict is clear: gradients after
the first one, losses that agree after the second, and the float32 ones that begin elsewhere until one of them parts as
far.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from limner.training.resolve import Trial

PARITY_COSINE, PARITY_LOSS, PARITY_STEPS = 0.999, 0.02, 50

PARITY_SHARE = 1 / 3
"""Of the time that bfloat16 would save: judging it may take no longer, or it is not used."""

GAIN = 1.05
"""How many times as fast bfloat16 has to be: for less it is not worth being judged."""

SHAKES, ROUNDING = 3, 2.0**-9
"""Trainings in float32 that begin from other weights, and how far theirs lie off: as far as bfloat16 rounds."""

Say = Callable[[str], None]


class TooLong(Exception):
    """There is not the time to judge."""


class Patience:
    """Gives up as soon as it can be foreseen that `allowed` seconds are too short."""

    def __init__(self, allowed: float, say: Say | None) -> None:
        self.allowed, self._say, self._began = allowed, say, time.monotonic()

    def run(self, small: Trial, runs: int = 1) -> float:
        """The mean loss of the later half of some steps, of which so many runs are sure to be needed from here on.

        A loss that is not finite ends the run: nothing better can follow.
        """
        losses: list[float] = []
        began = time.monotonic()
        while len(losses) < PARITY_STEPS:
            losses.append(small.take())
            if not math.isfinite(losses[-1]):
                return math.nan
            gone = time.monotonic() - began
            if len(losses) == 1:
                first = gone  # kernels are chosen and memory is taken: no step is as long again
            whole = first + (gone - first) / max(1, len(losses) - 1) * (PARITY_STEPS - 1)
            if len(losses) == 3 and self._say is not None and runs > 1:
                self._say(f"is bfloat16 as good as float32? About {runs * whole:.0f} s to find out ...")
            if len(losses) > 2 and began - self._began + runs * whole > self.allowed:
                raise TooLong(
                    f"to judge it takes about {began - self._began + runs * whole:.0f} s, and {self.allowed:.0f} s is "
                    "all that may be spent on it, a third of what it would save"
                )
        return float(np.mean(losses[PARITY_STEPS // 2 :]))


def disparity(
    trial: Callable[..., Trial], layout: str, allowed: float = math.inf, say: Say | None = None
) -> str | None:
    """What speaks against bfloat16 here, or None. Raises `TooLong` where `allowed` seconds do not suffice."""
    patience = Patience(allowed, say)
    # Not at the first weights, where a GAN's fakes are one grey: to normalise them is to blow up what was rounded.
    begun = trial("float32", layout, batch=8)
    wanted = patience.run(begun, runs=2)
    exact, rough = (trial(precision, layout).gradients(begun) for precision in ("float32", "bfloat16"))
    cosine = float(torch.nn.functional.cosine_similarity(exact, rough, dim=0))
    if not cosine >= PARITY_COSINE:
        return f"gradient cosine with float32 is {cosine:.4f}"
    got = patience.run(trial("bfloat16", layout, batch=8))
    margin = PARITY_LOSS * abs(wanted)
    # The losses of adversaries part from any small difference, in float32 too: there, its own spread is the measure.
    low = high = wanted
    for shake in range(SHAKES + 1):
        if shake:
            shaken = trial("float32", layout, batch=8)
            shaken.shake(shake)
            other = patience.run(shaken)
            low, high = min(low, other), max(high, other)
        if low - margin <= got <= high + margin:
            return None
        if not math.isfinite(got):
            break
    return f"the loss after {PARITY_STEPS} steps is {got:.4f} against {low:.4f} to {high:.4f}"

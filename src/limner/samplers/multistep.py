"""Solvers that remember what they saw: one look a step, second order and more.

Both follow z_t = (sigma_t / sigma_s) z_s + sigma_t * integral of e^l E[x | z_l] dl over l = log(alpha / sigma) (Lu et
al. 2022, 2211.01095, proposition 4.1); they differ in the polynomial that stands for E[x | z_l].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

Clean = Callable[[Tensor, float], Tensor]
"""E[x | z] of the shape of z (B, ...), at z and one time for all."""

Scale = Callable[[float], tuple[float, float]]
"""(alpha, sigma) at a time."""

Multistep = Callable[[Clean, Tensor, Sequence[float], Scale], Iterator[Tensor]]


@dataclass(frozen=True)
class Step:
    """From z, where the picture was thought to be x, over h in log(alpha / sigma).

    Attributes:
        before: x of the step before, None for the first; it lies `back` h earlier.
        alpha: at the end. kept: sigma at the end over that at the start. drawn: alpha - kept * alpha at the start.
    """

    z: Tensor
    x: Tensor
    before: Tensor | None
    back: float
    h: float
    alpha: float
    kept: float
    drawn: float

    def along(self) -> Tensor:
        """The end where x moves on as it did in the step before (2211.01095, algorithm 2)."""
        x = self.x if self.before is None else self.x + (self.x - self.before) / (2 * self.back)
        return self.kept * self.z + self.drawn * x

    def corrected(self, seen: Tensor, predicted: Tensor) -> Tensor:
        """The end with what was seen there: a parabola through three estimates (2302.04867, theorem 3.1, p = 2).

        From pure noise, where h has no end, what was predicted is kept.
        """
        if math.isinf(self.h):
            return predicted
        # Integrals over u in [0, 1] of h e^(h (u - 1)) u^k, by parts.
        first = 1 + math.expm1(-self.h) / self.h
        second = 1 - 2 * first / self.h
        slope = seen - self.x
        curve: Tensor | float = 0.0
        if self.before is not None:
            curve = (self.before - self.x + self.back * slope) / (self.back * (self.back + 1))
            slope = slope - curve
        return self.kept * self.z + self.drawn * self.x + self.alpha * (first * slope + second * curve)


def dpm_plus_plus(clean: Clean, z: Tensor, times: Sequence[float], scale: Scale) -> Iterator[Tensor]:
    """DPM-Solver++ (2M), second order; a step to sigma = 0 is a first-order one (2211.01095, algorithm 2)."""
    step = None
    for now, then in pairwise(times):
        step = _step(z, clean(z, now), scale(now), scale(then), step)
        z = step.along()
        yield z


def unipc(clean: Clean, z: Tensor, times: Sequence[float], scale: Scale) -> Iterator[Tensor]:
    """UniPC-2, third order: steps as above, each mended by what is seen at its end (Zhao et al. 2023, 2302.04867)."""
    step = None
    for now, then in pairwise(times):
        x = clean(z, now)
        z = z if step is None else step.corrected(x, z)
        step = _step(z, x, scale(now), scale(then), step)
        z = step.along()
        yield z


MULTISTEP: dict[str, Multistep] = {"dpm++": dpm_plus_plus, "unipc": unipc}


def _step(z: Tensor, x: Tensor, here: tuple[float, float], there: tuple[float, float], last: Step | None) -> Step:
    alpha, kept = there[0], there[1] / here[1]
    h = math.log(alpha / here[0] / kept) if here[0] and kept else math.inf
    usable = last is not None and math.isfinite(last.h) and math.isfinite(h)
    before, back = (last.x, last.h / h) if last is not None and usable else (None, 0.0)
    return Step(z, x, before, back, h, alpha, kept, alpha - kept * here[0])

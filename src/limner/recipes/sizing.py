"""How large a network a training has time for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MODERATE = 600.0
"""Seconds that are planned for where no budget is given."""


def widest(widths: Sequence[int], seconds_a_step: Callable[[int], float], budget: float | None, steps: int) -> int:
    """The first of `widths`, widest first, that leaves at least `steps` steps in `budget` seconds; else the last."""
    seconds = budget or MODERATE
    return next((width for width in widths if steps * seconds_a_step(width) <= seconds), widths[-1])

"""Labels as whole numbers: a value's place in a list, or a number between two ends in fixed point.

-1 is unknown in both, which is also the null condition. So whatever batches, hides, remembers or ships labels need not
know which of the two a column holds; what embeds or names them does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from limner.errors import UserError

FINE = 10_000
"""A number's label is 0 at the low end of its range and this at the high one; 16 bits hold it."""

Range = tuple[float, float]


def code_of(name: str, number: float, ends: Range) -> int:
    """The label of a number. Raises `UserError` where it lies beyond the ends."""
    low, high = ends
    if not low <= number <= high:
        raise UserError(f"{name} {number:g} was never seen: ask for {low:g} to {high:g}")
    return round((number - low) / (high - low) * FINE)


def number_of(code: float, ends: Range) -> float:
    """The number that a label stands for."""
    low, high = ends
    return low + (high - low) * code / FINE


class NumberNames(Sequence[str]):
    """What each label of a numeric attribute is called, such as "age=37.5"."""

    def __init__(self, name: str, ends: Range) -> None:
        self.name, self.ends = name, ends

    def __len__(self) -> int:
        return FINE + 1

    @overload
    def __getitem__(self, code: int) -> str: ...
    @overload
    def __getitem__(self, code: slice) -> Sequence[str]: ...
    def __getitem__(self, code: int | slice) -> str | Sequence[str]:
        if isinstance(code, slice):
            return [self[one] for one in range(len(self))[code]]
        return f"{self.name}={number_of(code, self.ends):.4g}"

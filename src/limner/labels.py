"""Labels as whole numbers: a value's place in a list, or a number between two ends in fixed point.

-1 is unknown in both, which is also the null condition. So whatever batches, hides, remembers or ships labels need not
know which of the two a column holds; what embeds or names them does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import msgspec

from limner.errors import UserError, unknown

FINE = 10_000
"""A number's label is 0 at the low end of its range and this at the high one; 16 bits hold it."""

Range = tuple[float, float]

_STEPS = 8  # numbers that stand for a range where values are shown in turn


def code_of(name: str, number: float, ends: Range) -> int:
    """The label of a number. Raises `UserError` where it lies beyond the ends."""
    low, high = ends
    if not low <= number <= high:
        raise UserError(f"{name} {number:g} was never seen: ask for {low:g} to {high:g}")
    return round((number - low) / (high - low) * FINE)


def number_of(code: float, ends: Range) -> float:
    """The number that a label stands for."""
    low, high = ends
    return min(high, low + (high - low) * code / FINE)


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


class Attribute(msgspec.Struct, frozen=True, omit_defaults=True):
    """A labelled property of a picture: one of several values, or a number.

    Attributes:
        values: their names, in the order of their numbers; () for a number.
        range: the least and the greatest number, which are the labels 0 and `FINE`; None for values.
    """

    name: str
    values: tuple[str, ...] = ()
    range: Range | None = None

    @property
    def names(self) -> Sequence[str]:
        """What each label is called."""
        return self.values if self.range is None else NumberNames(self.name, self.range)

    @property
    def in_turn(self) -> tuple[int, ...]:
        """Labels that show the attribute: each value, or numbers from the least to the greatest."""
        if self.range is None:
            return tuple(range(len(self.values)))
        return tuple(round(FINE * step / (_STEPS - 1)) for step in range(_STEPS))

    def label(self, asked: str | float) -> int:
        """The label of a value by its name or place, or of a number. Raises `UserError` for one that is not known."""
        if self.range is not None:
            try:
                number = float(asked)
            except ValueError:
                raise UserError(f"{self.name} {asked!r} is no number: ask for one such as {self.range[1]:g}") from None
            return code_of(self.name, number, self.range)
        if str(asked) in self.values:
            return self.values.index(str(asked))
        if str(asked).isdecimal() and int(asked) < len(self.values):
            return int(asked)
        raise unknown("label", str(asked), self.values)

"""Does a recipe keep the promises that everything else relies on? The contract tests and `limn check` ask the same.

A promise takes a `Subject` and returns nothing, or raises `Broken` with one line that says how it is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from limner.api import Recipe
from limner.check.bench import Broken as Broken
from limner.check.bench import Subject as Subject
from limner.check.promises import PROMISES as PROMISES
from limner.errors import UserError


@dataclass(frozen=True)
class Finding:
    """One promise: whether it was kept, and if not, how that is known."""

    promise: str
    ok: bool
    why: str = ""


def check(recipe: Recipe, size: tuple[int, int] = (16, 16)) -> Iterator[Finding]:
    """Try every promise of a recipe, one after the other; takes a minute or so for a small one."""
    for promise in PROMISES.values():
        said = str(promise.__doc__)
        try:
            promise(Subject(recipe, size))
        except (Broken, UserError) as wrong:
            yield Finding(said, False, str(wrong))
        except Exception as fault:  # a person's own code may raise anything; it is reported, not hidden
            yield Finding(said, False, f"{type(fault).__name__}: {fault}")
        else:
            yield Finding(said, True)

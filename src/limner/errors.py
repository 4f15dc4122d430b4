"""The one error that a person may see, and the hint that goes with a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something that the user can mend: what was wrong, the value that came, what to do. One line."""


class MissingExtra(UserError):
    """An optional library is not installed; names the extra that brings it."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}, which is not installed: pip install 'limner[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str:
    """`` - did you mean 'x'?`` for the closest known name, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" - did you mean {close[0]!r}?" if close else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is in no table: says the nearest and lists what there is."""
    names = sorted(known)
    return UserError(f"unknown {kind} {name!r}{nearest(name, names)} (known: {', '.join(names)})")

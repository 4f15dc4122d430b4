"""Durations, sizes, lists and numbers as people type them."""

from __future__ import annotations

import math
import re

from limner.errors import UserError

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_MOST = 100_000
"""Numbers that a range may hold: more are a slip of the finger, and would fill the memory."""

_SPAN = re.compile(r"(\d+)(?:-(\d+))?")
_SIZE = re.compile(r"(\d+)(?:x(\d+))?")


def duration(text: str | float) -> float:
    """Seconds of "90s", "10m", "1m30s", "2h" or a bare number of seconds. Raises `UserError` for anything else."""
    try:
        seconds = float(text)
    except ValueError:
        compact = str(text).strip().lower().replace(" ", "")
        if not _DURATION.fullmatch(compact):
            raise UserError(f"impossible duration {text!r}: write it like 90s, 10m, 1m30s or 2h") from None
        parts = re.findall(r"([\d.]+)([smhd])", compact)
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise UserError(f"impossible duration {text!r}: it must be longer than nothing")
    return seconds


def in_words(seconds: float) -> str:
    """A duration for people: "4.2s", "1m30s", "2h05m"."""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def size(given: str | int | tuple[int, int] | list[int] | None) -> int | tuple[int, int] | None:
    """Pixels of "32" (a square) or "48x64" (height x width); numbers and pairs are taken as they are."""
    if not isinstance(given, str):
        return (given[0], given[1]) if isinstance(given, list) and len(given) == 2 else given  # type: ignore[return-value]
    found = _SIZE.fullmatch(given.strip().lower())
    if not found:
        raise UserError(f"impossible size {given!r}: write 32, or height x width like 48x64")
    height, width = found.groups()
    return (int(height), int(width)) if width else int(height)


def names(given: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...] | None:
    """ "a,b" or ["a", "b"] as ("a", "b")."""
    if given is None:
        return None
    parts = given.split(",") if isinstance(given, str) else given
    found = tuple(part.strip() for part in parts if part.strip())
    if not found:
        raise UserError(f"impossible list {given!r}: write names with commas between them")
    return found


def numbers(given: str | int | list[int] | tuple[int, ...]) -> list[int]:
    """ "0-3,9" as [0, 1, 2, 3, 9]; a number and lists of them are taken as they are."""
    if not isinstance(given, str):
        return [given] if isinstance(given, int) else list(given)
    found: list[int] = []
    for part in given.split(","):
        span = _SPAN.fullmatch(part.strip())
        first, last = (int(span[1]), int(span[2] or span[1])) if span else (1, 0)
        if last < first:
            raise UserError(f"impossible numbers {given!r}: write them like 0-3,9")
        if last - first >= _MOST:
            raise UserError(f"impossible numbers {given!r}: {last - first + 1:,} of them are too many")
        found += range(first, last + 1)
    return found

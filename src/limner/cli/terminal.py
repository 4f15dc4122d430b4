"""What the command line prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from typing import Any

_EVERY = 10.0
"""Seconds between two lines of progress where standard error is a file."""


class Terminal:
    """Prints for one command.

    Attributes:
        json: the result is one JSON object. quiet: no progress and no remarks. debug: errors come with a traceback.
        mute: another process of the same job speaks.
    """

    def __init__(self, mute: bool = False) -> None:
        self.json = self.debug = False
        self.quiet = self.mute = mute
        self._live = False
        self._task = ""
        self._last = 0.0

    def result(self, values: Any, text: str) -> None:
        """The outcome of the command: `values` with --json, else `text`."""
        if self.mute:
            return
        self.clear()
        shown = json.dumps(_plain(values), indent=2, ensure_ascii=False, default=str) if self.json else text
        sys.stdout.write(shown.rstrip("\n") + "\n")
        sys.stdout.flush()

    def say(self, line: str) -> None:
        """A remark on standard error."""
        if not self.quiet:
            self.clear()
            print(line, file=sys.stderr, flush=True)

    def progress(self, what: str, share: float) -> None:
        """One line that is written over on a terminal, and a line now and then in a log file."""
        if self.quiet:
            return
        now = time.monotonic()
        changed, done = what != self._task, share >= 1
        if sys.stderr.isatty():
            if changed and self._live:
                self.clear()
            if changed or done or now - self._last > 0.1:
                self._draw(what, share)
                self._last = now
        elif changed or now - self._last > _EVERY:
            if not (changed and done):
                print(f"{what}: {share:4.0%}", file=sys.stderr, flush=True)
            self._last = now
        self._task = what

    def counted(self, what: str) -> Any:
        """A callback (done, total) that shows the progress of `what`."""
        return lambda done, total: self.progress(f"{what} ({total:,})", done / max(total, 1))

    def clear(self) -> None:
        """Take the live line away."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._live = False

    def _draw(self, what: str, share: float) -> None:
        width = max(10, min(40, shutil.get_terminal_size().columns - len(what) - 12))
        filled = round(min(share, 1.0) * width)
        sys.stderr.write(f"\r\x1b[K{what} [{'#' * filled}{'.' * (width - filled)}] {share:4.0%}")
        sys.stderr.flush()
        self._live = True


def _plain(values: Any) -> Any:
    """JSON knows no infinity and no "not a number": both become null."""
    if isinstance(values, dict):
        return {key: _plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values

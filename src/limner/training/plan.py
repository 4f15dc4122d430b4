"""The step plan: how far along a step is. Decided by the clock, written down, and from then on read from the log.

Everything that depends on time (learning rates, fade-in, the end) is a function of this log and the step alone, so a
resumed or repeated run that reads the same log does the same arithmetic.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """From `step` on, the training stands at `fraction` and is planned to end at step `total`."""

    step: int
    total: int
    fraction: float


@dataclass
class Plan:
    """A growing list of entries, each in force until the next; kept in `journal.jsonl`."""

    path: Path | None
    entries: list[Entry] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Plan:
        """The plan of a journal; a last line cut off by a kill is dropped."""
        plan = cls(path)
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
            try:
                record = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            if "total" in record:
                plan.entries.append(Entry(record["step"], record["total"], record["fraction"]))
            else:
                plan.notes.update(record)
        if path.exists() and path.stat().st_size != whole:
            os.truncate(path, whole)
        return plan

    def fraction(self, step: int) -> float:
        """Share of the training that is done before `step` is taken; 0 to 1, never falling."""
        return _along(self._in_force(step), step)

    def total(self, step: int) -> int:
        """The step at which the training ends, as planned at `step`."""
        return self._in_force(step).total

    def decided(self, step: int) -> bool:
        """Whether the log already has an entry at or beyond `step`: then it is replayed, not decided again."""
        return any(entry.step >= step for entry in self.entries)

    def decide(self, step: int, total: int, fraction: float | None = None) -> None:
        """Plan the end for step `total` from `step` on. Written to the disk before it is in force."""
        if fraction is None:
            fraction = self.fraction(step) if self.entries else 0.0
        entry = Entry(step, max(total, step), fraction)
        self._append({"step": entry.step, "total": entry.total, "fraction": entry.fraction})
        self.entries.append(entry)

    def note(self, **values: Any) -> None:
        """Write down a decision that is not about the end, once."""
        self._append(values)
        self.notes.update(values)

    def _append(self, record: dict[str, Any]) -> None:
        if self.path is None:
            return
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _in_force(self, step: int) -> Entry:
        found = [entry for entry in self.entries if entry.step <= step]
        assert found, "a plan needs an entry at step 0"
        return found[-1]


def _along(entry: Entry, step: int) -> float:
    if step >= entry.total:
        return 1.0
    return entry.fraction + (1.0 - entry.fraction) * (step - entry.step) / (entry.total - entry.step)

"""Making rows: each exactly once, whoever runs them and however often they are killed."""

from __future__ import annotations

import datetime
import json
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import filelock
import msgspec

from limner import storage
from limner.errors import UserError
from limner.studies.compare.plan import Row

Result = dict[str, Any]
Ending = Literal["made", "there", "busy"]
ROWS, LOCKS = "rows", "locks"


class Stopped(Exception):
    """A row that was interrupted: it goes on when the comparison is run again."""


def path_of(folder: Path, row: Row) -> Path:
    """Where a row's result is, once it is made."""
    return folder / ROWS / f"{row.name}.json"


def result_of(folder: Path, row: Row) -> Result | None:
    """A row's result, or None where there is none yet.

    Raises:
        UserError: the row was another then, and did not fail.
    """
    path = path_of(folder, row)
    if not path.is_file():
        return None
    found: Result = json.loads(path.read_text())
    then, now = (msgspec.to_builtins(msgspec.convert(one, Row)) for one in (found["row"], msgspec.to_builtins(row)))
    beside = {"group", "per_class"} | ({"stamp"} - set(found["row"]))  # results from before stamps have none
    other = [key for key in now if key not in beside and then[key] != now[key]]
    if other and "failed" in found:
        return None
    if other == ["stamp"]:
        raise UserError(f"{row.source} is not what {path} measured any more: choose another --out, or remove that file")
    if other:
        said = "; ".join(f"{key} {then[key]!r} then, {now[key]!r} now" for key in other)
        raise UserError(f"{path} was made otherwise ({said}): ask as you did then, or choose another --out")
    if now["per_class"] and not then["per_class"]:
        found["no_classes"] = "it was measured with --no-per-class: choose another --out for its classes"
    return found


def outcomes(folder: Path, rows: Iterable[Row]) -> list[Result]:
    """The results that there are, in the order of the rows."""
    return [found for row in rows if (found := result_of(folder, row)) is not None]


def unmade(folder: Path, rows: Iterable[Row], again: bool = False) -> list[Row]:
    """The rows without a result, and with `again` those that failed."""
    results = [(row, result_of(folder, row)) for row in rows]
    return [row for row, found in results if found is None or (again and "failed" in found)]


def finish(folder: Path, row: Row, work: Callable[[Row], Result], again: bool = False) -> Ending:
    """Make one row unless it is there or another process is at it; a failure becomes its result.

    Args:
        work: gives the row's result. `UserError` and any fault of a model is a row that says why;
            `Stopped` and `KeyboardInterrupt` leave the row to be gone on with.
        again: a row that failed is made once more.
    """
    lock = folder / LOCKS / f"{row.name}.lock"
    with storage.said_plainly(folder):
        for place in (lock.parent, folder / ROWS):
            place.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(lock, timeout=0):
            if not unmade(folder, [row], again):
                return "there"
            try:
                made = work(row)
            except Stopped:
                raise
            except Exception as error:
                made = {"failed": in_one_line(error), "traceback": traceback.format_exc()}
            write(folder, row, made)
            return "made"
    except filelock.Timeout:
        return "busy"


def write(folder: Path, row: Row, made: Result) -> None:
    """Keep a row's result, whole or not at all."""
    date = datetime.datetime.now().isoformat(" ", "seconds")
    result = {"row": msgspec.to_builtins(row), "date": date, **made}
    storage.write_file(path_of(folder, row), json.dumps(result, indent=1, allow_nan=False) + "\n")


def in_one_line(error: BaseException) -> str:
    """Why it failed: a user's error as it is, any other with its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text[:300]}"


def run_rows(
    folder: Path,
    rows: Sequence[Row],
    make: Callable[[Row], Ending],
    say: Callable[[str], None],
    again: bool = False,
) -> list[Row]:
    """Make all rows that are not made, one after another. Returns those that another process is at."""
    waiting = []
    wanted = unmade(folder, rows, again)
    for number, row in enumerate(wanted, 1):
        say(f"row {number} of {len(wanted)}: {row.name}")
        if make(row) == "busy":
            say(f"{row.name} is being made by another process")
            waiting.append(row)
            continue
        found = result_of(folder, row)
        if found is None:
            raise UserError(f"{row.name} has no result after it was made: is {folder} on a full disk?")
        if "failed" in found:
            say(f"{row.name} failed: {found['failed']}")
    return waiting

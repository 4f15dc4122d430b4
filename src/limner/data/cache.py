"""Where packs live, and how a file or a folder comes to be whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from limner.errors import UserError


def cache_folder() -> Path:
    """The folder named by LIMNER_CACHE, else the user's cache folder."""
    named = os.environ.get("LIMNER_CACHE")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("limner", appauthor=False))


def make_folder(folder: Path) -> Path:
    """Makes `folder`; UserError where that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot write to {str(folder)!r} ({_reason(error)}): choose another place by --out or LIMNER_CACHE"
        ) from error
    return folder


_UNPACKED: ContextVar[set[Path] | None] = ContextVar("unpacked", default=None)
"""What the work at hand has unpacked, or found unpacked."""


def unpacked_place(name: str) -> Path:
    """Where a plain copy of a compressed file lies, until the work that is at hand (`unpacking`) is over."""
    place = make_folder(cache_folder() / "unpacked") / name
    if (known := _UNPACKED.get()) is not None:
        known.add(place)
    return place


@contextmanager
def unpacking() -> Iterator[None]:
    """Work on a set: what was unpacked for it goes with it, whether it was packed or refused.

    Work that is killed or stopped leaves its copies, to be taken up by the next.
    """
    known: set[Path] = set()
    token = _UNPACKED.set(known)
    over = True
    try:
        yield
    except BaseException as error:
        over = isinstance(error, UserError)
        raise
    finally:
        _UNPACKED.reset(token)
        for path in known if over else ():
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flushes every file of a folder and the folder itself to the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def put_in_place(staging: Path, final: Path) -> None:
    """Renames a finished folder to its place; what was there before goes only after the new one is whole."""
    old = final.with_name(f".{final.name}.old")
    if old.exists():
        shutil.rmtree(old)
    if final.exists():
        final.rename(old)
    staging.rename(final)
    if old.exists():
        shutil.rmtree(old)


def check_space(folder: Path, needed: int) -> None:
    """UserError when the disk that holds `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed * 1.02 + (1 << 20):
        raise UserError(
            f"the pack needs {needed / 2**20:,.0f} MiB but only {free / 2**20:,.0f} MiB are free in {str(folder)!r}: "
            "free some space, choose a smaller --size, or another place by --out or LIMNER_CACHE"
        )


@contextmanager
def locked(what: Path) -> Iterator[None]:
    """Holds a lock on a path that dies with its process, so that a set is packed once by whoever comes first."""
    from filelock import FileLock

    name = hashlib.sha256(os.fsencode(what.resolve())).hexdigest()[:24]
    with FileLock(str(make_folder(cache_folder() / "locks") / f"{name}.lock")):
        yield


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)

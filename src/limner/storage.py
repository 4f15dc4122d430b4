"""Files that are whole or not there: written under a temporary name, flushed to the disk, renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from limner.errors import UserError

_TEMPORARY = ".partial"


def write_file(path: Path, content: bytes | str) -> None:
    """Replace `path` with `content`. A full disk or a kill leaves what was there."""
    data = content.encode() if isinstance(content, str) else content
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def whole_file(path: Path, flush: bool = True) -> Iterator[Path]:
    """A temporary path to write; on leaving without an error it becomes `path`.

    Without `flush` a power cut (not a kill) may lose it: for many small files that can be made again.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_TEMPORARY}")
    try:
        with said_plainly(path):
            yield temporary
            if flush:
                _flush(temporary)
            os.replace(temporary, path)
            if flush:
                _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; on leaving without an error it gets a manifest and becomes `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_TEMPORARY}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with said_plainly(path):
            temporary.mkdir(parents=True)
            yield temporary
            write_manifest(temporary)
            for file in temporary.iterdir():
                _flush(file)
            if path.exists():
                shutil.rmtree(path)
            os.replace(temporary, path)
            _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process left half written in `folder`."""
    for path in folder.glob(f".*{_TEMPORARY}"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_manifest(folder: Path) -> None:
    """List every file of `folder` with its size and SHA-256 in manifest.json, which comes last."""
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name != "manifest.json")
    listed = {f.name: {"bytes": f.stat().st_size, "sha256": hash_file(f)} for f in files}
    write_file(folder / "manifest.json", json.dumps(listed, indent=1))


def damage(folder: Path) -> str | None:
    """What is wrong with a folder written by `whole_folder`, or None where every checksum holds."""
    try:
        listed: Mapping[str, Any] = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError):
        return "its manifest is missing or unreadable"
    for name, entry in listed.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != entry["bytes"] or hash_file(file) != entry["sha256"]:
            return f"{name} does not match its checksum"
    return None


def hash_file(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def said_plainly(path: Path) -> Iterator[None]:
    """Turns the errors of a disk that a person can mend into one clear line."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full; free some space and go on with --resume",
            errno.EDQUOT: "the disk quota is used up; free some space and go on with --resume",
            errno.EACCES: "no permission to write there; choose another place with --out",
            errno.EROFS: "the disk is read-only; choose another place with --out",
        }
        if error.errno not in reasons:
            raise
        raise UserError(f"cannot write {path}: {reasons[error.errno]}") from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

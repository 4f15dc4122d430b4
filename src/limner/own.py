"""Code of one's own: a Python file with a recipe, run because its user named it.

Opening a run never runs code that came with it. A file that the user names is remembered by its contents in the cache
folder; a run made with it stores those contents' digest and later finds them there, whatever became of the file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from limner import storage
from limner.data.cache import cache_folder
from limner.errors import UserError

_DIGITS = 24


def load(path: Path) -> ModuleType:
    """Run a file that the user named, and remember it. Raises `UserError` where it cannot be read or run."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    kept = _kept(_digest(source))
    if not kept.is_file():
        with storage.said_plainly(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
        storage.write_file(kept, source)
    return _run(path, source)


def name_of(path: Path, attribute: str) -> str:
    """The name under which a saved config refers to `attribute` of a file: "file.py:attribute@digest"."""
    return f"{path.name}:{attribute}@{_digest(path.read_bytes())}"


def is_own(name: str) -> bool:
    """Whether a saved config's family is code of one's own."""
    return ".py:" in name and "@" in name


def named(name: str) -> Any:
    """What `name_of` named. Raises `UserError` where this user never ran that file."""
    file, source = source_of(name)
    return getattr(_run(Path(file), source), name.partition(":")[2].partition("@")[0])


def source_of(name: str) -> tuple[str, bytes]:
    """(file's own name, contents) of what `name_of` named, to be kept beside what was made with it."""
    file, _, rest = name.partition(":")
    digest = rest.partition("@")[2]
    kept = _kept(digest)
    source = kept.read_bytes() if digest.isalnum() and kept.is_file() else b""
    if _digest(source) != digest:
        raise UserError(
            f"this run was made with code of its own, {file}: read the copy in its folder, then allow it once with "
            f"limn check RUN/{file}"
        )
    return Path(file).name, source


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()[:_DIGITS]


def _kept(digest: str) -> Path:
    return cache_folder() / "own" / f"{digest}.py"


def _run(path: Path, source: bytes) -> ModuleType:
    digest = _digest(source)
    name = f"limner_own_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, _kept(digest))
    assert spec is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module

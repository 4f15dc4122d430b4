"""Which version of the package this is."""

from __future__ import annotations

from functools import cache
from pathlib import Path

NAME = "limner"


@cache
def version() -> str:
    """The version of the source that runs, "unknown" where nothing says it.

    In a checkout that is what its pyproject.toml says, whatever else is installed; elsewhere, what was installed.
    """
    return _of_checkout(Path(__file__).resolve().parents[3]) or _installed() or "unknown"


def _of_checkout(root: Path) -> str | None:
    """What the pyproject.toml in `root` says, where it is this package's own."""
    import tomllib

    file = root / "pyproject.toml"
    if not file.is_file():
        return None
    try:
        project = tomllib.loads(file.read_text()).get("project", {})
    except tomllib.TOMLDecodeError:
        return None  # somebody is at it; the pictures are no worse for it
    found: str | None = project.get("version") if project.get("name") == NAME else None
    return found


def _installed() -> str | None:
    import importlib.metadata  # costs as much as all the rest of the command line

    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return None

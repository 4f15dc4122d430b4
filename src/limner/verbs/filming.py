"""A run's training as a film."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limner.verbs.run import Run, open


def film(run: str | Path | Run, out: str | Path | None = None, *, milliseconds: int = 250) -> dict[str, Any]:
    """Write the sheets that were drawn while a run trained as a film, each under the number of its step.

    Args:
        run: opened, by name, by path, or "latest".
        out: a .gif or an .mp4 (needs PyAV); the run's own training.gif unless given.
        milliseconds: for which each sheet stands.

    Returns:
        The run, how many sheets, and the film's path.

    Raises:
        UserError: fewer than two sheets, another kind of file.
    """
    from limner.pictures import writable
    from limner.studies.film import film as study

    opened = open(run)
    path = writable(out or opened.path / "training.gif")
    sheets = study(opened.folder, path, milliseconds)
    return {"run": str(opened.path), "sheets": sheets, "film": str(path)}

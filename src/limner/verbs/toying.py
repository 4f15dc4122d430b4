"""A generator of points, and its theory, seen."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limner.errors import UserError
from limner.verbs.datasets import Progress

STEPS = 2000


def toy(
    data: str | Path = "gaussian",
    model: str = "gan",
    *,
    out: str | Path,
    loss: str | None = None,
    steps: int = STEPS,
    seed: int = 0,
    show: str | None = None,
    remedy: str | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a small generator of points, film it, and set what theory says beside what is measured.

    Args:
        data: gaussian (of one dimension), ring8, grid25, moons, spiral, checkerboard, or the path of a picture whose
            darkness is the density.
        model: gan, flow, ddpm or edm.
        out: folder of animation.gif (and .mp4 where PyAV is there), report.html and report.json.
        loss: of the gan, such as minimax (the default), non-saturating, hinge, wasserstein.
        show: "collapse" or "vanishing", made to happen. remedy: what is done against it (docs/toy.md lists them).
        settings: options of the model by name, such as {"r1": 0.1}. progress: called while it works.

    Returns:
        The report (docs/toy.md explains it).

    Raises:
        UserError: what was asked for cannot be done, in one line.
    """
    from limner.studies import toy as study

    if steps < 1:
        raise UserError(f"impossible steps {steps!r}: give a number above 0")
    folder = Path(out)
    if folder.is_file():
        raise UserError(f"--out {folder} is a file: choose a folder")
    target = study.target(str(data))
    config = study.configured(target, model, loss, steps, seed, show, remedy, settings)
    words = ["limn", "toy", "--data", _near(data), "--model", model]
    given = {"loss": loss, "show": show, "remedy": remedy}
    words += [word for name, value in given.items() if value is not None for word in (f"--{name}", value)]
    words += ["--steps", str(steps), "--seed", str(seed)]
    words += [word for key, value in (settings or {}).items() for word in ("--set", f"{key}={value}")]
    command = shlex.join([*words, "--out", _near(out)])
    work = study.Study(target, config, command, show, remedy)
    if progress is not None:
        work.progress = progress
    return work.run(folder)


def _near(path: str | Path) -> str:
    """A path from here instead of from the root: a page that is sent away does not tell where it lay."""
    return os.path.relpath(path) if os.path.isabs(path) else str(path)

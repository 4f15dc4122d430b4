"""`limn sample`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from limner.cli.frame import verb
from limner.cli.options import COUNT, POSITIVE, run_names, sampling, sampling_options
from limner.cli.terminal import Terminal


@verb("sample")
@click.argument("run", shell_complete=run_names)
@click.option("-n", "n", type=POSITIVE, default=64, show_default=True, help="How many pictures.")
@click.option("--seed", type=COUNT, default=0, show_default=True, help="Which ones: the same seed, the same pictures.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="One PNG each in this folder.")
@click.option("--grid", type=click.Path(path_type=Path), metavar="FILE", help="All on one sheet, a PNG.")
@click.option("--npz", type=click.Path(path_type=Path), metavar="FILE", help="Arrays x (N, H, W[, C]) and y, as .npz.")
@sampling_options
@click.option("--batch", type=POSITIVE, metavar="N", help="Pictures painted at a time.")
@click.option("--chunk", type=COUNT, default=0, metavar="N", help="32: equal to the bit whatever the batch and n.")
def sample(
    terminal: Terminal, run: str, n: int, seed: int, out: Path | None, grid: Path | None, npz: Path | None, **how: Any
) -> None:
    """Make pictures with RUN: a run's folder, its name in runs/, or latest. Without --out, --grid or --npz they go to a
    folder of their own in the run's."""
    from limner import verbs

    opened = verbs.open(run)
    sampler = opened.sampler(n, seed, **sampling(how))
    if out is None and grid is None and npz is None:
        out = opened.path / "generated" / f"seed-{seed}-{sampler.digest[:6]}"
        grid = out.with_suffix(".png")
    start = time.perf_counter()
    painted = sampler.write(out, grid, npz, terminal.counted("painting"))
    took = time.perf_counter() - start
    if out is not None and painted < n:
        terminal.say(f"{n - painted:,} of {n:,} pictures were there already")
    written = {"out": out, "grid": grid, "npz": npz}
    said = {name: str(path) for name, path in written.items() if path is not None}
    result = {"run": str(opened.path), "n": n, "painted": painted, "seconds": took, **said, **sampler.about}
    terminal.result(result, "\n".join(said.values()))

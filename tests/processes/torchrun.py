"""Starts jobs of several processes for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATHS = [ROOT / "src", ROOT / "tests" / "contract"]


def started(*arguments: str | Path, processes: int = 2, restarts: int = 0, **more: str) -> subprocess.Popen[str]:
    """`torchrun` with this machine's Python; `arguments` are a script's, or begin with -m."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LIMNER_TIMEOUT": "600", "PYTHONFAULTHANDLER": "1", **more}
    environment["PYTHONPATH"] = os.pathsep.join([*map(str, PATHS), environment.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        + [f"--max-restarts={restarts}", "--monitor-interval=0.2", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str | Path, **how: object) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of such a job."""
    job = started(*arguments, **how)  # type: ignore[arg-type]
    out, err = job.communicate()
    return job.returncode, out, err

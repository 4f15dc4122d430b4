"""Rows of the queue, and what is known of each."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec
from benchmarks.common import RESULTS, ROOT, SETS, say

from limner.errors import UserError

ROWS = Path(__file__).with_name("rows.toml")
DONE = RESULTS / "rows"
RUNS = ROOT / "runs" / "queue"
PEERS = ROOT / "benchmarks" / "peers"


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One training with its measurement; the fields are explained at the head of rows.toml."""

    name: str
    data: str
    recipe: str | None = None
    peer: str | None = None
    budget: str
    kind: Literal["screen", "final"]
    ablation: str | None = None
    change: str | None = None
    seed: int = 0
    size: int | None = None
    n: int | None = None
    set: dict[str, Any] = {}
    train: tuple[str, ...] = ()
    eval: tuple[str, ...] = ()
    of: str | None = None

    def __post_init__(self) -> None:
        if (self.recipe is None) == (self.peer is None):
            raise ValueError(f"{self.name} needs a recipe or a peer, and not both")
        if self.peer and not (PEERS / f"{self.peer}.py").is_file():
            raise ValueError(
                f"{self.name} names the peer {self.peer!r}, but there is no benchmarks/peers/{self.peer}.py"
            )
        if (self.ablation is None) != (self.change is None):
            raise ValueError(f"{self.name} belongs to an ablation and has no change, or the other way round")
        if self.peer and (self.set or self.train):
            raise ValueError(f"{self.name} is of a peer: set and train are for recipes")
        if self.of and (self.peer or self.set or self.train):
            raise ValueError(f"{self.name} trains nothing: it measures the run of {self.of}")

    @property
    def run(self) -> Path:
        """Folder of its run; the sheet of samples lies in it."""
        return RUNS / (self.of or self.name)

    @property
    def sheet(self) -> Path:
        """64 samples, for looking at."""
        return self.run / (f"sheet-{self.name}.png" if self.of else "sheet.png")

    def commands(self, sets: str) -> dict[str, list[str]]:
        """What is typed after `limn`, or after `python -m benchmarks.peers.NAME`; `sets` holds the real pictures."""
        data = f"{sets}/{self.data}" if (SETS / self.data).exists() else self.data
        run = str(self.run.relative_to(ROOT))
        many = ["-n", str(self.n)] if self.n else []
        if self.peer:
            size = ["--size", str(self.size)] if self.size else []
            made = ["--out", f"{run}/samples.npz", "--sheet", str(self.sheet.relative_to(ROOT))]
            return {
                "peer": [data, "--seconds", self.budget, "--seed", str(self.seed), *size, *many, *made],
                "eval": ["eval", f"{run}/samples.npz", "--data", data, *size, *many, *self.eval],
            }
        assert self.recipe is not None
        train = ["train", data, "--model", self.recipe, "--budget", self.budget, "--seed", str(self.seed), "--out", run]
        train += ["--size", str(self.size)] if self.size else []
        for key, value in self.set.items():
            train += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
        return {
            "train": [*train, *self.train],
            "sample": ["sample", run, "-n", "64", "--seed", "1", "--grid", str(self.sheet.relative_to(ROOT))],
            "eval": ["eval", run, *many, *self.eval],
        }

    @property
    def result(self) -> dict[str, Any] | None:
        """What came of it, or None where it has not been run to its end."""
        path = DONE / f"{self.name}.json"
        return json.loads(path.read_text()) if path.is_file() else None

    @property
    def state(self) -> Literal["waiting", "begun", "finished", "failed", "changed"]:
        """Where it stands. Changed: it has a result, but of a row that was another then."""
        found = self.result
        if found is None:
            return "begun" if (self.run / "config.json").exists() else "waiting"
        if msgspec.convert(found["row"], Row) != self:
            return "changed"
        return "failed" if "failed" in found else "finished"


def read_rows(path: Path = ROWS) -> list[Row]:
    """The rows of a file. Raises `UserError` for one that is written wrongly."""
    try:
        rows = msgspec.convert(tomllib.loads(path.read_text())["row"], list[Row])
    except (msgspec.ValidationError, tomllib.TOMLDecodeError, KeyError) as error:
        raise UserError(f"{path}: {error}") from None
    names = [row.name for row in rows]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{path}: {', '.join(sorted(twice))} is there twice: give each row a name of its own")
    known = {row.name: (row.data, row.recipe, row.budget, row.seed, row.size) for row in rows if not row.of}
    for row in rows:
        if row.of and known.get(row.of) != (row.data, row.recipe, row.budget, row.seed, row.size):
            raise UserError(f"{path}: {row.name} has to name a row of its own data, recipe, budget, seed and size")
        if row.state == "changed":
            say(f"{row.name} has changed since it was run: give the new row a name of its own")
    return rows

"""A queue of trainings: each row is trained, sampled and measured once, and its result kept.

python -m benchmarks.queue list              what there is and where it stands
python -m benchmarks.queue run [NAME ...]    what is not finished, a row at a time; may be killed at any moment
python -m benchmarks.queue run --again NAME  a failed row once more
python -m benchmarks.queue note NAME TEXT    what is to be seen in a row's pictures, in words
python -m benchmarks.queue write             benchmarks/RESULTS.md from everything that is finished
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import textwrap
from typing import Any

import filelock
import msgspec
from benchmarks.common import ROOT, SETS, commit, record, save, say
from benchmarks.queue.rows import RUNS, Row, read_rows
from benchmarks.report import write

from limner import storage
from limner.errors import UserError, unknown


class Failed(Exception):
    """A row whose command gave up; the message is its last words."""


class Stopped(Exception):
    """A row that was interrupted: it goes on when the queue is run again."""


def run_row(row: Row) -> dict[str, Any]:
    """Train, paint, measure. Raises `Failed` or `Stopped`."""
    return run_peer(row) if row.peer else run_recipe(row)


def run_peer(row: Row) -> dict[str, Any]:
    """Another tool, from its beginning."""
    typed = row.commands(os.path.relpath(SETS, ROOT))
    row.run.mkdir(parents=True, exist_ok=True)
    begun = record(row.seed)
    command = ["-m", f"benchmarks.peers.{row.peer}", *typed["peer"]]
    said = json.loads(called(command, ["python", *command], answer=True).splitlines()[-1])
    measured = json.loads(limn([*typed["eval"], "--json"], answer=True))
    return {
        **begun,
        "command": shlex.join(["python", *command]),
        "row": msgspec.to_builtins(row),
        "finished_at": commit(),
        **said,
        "measured": {key: value for key, value in measured.items() if key != "nearest"},
    }


def run_recipe(row: Row) -> dict[str, Any]:
    """One of ours: the training begins, or goes on where it was interrupted; or another row's is there already."""
    typed = row.commands(os.path.relpath(SETS, ROOT))
    begun = RUNS / f".{row.name}.begun.json"
    if row.of and not (row.run / "status.json").exists():
        raise UserError(f"{row.name} measures the run of {row.of}, which is not here: train that row first")
    if not begun.exists():
        first = typed["eval" if row.of else "train"]
        storage.write_file(begun, json.dumps({**record(row.seed), "command": shlex.join(["limn", *first])}))
    if not row.of:
        resume = ["--resume"] if (row.run / "config.json").exists() else []
        limn([*typed["train"], *resume])
    status = json.loads((row.run / "status.json").read_text())
    if status["state"] != "finished":
        raise Stopped(f"{row.name} stands at step {status['step']:,} ({status['reason']})")
    painted = json.loads(limn([*typed["sample"], "--json"], answer=True))
    measured = json.loads(limn([*typed["eval"], "--json"], answer=True))
    config = json.loads((row.run / "config.json").read_text())
    return {
        **json.loads(begun.read_text()),
        "row": msgspec.to_builtins(row),
        "finished_at": commit(),
        "parameters": config["resolved"]["parameters"],
        "batch": config["train"]["batch"],
        "precision": config["train"]["precision"],
        "steps": status["step"],
        "seconds": status["seconds"],
        "pictures_per_second": status["step"] * config["train"]["batch"] / status["seconds"],
        "painted_per_second": painted["n"] / painted["seconds"],
        "weights": status.get("weights"),
        "held_out": held_out_losses(row),
        "measured": {key: value for key, value in measured.items() if key != "nearest"},
    }


def held_out_losses(row: Row) -> dict[str, float]:
    """The last losses of the averaged weights on held-out pictures; they tell recipes apart before pictures do."""
    lines = (row.run / "metrics.jsonl").read_text().splitlines()
    return next((said["held_out"] for said in map(json.loads, reversed(lines)) if "held_out" in said), {})


def limn(arguments: list[str], answer: bool = False) -> str:
    """One of our commands. Raises `Failed`."""
    return called(["-m", "limner", *arguments], ["limn", *arguments], answer)


def called(arguments: list[str], shown: list[str], answer: bool) -> str:
    """What Python is given; its progress goes through to standard error, its answer is returned. Raises `Failed`."""
    say("$ " + shlex.join(shown))
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        last = ""
        for line in process.stderr:  # results are short: the pipe of standard output holds them
            print(line, end="", file=sys.stderr, flush=True)
            last = line.strip() or last
        out = process.stdout.read()
    if process.returncode < 0:
        raise Stopped(f"{shlex.join(shown[:3])} was ended by signal {-process.returncode}")
    if process.returncode:
        name = shlex.join(shown[:3] if shown[0] == "python" else shown[:2])
        raise Failed(textwrap.shorten(f"{name} (exit {process.returncode}): {last}", 240))
    if not answer:
        say(out.strip())
    return out


def run_all(rows: list[Row], again: bool) -> None:
    """Every row that is not finished, in order; a failed one says why and does not stop the others."""
    RUNS.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(RUNS / ".lock", timeout=0):
            for row in rows:
                if row.state in ("finished", "changed") or (row.state == "failed" and not again):
                    continue
                try:
                    result = run_row(row)
                except Failed as error:
                    say(f"{row.name} failed: {error}")
                    result = {**record(row.seed), "row": msgspec.to_builtins(row), "failed": str(error)}
                save(f"rows/{row.name}", result)
                write(read_rows())
    except filelock.Timeout:
        raise UserError(f"another queue is at work in {RUNS}: one row at a time") from None


def chosen(rows: list[Row], names: list[str]) -> list[Row]:
    """The rows of these names, all without any."""
    known = {row.name: row for row in rows}
    for name in names:
        if name not in known:
            raise unknown("row", name, known)
    return [known[name] for name in names] or rows


def note(row: Row, text: str) -> None:
    """Keep what was seen in a row's pictures with its result."""
    if row.state != "finished" or row.result is None:
        raise UserError(f"{row.name} is {row.state}: there are no pictures to describe")
    save(f"rows/{row.name}", {**row.result, "note": text})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list")
    verbs.add_parser("write")
    run = verbs.add_parser("run")
    run.add_argument("names", nargs="*", metavar="NAME")
    run.add_argument("--again", action="store_true", help="also rows that failed")
    noted = verbs.add_parser("note")
    noted.add_argument("name")
    noted.add_argument("text")
    args = parser.parse_args()
    try:
        rows = read_rows()
        if args.verb == "run":
            run_all(chosen(rows, args.names), args.again)
        elif args.verb == "note":
            note(chosen(rows, [args.name])[0], args.text)
            write(rows)
        elif args.verb == "write":
            print(write(rows))
        else:
            for row in rows:
                print(f"{row.name:24} {row.kind:7} {row.state}")
    except (UserError, Stopped) as error:
        say(f"error: {error}" if isinstance(error, UserError) else str(error))
        sys.exit(2 if isinstance(error, UserError) else 130)


if __name__ == "__main__":
    main()

"""benchmarks/RESULTS.md from what benchmarks/results holds; nothing in it is written by hand."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from benchmarks.common import RESULTS, ROOT
from benchmarks.queue.rows import Row

from limner import storage

PAGE = ROOT / "benchmarks" / "RESULTS.md"
HEAD = """# Results

Made by `python -m benchmarks.queue write` from `benchmarks/results/`; how to repeat them: `benchmarks/README.md`.
A commit with a plus had changes beside it.
"""
COLUMNS = (
    "row | tool | kind | budget | seed | FD | floor | KID | precision | recall | n | "
    "trained/s | painted/s | parameters | commit"
)
PICTURES = """## Pictures

Trained for the budget on the machine named below, then measured by `limn eval`: {n} against pictures that training
never saw, in Limner's own features. Such numbers compare under one protocol, and not with those of other features.
FD, KID: lower is better. The floor is what real pictures score in the samples' place. Brackets: 95 % interval.
A screen is a short run that chooses what a final is worth. Trained/s and painted/s: pictures a second on that machine.
FD grows where fewer pictures are measured (n): compare it with the floor at the same n. A final that is called guided
is the run of another row, painted anew since `flow` and `ddpm` guide a little by themselves and draw labels evenly.
"""


def write(rows: Sequence[Row]) -> Path:
    """Renew RESULTS.md. Returns its path."""
    parts = [HEAD, *_pictures(rows), *_speed()]
    storage.write_file(PAGE, "\n".join(part.strip() + "\n" for part in parts))
    return PAGE


def _pictures(rows: Sequence[Row]) -> list[str]:
    results = [found for row in rows if (found := row.result) is not None]
    done = [(msgspec.convert(found["row"], Row), found) for found in results]  # the row as it was run
    finished = [(row, found) for row, found in done if "failed" not in found]
    parts = []
    tables = _ablations([(row, found) for row, found in finished if row.ablation])
    finished = [(row, found) for row, found in finished if not row.ablation]
    if finished:
        counts = sorted({found["measured"]["n"] for _, found in finished})
        said = "as many samples as given under n" if len(counts) > 1 else f"{counts[0]:,} samples"
        table = _table(
            COLUMNS,
            [_measured(row, found) for row, found in finished],
        )
        parts += [PICTURES.format(n=said), table, *_details(finished)]
    parts += tables
    if failed := [(row, found) for row, found in done if "failed" in found]:
        parts += ["### Failed", "\n".join(f"- `{row.name}`: {found['failed']}" for row, found in failed)]
    return parts


def _ablations(finished: Sequence[tuple[Row, dict[str, Any]]]) -> list[str]:
    """A table for each group, its rows in the order of the file: the same minutes, one thing changed."""
    groups: dict[str, list[tuple[Row, dict[str, Any]]]] = {}
    for row, found in finished:
        groups.setdefault(str(row.ablation), []).append((row, found))
    said = (
        "The same minutes, one thing changed; first rows of one change tell how far seeds differ.\n"
        "A command is that of the commit beside it: what it leaves out was the recipe's at that commit."
    )
    parts = ["## What pays", said]
    for name, members in groups.items():
        cells = [_changed(row, found) for row, found in members]
        head = "change | row | seed | FD | floor | held-out loss | precision | recall | trained/s | parameters | commit"
        parts += [f"### {name}", _table(head, cells), *_details(members)]
    return parts if groups else []


def _changed(row: Row, found: dict[str, Any]) -> list[str]:
    m = found["measured"]
    losses = ", ".join(f"{value:.4f}" for key, value in found.get("held_out", {}).items() if not key.startswith("_"))
    quality = [f"**{m['fd']['value']:.2f}**", f"{m['fd']['floor']:.2f}", losses]
    quality += [f"{m[key]['value']:.3f}" for key in ("precision", "recall")]
    cost = [f"{found['pictures_per_second']:,.0f}", f"{found['parameters']:,}", found["commit"]]
    return [str(row.change), row.name, str(row.seed), *quality, *cost]


def _measured(row: Row, found: dict[str, Any]) -> list[str]:
    m = found["measured"]
    fd = f"**{m['fd']['value']:.3f}** [{m['fd']['low']:.3f}, {m['fd']['high']:.3f}]"
    kid = f"{m['kid']['value']:.4f} [{m['kid']['low']:.4f}, {m['kid']['high']:.4f}]"
    cells = [
        row.name,
        found.get("version", "limner"),
        row.kind,
        row.budget,
        str(row.seed),
        fd,
        f"{m['fd']['floor']:.3f}",
        kid,
    ]
    cells += [f"{m['precision']['value']:.3f}", f"{m['recall']['value']:.3f}", f"{m['n']:,}"]
    painted = f"{found['painted_per_second']:,.1f}" if "painted_per_second" in found else ""
    return [*cells, f"{found['pictures_per_second']:,.0f}", painted, f"{found['parameters']:,}", found["commit"]]


def _details(finished: Sequence[tuple[Row, dict[str, Any]]]) -> list[str]:
    seen = [f"- **{row.name}**: {found['note']}" for row, found in finished if "note" in found]
    parts = ["What is to be seen in them:\n\n" + "\n".join(seen)] if seen else []
    lines = []
    for row, found in finished:
        how = f"{found['steps']:,} steps of {found['batch']} in {found['seconds']:.0f} s, {found['precision']}"
        lines.append(
            f"- {row.name}: `{found['command']}`; {how}; protocol {found['measured']['protocol']}; {_where(found)}"
        )
    return [*parts, "Commands:\n\n" + "\n".join(lines)]


def _speed() -> list[str]:
    found = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    parts = []
    if loading := [found[name] for name in found if name.startswith("loading-")]:
        parts += [
            "## Loading",
            "Shuffled batches of 64 as float tensors, pictures a second, median of the runs.",
            *_loading(loading),
        ]
    if "packing" in found:
        parts += ["## Packing", *_packing(found["packing"])]
    if steps := [found[name] for name in found if name.startswith("step-")]:
        parts += ["## Training steps", *_steps(steps)]
    if "pace" in found:
        parts += ["## Pace", *_pace(found["pace"])]
    if "spoiling" in found:
        parts += ["## Faults named", *_spoiling(found["spoiling"])]
    if "scaling" in found or "two-hosts" in found:
        parts.append("## Several processes")
        parts += _scaling(found["scaling"]) if "scaling" in found else []
        parts += _two_hosts(found["two-hosts"]) if "two-hosts" in found else []
    return parts


def _spoiling(result: dict[str, Any]) -> list[str]:
    names = list(dict.fromkeys(row["data"] for row in result["rows"]))
    cells: dict[str, dict[str, str]] = {}
    for row in result["rows"]:
        said = ", ".join(row["said"])
        cells.setdefault(row["what"], {})[row["data"]] = said if row["right"] else f"**{said}**"
    rows = [[what, *(said.get(name, "") for name in names)] for what, said in cells.items()]
    head = f"What `limn eval` says of sets that were spoilt on purpose: {result['right']} of {result['of']} are named "
    return [head + "rightly, wrong ones are bold.", _table(" | ".join(["", *names]), rows), *_sources([result])]


def _loading(results: Sequence[dict[str, Any]]) -> list[str]:
    ways = list(dict.fromkeys(way for result in results for way in result["pictures_per_second"]))
    rows = [[way, *(f"{r['pictures_per_second'][way]:,.0f}" for r in results)] for way in ways]
    for peer in results[0]["lead"]:
        cells = [f"{r['lead'][peer]['ratio']:.1f}x (target {r['lead'][peer]['target']:g}x)" for r in results]
        rows.append([f"**limner against the best {peer}**", *cells])
    said = "Shuffled batches of 64 as float tensors from the same files: pictures a second, median of the runs."
    return [said, _table(" | ".join(["", *(r["data"] for r in results)]), rows), *_sources(results)]


def _packing(result: dict[str, Any]) -> list[str]:
    rows = []
    for name, case in result["cases"].items():
        seconds = (f"{case['seconds'][who]:.2f}" for who in ("Pillow", "limner"))
        rows.append([name, *seconds, f"{case['ratio']:.2f}x", f"{case['processor_ratio']:.2f}x", f"{case['target']}x"])
    said = f"Seconds for the whole set with {result['processes']} processes; Pillow only decodes, converts and resizes."
    return [said, _table("set | Pillow | limner | ratio | of processor time | target", rows), *_sources([result])]


def _steps(results: Sequence[dict[str, Any]]) -> list[str]:
    ways = list(dict.fromkeys(way for result in results for way in result["ratios"]))
    rows = []
    for r in results:
        cells = [_both(r, way) if way in r["ratios"] else "" for way in ways]
        used = r["resolved"]["way"]
        rows.append([f"{r['recipe']}, {r['data']}", f"{r['pictures_per_second']['tutorial']:,.0f}", *cells, used])
    mean = statistics.geometric_mean(r["ratios"][r["resolved"]["way"]] for r in results)
    said = (
        "Pictures a second of a tutorial's loop, and how many times that Limner reaches; each column adds one thing. "
    )
    said += "In brackets the same of processor time, which the machine's other work moves less."
    busy = statistics.geometric_mean(r["processor_ratios"][r["resolved"]["way"]] for r in results)
    end = f"Geometric mean of what Limner chooses by itself: **{mean:.2f}x**, of processor time {busy:.2f}x "
    end += f"(target {results[0]['target']:g}x)."
    return [said, _table(" | ".join(["", "tutorial", *ways, "chosen"]), rows), end, *_sources(results)]


def _pace(result: dict[str, Any]) -> list[str]:
    said = (
        f"Pictures a second from fresh weights, {result['threads']} threads, all taking turns: the median of "
        f"{result['rounds']} rounds, in brackets the best one. Each trains at its own batch and precision; "
        f"{result['pictures']} pictures are painted in one run. Passes: through the network, for one picture."
    )
    head = "tool | parameters | batch | precision | trained/s | painting | passes | painted/s"
    parts = [said]
    for one in result["sets"].values():
        rows = []
        for name, of in one["of"].items():
            who = name if of["tool"] == "limner" else of["tool"]
            known = [who, f"{of['parameters']:,}", str(of["batch"]), of["precision"], _pair(of["training"], 0)]
            for way, found in of["sampling"].items():
                rows.append([*known, way, str(found["passes"]), _pair(found, 1)])
                known = [""] * len(known)
        parts += [f"### {one['shape']}", _table(head, rows)]
    left = [f"{name} was left out: {why}" for name, why in result["missing"].items()]
    return [*parts, *left, *_sources([result])]


def _pair(found: dict[str, Any], digits: int) -> str:
    return f"{found['median']:,.{digits}f} ({found['best']:,.{digits}f})"


def _scaling(result: dict[str, Any]) -> list[str]:
    world = str(result["processes"])
    rows = []
    for name, one in result["recipes"].items():
        speeds = (f"{one['pictures_per_second'][count]:,.1f}" for count in ("1", world))
        rows.append([name, f"{one['batch_per_process']}", *speeds, f"**{one['gain']:.2f}x**", one["precision"]])
    said = f"Weak scaling: training steps on {result['data']}, pictures a second, one thread for each process."
    head = f"recipe | batch of each process | 1 process | {world} processes | gain | precision"
    return [said, _table(head, rows), *_sources([result])]


def _two_hosts(result: dict[str, Any]) -> list[str]:
    said = (
        f"Two hosts ({result['hosts']}) train together; the second one is killed after the checkpoint at step "
        f"{result['killed_after_checkpoint']} of {result['steps']} and started again. From the kill to the next "
        f"checkpoint: {result['seconds_from_kill_to_next_checkpoint']:.0f} s. The run is {result['state']} at step "
        f"{result['last_step']}; no weight is farther than {result['largest_difference_of_a_weight']:.0e} from those "
        "of one undisturbed process."
    )
    return [said, *_sources([result])]


def _both(result: dict[str, Any], way: str) -> str:
    return f"{result['ratios'][way]:.2f}x ({result['processor_ratios'][way]:.2f}x)"


def _sources(results: Sequence[dict[str, Any]]) -> list[str]:
    return ["\n".join(f"- `{result['command']}`: {_where(result)}" for result in results)]


def _where(result: dict[str, Any]) -> str:
    where = f"seed {result['seed']}, commit {result['commit']}, {result['date']}, torch {result['torch']}"
    return f"{where}, {result['machine']}, load {result['load']} at the end"


def _table(head: str, rows: Sequence[Sequence[str]]) -> str:
    names = head.split(" | ")
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])

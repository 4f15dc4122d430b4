"""`limn models`, `runs`, `doctor`, `check`, `completion`, `version`."""

from __future__ import annotations

from typing import Any

import click

from limner.cli.frame import verb
from limner.cli.options import COUNT, POSITIVE, Size, model_names
from limner.cli.terminal import Terminal
from limner.verbs import ROOT


@verb("models")
@click.argument("name", required=False, shell_complete=model_names)
@click.option("--size", type=Size(), default="32", help="Of the pictures that NAME would be trained on.")
@click.option("--channels", type=click.Choice(["1", "3", "4"]), default="3", help="Of those pictures.")
@click.option("--classes", type=COUNT, default=0, help="Number of their classes.")
@click.option("--pictures", type=POSITIVE, default=10_000, help="How many there are.")
def models(terminal: Terminal, name: str | None, size: Any, channels: str, classes: int, pictures: int) -> None:
    """List the recipes, with family, paper, abilities and measured numbers; or give the whole config of NAME."""
    from limner import verbs

    if name is None:
        found = verbs.models()
        terminal.result(found, "\n\n".join(map(_model, found)))
        return
    described = verbs.describe(name, size, int(channels), classes, pictures)
    config = "\n".join(f"{key} = {value}" for key, value in _leaves(described["config"]))
    terminal.result(described, f"{_model(described)}\n\n{config}")


@verb("runs")
@click.option("--root", default=ROOT, show_default=True, metavar="DIR", help="Where the runs are.")
def runs(terminal: Terminal, root: str) -> None:
    """List the runs, the newest last."""
    from limner import verbs

    found = verbs.list_runs(root)
    terminal.result(found, _table(found) if found else f"no runs in {root}/ yet: make one with limn train DATA")


@verb("doctor")
def doctor(terminal: Terminal) -> None:
    """Measure this machine: what is installed, how fast it computes, how much it holds."""
    from limner import verbs

    terminal.say("measuring ...")
    found = verbs.doctor()
    terminal.result(found, "\n".join(f"{key} = {value}" for key, value in _leaves(found)))


@verb("check")
@click.argument("file", metavar="MY_FILE.PY[:RECIPE]")
@click.option("--size", type=Size(), default="16", help="Of the pictures to try it on.")
def check(terminal: Terminal, file: str, size: Any) -> int:
    """Run the contract tests on the recipes of a Python file. The file is run: check files that you trust."""
    from limner import verbs

    findings = verbs.check_recipe(file, size, terminal.progress)
    lines = []
    for each in findings:
        lines.append(f"{'ok  ' if each['ok'] else 'FAIL'}  {each['recipe']}: {each['promise']}")
        if not each["ok"]:
            lines.append(f"      {each['why']}")
    failed = sum(not each["ok"] for each in findings)
    lines.append(f"{len(findings) - failed} of {len(findings)} promises kept")
    terminal.result(findings, "\n".join(lines))
    return 2 if failed else 0


@verb("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(terminal: Terminal, shell: str) -> None:
    """Print a script that lets SHELL complete limn's commands.

    \b
    bash  eval "$(limn completion bash)"     in ~/.bashrc
    zsh   eval "$(limn completion zsh)"      in ~/.zshrc
    fish  limn completion fish > ~/.config/fish/completions/limn.fish
    """
    from click.shell_completion import get_completion_class

    from limner.cli import limn

    kind = get_completion_class(shell)
    assert kind is not None, "the choice is among those that click knows"
    script = kind(limn, {}, "limn", "_LIMN_COMPLETE").source()
    terminal.result({"shell": shell, "script": script}, script)


@verb("version")
def version(terminal: Terminal) -> None:
    """Print the version."""
    from limner import verbs

    terminal.result({"limner": verbs.version()}, f"limner {verbs.version()}")


def _model(found: dict[str, Any]) -> str:
    default = "  (the default)" if found.get("default") else ""
    lines = [
        f"{found['name']}{default}",
        f"  {found['summary']}",
        f"  paper      {found['paper']}",
        f"  family     {found['family']}" + (f", one of the {found['group']}" if found["group"] else ""),
        f"  abilities  {', '.join(found['abilities']) or 'none beyond sampling'}",
        f"  sampling   {', '.join(found['sampling']) or 'no options'}",
    ]
    for score in found["scores"]:
        lines.append("  measured   " + ", ".join(f"{key} {value}" for key, value in score.items()))
    return "\n".join(lines)


def _leaves(tree: dict[str, Any], start: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += _leaves(value, f"{start}{key}.") if isinstance(value, dict) and value else [(start + key, value)]
    return found


def _table(found: list[dict[str, Any]]) -> str:
    head = ("name", "model", "data", "pictures", "step", "state", "score", "disk", "date")
    rows, faults = [head], []
    for run in found:
        disk = f"{run.get('bytes', 0) / 2**20:,.0f} MiB"
        if run["fault"]:
            rows.append((run["name"], "-", "-", "-", "-", "damaged", "-", disk, run["date"]))
            faults.append(f"{run['name']}: {run['fault']}")
            continue
        data = (run["data"] or "-").rstrip("/").rsplit("/", 1)[-1]
        score = "-" if run["score"] is None else f"{run['score']:.4g}"
        step = f"{run['step']:,}"
        rows.append((run["name"], run["recipe"], data, run["size"], step, run["state"], score, disk, run["date"]))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([line.rstrip() for line in lines] + faults)

"""The files and commands of docs/processes.md are ones that bash and limn know."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from limner.cli import limn

PAGE = (Path(__file__).parents[2] / "docs" / "processes.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
SCRIPTS = [text for kind, text in BLOCKS if kind == "bash"]
LISTED = [re.findall(r"^ +- (\S+)$", text.split(" command:")[1].split(" env:")[0], re.M) for _, text in BLOCKS[-2:-1]]
TYPED = [
    shlex.split(command.replace("\\\n", " "))
    for kind, text in BLOCKS
    if kind in ("", "bash")
    for command in re.findall(r"torchrun (?:.*\\\n)*.*", text)
    if "-m limner" in command
]


def limner_of(words: list[str]) -> list[str]:
    """What follows `-m limner`."""
    return words[words.index("limner") + 1 :]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_batch_script_is_one(script):
    assert "#SBATCH --nodes=2" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("words", [*map(limner_of, TYPED), *map(limner_of, LISTED)], ids=" ".join)
def test_commands_are_ones_that_limn_knows(words):
    verb, *rest = words
    command = limn.get_command(click.Context(limn), verb)
    assert command is not None
    command.make_context(verb, rest, parent=click.Context(limn))


def test_both_files_and_the_four_verbs_are_there():
    assert len(SCRIPTS) == len(LISTED) == 1
    assert {limner_of(words)[0] for words in TYPED} == {"train", "sample", "eval", "data"}

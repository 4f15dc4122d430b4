"""The documentation holds together: links lead somewhere, and both READMEs say the same of the same rows."""

import re
import shlex
from pathlib import Path

import click
import pytest

from limner.cli import limn

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ROWS = [f"F{i}" for i in range(18)] + [f"T{i}" for i in range(1, 17)] + [f"E{i}" for i in range(1, 11)]
STATES = {"works": "可用", "partly": "部分可用", "not yet": "尚无"}


COMMANDS = sorted(
    {
        shlex.join(shlex.split(line, comments=True))
        for page in PAGES
        for line in re.findall(r"^(limn [a-z].*)", page.read_text(), re.MULTILINE)
    }
)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, made as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def states(page: Path, names: dict[str, str]) -> list[tuple[str, str]]:
    """Each table row's id (where it has one) and state."""
    rows = re.findall(r"^\|\s*([FTE]\d+)?\s*\|.*\|\s*([^|]+?)\s*\|$", page.read_text(), re.MULTILINE)
    rows += re.findall(r"^\|\s*()[^|]{3,}\|\s*([^|]+?)\s*\|$", page.read_text(), re.MULTILINE)
    known = {said: state for state, said in names.items()}
    return [(name, known[word]) for name, said in rows if (word := re.split("[:：]", said)[0]) in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}"


def test_every_system_has_its_row_in_both_languages():
    english = states(ROOT / "README.md", {state: state for state in STATES})
    chinese = states(ROOT / "README.zh-CN.md", STATES)
    assert [name for name, _ in english if name] == ROWS
    assert english == chinese


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_ones_that_limn_knows(line):
    """Verbs, options and the number of arguments of each command that a page shows."""
    _, verb, *rest = shlex.split(line)
    command = limn.get_command(click.Context(limn), verb)
    assert command is not None, f"no verb {verb!r}"
    command.make_context(verb, rest, parent=click.Context(limn))

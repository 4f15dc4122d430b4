"""The frame of every command: its common options, its errors in one line, its exit codes.

Exit codes: 0 done; 1 a fault of Limner itself; 2 something that the user can mend; 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import click

from limner.cli.terminal import Terminal
from limner.errors import UserError, unknown
from limner.launch import launch

COMMON = {
    "json": "Give the result as one JSON object.",
    "quiet": "No progress and no remarks.",
    "debug": "Show the traceback of an error.",
}

_MENDABLE = {
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "the disk is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENOENT: "no such file or folder",
    errno.EISDIR: "that is a folder, not a file",
    errno.ENOTDIR: "that is a file, not a folder",
    errno.EEXIST: "there is a file of that name",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "the links go round in a circle",
    errno.EMFILE: "too many open files",
}


class Interrupted(Exception):
    """The user pressed Ctrl-C during a command."""


def _common() -> list[click.Parameter]:
    def remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        terminal = context.ensure_object(Terminal)
        if value:
            setattr(terminal, str(parameter.name), True)

    return [
        click.Option([f"--{name}"], is_flag=True, expose_value=False, callback=remember, help=text)
        for name, text in COMMON.items()
    ]


class Verb(click.Command):
    """A command that takes --json, --quiet and --debug."""

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self.params += _common()

    def invoke(self, context: click.Context) -> Any:
        """Run the body; Ctrl-C ends it with one line."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            raise Interrupted from None


class Verbs(click.Group):
    """The command `limn`. Its verbs are imported when they are asked for.

    Args:
        homes: verb to ("module:function", what it does in a few words).
    """

    def __init__(self, *args: Any, homes: dict[str, tuple[str, str]], **values: Any) -> None:
        super().__init__(*args, **values)
        self.params += _common()
        self._homes = homes

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of the table, which is the order in which a newcomer needs them."""
        return list(self._homes)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The verb of that name."""
        if name not in self._homes:
            return None
        module, _, function = self._homes[name][0].partition(":")
        command: click.Command = getattr(import_module(module), function)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs with their few words, without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, words) for name, (_, words) in self._homes.items()])

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but an unknown verb names the nearest one."""
        if args and args[0] not in self._homes:
            raise unknown("verb", args[0], self._homes)
        return super().resolve_command(context, args)


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a command line; prints at most one line about an error. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    terminal = Terminal(mute=not launch().first)
    try:
        code = command.main(arguments, prog_name="limn", standalone_mode=False, obj=terminal)
        return code if isinstance(code, int) else 0
    except (Interrupted, click.Abort):
        return _fail(terminal, "interrupted", 130, "limn: ")
    except click.ClickException as error:
        return _fail(terminal, _of_click(error), 2)
    except UserError as error:
        return _fail(terminal, str(error), 2)
    except OSError as error:
        if error.errno not in _MENDABLE:
            return _fail(terminal, _internal(error, arguments), 1)
        where = f": {error.filename}" if error.filename else ""
        return _fail(terminal, f"{_MENDABLE[error.errno]}{where}", 2)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "not enough memory" in str(error) or "out of memory" in str(error):
            return _fail(terminal, "out of memory: take a smaller --batch or --size", 2)
        return _fail(terminal, _internal(error, arguments), 1)
    except Exception as error:
        return _fail(terminal, _internal(error, arguments), 1)


def _fail(terminal: Terminal, message: str, code: int, start: str = "limn: error: ") -> int:
    place = launch()
    if not place.first:
        start = f"limn: process {place.rank} of {place.world}: " + start.removeprefix("limn: ")
    terminal.clear()
    if terminal.debug:
        traceback.print_exc()
    print(start + " ".join(message.split()), file=sys.stderr, flush=True)
    return code


def _of_click(error: click.ClickException) -> str:
    verb = getattr(getattr(error, "ctx", None), "command_path", "limn")
    return f"{error.format_message().rstrip('.')} (see {verb} --help)"


def _internal(error: BaseException, arguments: Sequence[str]) -> str:
    again = "" if "--debug" in arguments else "; --debug shows where"
    return f"{type(error).__name__}: {error} - this is a fault of Limner's{again}"


def verb(name: str, **values: Any) -> Callable[[Callable[..., Any]], Verb]:
    """Decorator: a function that takes the terminal first, then its parameters, as a verb."""

    def wrap(function: Callable[..., Any]) -> Verb:
        made: Verb = click.command(name, cls=Verb, **values)(click.pass_obj(function))
        return made

    return wrap

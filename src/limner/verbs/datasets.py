"""Pictures in: what is in a set, and the set packed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import UserError
from limner.launch import launch
from limner.verbs import units

if TYPE_CHECKING:
    from limner.config import Config
    from limner.crew import Crew
    from limner.data import DataOptions, Pack, Report

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


def options_of(values: dict[str, Any]) -> DataOptions:
    """`DataOptions` of values as people give them: sizes like "48x64", lists like "a,b". None is the default.

    `data_seed` is `seed`, by the name that tells it from a training's.
    """
    from limner.config import convert
    from limner.data import DataOptions

    given = {key: value for key, value in values.items() if value is not None}
    if "data_seed" in given:
        given["seed"] = given.pop("data_seed")
    if "size" in given:
        given["size"] = units.size(given["size"])
    if "classes" in given:
        given["classes"] = units.names(given["classes"])
    made: DataOptions = convert(given, DataOptions, "data")  # type: ignore[arg-type]
    return made


def scan(data: str | Path, progress: Progress | None = None, **options: Any) -> Report:
    """What is in a set of pictures, before anything is packed or trained.

    Args:
        data: a folder, an archive, a parquet, idx, .npz or .npy file, a pattern or address of shards, or a built-in set
            such as `digits`.
        progress: called with what is being done and its share.
        options: `size`, `crop`, `alpha`, `channels`, `depth`, `labels`, `captions`, `classes`, `split`, `limit`,
            `longtail`, `seed` (or `data_seed`), and of streams `stream`, `head`, `buffer`, as in
            `limner.data.DataOptions`.
    """
    from limner import data as sets

    return sets.scan(data, options_of(options), _told(progress))


def pack(data: str | Path, out: str | Path | None = None, progress: Progress | None = None, **options: Any) -> Pack:
    """A set of pictures packed for training, or as it was packed before; arguments as for `scan`.

    Of several processes all decode; where they do not see one disk, each machine packs for itself.

    Args:
        out: folder of the pack; by default one in the cache.
    """
    from limner import data as sets

    wanted = options_of(options)
    if launch().world == 1:
        return sets.pack(data, wanted, out, _told(progress))
    return _packed_together(lambda crew: sets.pack(data, wanted, out, _told(progress), crew=crew))


def _packed_together(work: Callable[[Crew | None], Pack]) -> Pack:
    """The same pack on all processes."""
    from limner.crew import Crew
    from limner.data.pool import help_with_parts
    from limner.processes import Processes

    processes = Processes.join()
    crew = Crew(processes, {"parts": help_with_parts})
    if crew.leads:
        packed = work(crew)
        crew.dismiss(packed.id)
        return packed
    wanted = crew.follow()
    packed = work(None)
    if packed.id != wanted:
        raise UserError(
            f"process {processes.rank} finds other pictures than the first process (pack {packed.id}, not {wanted}): "
            "give all machines the same data"
        )
    return packed


def report_of(packed: Pack) -> Report:
    """What the scan found when a set was packed."""
    from limner.data import Report

    return Report(packed.report)


def pack_of_run(config: Config, progress: Progress | None = None) -> Pack:
    """The very pictures that a run was trained on. Raises `UserError` where they are gone or have changed."""
    from limner.data.packed import is_pack, open_pack

    trained = config.data
    if trained is None:
        raise UserError("this run does not know its data: name it with --data DATA")
    if is_pack(Path(trained.pack)):
        there = open_pack(trained.pack)
        if there.id == trained.id:
            return there
    found = pack(trained.source, progress=progress, **trained.options)
    if found.id != trained.id:
        raise UserError(
            f"{trained.source} has changed since this run began: bring back what it was, or begin a new run"
        )
    return found


def changed(options: DataOptions) -> dict[str, Any]:
    """Options that differ from the default, as plain values."""
    import msgspec

    values, defaults = msgspec.to_builtins(options), msgspec.to_builtins(type(options)())
    return {key: value for key, value in values.items() if value != defaults[key]}


def named(data: str | Path) -> str:
    """The name under which a run remembers a set: a built-in one or an address as it is, a path from the root."""
    from limner.data.sources import BUILT_IN
    from limner.data.sources.shards import is_address

    if str(data).partition(":")[0] in (*BUILT_IN, "hf") or is_address(str(data)):
        return str(data)
    return str(Path(data).expanduser().resolve())


def counted(progress: Progress | None, n: int) -> Callable[[int, int], None] | None:
    """What a sampler of n pictures calls with (done, total)."""
    if progress is None:
        return None
    say = progress
    return lambda done, total: say(f"making {n:,} pictures", done / max(total, 1))


def _told(progress: Progress | None) -> Callable[[int, int, str], None] | None:
    if progress is None:
        return None
    say = progress
    return lambda done, total, what: say(what, done / max(total, 1))

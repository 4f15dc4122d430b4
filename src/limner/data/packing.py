"""Scan and pack: one pass that decodes, describes and writes; whole or not at all, and never twice."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from limner.data import plan as planning
from limner.data.cache import cache_folder, check_space, locked, make_folder, put_in_place, sync_folder, unpacking
from limner.data.columns import LabelColumn, label_columns
from limner.data.finish import clear_work, finish
from limner.data.options import DataOptions
from limner.data.packed import FORMAT, MANIFEST, Manifest, Pack, is_pack, open_pack
from limner.data.part import RECORD, WORK_PIXELS, decodes, process
from limner.data.plan import Peek, Plan
from limner.data.pool import BreachFound, Progress, run_parts
from limner.data.report import Report
from limner.data.selection import narrowed, of_combinations, select
from limner.data.sources import find, open_reader, prepared
from limner.data.sources.base import Found, Payload, Source, stamp_of
from limner.data.worker import Job
from limner.errors import UserError
from limner.storage import write_file

if TYPE_CHECKING:  # it brings torch, which is slow to come
    from limner.crew import Crew

PEEKS, CLUSTER = 64, 8
_DEFAULT = DataOptions()


@dataclass(frozen=True)
class Wanted:
    """A source, the rows of it that are wanted, and their labels."""

    source: Source
    options: DataOptions
    rows: np.ndarray
    labels: dict[str, LabelColumn]
    key: str


@unpacking()
def pack(
    data: str | Path,
    options: DataOptions | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    crew: Crew | None = None,
) -> Pack:
    """The set as a pack: from the cache (or `out`) where it is there already, else scanned and decoded once.

    `progress(done, total, what)` is called as it goes; `workers` processes decode, by default one a core; a `crew`
    that this process leads helps (`limner.data.pool`). A run that was killed is taken up where it stopped. Raises
    UserError for what is no set of pictures, or needs a size.
    """
    options = options or DataOptions()
    if (ready := _ready_made(data, options)) is not None:
        return ready
    found = find(data, options)
    if out is not None and found.shards is not None:
        raise UserError(
            f"a stream is read as it is trained on, so nothing is packed into {str(out)!r}: leave --out out"
        )
    key = _key(found, options)
    final = Path(out).expanduser() if out is not None else _place(found, key)
    if (there := _reusable(final, key)) is not None:
        return _whole(there, found, options)
    make_folder(final.parent)
    with locked(final):
        if (there := _reusable(final, key)) is None:
            _ingest(_wanted(found, options, key), final, progress, workers, preview=False, crew=crew)
            there = open_pack(final)
    return _whole(there, found, options)


@unpacking()
def scan(
    data: str | Path,
    options: DataOptions | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Report:
    """What the set is, with every picture decoded. Where its form is settled, the pack is made on the way and kept.

    Pictures of several sizes or above 64 px, with no size given, are looked at and not kept.
    """
    options = options or DataOptions()
    if (ready := _ready_made(data, options)) is not None:
        return Report(ready.report)
    found = find(data, options)
    key = _key(found, options)
    final = _place(found, key)
    if (there := _reusable(final, key)) is not None:
        return Report(_whole(there, found, options).report)
    make_folder(final.parent)
    with locked(final):
        if (there := _reusable(final, key)) is not None:
            return Report(_whole(there, found, options).report)
        return _ingest(_wanted(found, options, key), final, progress, workers, preview=True)


def _ready_made(data: str | Path, options: DataOptions) -> Pack | None:
    path = Path(data).expanduser()
    if not is_pack(path):
        return None
    if options != DataOptions():
        raise UserError(
            f"{str(data)!r} is packed already, so its size, labels and parts are fixed: leave those options out"
        )
    return open_pack(path)


def _whole(packed: Pack, found: Found, options: DataOptions) -> Pack:
    """The pack itself, or the stream whose head it is."""
    if found.shards is None:
        return packed
    from limner.data.stream import Stream

    return Stream(packed, found.shards, options)


def _key(found: Found, options: DataOptions) -> str:
    """Equal for an unchanged source and equal options, wherever the source lies."""
    # Only what differs from the default, so that an option added later leaves the packs of today valid.
    said = {name: value for name, value in msgspec.to_builtins(options).items() if value != getattr(_DEFAULT, name)}
    return stamp_of(f"{FORMAT} {found.name} {found.stamp}", msgspec.json.encode(said, order="sorted"))


def _wanted(found: Found, options: DataOptions, key: str) -> Wanted:
    source = found.open()
    for name in ("slices", "window"):
        if getattr(options, name) is not None and source.kind != "scans":
            raise UserError(f"--{name} is for medical scans: {source.name!r} holds none")
    for name in ("frames", "stride"):
        if getattr(options, name) is not None and source.order_column is None:
            raise UserError(f"--{name} is for films, folders of frames, volumes and sounds: {source.name!r} is none")
    if options.frames is not None and options.limit is not None:
        raise UserError(
            f"limit {options.limit} would tear clips apart: with --frames, give fewer files or a longer --stride"
        )
    labels = label_columns(source, options)
    rows = select(source, labels, options)
    if options.without is not None:
        of_combinations(labels, options)  # what can be found wrong before pictures are decoded is
    return Wanted(source, options, rows, narrowed(labels, rows, source, options), key)


def _place(found: Found, key: str) -> Path:
    plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in found.name)[:60].strip(".") or "set"
    return cache_folder() / "packs" / f"{plain}-{key[:16]}"


def _reusable(final: Path, key: str) -> Pack | None:
    """The pack at a place if it is of this source and these options; UserError for a folder that is no pack."""
    if not final.exists():
        return None
    if not is_pack(final):
        if final.is_dir() and not any(final.iterdir()):
            return None
        raise UserError(f"{str(final)!r} is there already and is not a packed set: choose another --out, or delete it")
    try:
        manifest = msgspec.json.decode((final / MANIFEST).read_bytes(), type=Manifest)
        return open_pack(final) if manifest.key == key and manifest.format == FORMAT else None
    except (msgspec.MsgspecError, UserError):
        return None  # damaged, or of another version: made anew


def _ingest(
    wanted: Wanted,
    final: Path,
    progress: Progress | None,
    workers: int | None,
    preview: bool,
    crew: Crew | None = None,
) -> Report:
    """Decodes under a plan; where a picture breaks it, widens it and starts again."""
    wanted = replace(wanted, source=prepared(wanted.source))
    reader = open_reader(wanted.source.kind, wanted.source.settings, wanted.source.places)
    # Frames of films are large and alike, so a few of them must do.
    few = _spread(wanted.rows, PEEKS if wanted.source.group_column is None else 2 * CLUSTER)
    samples = list(reader.read(few))
    peeks = [found for found in map(planning.peek, samples) if found is not None]
    if wanted.options.size is None and len(_sizes(peeks)) > 1:  # a broken picture's header must not decide
        peeks = [found for found in map(planning.peek, filter(decodes, samples)) if found is not None]
    plan = planning.decide(peeks, wanted.options) if peeks else _blind(wanted.options)
    while True:
        if plan.preview and not preview:
            raise planning.need_size(_sizes(peeks))
        staging = _stage(wanted, plan, final)
        if not is_pack(staging):  # stopped between its manifest and its place, it needs but the last step
            try:
                run_parts(staging, _seconds(samples, plan, len(wanted.rows)), workers, progress, crew)
            except BreachFound as breach:
                shutil.rmtree(staging)
                peeks.extend(_peek_row(reader, wanted.rows[breach.row]))
                plan = _widened(plan, breach, wanted)
                continue
            report = finish(
                staging, wanted.source, wanted.options, wanted.rows, wanted.labels, plan, wanted.key, final, progress
            )
        if plan.preview:
            shutil.rmtree(staging)
        else:
            clear_work(staging)
            sync_folder(staging)
            put_in_place(staging, final)
            report = Report(open_pack(final).report)
        return report


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    """A few rows in clusters over the whole set: clusters, because neighbours are cheap to read together."""
    if len(rows) <= most:
        return rows
    starts = np.linspace(0, len(rows) - CLUSTER, most // CLUSTER).astype(np.int64)
    return rows[np.unique((starts[:, None] + np.arange(CLUSTER)).ravel())]


def _blind(options: DataOptions) -> Plan:
    """A plan where none of the pictures looked at could be opened: the rest will say why."""
    return planning.decide([Peek(options.height_width or (1, 1), True, False)], options)


def _peek_row(reader: Any, row: int) -> list[Peek]:
    found = [planning.peek(payload) for payload in reader.read(np.array([row]))]
    return [peek for peek in found if peek is not None]


def _sizes(peeks: list[Peek]) -> dict[str, int]:
    names = [f"{p.size[1]}x{p.size[0]}" for p in peeks]
    return {name: names.count(name) for name in sorted(set(names), key=lambda n: -names.count(n))}


def _widened(plan: Plan, breach: BreachFound, wanted: Wanted) -> Plan:
    file = wanted.source.table["file"][int(wanted.rows[breach.row])].as_py()
    if breach.kind == "size":
        preview = planning.PREVIEW
        return msgspec.structs.replace(plan, native=False, preview=True, height=preview, width=preview, crop="stretch")
    if breach.kind == "deep":
        raise UserError(
            f"depth 16 is for grey pictures, but {file!r} has colours: add --channels 1, or leave the depth at 8"
        )
    return msgspec.structs.replace(plan, channels={"colour": 3, "alpha": 4}[breach.kind])


def _seconds(samples: list[Payload], plan: Plan, total: int) -> float:
    """How long all of it should take in one process, from up to eight pictures or a quarter of a second."""
    import time

    start, tried = time.perf_counter(), 0
    for sample in samples[:: max(1, len(samples) // 8)]:
        process(iter([sample]), 1, plan, lambda number: None)
        tried += 1
        if time.perf_counter() - start > 0.25:
            break
    return (time.perf_counter() - start) / max(1, tried) * total


def _stage(wanted: Wanted, plan: Plan, final: Path) -> Path:
    """The folder that this very job is worked on in: a new one, or the one that a killed run left."""
    plan_key = stamp_of(wanted.key, msgspec.json.encode(plan))[:12]
    staging = final.parent / f".{final.name}.{plan_key}.partial"
    count = len(wanted.rows)
    size = max(1, min(1024, max(32, count // 16), (32 << 20) // plan.row_bytes))
    job = msgspec.json.encode(
        Job(kind=wanted.source.kind, settings=wanted.source.settings, plan=plan, edges=[*range(0, count, size), count])
    )
    if is_pack(staging):
        return staging
    if (staging / "job.json").exists() and (staging / "job.json").read_bytes() == job:
        if not (staging / WORK_PIXELS).exists():  # stopped between that file's last name and the manifest
            (staging / "pixels.raw").rename(staging / WORK_PIXELS)
        return staging
    if staging.exists():
        shutil.rmtree(staging)
    make_folder(staging / "parts")
    check_space(staging, count * (plan.row_bytes + 2 * RECORD.itemsize))
    with (staging / WORK_PIXELS).open("wb") as file:
        file.truncate(count * plan.row_bytes)
    np.save(staging / "candidates.npy", wanted.rows)
    if wanted.source.places is not None:
        write_arrow(staging / "places.arrow", wanted.source.places)
    write_file(staging / "job.json", job)
    return staging


def write_arrow(path: Path, table: pa.Table) -> None:
    """A table as an Arrow file that can be memory-mapped."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1 << 16)

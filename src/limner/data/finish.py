"""The last step of packing: what the parts found, put together into index columns, a report and a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limner.data import clips, columns, duplicates, report, split
from limner.data.balance import long_tail, no_classes
from limner.data.columns import LabelColumn
from limner.data.options import DataOptions
from limner.data.packed import FORMAT, MANIFEST, UNSEEN, Manifest, content_id
from limner.data.part import OK, RECORD, WORK_PIXELS, PartNote, part_files
from limner.data.plan import Plan
from limner.data.pool import Progress
from limner.data.report import Report
from limner.data.selection import of_combinations
from limner.data.sources.base import FILE, SPLIT, TEST, VALIDATION, Source
from limner.data.worker import read_job
from limner.errors import UserError
from limner.storage import write_file

_CHUNK = 1 << 16


def finish(
    staging: Path,
    source: Source,
    options: DataOptions,
    rows: np.ndarray,
    labels: dict[str, LabelColumn],
    plan: Plan,
    key: str,
    final: Path,
    progress: Progress | None,
) -> Report:
    """Turns a staging folder whose parts are all done into a pack (but for its name), and says what is in it.

    Raises UserError where no candidate was a picture.
    """
    if progress:
        progress(len(rows), len(rows), "comparing")
    records, notes = _gathered(staging, len(rows))
    good = np.flatnonzero(records["status"] == OK)
    set_aside = [*source.set_aside, *_aside(source, rows, notes, read_job(staging).edges)]
    if not len(good):
        first = f"{set_aside[0][0]!r}: {set_aside[0][1]}" if set_aside else "it is empty"
        raise UserError(f"none of the {len(rows):,} files of {source.name!r} is a picture ({first})")
    work = np.memmap(staging / WORK_PIXELS, plan.dtype, "r", 0, (len(rows), *plan.shape))
    plan = _without_idle_channels(plan, notes)
    kept = records if len(good) == len(records) else records[good]
    twice = duplicates.find(kept["digest"], kept["thumb"], lambda i: np.asarray(work[good[i], ..., : plan.channels]))
    table = source.table if len(good) == len(source) else source.table.take(pa.array(rows[good]))
    parts = _parts(table) if SPLIT in table.column_names and options.split is None else None
    group = twice.group
    if source.group_column is not None:
        group = clips.together(table[source.group_column].to_numpy(), kept["digest"], options.frames or 1)
    divided = split.divide(kept["digest"], group, parts, films=source.group_column is not None)
    if options.frames is not None:
        divided = _clips(divided, table, source, group, options)
    labels = {name: column.take(good) for name, column in labels.items()}
    class_column = columns.class_column(labels, source, options)
    table, caption_column = _captioned(table, source, options)
    tail = None
    if options.longtail is not None:
        if class_column is None:
            raise no_classes("--longtail", f"{options.longtail:g}")
        divided, tail = _long_tailed(divided, labels[class_column], table, options)
    divided, unseen = _unseen(divided, labels, options)
    labels = {name: column.scaled(divided.train) for name, column in labels.items()}
    values = _report(source, plan, kept, labels, class_column, table, caption_column, twice, divided, set_aside)
    values["longtail"], values["stream"] = tail, source.about or None
    values["without"] = _without(unseen, labels, divided, options)
    values["films"] = _films(table, source, divided, options)
    if not plan.preview:
        values["pack"], values["bytes"] = str(final), len(rows) * plan.row_bytes
        if options.without is not None:
            np.save(staging / UNSEEN, unseen)
        _write(staging, values, plan, good, labels, table, divided, class_column, caption_column, key, work, options)
    return Report(values)


def _gathered(staging: Path, count: int) -> tuple[np.ndarray, list[PartNote]]:
    edges = read_job(staging).edges
    records = np.lib.format.open_memmap(staging / "records.npy", "w+", RECORD, (count,))
    notes = []
    for number in range(len(edges) - 1):
        records_file, note_file = part_files(staging, number)
        records[edges[number] : edges[number + 1]] = np.load(records_file)
        notes.append(msgspec.json.decode(note_file.read_bytes(), type=PartNote))
    return records, notes


def _aside(source: Source, rows: np.ndarray, notes: list[PartNote], edges: list[int]) -> list[tuple[str, str]]:
    names = source.table[FILE]
    return [
        (names[int(rows[start + number])].as_py(), reason)
        for start, note in zip(edges, notes, strict=False)
        for number, reason in sorted(note.aside.items())
    ]


def _without_idle_channels(plan: Plan, notes: list[PartNote]) -> Plan:
    """The plan less channels that turned out to carry nothing: alpha nowhere clear, colours that are all grey."""
    if plan.fixed or plan.preview:
        return plan
    colour, clear = any(note.colour for note in notes), any(note.clear for note in notes)
    channels = 4 if plan.channels == 4 and clear else 3 if plan.channels >= 3 and colour else 1
    return msgspec.structs.replace(plan, channels=channels)


def _clips(
    divided: split.Split, table: pa.Table, source: Source, group: np.ndarray, options: DataOptions
) -> split.Split:
    """The division of the pictures that begin a clip."""
    assert options.frames is not None and source.group_column and source.order_column
    film, frame = table[source.group_column].to_numpy(), table[source.order_column].to_numpy()
    begins = clips.starts(film, frame, group, options.frames, options.stride or options.frames)
    if not begins.any():
        raise UserError(f"no {options.frames} readable frames of {source.name!r} follow each other: fewer --frames")
    return split.Split(*(rows[begins[rows]] for rows in divided))


def _films(table: pa.Table, source: Source, divided: split.Split, options: DataOptions) -> dict[str, int] | None:
    """How many groups of frames there are, and how many clips of them."""
    if source.group_column is None:
        return None
    groups = len(pc.unique(table[source.group_column]))
    clips_of = sum(len(part) for part in divided) if options.frames else 0
    return {"groups": groups, "clips": clips_of, "frames": options.frames or 0, "stride": options.stride or 0}


def _parts(table: pa.Table) -> np.ndarray:
    parts = np.zeros(table.num_rows, np.int8)
    for name, code in ((TEST, split.PART_TEST), (VALIDATION, split.PART_VALIDATION)):
        parts[pc.fill_null(pc.equal(table[SPLIT], name), False).to_numpy()] = code
    return parts


def _long_tailed(
    divided: split.Split, column: LabelColumn, table: pa.Table, options: DataOptions
) -> tuple[split.Split, dict[str, Any]]:
    """The division with fewer training pictures, and what became of each class."""
    assert options.longtail is not None
    codes, train = column.codes[divided.train], divided.train
    names = (str(name) for name in table[FILE].take(pa.array(train)).to_pylist())
    stays, cuts = long_tail(codes, names, len(column.values), options.longtail, options.seed)
    kept = _counts(LabelColumn(codes[stays], column.values))
    tail = {"factor": options.longtail, "of": len(train), "classes": kept, "cuts": cuts.tolist()}
    return divided._replace(train=train[stays]), tail


def _unseen(
    divided: split.Split, labels: dict[str, LabelColumn], options: DataOptions
) -> tuple[split.Split, np.ndarray]:
    """The division without the combinations that training is to see nothing of, and which pictures it lost so.

    They leave the validation slice as well, which weights are chosen by.
    """
    if options.without is None:
        return divided, np.empty(0, np.int64)
    mask = of_combinations(labels, options)
    train, validation = (part[~mask[part]] for part in (divided.train, divided.validation))
    if not len(train):
        raise UserError(f"without {options.without!r} no picture is left to train on: ask for less")
    both = np.concatenate([part[mask[part]] for part in (divided.train, divided.validation)])
    return divided._replace(train=train, validation=validation), np.sort(both)


def _without(
    unseen: np.ndarray, labels: dict[str, LabelColumn], divided: split.Split, options: DataOptions
) -> dict[str, Any] | None:
    """What training sees nothing of, and how many held-out pictures show it."""
    if options.without is None:
        return None
    held_out = int(of_combinations(labels, options)[divided.held_out].sum())
    return {"combinations": list(options.combinations), "pictures": len(unseen), "held_out": held_out}


def _captioned(table: pa.Table, source: Source, options: DataOptions) -> tuple[pa.Table, str | None]:
    name = columns.caption_column(source, options)
    if name is not None:
        table = table.set_column(table.column_names.index(name), name, columns.captions(table[name]))
    return table, name


def _report(
    source: Source,
    plan: Plan,
    records: np.ndarray,
    labels: dict[str, LabelColumn],
    class_column: str | None,
    table: pa.Table,
    caption_column: str | None,
    twice: duplicates.Duplicates,
    divided: split.Split,
    set_aside: list[tuple[str, str]],
) -> dict[str, Any]:
    sizes, more = report.sizes_of(records)
    counts = {name: _counts(column) for name, column in labels.items() if column.range is None}
    numbers = {name: _spread(column) for name, column in labels.items() if column.range is not None}
    captions = table[caption_column].drop_null() if caption_column else []
    spread = sorted({0, len(captions) // 2, len(captions) - 1}) if len(captions) else []
    notes = [*source.notes, *report.flag_notes(records)]
    if class_column and (without := int((labels[class_column].codes < 0).sum())):
        notes.append(f"{without:,} pictures have no class")
    return {
        "name": source.name,
        "layout": source.layout,
        "pictures": len(records),
        "sizes": sizes,
        "more_sizes": more,
        "modes": report.modes_of(records),
        "class_column": class_column,
        "classes": counts.get(class_column, {}) if class_column else {},
        "attributes": counts,
        "numbers": numbers,
        "columns": [name for name in table.column_names if name not in (FILE, SPLIT)],
        "caption_column": caption_column,
        "captions": len(captions),
        "caption_samples": [captions[i].as_py() for i in spread],
        "duplicates": {"exact": twice.exact, "near": twice.near},
        "resizing": report.resizing_of(records, plan),
        "parts": {name: len(part) for name, part in divided._asdict().items()},
        "set_aside": [{"file": file, "reason": reason} for file, reason in set_aside],
        "notes": notes,
        "shape": None if plan.preview else [plan.channels, plan.height, plan.width],
        "depth": plan.depth,
        "pack": None,
        "bytes": 0,
    }


def _counts(column: LabelColumn) -> dict[str, int]:
    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
    return {value: int(count) for value, count in zip(column.values, counts, strict=True)}


def _spread(column: LabelColumn) -> dict[str, float]:
    """Of a number: how many pictures have it, its range, and what half of them are below."""
    assert column.numbers is not None and column.range is not None, "asked of a number alone"
    known = column.numbers[np.isfinite(column.numbers)]
    low, high = column.range
    return {"pictures": len(known), "low": low, "high": high, "median": float(np.median(known)) if len(known) else low}


def _write(
    staging: Path,
    values: dict[str, Any],
    plan: Plan,
    good: np.ndarray,
    labels: dict[str, LabelColumn],
    table: pa.Table,
    divided: split.Split,
    class_column: str | None,
    caption_column: str | None,
    key: str,
    work: np.ndarray,
    options: DataOptions,
) -> None:
    """The files of a pack beside those of the work, then the manifest that lists them; only then the work may go.

    Stopped anywhere before the manifest, all of it is done again.
    """
    holes = len(good) < len(work)
    names = ["pixels.raw", "table.arrow", "report.json", "train.npy", "validation.npy", "held_out.npy"]
    if options.without is not None:
        names.append(UNSEEN)
    if holes:
        names.append("rows.npy")
        np.save(staging / "rows.npy", good)
    for name in ("train", "validation", "held_out"):
        np.save(staging / f"{name}.npy", getattr(divided, name))
    for number, column in enumerate(labels.values()):
        names.append(f"label-{number}.npy")
        np.save(staging / names[-1], column.codes)
    with pa.OSFile(str(staging / "table.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=_CHUNK)
    write_file(staging / "report.json", msgspec.json.encode(values))
    if plan.channels == work.shape[-1]:
        (staging / WORK_PIXELS).rename(staging / "pixels.raw")
    else:
        with (staging / "pixels.raw").open("wb") as file:
            for i in range(0, len(work), 1024):
                file.write(np.ascontiguousarray(work[i : i + 1024, ..., : plan.channels]).data)
    manifest = Manifest(
        format=FORMAT,
        key=key,
        id="",
        count=len(good),
        rows_on_disk=len(work),
        shape=plan.shape,
        depth=plan.depth,
        class_column=class_column,
        caption_column=caption_column,
        labels={name: list(column.values) for name, column in labels.items()},
        files={name: (staging / name).stat().st_size for name in sorted(names)},
        frames=0 if options.frames in (None, 1) else options.frames,
        ranges={name: column.range for name, column in labels.items() if column.range is not None},
        chosen=list(options.label_columns),
    )
    pixels = np.memmap(staging / "pixels.raw", plan.dtype, "r", 0, (len(work), *plan.shape))
    manifest.id = content_id(np.asarray(pixels), good if holes else None, staging, manifest)
    write_file(staging / MANIFEST, msgspec.json.encode(manifest))


def clear_work(staging: Path) -> None:
    """Removes what only the work needed from a folder that has its manifest."""
    for path in sorted(staging.glob("parts/*")) + sorted(staging.glob("worker-*")):
        path.unlink()
    if (staging / "parts").exists():
        (staging / "parts").rmdir()
    for name in ("candidates.npy", "records.npy", "places.arrow", "job.json", WORK_PIXELS):
        (staging / name).unlink(missing_ok=True)

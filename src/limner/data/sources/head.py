"""The head of a stream: its first pictures, taken from several shards, as a set that is packed like any other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from limner.data.balance import score
from limner.data.cache import unpacked_place
from limner.data.options import DataOptions
from limner.data.permutation import order
from limner.data.sources.base import FILE, SPLIT, TEST, TRAIN, Found, Source, Unreadable, stamp_of
from limner.data.sources.metadata import CAPTION_COLUMNS, LABEL_COLUMNS, pick, rows_to_table
from limner.data.sources.samples import CAPTION, CLASS, FOLDER, Sample, samples
from limner.data.sources.shards import Shards, find_shards
from limner.data.sources.tree import Columns
from limner.errors import UserError

HELD = 0.1
"""The share of a stream that is held out: pictures whose key's score lies below."""
_SPREAD = 16  # shards that the head is taken from, where there are as many


def is_held(key: str) -> bool:
    """Whether a picture is held out: a hash of its key says so, whatever shard it lies in."""
    return score(key, "held out") < HELD


def find_stream(data: str | Path, options: DataOptions) -> Found:
    """What a stream's head is; `Found.shards` are where the rest comes from.

    Raises UserError for options that only make sense where all pictures are at hand.
    """
    for name in ("split", "limit", "frames", "stride", "slices", "window"):
        if (value := getattr(options, name)) is not None:
            raise UserError(f"--{name} {value} does not go with a stream of pictures: leave it out")
    shards = find_shards(data)
    return Found(shards.name, f"stream-1 {shards.stamp}", lambda: _open(shards, options), shards)


def _open(shards: Shards, options: DataOptions) -> Source:
    spool = unpacked_place(f"{stamp_of(shards.stamp, str(options.head))}.head")
    places = Columns(archive=pa.int32(), offset=pa.int64(), packed=pa.int64(), size=pa.int64(), method=pa.int32())
    rows: list[tuple[int, dict[str, Any]]] = []
    aside: list[tuple[str, str]] = []
    heard = 0.0  # bytes of the shards that the head was found in
    temporary = spool.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as out:
            for number, sample, read in _first(shards, options.head):
                heard += read
                if isinstance(sample.payload, Unreadable):
                    aside.append((sample.name, sample.payload.reason))
                    continue
                assert isinstance(sample.payload, bytes), "shards hold encoded pictures"
                size = len(sample.payload)
                places.add(archive=0, offset=out.tell(), packed=size, size=size, method=0)
                out.write(sample.payload)
                own = {f"{name}_" if name in (FILE, SPLIT) else name: value for name, value in sample.fields.items()}
                rows.append((number, {FILE: sample.name, SPLIT: TEST if is_held(sample.key) else TRAIN, **own}))
        temporary.replace(spool)
    except OSError as error:
        raise UserError(
            f"cannot keep the first pictures of {shards.name!r} in {str(spool.parent)!r}: {error.strerror}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    if not rows:
        why = f" ({aside[0][0]}: {aside[0][1]})" if aside else ""
        raise UserError(
            f"no pictures in the shards of {shards.name!r}{why}: tars in WebDataset's form, or parquet files"
        )
    held = sum(row[SPLIT] == TEST for _, row in rows)
    if held < 2 or held == len(rows):
        raise UserError(
            f"a stream's first pictures must have some to hold out, but of these {len(rows)} there are {held}: give "
            "more by --head, or leave the pattern and --stream out and let the set be packed"
        )
    in_order = sorted(range(len(rows)), key=lambda i: rows[i][0])  # by shard, stable
    table = rows_to_table([rows[i][1] for i in in_order])
    total = sum(shards.sizes)
    count = round(len(rows) * total / heard) if total and heard else len(rows)
    return Source(
        kind="tar",
        name=shards.name,
        layout=f"the first of about {count:,} in a stream of {len(shards):,} {_FORMS[shards.kind]}",
        table=table,
        settings={"archives": [str(spool)]},
        places=places.table().take(pa.array(in_order)),
        label_names=label_names(shards),
        label_column=_label_column(table),
        caption_column=CAPTION if CAPTION in table.column_names else pick(table.column_names, CAPTION_COLUMNS),
        set_aside=tuple(aside),
        about={"shards": len(shards), "bytes": total, "pictures": count, "buffer": options.buffer},
    )


_FORMS = {"tar": "tars", "parquet": "parquet files"}


def _first(shards: Shards, count: int) -> Iterator[tuple[int, Sample, float]]:
    """The first pictures of shards in a fixed random order, an equal share of `count` from each of them.

    Yields the shard's number, the sample, and how many of the shard's bytes it took.
    """
    share = -(-count // min(len(shards), _SPREAD))
    for number in order(np.arange(len(shards)), len(shards), 0).tolist():
        before = 0.0
        for taken, sample in enumerate(samples(shards, number), start=1):
            yield number, sample, (sample.share - before) * shards.sizes[number]
            before, count = sample.share, count - 1
            if taken == share or not count:
                break
        if not count:
            return


def label_names(shards: Shards) -> dict[str, tuple[str, ...]]:
    """Names behind whole numbers, as parquet files of `datasets` have them."""
    if shards.kind != "parquet":
        return {}
    import pyarrow.parquet as pq

    from limner.data.sources.parquet import features_in

    try:
        with shards.open(0) as file:
            features = features_in(pq.read_schema(file))
    except (pa.ArrowInvalid, OSError):
        return {}  # reading its pictures says what is wrong
    return {c: tuple(f["names"]) for c, f in features.items() if f.get("_type") == "ClassLabel" and f.get("names")}


def _label_column(table: pa.Table) -> str | None:
    names = table.column_names
    if CLASS in names:
        return CLASS
    usual = pick(names, LABEL_COLUMNS)
    if usual is None and FOLDER in names and 2 <= len(table[FOLDER].unique().drop_null()) <= table.num_rows // 4:
        return FOLDER
    return usual

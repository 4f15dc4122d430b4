"""Metadata files beside pictures: metadata.jsonl, .csv, .tsv, .parquet, or others with a column of file names."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limner.data.sources.tree import Tree, names_of
from limner.errors import UserError

FILE_COLUMNS = ("file_name", "filename", "file", "image", "image_path", "path", "picture")
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "y")
CAPTION_COLUMNS = ("text", "caption", "captions", "prompt", "description", "alt_text")
_TABLES = r"(?i)\.(jsonl|csv|tsv|parquet)$"
_CHUNK = 50_000


@dataclass(frozen=True)
class Metadata:
    """A row for each picture, nulls where the files say nothing; rows that name no picture are in `missing`."""

    file: str
    table: pa.Table
    missing: list[tuple[str, str]]
    without: int
    label_column: str | None
    caption_column: str | None


def gather(texts: Tree, pictures: pa.ChunkedArray, used: np.ndarray) -> Metadata | None:
    """Reads every metadata file among `texts` and lines its rows up with `pictures`; marks those files in `used`."""
    tables: list[pa.Table] = []
    keys: list[pa.ChunkedArray] = []
    sources: list[str] = []
    for number in np.flatnonzero(pc.match_substring_regex(texts.paths, _TABLES).to_numpy()):
        path = texts.paths[int(number)].as_py()
        table = read_table(path, texts.load(int(number)))
        key = next((name for name in FILE_COLUMNS if name in table.column_names), None)
        if key is None:
            if names_of(pa.chunked_array([[path]]))[0].as_py().lower().startswith("metadata."):
                raise UserError(f"{path!r} has no column file_name (columns: {', '.join(table.column_names)})")
            continue
        used[number] = True
        folder = path.rpartition("/")[0]
        files = pc.replace_substring_regex(table[key].cast(pa.large_string()), r"^(\./)+", "")
        keys.append(_below(folder, files))
        tables.append(table.drop_columns([key]))
        sources.append(path)
    if not tables:
        return None
    table, named = join(tables), pa.chunked_array([c for key in keys for c in key.chunks], pa.large_string())
    rows = pc.index_in(pictures, value_set=named.combine_chunks())
    if rows.null_count == len(rows):  # the file gives names without their folder
        rows = pc.index_in(names_of(pictures), value_set=names_of(named).combine_chunks())
    met = np.zeros(len(named), dtype=bool)
    met[rows.drop_null().to_numpy()] = True
    lost = named.filter(pa.array(~met)).to_pylist()
    return Metadata(
        file=sources[0] if len(sources) == 1 else f"{len(sources)} metadata files",
        table=table.take(rows.combine_chunks()),
        missing=[(name or "(no file name)", f"listed in {sources[0]} but not there") for name in lost],
        without=rows.null_count,
        label_column=pick(table.column_names, LABEL_COLUMNS),
        caption_column=pick(table.column_names, CAPTION_COLUMNS),
    )


def _below(folder: str, files: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pa.large_string()
    return pc.binary_join_element_wise(pa.scalar(folder, text), files, pa.scalar("/", text)) if folder else files


def pick(columns: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The first column with one of the usual names, whatever its case."""
    lower = {name.lower(): name for name in reversed(columns)}
    return next((lower[name] for name in wanted if name in lower), None)


def read_table(path: str, data: bytes) -> pa.Table:
    """A .jsonl, .csv, .tsv or .parquet file as a table. Raises UserError that names the file and the line."""
    ending = path.rpartition(".")[2].lower()
    try:
        if ending == "jsonl":
            return _jsonl(path, data)
        if ending == "parquet":
            import pyarrow.parquet

            return pyarrow.parquet.read_table(io.BytesIO(data))
        import pyarrow.csv

        text = decode_text(data).encode()
        if not text.strip():
            return pa.table({})
        return pyarrow.csv.read_csv(
            io.BytesIO(text),
            parse_options=pyarrow.csv.ParseOptions(delimiter="\t" if ending == "tsv" else ",", newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True, null_values=[""]),
        )
    except pa.ArrowInvalid as error:
        raise UserError(f"cannot read {path!r}: {' '.join(str(error).split())[:200]}") from error


def decode_text(data: bytes) -> str:
    """UTF-8 with or without a mark, UTF-16 with one, else Latin-1."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _jsonl(path: str, data: bytes) -> pa.Table:
    tables: list[pa.Table] = []
    rows: list[dict[str, Any]] = []
    decoder = msgspec.json.Decoder(dict[str, Any])
    for number, line in enumerate(io.BytesIO(decode_text(data).encode()), start=1):
        if not line.strip():
            continue
        try:
            rows.append(decoder.decode(line))
        except msgspec.MsgspecError as error:
            raise UserError(f"line {number} of {path!r} is not a JSON object ({error})") from error
        if len(rows) == _CHUNK:
            tables.append(rows_to_table(rows))
            rows = []
    return join([*tables, rows_to_table(rows)])


def rows_to_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as columns, with nulls where a row has no such value."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # values of several types: all as text
            columns[name] = pa.array([v if v is None or isinstance(v, str) else json.dumps(v) for v in values])
    return pa.table(columns)


def object_of(text: str | bytes | None) -> dict[str, Any]:
    """The JSON object that lies beside a picture; an empty one for none, or for what is no object."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}  # as if it were not there: the counts of labels and captions tell


def objects_to_table(texts: pa.ChunkedArray) -> pa.Table:
    """Columns from one JSON object a picture, as many rows as there are texts."""
    rows = [object_of(text) for text in texts.to_pylist()]
    return rows_to_table(rows) if any(rows) else pa.table({})


def join(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables under each other; where types of a column differ beyond repair, it becomes text."""
    tables = [table for table in tables if table.num_columns] or [pa.table({})]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.concat_tables([_as_text(table) for table in tables], promote_options="permissive")


def _as_text(table: pa.Table) -> pa.Table:
    def column(values: pa.ChunkedArray) -> pa.ChunkedArray:
        if pa.types.is_nested(values.type):
            return pa.chunked_array([[None if v is None else json.dumps(v) for v in values.to_pylist()]], pa.string())
        return values.cast(pa.string())

    return pa.table({name: column(table[name]) for name in table.column_names})

"""What a tree of files means: parts, classes, captions, metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limner.data.options import DataOptions
from limner.data.sources import metadata
from limner.data.sources.base import FILE, SPLIT, SPLIT_NAMES
from limner.data.sources.tree import Tree, first_of, folders_of, rest_of, stems_of
from limner.errors import UserError

CLASS_COLUMN = "folder"
_SHARD = re.compile(r"(\d{3,}|[0-9a-f]{2}|(shard|part|chunk|batch)[-_ ]?\d+)$", re.IGNORECASE)
TEXTS = r"(?i)\.(jsonl|csv|tsv|txt|cls|json|md|ya?ml|parquet|xml|html?)$"


@dataclass(frozen=True)
class Layout:
    """Candidates of a tree, with their metadata; `places` has a row for each row of `table`."""

    layout: str
    table: pa.Table
    places: pa.Table
    label_column: str | None
    caption_column: str | None
    set_aside: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def interpret(tree: Tree, options: DataOptions) -> Layout:
    """Names the layout, and turns folders, captions and metadata files into columns. No picture is opened."""
    is_text = pc.match_substring_regex(tree.paths, TEXTS).to_numpy()
    texts, pictures = tree.take(np.flatnonzero(is_text)), tree.take(np.flatnonzero(~is_text))
    aside: list[tuple[str, str]] = []
    used = np.zeros(len(texts.paths), dtype=bool)
    if not len(pictures.paths):
        first = texts.paths[0].as_py()
        raise UserError(f"no pictures found: only files such as {first!r} (give a folder or archive of pictures)")

    columns: dict[str, pa.ChunkedArray] = {FILE: pictures.paths}
    parts, inner, part_words = _parts(pictures.paths)
    if parts is not None:
        columns[SPLIT] = parts
    words, folder = _classes(inner)
    label_column = CLASS_COLUMN if folder is not None and words.startswith("one folder") else None
    caption_column = None
    notes: list[str] = []

    found = metadata.gather(texts, pictures.paths, used)
    if found is not None:
        words = f"pictures with {found.file}"
        aside.extend(found.missing)
        label_column, caption_column = found.label_column or label_column, found.caption_column
        for name in found.table.column_names:
            columns[f"{name}_" if name in columns else name] = found.table[name]
        if found.without:
            notes.append(
                f"{found.without:,} pictures are not in {found.file}: they have no caption and no label from it"
            )
    if folder is not None and (label_column == CLASS_COLUMN or CLASS_COLUMN in options.label_columns):
        columns.setdefault(CLASS_COLUMN, folder)
    elif folder is not None and found is None:
        columns[CLASS_COLUMN] = folder
        notes.append("folders are not taken as classes here; --labels folder does so")

    captions = _same_stem("txt", texts, pictures.paths, used)
    if captions is not None:
        columns["caption_file"] = captions
        caption_column = caption_column or "caption_file"
        words += ", captions in .txt files of the same name"
    classes = _same_stem("cls", texts, pictures.paths, used)
    if classes is not None:
        columns["cls"] = classes
        label_column = "cls"
        words += ", classes in .cls files of the same name"
    objects = _same_stem("json", texts, pictures.paths, used)
    if objects is not None:
        said = metadata.objects_to_table(objects)
        for name in said.column_names:
            columns[f"{name}_" if name in columns else name] = said[name]
        label_column = label_column or metadata.pick(said.column_names, metadata.LABEL_COLUMNS)
        caption_column = caption_column or metadata.pick(said.column_names, metadata.CAPTION_COLUMNS)
        words += ", more in .json files of the same name"
    aside.extend((path, "not a picture") for path in texts.paths.filter(pa.array(~used)).to_pylist())
    return Layout(
        layout=words + part_words,
        table=pa.table(columns),
        places=pictures.places,
        label_column=label_column,
        caption_column=caption_column,
        set_aside=tuple(aside),
        notes=tuple(notes),
    )


def _without_common_folder(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strips folders that hold everything, as an archive of a folder has them; never one that names a part."""
    while True:
        firsts = pc.unique(first_of(paths)).to_pylist()
        if len(firsts) != 1 or not firsts[0] or firsts[0].lower() in SPLIT_NAMES:
            return paths
        paths = rest_of(paths)


def _parts(paths: pa.ChunkedArray) -> tuple[pa.ChunkedArray | None, pa.ChunkedArray, str]:
    """Column of part names (null: none) where all top folders are named as parts, and the paths inside them."""
    paths = _without_common_folder(paths)
    firsts = first_of(paths)
    names = pc.unique(firsts).to_pylist()
    if not all(name.lower() in SPLIT_NAMES for name in names):
        return None, paths, ""
    canonical = pa.array([SPLIT_NAMES[name.lower()] for name in names])
    parts = canonical.take(pc.index_in(firsts, value_set=pa.array(names, firsts.type)).combine_chunks())
    known = ", ".join(f"{name}/" for name in sorted(names))
    return pa.chunked_array([parts]), _without_common_folder(rest_of(paths)), f", parts {known}"


def _classes(paths: pa.ChunkedArray) -> tuple[str, pa.ChunkedArray | None]:
    """The layout in words, and each picture's top folder where there are folders."""
    firsts = first_of(paths)
    names = [name for name in pc.unique(firsts).to_pylist() if name]
    if not names:
        return "flat folder", None
    at_top = pc.any(pc.equal(firsts, "")).as_py()
    direct = pc.unique(folders_of(paths)).to_pylist()
    holds_pictures = sum(name in set(direct) for name in names)
    shards = all(_SHARD.match(name) for name in names)
    if at_top or len(names) < 2 or shards or holds_pictures * 2 < len(names):
        return "nested folders", firsts
    return "one folder a class", firsts


def _same_stem(ending: str, texts: Tree, pictures: pa.ChunkedArray, used: np.ndarray) -> pa.ChunkedArray | None:
    """Contents of `name.txt` (or another ending) beside `name.png`, null where there is none."""
    is_txt = pc.match_substring_regex(texts.paths, rf"(?i)\.{ending}$").to_numpy() & ~used
    rows = np.flatnonzero(is_txt)
    if not len(rows):
        return None
    match = pc.index_in(stems_of(pictures), value_set=stems_of(texts.paths.take(pa.array(rows))).combine_chunks())
    wanted = pc.unique(match.drop_null()).to_numpy()
    if not len(wanted):
        return None
    contents = np.empty(len(rows), dtype=object)
    for number in wanted:
        used[rows[number]] = True
        contents[number] = metadata.decode_text(texts.load(rows[number])).strip() or None
    return pa.chunked_array([pa.array(contents, pa.large_string()).take(match.combine_chunks())])

"""Where pictures come from: one kind, one file. A new kind adds a file, a row below, and a line in `find`."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from limner.data.options import DataOptions
from limner.data.sources.base import Found, Reader, Source
from limner.data.sources.shards import is_address, is_pattern
from limner.errors import UserError, nearest

READERS = {
    "arrays": "limner.data.sources.arrays:ArrayReader",
    "digits": "limner.data.sources.digits:DigitsReader",
    "films": "limner.data.sources.films:FilmReader",
    "folder": "limner.data.sources.folder:FolderReader",
    "hub": "limner.data.sources.hub:HubReader",
    "parquet": "limner.data.sources.parquet:ParquetReader",
    "photos": "limner.data.sources.photos:PhotosReader",
    "scans": "limner.data.sources.medical:ScanReader",
    "shapes": "limner.data.sources.shapes:ShapesReader",
    "sounds": "limner.data.sources.sounds:SoundReader",
    "tar": "limner.data.sources.archives:TarReader",
    "zip": "limner.data.sources.archives:ZipReader",
}

BUILT_IN = {
    "digits": "limner.data.sources.digits:find_digits",
    "photos": "limner.data.sources.photos:find_photos",
    "shapes": "limner.data.sources.shapes:find_shapes",
}

_PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".parquet", ".npz", ".npy")
_FEW = 64
_HUB = "hf"


def _named(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def open_reader(kind: str, settings: dict[str, Any], places: pa.Table | None) -> Reader:
    """The reader of a kind of source, in whatever process asks for it."""
    reader: Reader = _named(READERS[kind])(settings, places)
    return reader


def prepared(source: Source) -> Source:
    """The source with whatever its reader works out once for all processes."""
    prepare = getattr(_named(READERS[source.kind]), "prepare", None)
    return source if prepare is None else replace(source, settings=prepare(source.settings))


def find(data: str | Path, options: DataOptions) -> Found:
    """What `data` names: a built-in set (`shapes`, `shapes:5000`), shards, a set of the hub, a folder or a file.

    Raises UserError where there is nothing of that name, or nothing in it that could be pictures.
    """
    name, _, number = str(data).partition(":")
    if options.stream or is_address(str(data)) or is_pattern(str(data)):
        return _stream(data, name, options)
    if name == _HUB:
        from limner.data.sources.hub import find_hub

        return find_hub(str(data))
    if name in BUILT_IN:
        if number and not (number.isdecimal() and int(number)):
            raise UserError(f"{str(data)!r} asks for {number!r} pictures: give a number, such as {name}:5000")
        found: Found = _named(BUILT_IN[name])(int(number) if number else options.limit, options)
        return found
    path = Path(data).expanduser()
    try:
        if path.is_dir():
            return _folder(path, options)
        if path.is_file():
            return _file(path, options)
        there = path.exists()
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"cannot read {str(data)!r} ({getattr(error, 'strerror', None) or error})") from error
    if there:
        raise UserError(f"{str(data)!r} is neither a folder nor a regular file")
    known = ", ".join(sorted(BUILT_IN))
    raise UserError(f"there is no folder or file {str(data)!r}{nearest(name, BUILT_IN)} (built-in sets: {known})")


def _stream(data: str | Path, name: str, options: DataOptions) -> Found:
    from limner.data.sources.head import find_stream

    if name in BUILT_IN:
        raise UserError(f"{str(data)!r} is drawn as it is read, not streamed: leave --stream out")
    if name == _HUB and not is_address(str(data)):
        raise UserError(
            f"{str(data)!r} is kept by `datasets`: as a stream name its files, hf://datasets/owner/name/*.parquet"
        )
    return find_stream(data, options)


def _folder(path: Path, options: DataOptions) -> Found:
    from limner.data.sources import folder

    walked = folder.walk(path)
    paths = walked.tree.paths
    if not len(paths):
        why = f" ({walked.set_aside[0][0]}: {walked.set_aside[0][1]})" if walked.set_aside else ""
        raise UserError(
            f"no files in the folder {str(path)!r}{why}: give a folder or archive of pictures, or a built-in set"
        )
    from limner.data.sources import films, medical, sounds

    packed = _packed_files(path, paths, options)
    if packed is None and (options.frames is not None or films.only_videos(paths)):
        return films.find_films(path, walked, options)
    if packed is None and medical.are_scans(path, paths):
        return medical.find_scans(path, walked, options)
    if packed is None and sounds.only_sounds(paths):
        return sounds.find_sounds(path, walked, options)
    name = path.resolve().name or "root"
    return packed or Found(name, walked.stamp, lambda: folder.open_tree(path, walked, options))


def _packed_files(path: Path, paths: pa.ChunkedArray, options: DataOptions) -> Found | None:
    """A folder that holds no pictures but parquet files, archives, arrays or idx files."""
    import pyarrow.compute as pc

    from limner.data.sources import archives, arrays, parquet

    name = path.resolve().name or "root"
    endings = "|".join(ending.replace(".", r"\.") for ending in _PACKED)
    is_packed = pc.match_substring_regex(paths, rf"(?i)({endings})$")
    packed = [path / p for p in paths.filter(is_packed).to_pylist()]
    others = paths.filter(pc.invert(is_packed))
    others = others.filter(
        pc.invert(pc.match_substring_regex(others, r"(?i)\.(json|jsonl|csv|tsv|txt|md|ya?ml|gitattributes)$"))
    )
    if packed and not len(others):
        if all(p.suffix.lower() == ".parquet" for p in packed):
            return parquet.find_parquet(packed, name, path)
        if all(p.suffix.lower() not in (".parquet", ".npz", ".npy") for p in packed):
            return archives.find_archives(packed, name, options)
        if len(packed) == 1:
            return arrays.find_array(packed[0])
        raise UserError(
            f"the folder {str(path)!r} holds several sets ({packed[0].name}, {packed[1].name}, ...): name one of them"
        )
    if not packed and len(others) <= _FEW and (idx := arrays.idx_files([path / p for p in others.to_pylist()])):
        return arrays.find_idx(idx, name)
    return None


def _file(path: Path, options: DataOptions) -> Found:
    import tarfile
    import zipfile

    from limner.data.sources import archives, arrays, films, folder, medical, parquet, sounds

    if not path.stat().st_size:
        raise UserError(f"the file {str(path)!r} is empty")
    head = arrays.head_of(path)
    if films.is_film(path, options):
        return films.find_film(path, options)
    if medical.is_scan(path):
        return medical.find_scan(path, options)
    if sounds.is_sound(path):
        return sounds.find_sound(path, options)
    if path.suffix.lower() in (".npy", ".npz"):
        return arrays.find_array(path)
    if head[:4] == b"PAR1":
        return parquet.find_parquet([path], path.stem, path.parent)
    if arrays.is_idx(head):
        return arrays.find_idx([path], path.name.split(".")[0])
    if zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
        return archives.find_archives([path], path.name.split(".")[0], options)
    if path.name.lower().endswith(_PACKED):
        raise UserError(
            f"{str(path)!r} is no {path.suffix.lstrip('.').lower()} file, whatever its ending, or it is damaged"
        )
    return folder.find_single(path)

"""Zip and tar archives, read in place: members are found once and then read by their offset; nothing is extracted."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from limner.data.cache import unpacked_place
from limner.data.options import DataOptions
from limner.data.sources import layout
from limner.data.sources.base import MAX_FILE, Found, Payload, Source, Unreadable, hidden, stamp_of_files
from limner.data.sources.tree import Columns, sorted_tree
from limner.errors import UserError

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_DECOMPRESSORS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZ": bz2.BZ2Decompressor,
    b"\xfd7": lzma.LZMADecompressor,
}
Aside = list[tuple[str, str]]


def find_archives(paths: list[Path], name: str, options: DataOptions) -> Found:
    """One archive of pictures, or several of a kind; with several, each counts as a folder of its name."""
    return Found(name, stamp_of_files(paths), lambda: _open(paths, name, options))


def _open(paths: list[Path], name: str, options: DataOptions) -> Source:
    zipped = [zipfile.is_zipfile(path) for path in paths]
    if any(zipped) and not all(zipped):
        raise UserError(f"{name!r} mixes zip and tar archives: put pictures into archives of one kind")
    columns = Columns(
        path=pa.large_string(),
        archive=pa.int32(),
        offset=pa.int64(),
        packed=pa.int64(),
        size=pa.int64(),
        method=pa.int32(),
    )
    aside: Aside = []
    notes: list[str] = []
    plain = [path if zipped[0] else _plain_tar(path, notes) for path in paths]
    for number, (path, file) in enumerate(zip(paths, plain, strict=True)):
        prefix = f"{path.name.split('.')[0]}/" if len(paths) > 1 else ""
        (_list_zip if zipped[0] else _list_tar)(file, prefix, number, columns, aside, notes)
    kind = "zip" if zipped[0] else "tar"
    settings = {"archives": [str(file.resolve()) for file in plain]}
    table = columns.table()
    if not table.num_rows:
        why = f" ({aside[0][0]!r}: {aside[0][1]})" if aside else ""
        raise UserError(f"the archive {str(paths[0])!r} holds no files{why}")
    reader_type = ZipReader if zipped[0] else TarReader

    def load(places: pa.Table, i: int) -> bytes:
        payload = next(reader_type(settings, places).read(np.array([i])))
        if not isinstance(payload, bytes):
            raise UserError(f"a file of metadata in {name!r} cannot be read")
        return payload

    found = layout.interpret(sorted_tree(table, load), options)
    return Source(
        kind=kind,
        name=name,
        layout=f"{kind} archive{'s' if len(paths) > 1 else ''}: {found.layout}",
        table=found.table,
        settings=settings,
        places=found.places,
        label_column=found.label_column,
        caption_column=found.caption_column,
        set_aside=(*aside, *found.set_aside),
        notes=(*notes, *found.notes),
    )


def _usable(name: str, aside: Aside, problem: str) -> bool:
    """Whether a member is a picture's candidate; what is dangerous or cannot be read is set aside with the reason."""
    parts = name.replace("\\", "/").split("/")
    if any(hidden(part) and part not in ("", ".", "..") for part in parts):
        return False
    if ".." in parts or name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
        problem = "a path that leads out of its archive"
    if problem:
        aside.append((name, problem))
    return not problem


def _clean(name: str) -> str:
    name = name.replace("\\", "/").encode("utf-8", "replace").decode()
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _too_large(size: int) -> str:
    return f"gigantic: more than {MAX_FILE >> 20} MiB" if size > MAX_FILE else ""


def _list_zip(path: Path, prefix: str, number: int, columns: Columns, aside: Aside, notes: list[str]) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(f"the archive {str(path)!r} is damaged ({error})") from error
    for info in members:
        if info.is_dir():
            continue
        is_link = info.create_system == 3 and (info.external_attr >> 28) == 0o12
        problem = _too_large(info.file_size)
        if info.flag_bits & 1:
            problem = "encrypted"
        elif info.compress_type not in _METHODS:
            problem = f"compressed by a method that is not supported ({info.compress_type})"
        elif is_link:
            problem = "a link inside an archive"
        elif not info.file_size:
            problem = "empty file"
        if _usable(info.filename, aside, problem):
            columns.add(
                path=prefix + _clean(info.filename),
                archive=number,
                offset=info.header_offset,
                packed=info.compress_size,
                size=info.file_size,
                method=info.compress_type,
            )


def _list_tar(path: Path, prefix: str, number: int, columns: Columns, aside: Aside, notes: list[str]) -> None:
    try:
        with tarfile.open(path, "r:") as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # or it remembers every member
                if info.isdir():
                    continue
                problem = _too_large(info.size) or ("" if info.size else "empty file")
                if info.issym() or info.islnk():
                    problem = "a link inside an archive"
                elif not info.isreg() or info.issparse():
                    problem = "not a regular file"
                if _usable(info.name, aside, problem):
                    columns.add(
                        path=prefix + _clean(info.name),
                        archive=number,
                        offset=info.offset_data,
                        packed=info.size,
                        size=info.size,
                        method=0,
                    )
    except tarfile.TarError as error:
        if not columns.rows:
            raise UserError(f"the archive {str(path)!r} is damaged ({error})") from error
        notes.append(f"the archive is cut off or damaged after {columns.rows:,} files ({error})")


def _plain_tar(path: Path, notes: list[str]) -> Path:
    """The archive itself, or its plain form in the cache where it is compressed as a whole."""
    with path.open("rb") as file:
        decompressor = _DECOMPRESSORS.get(file.read(2))
    if decompressor is None:
        return path
    stamp = stamp_of_files([path], str(path.resolve()))
    target = unpacked_place(f"{stamp}.tar")
    if target.exists():
        return target
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        with path.open("rb") as file, temporary.open("wb") as out:
            problem = _decompress(file, out, decompressor)
        if problem:  # not kept under the name that says whole: the next run has to say so again
            notes.append(f"the archive's compression is {problem}: what came before is used")
            target = unpacked_place(f"{stamp}.part.tar")
        temporary.replace(target)
    except OSError as error:
        raise UserError(f"cannot unpack {str(path)!r} into {str(target.parent)!r}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _decompress(file: IO[bytes], out: IO[bytes], new: Callable[[], Any]) -> str:
    """All that can be had of one or more compressed streams; returns what was wrong, '' if nothing."""
    stream = new()
    while block := file.read(1 << 18):
        while block:
            if stream.eof:
                if not block.strip(b"\0"):
                    return ""
                stream = new()
            try:
                out.write(stream.decompress(block))
            except (zlib.error, lzma.LZMAError, OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                return f"damaged ({error})"
            block = stream.unused_data if stream.eof else b""
    return "" if stream.eof else "cut off"


class _ArchiveReader(ABC):
    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        self.names, self.places = settings["archives"], places

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        assert self.places is not None
        columns = [self.places[name] for name in ("archive", "offset", "packed", "size", "method")]
        with contextlib.ExitStack() as stack:
            files: dict[int, IO[bytes]] = {}
            for row in rows.tolist():
                number, *place = (column[row].as_py() for column in columns)
                try:
                    if number not in files:
                        files[number] = stack.enter_context(open(self.names[number], "rb"))
                    yield self.member(files[number], *place)
                except OSError as error:
                    yield Unreadable(f"cannot be read ({error.strerror or error})")

    @abstractmethod
    def member(self, file: IO[bytes], offset: int, packed: int, size: int, method: int) -> bytes | Unreadable:
        """The member at `offset`, of `packed` bytes there and `size` when unpacked."""


class TarReader(_ArchiveReader):
    """Reads members of plain tars."""

    def member(self, file: IO[bytes], offset: int, packed: int, size: int, method: int) -> bytes | Unreadable:
        """See `_ArchiveReader.member`."""
        file.seek(offset)
        data = file.read(size)
        return data if len(data) == size else Unreadable("cut off by the end of the archive")


class ZipReader(_ArchiveReader):
    """Reads members of zips: stored, deflated, bzip2."""

    def member(self, file: IO[bytes], offset: int, packed: int, size: int, method: int) -> bytes | Unreadable:
        """See `_ArchiveReader.member`."""
        file.seek(offset)
        header = file.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            return Unreadable("damaged in its archive")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        file.seek(offset + 30 + name_length + extra_length)
        data = file.read(packed)
        try:
            if method == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-15).decompress(data, size + 1)  # never more than was promised
            elif method == zipfile.ZIP_BZIP2:
                data = bz2.BZ2Decompressor().decompress(data, size + 1)
        except (zlib.error, OSError, ValueError) as error:
            return Unreadable(f"damaged in its archive ({error})")
        return data if len(data) == size else Unreadable("damaged in its archive (of another length than promised)")

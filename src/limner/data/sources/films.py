"""Films as frames: video files by PyAV, animated pictures by Pillow, folders of numbered frames.

Every frame is a candidate of its own; which frames follow each other is said by the columns `film` and `frame`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from limner.data.columns import natural
from limner.data.options import DataOptions
from limner.data.sources import layout
from limner.data.sources.base import Found, Payload, Source, Unreadable
from limner.data.sources.folder import Walked, walk_one
from limner.data.sources.tree import Tree, folders_of, pieces
from limner.errors import MissingExtra, UserError

VIDEO = r"(?i)\.(mp4|m4v|mov|webm|mkv|avi|mpe?g|ogv|wmv|flv)$"
MOVING = r"(?i)\.(gif|apng|webp)$"
FILM, FRAME = "film", "frame"
_COUNTED = -1  # in the place of a time: the container has none, so frames are counted from the first


class Film(NamedTuple):
    """path: a file, or a folder of frames. kind: video, moving or folder. times: (n,) int64, in the stream's units."""

    path: str
    kind: str
    times: np.ndarray


def only_videos(paths: pa.ChunkedArray) -> bool:
    """Whether a folder's files are films, but for texts beside them."""
    others = paths.filter(pc.invert(pc.match_substring_regex(paths, layout.TEXTS)))
    return len(others) > 0 and pc.all(pc.match_substring_regex(others, VIDEO)).as_py() is True


def is_film(path: Path, options: DataOptions) -> bool:
    """Whether a single file is to be taken apart into frames."""
    found = pc.match_substring_regex(pa.array([path.name]), VIDEO if options.frames is None else f"{VIDEO}|{MOVING}")
    return bool(found[0].as_py())


def find_film(path: Path, options: DataOptions) -> Found:
    """One film."""
    walked = walk_one(path)
    return Found(path.stem, walked.stamp, partial(_open, path.parent, walked, options, path.stem))


def find_films(root: Path, walked: Walked, options: DataOptions) -> Found:
    """A folder of films: its video and animated files, or, where there are none, its folders of frames."""
    name = root.resolve().name or "root"
    return Found(name, walked.stamp, partial(_open, root, walked, options, name))


def _open(root: Path, walked: Walked, options: DataOptions, name: str) -> Source:
    tree = walked.tree
    is_text = pc.match_substring_regex(tree.paths, layout.TEXTS).to_numpy()
    files = pc.match_substring_regex(tree.paths, VIDEO if options.frames is None else f"{VIDEO}|{MOVING}").to_numpy()
    aside: list[tuple[str, str]] = []
    if files.any():
        aside += [(path, "not a film") for path in tree.paths.filter(pa.array(~files & ~is_text)).to_pylist()]
        rows = np.flatnonzero(files)
        names, members = tree.paths.take(pa.array(rows)), [np.array([row]) for row in rows]
        words = "films"
    else:
        names, members = _folders(tree, ~is_text, name)
        words = "folders of frames"
    found = _layout(tree, np.flatnonzero(is_text), names, options)
    wanted, step = options.frames or 1, options.stride or options.frames or 1
    films: list[Film] = []
    numbers: list[int] = []
    frames: list[np.ndarray] = []
    places: list[pa.Array] = []
    for row, which in enumerate(found.places["film"].to_pylist()):
        title = names[which].as_py()
        try:
            film, inner = _film(root, tree, title, members[which])
        except Unplayable as error:
            aside.append((title, str(error)))
            continue
        count = len(film.times)
        starts = np.arange(0, count - wanted + 1, step)
        if not len(starts):
            aside.append((title, f"only {count} frames, fewer than the {wanted} of a clip"))
            continue
        used = np.unique((starts[:, None] + np.arange(wanted)).ravel())
        films.append(film)
        numbers.append(row)
        frames.append(used)
        places.append(inner.take(pa.array(used)) if inner is not None else pa.nulls(len(used), pa.large_binary()))
    if not films:
        reasons = Counter(why for _, why in aside)
        said = "; ".join(f"{count} x {why}" if count > 1 else why for why, count in reasons.most_common(3))
        raise UserError(f"none of the {len(names)} films of {name!r} can be used ({said})")
    lengths = np.array([len(used) for used in frames])
    film_of = np.repeat(np.arange(len(films), dtype=np.int32), lengths)
    frame_of = np.concatenate(frames).astype(np.int32)
    table = found.table.take(pa.array(np.repeat(numbers, lengths)))
    return Source(
        kind="films",
        name=name,
        layout=f"{len(films):,} {words} ({found.layout})",
        table=pieces(table, film_of, frame_of, FILM, FRAME),
        settings={"films": [[film.path, film.kind] for film in films]},
        places=pa.table(
            {
                "film": film_of,
                "frame": frame_of,
                "time": np.concatenate([film.times[used] for film, used in zip(films, frames, strict=True)]),
                "path": pa.chunked_array(places, pa.large_binary()),
            }
        ),
        label_column=found.label_column,
        caption_column=found.caption_column,
        set_aside=(*walked.set_aside, *aside, *found.set_aside),
        notes=found.notes,
        group_column=FILM,
        order_column=FRAME,
    )


def _folders(tree: Tree, pictures: np.ndarray, name: str) -> tuple[pa.ChunkedArray, list[np.ndarray]]:
    """Folders that hold pictures as films: their paths, and the rows of their files in natural order."""
    rows = np.flatnonzero(pictures)
    if not len(rows):
        raise UserError(f"no films in {name!r}: give video or animated files, or folders of frames")
    paths = tree.paths.take(pa.array(rows)).to_pylist()
    folders = folders_of(tree.paths.take(pa.array(rows))).to_pylist()
    inside: dict[str, list[tuple[Any, int]]] = {}
    for row, path, folder in zip(rows.tolist(), paths, folders, strict=True):
        inside.setdefault(folder or name, []).append((natural(path), row))
    return pa.chunked_array([list(inside)], pa.large_string()), [
        np.array([row for _, row in sorted(found)]) for found in inside.values()
    ]


def _layout(tree: Tree, texts: np.ndarray, names: pa.ChunkedArray, options: DataOptions) -> layout.Layout:
    """Classes, parts, captions and metadata of the films, read as if each were one picture of its name."""
    paths = pa.chunked_array([*tree.paths.take(pa.array(texts)).chunks, *names.chunks], pa.large_string())
    films = np.concatenate([np.full(len(texts), -1), np.arange(len(names))])
    inner = Tree(paths, pa.table({"film": films}), lambda i: tree.load(int(texts[i])))
    return layout.interpret(inner, options)


class Unplayable(Exception):
    """A film that is set aside; the message is the reason."""


def _film(root: Path, tree: Tree, title: str, rows: np.ndarray) -> tuple[Film, pa.Array | None]:
    """A film with the times of its frames; for a folder also the paths of its files."""
    raw = tree.places["path"].take(pa.array(rows))
    if not bool(pc.match_substring_regex(pa.array([title]), f"{VIDEO}|{MOVING}")[0].as_py()) or len(rows) > 1:
        return Film(str(root.resolve()), "folder", np.arange(len(rows))), raw.combine_chunks()
    path = os.fsdecode(os.path.join(os.fsencode(root.resolve()), raw[0].as_py()))
    if pc.match_substring_regex(pa.array([title]), MOVING)[0].as_py():
        return Film(path, "moving", _moving_times(path)), None
    return Film(path, "video", video_times(path)), None


def _moving_times(path: str) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.arange(getattr(image, "n_frames", 1))
    except Exception as error:  # a plugin may raise anything on broken bytes
        raise Unplayable(f"broken or no picture ({error})") from error


def video_times(path: str) -> np.ndarray:
    """The time of each frame in the order of showing, from the packets alone: nothing is decoded."""
    av = _av()
    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise Unplayable("no pictures in it, only sound or text")
            times = [p.pts for p in container.demux(container.streams.video[0]) if p.size and not p.is_discard]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise Unplayable(f"broken or no film ({_words(error)})") from error
    if any(time is None for time in times) or len(set(times)) < len(times):
        return np.full(len(times), _COUNTED, np.int64)
    return np.sort(np.array(times, np.int64))


def _words(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:120]


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtra("PyAV", "film", "reading films") from error
    return av


class FilmReader:
    """Decodes runs of frames: seeks to the last whole frame before the first one, then goes on."""

    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        assert places is not None
        self.films, self.places = settings["films"], places

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        if not len(rows):
            return
        chosen = self.places.take(pa.array(rows))
        film_of = chosen["film"].to_numpy()
        edges = [0, *(np.flatnonzero(np.diff(film_of)) + 1).tolist(), len(rows)]
        for first, last in zip(edges, edges[1:], strict=False):
            path, kind = self.films[int(film_of[first])]
            part = chosen.slice(first, last - first)
            if kind == "folder":
                yield from _read_files(path, part["path"])
            elif kind == "moving":
                yield from _read_moving(path, part["frame"].to_pylist())
            else:
                yield from read_video(path, part["frame"].to_pylist(), part["time"].to_pylist())


def _read_files(root: str, paths: pa.ChunkedArray) -> Iterator[Payload]:
    for path in paths.to_pylist():
        try:
            yield Path(os.fsdecode(os.path.join(os.fsencode(root), path))).read_bytes()
        except OSError as error:
            yield Unreadable(f"cannot be read ({error.strerror})")


def _read_moving(path: str, frames: list[int]) -> Iterator[Payload]:
    done = 0
    try:
        with Image.open(path) as image:
            for frame in frames:
                image.seek(frame)
                yield np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
                done += 1
    except Exception as error:  # as in _moving_times
        yield from (Unreadable(f"broken or truncated ({error})") for _ in frames[done:])


def read_video(path: str, frames: list[int], times: list[int]) -> Iterator[Payload]:
    """The frames with these numbers and times, ascending, as (H, W, 3) uint8, upright."""
    av = _av()
    keys = frames if times[0] == _COUNTED else times
    done, why = 0, "this frame is not in the film"
    try:
        for shown in _shown(av, path, keys[0], counted=times[0] == _COUNTED):
            while done < len(keys) and shown[0] > keys[done]:
                yield Unreadable(why)
                done += 1
            if done == len(keys):
                return
            if shown[0] == keys[done]:
                pixels = shown[1].to_ndarray(format="rgb24")
                yield np.ascontiguousarray(np.rot90(pixels, round(shown[1].rotation / 90)))
                done += 1
    except (av.error.FFmpegError, OSError, ValueError) as error:
        why = f"broken ({_words(error)})"
    yield from (Unreadable(why) for _ in keys[done:])


def _shown(av: Any, path: str, first: int, counted: bool) -> Iterator[tuple[int, Any]]:
    """Frames with their time (or number), from a whole one at or before `first`."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        if counted:
            yield from enumerate(container.decode(stream))
            return
        container.seek(first, stream=stream)
        before = next(container.decode(stream), None)
        if before is None or before.pts is None or before.pts > first:  # some containers seek too far
            container.seek(0, stream=stream)
        else:
            yield before.pts, before
        for frame in container.decode(stream):
            yield frame.pts, frame

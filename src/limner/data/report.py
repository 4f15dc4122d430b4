"""What a scan found, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from limner.data import part
from limner.data.plan import Plan

TOP_SIZES = 20


@dataclass(frozen=True)
class Report:
    """What was found in a set. `to_dict` for programs (plain JSON values), `text` for people."""

    values: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """layout, pictures, sizes, modes, classes, attributes, numbers, captions, caption_samples, duplicates,
        resizing, parts, set_aside, notes, and where the pack lies."""
        return self.values

    def text(self) -> str:
        """The same, in lines that fit a terminal."""
        v = self.values
        lines = [f"{v['name']}: {v['pictures']:,} pictures, {v['layout']}"]

        def row(name: str, value: str) -> None:
            lines.append(f"  {name:<11}{value}")

        row("sizes", _counts(v["sizes"], 4) + (" and more" if v["more_sizes"] else ""))
        row("modes", _counts(v["modes"], 8))
        row("classes", f"{len(v['classes'])}: {_counts(v['classes'], 12)}" if v["classes"] else "none")
        others = [f"{name} ({len(values)})" for name, values in v["attributes"].items() if name != v["class_column"]]
        if others:
            row("attributes", ", ".join(others) + "  (choose by --labels)")
        for name, spread in v.get("numbers", {}).items():
            ends = f"{spread['low']:g} to {spread['high']:g}, half below {spread['median']:.4g}"
            row("number", f"{name}: {ends} ({spread['pictures']:,} pictures)")
        share = f" of {v['pictures']:,} ({v['captions'] / v['pictures']:.0%})" if v["captions"] else ""
        row("captions", f"{v['captions']:,}{share}" if v["captions"] else "none")
        lines.extend(f"    {sample!r}" for sample in v["caption_samples"])
        row("duplicates", f"{v['duplicates']['exact']:,} exact, {v['duplicates']['near']:,} near")
        row("pictures", v["resizing"]["words"])
        if tail := v.get("longtail"):
            kept = ", ".join(f"{name} ({count:,})" for name, count in tail["classes"].items())
            row("long tail", f"{sum(tail['classes'].values()):,} of {tail['of']:,} to train on: {kept}")
        if unseen := v.get("without"):
            said = "; ".join(", ".join(f"{k}={x}" for k, x in one.items()) for one in unseen["combinations"])
            row("without", f"{said}: {unseen['pictures']:,} kept from training, {unseen['held_out']:,} held out")
        if (films := v.get("films")) and films["frames"]:
            every = films["stride"] or films["frames"]
            row("clips", f"{films['clips']:,} of {films['frames']} frames, one every {every} (parts count clips)")
        if stream := v.get("stream"):
            row("stream", _stream(stream))
        parts = v["parts"]
        row("parts", ", ".join(f"{parts[name]:,} {words}" for name, words in _PARTS if parts[name]))
        aside = v["set_aside"]
        row("set aside", f"{len(aside):,}" if aside else "none")
        lines.extend(f"    {entry['file']}: {entry['reason']}" for entry in aside[:10])
        if len(aside) > 10:
            lines.append(f"    and {len(aside) - 10:,} more (--json lists all)")
        for note in v["notes"]:
            row("note", note)
        if v["pack"]:
            row(
                "packed",
                f"{v['shape'][0]} x {v['shape'][1]} x {v['shape'][2]}, {v['bytes'] / 2**20:,.1f} MiB in {v['pack']}",
            )
        return "\n".join(lines)


_PARTS = (
    ("train", "to train on"),
    ("validation", "to validate with"),
    ("held_out", "held out"),
    ("left_out", "left out (repeated on the held-out side)"),
)


def _stream(stream: dict[str, Any]) -> str:
    words = f"{stream['shards']:,} shards, {stream['bytes'] / 2**30:,.2f} GiB, {stream['buffer']:,} shuffled at a time"
    read = stream.get("read", {})
    if not read.get("shards"):
        return words
    words += f"; read so far {read['shards']:,} shards, {read['pictures']:,} to train on, {read['aside']:,} set aside"
    return words + (f", {read['unknown']:,} of no class of the head" if read["unknown"] else "")


def _counts(counts: dict[str, int], most: int) -> str:
    shown = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:most])
    return shown + (f", {len(counts) - most} more" if len(counts) > most else "")


def sizes_of(records: np.ndarray) -> tuple[dict[str, int], int]:
    """Counts by "width x height", the commonest first, and how many sizes are not listed."""
    packed = records["width"].astype(np.uint64) << np.uint64(32) | records["height"].astype(np.uint64)
    values, counts = np.unique(packed, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    listed = {f"{int(values[i]) >> 32}x{int(values[i]) & 0xFFFFFFFF}": int(counts[i]) for i in order[:TOP_SIZES]}
    return listed, len(values) - len(listed)


def modes_of(records: np.ndarray) -> dict[str, int]:
    """Counts by Pillow's name of the mode, the commonest first."""
    values, counts = np.unique(records["mode"], return_counts=True)
    names = {int(v): part.MODES[v] if v < len(part.MODES) else "other" for v in values}
    return {names[int(values[i])]: int(counts[i]) for i in np.argsort(-counts, kind="stable")}


def resizing_of(records: np.ndarray, plan: Plan) -> dict[str, Any]:
    """What happens to the pictures' size, as numbers and in words."""

    def count(flag: int) -> int:
        return int(((records["flags"] & flag) != 0).sum())

    if plan.preview:
        return {"to": None, "crop": None, "words": "need a size: --size 64, for example"}
    done: dict[str, Any] = {
        "to": f"{plan.width}x{plan.height}",
        "crop": plan.crop,
        "shrunk": count(part.SHRUNK),
        "enlarged": count(part.ENLARGED),
        "cropped": count(part.CROPPED),
        "padded": count(part.PADDED),
    }
    words = [f"{done[k]:,} {text}" for k, text in _RESIZED if done[k]]
    done["words"] = f"{done['to']}: " + (f"{', '.join(words)} ({plan.crop})" if words else "all kept at their own size")
    return done


_RESIZED = (
    ("shrunk", "shrunk"),
    ("enlarged", "ENLARGED (they are smaller than that)"),
    ("cropped", "cropped"),
    ("padded", "padded with white"),
)


def flag_notes(records: np.ndarray) -> list[str]:
    """Notes on pictures that were animated or lay on their side."""
    texts: list[tuple[int, Callable[[int], str]]] = [
        (part.ANIMATED, lambda n: f"{n:,} animated: their first frame is taken"),
        (part.TURNED, lambda n: f"{n:,} turned upright by their EXIF orientation"),
    ]
    counts = [(int(((records["flags"] & flag) != 0).sum()), text) for flag, text in texts]
    return [text(n) for n, text in counts if n]

"""Shards made of small pictures: tars as WebDataset has them, parquet files as `datasets` writes them."""

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from made_pictures import picture

CLASSES = ("cat", "dog", "owl")


def encoded(number: int, size=(8, 8), mode="RGB") -> bytes:
    out = io.BytesIO()
    picture(number, size, mode).save(out, "PNG")
    return out.getvalue()


def tar_bytes(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def members(first: int, count: int, size=(8, 8)) -> dict[str, bytes]:
    """Pictures numbered from `first` on, with class, caption and a JSON that holds the number."""
    found = {}
    for i in range(first, first + count):
        found[f"{i:05d}.png"] = encoded(i, size)
        found[f"{i:05d}.cls"] = b"%d" % (i % 3)
        found[f"{i:05d}.txt"] = f"picture {i}".encode()
        found[f"{i:05d}.json"] = json.dumps({"kind": CLASSES[i % 3], "number": i}).encode()
    return found


def tars(root: Path, counts: list[int], size=(8, 8)) -> str:
    """A pattern of tars with so many pictures each."""
    root.mkdir(parents=True, exist_ok=True)
    first = 0
    for number, count in enumerate(counts):
        (root / f"shard-{number:03d}.tar").write_bytes(tar_bytes(members(first, count, size)))
        first += count
    return str(root / f"shard-{{000..{len(counts) - 1:03d}}}.tar")


def parquets(root: Path, counts: list[int]) -> str:
    """A pattern of parquet files, with class names in their schema."""
    root.mkdir(parents=True, exist_ok=True)
    features = {"image": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    meta = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    first = 0
    for number, count in enumerate(counts):
        rows = range(first, first + count)
        table = pa.table(
            {
                "image": [{"bytes": encoded(i), "path": f"{i:05d}.png"} for i in rows],
                "label": [i % 3 for i in rows],
                "text": [f"picture {i}" for i in rows],
            }
        )
        pq.write_table(table.replace_schema_metadata(meta), root / f"part-{number:02d}.parquet", row_group_size=7)
        first += count
    return str(root / "part-*.parquet")

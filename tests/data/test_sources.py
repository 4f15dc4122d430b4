"""Every form in which pictures come is found, named, and read with its labels and captions."""

import gzip
import json
import os
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_pictures import aside, folder, picture, pixels

from limner.data import DataOptions, pack, packing, scan
from limner.data.cache import cache_folder
from limner.errors import UserError


def test_flat_folder_with_any_ending(tmp_path):
    root = tmp_path / "süß 画像"
    root.mkdir()
    picture(0).save(root / "a b.PNG")
    picture(1).save(root / "ü.JPeG", "JPEG")
    picture(2).save(root / "no ending", "PNG")
    picture(3).save(root / "wrong.txt.jpg", "PNG")
    (root / ".DS_Store").write_bytes(b"x")
    (root / "._a b.PNG").write_bytes(b"x")
    (root / "Thumbs.db").write_bytes(b"x")
    made = pack(root)
    assert made.report["layout"] == "flat folder" and not made.report["set_aside"]
    assert sorted(made.file(i) for i in range(4)) == ["a b.PNG", "no ending", "wrong.txt.jpg", "ü.JPeG"]
    assert made.classes == () and made.labels([0]) is None and made.caption(0) is None


def test_class_folders_are_classes_in_natural_order(tmp_path):
    for i, name in enumerate(["s2", "s10", "s1"]):
        folder(tmp_path / "set" / name, 4, first=10 * i)
    made = pack(tmp_path / "set")
    assert made.report["layout"] == "one folder a class"
    assert made.classes == ("s1", "s2", "s10")
    for i in range(12):
        assert made.file(i).startswith(made.classes[made.labels([i])[0]] + "/")
    some = pack(tmp_path / "set", DataOptions(classes=("s10", "s2")))
    assert some.classes == ("s2", "s10") and len(some) == 8 and set(some.labels(range(8))) == {0, 1}
    with pytest.raises(UserError, match=r"class 's3'.*did you mean 's\d"):
        pack(tmp_path / "set", DataOptions(classes=("s3",)))


def test_nested_and_sharded_folders_are_not_classes(tmp_path):
    folder(tmp_path / "shards" / "00000", 3)
    folder(tmp_path / "shards" / "01000", 3, first=3)
    assert pack(tmp_path / "shards").classes == ()
    folder(tmp_path / "deep" / "2019" / "may", 3)
    folder(tmp_path / "deep" / "2020" / "june", 3, first=3)
    made = pack(tmp_path / "deep")
    assert made.report["layout"] == "nested folders" and made.classes == ()
    assert pack(tmp_path / "deep", DataOptions(labels="folder")).classes == ("2019", "2020")


def test_train_and_test_folders_are_parts(tmp_path):
    for part, first in (("train", 0), ("test", 100)):
        for k, name in enumerate(("a", "b")):
            folder(tmp_path / "set" / part / name, 6, first=first + 20 * k)
    made = pack(tmp_path / "set")
    assert made.classes == ("a", "b") and "parts test/, train/" in made.report["layout"]
    assert all(made.file(i).startswith("train/") for i in made.train) and len(made.train) == 12
    held = [*made.held_out, *made.validation]
    assert all(made.file(i).startswith("test/") for i in held) and len(held) == 12
    only = pack(tmp_path / "set", DataOptions(split="train"))
    assert len(only) == 12 and len(only.held_out)
    with pytest.raises(UserError, match="split 'tset'.*did you mean 'test'"):
        pack(tmp_path / "set", DataOptions(split="tset"))


def test_metadata_jsonl_gives_captions_labels_and_attributes(tmp_path):
    root = folder(tmp_path / "set", 20)
    rows = [
        {
            "file_name": f"{i:03d}.png",
            "text": f"picture {i}",
            "mood": "sad" if i % 2 else "glad",
            "stars": i % 3,
            "id": f"x{i}",
        }
        for i in range(19)
    ]
    lines = [json.dumps(row) for row in rows] + [json.dumps({"file_name": "gone.png", "text": "?"}), ""]
    (root / "metadata.jsonl").write_text("\n".join(lines))
    made = pack(root)
    assert made.report["layout"] == "pictures with metadata.jsonl"
    assert made.report["captions"] == 19 and len(made.report["caption_samples"]) == 3
    assert made.caption(7) == "picture 7" and made.caption(19) is None
    assert made.attributes == {"mood": ("glad", "sad"), "stars": ("0", "1", "2")} and made.classes == ()
    assert made.labels([0, 1, 19], "mood").tolist() == [0, 1, -1]
    assert aside(made.report) == {"gone.png": "listed in metadata.jsonl but not there"}
    chosen = pack(root, DataOptions(labels="stars, mood", captions="id"))
    assert chosen.classes == ("0", "1", "2") and chosen.caption(4) == "x4"
    assert chosen.labels([5]).tolist() == [2]
    with pytest.raises(UserError, match=r"label column 'moods'.*did you mean 'mood'"):
        pack(root, DataOptions(labels="moods"))


def test_metadata_csv_beside_folders_and_mixed_types(tmp_path):
    folder(tmp_path / "set" / "images", 4)
    (tmp_path / "set" / "labels.csv").write_text(
        '\ufefffile_name,label,caption\nimages/000.png,cat,"a, b"\nimages/001.png,dog,\nimages/002.png,cat,c\n', "utf-8"
    )
    made = pack(tmp_path / "set")
    assert made.classes == ("cat", "dog") and made.labels(range(4)).tolist() == [0, 1, 0, -1]
    assert [made.caption(i) for i in range(4)] == ["a, b", None, "c", None]
    (tmp_path / "set" / "labels.csv").unlink()
    rows = [{"file_name": f"images/{i:03d}.png", "label": value} for i, value in enumerate([1, "two", None, 2.5])]
    (tmp_path / "set" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert pack(tmp_path / "set").classes == ("1", "2.5", "two")


def test_broken_metadata_names_the_line(tmp_path):
    root = folder(tmp_path / "set", 2)
    (root / "metadata.jsonl").write_text('{"file_name": "000.png"}\n{"file_name": \n')
    with pytest.raises(UserError, match="line 2 of 'metadata.jsonl'"):
        scan(root)


def test_captions_in_text_files_of_the_same_name(tmp_path):
    root = folder(tmp_path / "set", 3)
    (root / "000.txt").write_text("  a caption\n")
    (root / "002.TXT").write_bytes("grün".encode("utf-8-sig"))
    (root / "other.txt").write_text("nobody's")
    made = pack(root)
    assert [made.caption(i) for i in range(3)] == ["a caption", None, "grün"]
    assert aside(made.report) == {"other.txt": "not a picture"}
    assert ".txt" in made.report["layout"]


def test_links_and_special_files_are_safe(tmp_path):
    root = folder(tmp_path / "set", 5)
    (root / "inner").mkdir()
    (root / "inner" / "loop").symlink_to(root)
    (root / "dangling.png").symlink_to(root / "nowhere.png")
    picture(77).save(tmp_path / "outside.png")
    (root / "linked.png").symlink_to(tmp_path / "outside.png")
    os.mkfifo(root / "pipe.png")
    made = pack(root)
    found = aside(made.report)
    assert len(made) == 6 and set(found) == {"dangling.png", "pipe.png", "inner/loop"}
    assert "loop" in found["inner/loop"] and "link to nothing" in found["dangling.png"]


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def test_idx_with_parts_and_labels(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    data = {
        name: np.stack([pixels(i, channels=1)[..., 0] for i in range(a, b)])
        for name, a, b in (("train", 0, 9), ("t10k", 9, 13))
    }
    for name, values in data.items():
        (root / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(values)))
        (root / f"{name}-labels-idx1-ubyte").write_bytes(idx((np.arange(len(values)) % 3).astype(np.uint8)))
    made = pack(root)
    assert made.shape == (1, 24, 24) and made.classes == ("0", "1", "2") and len(made.train) == 9
    both = np.concatenate([data["t10k"], data["train"]])
    assert np.array_equal(made.read(np.arange(13))[..., 0], both)
    assert made.labels(made.train).tolist() == [0, 1, 2] * 3
    (root / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(5, np.uint8)))
    with pytest.raises(UserError, match="9 pictures but 5 labels"):
        pack(root)
    (root / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(data["train"])[:1000]))
    (root / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="cut off"):
        pack(root)


@pytest.mark.parametrize("form", ["u8", "nchw", "unit", "signed", "u16", "bool", "plain"])
def test_arrays(tmp_path, form):
    x = np.stack([pixels(i) for i in range(7)])
    given = {
        "u8": x,
        "nchw": x.transpose(0, 3, 1, 2),
        "unit": (x / 255).astype(np.float32),
        "signed": x / 127.5 - 1,
        "u16": x[..., 0].astype(np.uint16) * 257,
        "bool": x[..., 0] > 127,
        "plain": x[..., 0],
    }[form]
    wanted = {"u16": x[..., :1], "plain": x[..., :1], "bool": (x[..., :1] > 127) * np.uint8(255)}.get(form, x)
    np.save(tmp_path / "set.npy", given)
    np.savez_compressed(tmp_path / "set.npz", x=given, y=np.arange(7) % 2)
    assert np.array_equal(pack(tmp_path / "set.npy").read(range(7)), wanted)
    made = pack(tmp_path / "set.npz")
    assert np.array_equal(made.read(range(7)), wanted)
    assert made.classes == ("0", "1") and made.labels([3]).tolist() == [1]
    assert not list((tmp_path / "set.npz").parent.glob("*.tmp"))


def test_what_is_unpacked_goes_with_the_work(tmp_path, monkeypatch):
    """Labels too, and where the set is refused; work that is stopped leaves it to the next."""

    def left():
        return {path.name for path in (cache_folder() / "unpacked").glob("*")}

    x = np.stack([pixels(i) for i in range(7)])
    np.savez_compressed(tmp_path / "set.npz", x=x, y=np.arange(7) % 2)
    before = left()
    pack(tmp_path / "set.npz")
    assert left() == before, "packed"
    with pytest.raises(UserError, match="class"):
        pack(tmp_path / "set.npz", DataOptions(classes=("9",)))
    assert left() == before, "refused"

    def stopped(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(packing, "_stage", stopped)
        pack(tmp_path / "set.npz", DataOptions(size=16))
    assert len(left() - before) == 2, "pictures and labels"
    pack(tmp_path / "set.npz", DataOptions(size=16))
    assert left() == before


def test_arrays_that_are_no_pictures(tmp_path):
    np.save(tmp_path / "bad.npy", np.zeros((4, 5)))
    with pytest.raises(UserError, match=r"shape \(4, 5\)"):
        pack(tmp_path / "bad.npy")
    np.save(tmp_path / "range.npy", np.full((4, 8, 8), -300.0))
    with pytest.raises(UserError, match="from -300"):
        pack(tmp_path / "range.npy")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match="objects.npy"):
        pack(tmp_path / "objects.npy")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(UserError, match=r"no array 'x'.*weights"):
        pack(tmp_path / "other.npz")


def encoded(number: int) -> bytes:
    import io

    out = io.BytesIO()
    picture(number).save(out, "PNG")
    return out.getvalue()


def test_parquet_of_hugging_face(tmp_path):
    root = tmp_path / "set" / "data"
    root.mkdir(parents=True)
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["zebra", "ant"]}}
    for part, first, count in (("train", 0, 9), ("test", 9, 4)):
        table = pa.table(
            {
                "image": [{"bytes": encoded(first + i), "path": f"{part}{i}.png"} for i in range(count)],
                "label": pa.array([i % 2 for i in range(count)], pa.int64()),
                "caption": [[f"{part} {i}", "another"] for i in range(count)],
            }
        ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, root / f"{part}-00000-of-00001.parquet", row_group_size=4)
    (tmp_path / "set" / "README.md").write_text("a card")
    made = pack(tmp_path / "set")
    assert made.classes == ("zebra", "ant") and len(made.train) == 9
    assert sorted(made.file(i) for i in made.train) == [f"train{i}.png" for i in range(9)]
    row = next(i for i in made.train if made.file(i) == "train5.png")
    assert np.array_equal(made.read([row])[0], pixels(5))
    assert made.caption(row) == "train 5" and made.labels([row]).tolist() == [1]


def test_parquet_with_a_null_and_plain_bytes(tmp_path):
    table = pa.table({"img": pa.array([encoded(0), None, encoded(2), b"junk"]), "n": [1, 2, 3, 4]})
    pq.write_table(table, tmp_path / "a.parquet")
    made = pack(tmp_path / "a.parquet")
    assert len(made) == 2 and np.array_equal(made.read([1])[0], pixels(2)) and len(made.report["set_aside"]) == 2
    pq.write_table(pa.table({"n": [1]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"no column of encoded pictures \(columns: n\)"):
        pack(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("nowhere/at/all", "there is no folder or file"),
        ("digit", "did you mean 'digits'"),
        ("shapes:many", "give a number"),
        ("bad\0name", "cannot read|no folder"),
    ],
)
def test_what_is_not_there(data, words):
    with pytest.raises(UserError, match=words):
        scan(data)


def test_empty_folder_and_fake_archives(tmp_path):
    with pytest.raises(UserError, match="no files in the folder"):
        scan(tmp_path)
    for name in ("a.zip", "a.tar.gz", "a.parquet", "a.npz"):
        (tmp_path / name).write_bytes(b"not that at all")
        with pytest.raises(UserError, match=r"a\."):
            scan(tmp_path / name)
    (tmp_path / "none.png").write_bytes(b"")
    with pytest.raises(UserError, match="empty"):
        scan(tmp_path / "none.png")

"""Zip and tar are read in place and can do no harm."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from made_pictures import aside, folder, picture, pixels

from limner.data import DataOptions, pack, scan
from limner.data.cache import cache_folder
from limner.errors import UserError


def encoded(number: int) -> bytes:
    out = io.BytesIO()
    picture(number).save(out, "PNG")
    return out.getvalue()


def make(path, members, mode="w"):
    """An archive of names and bytes."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, mode) as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("name", "mode"), [("a.zip", ""), ("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz"), ("a.tbz2", "w:bz2")]
)
def test_archives_of_class_folders(tmp_path, name, mode):
    members = {f"pets/{kind}/{i}.png": encoded(10 * k + i) for k, kind in enumerate(("cat", "dog")) for i in range(4)}
    members |= {
        "__MACOSX/pets/._0.png": b"x",
        "pets/.hidden": b"x",
        "pets/notes.txt": b"words",
        "pets/dog/0.txt": b"good dog",
    }
    make(tmp_path / name, members, mode)
    before = sorted(tmp_path.rglob("*"))
    made = pack(tmp_path / name)
    assert made.classes == ("cat", "dog") and len(made) == 8 and "one folder a class" in made.report["layout"]
    row = [made.file(i) for i in range(8)].index("pets/dog/0.png")
    assert np.array_equal(made.read([row])[0], pixels(10))
    assert made.caption(row) == "good dog" and list(aside(made.report)) == ["pets/notes.txt"]
    assert sorted(tmp_path.rglob("*")) == before
    assert not list((cache_folder() / "unpacked").glob("*")), "what was unpacked for the work is gone"


def test_a_zip_of_a_folder_with_parts_and_metadata(tmp_path):
    members = {f"set/train/{i}.png": encoded(i) for i in range(6)} | {
        f"set/test/{i}.png": encoded(50 + i) for i in range(3)
    }
    members["set/train/metadata.jsonl"] = b"\n".join(
        b'{"file_name": "%d.png", "text": "n %d"}' % (i, i) for i in range(6)
    )
    make(tmp_path / "set.zip", members)
    made = pack(tmp_path / "set.zip")
    assert len(made.train) == 6 and made.report["captions"] == 6
    assert {made.caption(i) for i in made.train} == {f"n {i}" for i in range(6)}


def test_dangerous_members_are_set_aside(tmp_path):
    members = {"ok.png": encoded(0), "../up.png": encoded(1), "/abs.png": encoded(2), "a/../../b.png": encoded(3)}
    members |= {"C:\\evil.png": encoded(4), "fine/..hidden": b""}
    make(tmp_path / "a.tar", members)
    with tarfile.open(tmp_path / "a.tar", "a") as archive:
        for name, kind in (("link.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE), ("dev.png", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    make(tmp_path / "a.zip", members)
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    for name in ("a.tar", "a.zip"):
        made = pack(tmp_path / name)
        found = aside(made.report)
        assert len(made) == 1 and made.file(0) == "ok.png"
        assert {"../up.png", "/abs.png", "a/../../b.png", "link.png"} <= set(found)
        assert "leads out" in found["../up.png"] and "link" in found["link.png"]


def test_damaged_archives_give_what_is_whole(tmp_path):
    members = {f"{i:03d}.png": encoded(i) for i in range(40)}
    make(tmp_path / "a.tar", members, "w")
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(data[: len(data) // 2])
    made = pack(tmp_path / "cut.tar")
    assert 5 < len(made) < 40 and np.array_equal(made.read([3])[0], pixels(3))
    make(tmp_path / "a.tar.gz", members, "w:gz")
    data = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(data[: len(data) // 2])
    made = pack(tmp_path / "cut.tar.gz")
    assert 5 < len(made) < 40 and any("cut off" in note for note in made.report["notes"])
    make(tmp_path / "a.zip", members)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        at = archive.getinfo("007.png").header_offset
    data[at + 60 : at + 90] = bytes(30)
    (tmp_path / "hurt.zip").write_bytes(data)
    made = pack(tmp_path / "hurt.zip")
    assert len(made) == 39 and list(aside(made.report)) == ["007.png"]
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="cut.zip"):
        scan(tmp_path / "cut.zip")


def test_a_folder_of_shards_is_one_set(tmp_path):
    (tmp_path / "set").mkdir()
    for shard in range(3):
        make(tmp_path / "set" / f"{shard:05d}.tar", {f"{shard}-{i}.png": encoded(10 * shard + i) for i in range(4)})
    made = pack(tmp_path / "set")
    assert len(made) == 12 and made.classes == ()
    assert np.array_equal(made.read([11])[0], pixels(23))


def test_a_pictures_folder_with_an_archive_in_it_is_a_folder(tmp_path):
    root = folder(tmp_path / "set", 4)
    make(root / "backup.zip", {"0.png": encoded(0)})
    assert aside(pack(root, DataOptions()).report) == {"backup.zip": "not a picture"}

import io
import json
import os
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from explorer.records import InputError, Picture
from explorer.services import archives
from explorer.services.archives import ZipLimits
from explorer.services.collections import Collection, Unreadable, read_pictures


def png(shade=0):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


def make_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def shades(found):
    return [int(each.pixels[0, 0, 0]) for each in found if isinstance(each, Picture)]


def reasons(found):
    return {each.name: each.reason for each in found if isinstance(each, Unreadable)}


@pytest.fixture
def folder(tmp_path):
    for shade, name in enumerate(["b.png", "a.png", "sub/c.png", "sub/.hidden.png", ".git/d.png", "out/e.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(shade))
    return tmp_path


def test_a_folder_gives_its_files_by_name_and_no_hidden_ones(folder):
    (folder / "notes.txt").write_text("hello")
    found = list(read_pictures(folder))
    assert shades(found) == [1, 0, 5, 2]
    assert list(reasons(found)) == [str(folder / "notes.txt")] and "holds text" in found[2].reason


def test_the_folder_of_results_is_passed_over(folder):
    assert len(Collection(folder)) == 4 and len(Collection(folder, beside=folder / "out")) == 3


def test_a_folder_that_cannot_be_listed_is_told(folder, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = list(read_pictures(folder))
    assert shades(found) == [1, 0, 5] and reasons(found) == {
        str(folder / "sub"): f"{folder / 'sub'} cannot be opened: Permission denied."
    }


def test_patterns_files_and_pictures_in_memory_in_the_order_given(folder):
    memory = Picture("memory", np.full((2, 2, 3), 9, np.uint8))
    assert shades(read_pictures([memory, folder / "b.png", str(folder / "**" / "[ac].png")])) == [9, 0, 1, 2]
    (folder / "x[1].png").write_bytes(png(7))
    assert shades(read_pictures(folder / "x[1].png")) == [7]


@pytest.mark.parametrize(("name", "words"), [("none.png", "There is no file"), ("*.gif", "No file fits the pattern")])
def test_what_does_not_exist(tmp_path, name, words):
    with pytest.raises(InputError, match=words):
        Collection(tmp_path / name)


def test_the_key_tells_collections_apart(folder):
    key = Collection(folder).key()
    assert key == Collection(folder).key() != Collection([folder / "b.png"]).key()
    (folder / "a.png").write_bytes(png(1) + b"more")
    assert Collection(folder).key() != key


def test_a_zip_with_good_damaged_nested_and_wandering_files(tmp_path):
    place = tmp_path / "deep" / "er"
    place.mkdir(parents=True)
    inner = make_zip(tmp_path / "inner.zip", {"a.png": png()}).read_bytes()
    (tmp_path / "inner.zip").unlink()
    stored = png(99)
    path = make_zip(place / "many.zip", {
        "good.png": png(1), "../../x.png": png(2), "/etc/y.png": png(3), "sub/": b"", "sub/z.png": png(4),
        "inner.zip": inner, "masked.png": inner, "text.txt": b"hello there", "empty.png": b"",
        "__MACOSX/._good.png": b"x", ".DS_Store": b"x",
    })  # fmt: skip
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("flipped.png", stored)
    content = path.read_bytes()
    path.write_bytes(content.replace(stored, stored[:40] + bytes([stored[40] ^ 255]) + stored[41:]))
    before = sorted(tmp_path.rglob("*"))
    found = list(read_pictures(path))
    assert shades(found) == [1, 2, 3, 4] and sorted(tmp_path.rglob("*")) == before
    assert [each.name for each in found if isinstance(each, Picture)][1] == "many.zip/../../x.png"
    told = reasons(found)
    assert set(told) == {f"many.zip/{n}" for n in ("inner.zip", "masked.png", "text.txt", "empty.png", "flipped.png")}
    assert all("zip inside a zip" in told[f"many.zip/{name}"] for name in ("inner.zip", "masked.png"))
    assert "damaged inside its zip" in told["many.zip/flipped.png"] and "is empty" in told["many.zip/empty.png"]


def test_ten_thousand_entries(tmp_path):
    path = make_zip(tmp_path / "many.zip", {f"{number:05}.png": png(number % 256) for number in range(10_000)})
    collection = Collection(path)
    assert len(collection) == 10_000 and not collection.left_out
    assert [int(read().pixels[0, 0, 0]) for _, read in collection.entries([0, 5, 9_999])] == [0, 5, 9_999 % 256]
    found = list(read_pictures(path, limits=ZipLimits(entries=3)))
    assert shades(found) == [0, 1, 2]
    assert "10,000 files, and the first 3 are read: 9,997 were left out" in found[0].reason
    found = list(read_pictures(path, limits=ZipLimits(total_bytes=len(png(0)) + len(png(1)))))
    assert shades(found) == [0, 1] and "9,998 were left out" in found[0].reason
    (told,) = list(read_pictures(path, limits=ZipLimits(entries=1, picture_bytes=10)))[1:]
    assert "the limit is" in told.reason


def test_zips_that_are_refused(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "a.zip", {"a.png": png()})
    locked = bytearray(path.read_bytes())
    for at in (6, locked.index(b"PK\1\2") + 8):
        locked[at] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    assert "password" in next(iter(read_pictures(tmp_path / "locked.zip"))).reason
    make_zip(tmp_path / "lzma.zip", {"a.png": png()}, zipfile.ZIP_LZMA)
    assert "method that is not read" in next(iter(read_pictures(tmp_path / "lzma.zip"))).reason
    (tmp_path / "cut.zip").write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"cut.zip is a damaged zip"):
        Collection(tmp_path / "cut.zip")
    monkeypatch.setattr(archives, "DIRECTORY_BYTES", 20)
    with pytest.raises(InputError, match="too many entries"):
        Collection(path)


def image_column(contents):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([None if c is None else {"bytes": c, "path": "x.png"} for c in contents], kind)


@pytest.mark.parametrize("make", [image_column, lambda contents: pa.array(contents, pa.large_binary())])
def test_a_parquet_file(tmp_path, make):
    contents = [None if shade == 11 else b"no picture" if shade == 12 else png(shade) for shade in range(25)]
    table = pa.table({"label": pa.array(range(25)), "photo": make(contents)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    found = list(read_pictures(tmp_path / "a.parquet"))
    assert shades(found) == [*range(11), *range(13, 25)]
    assert list(reasons(found)) == ["a.parquet, row 11", "a.parquet, row 12"] and "holds no picture" in found[11].reason
    collection = Collection([tmp_path / "a.parquet", tmp_path / "a.parquet"])
    read = [int(read().pixels[0, 0, 0]) for _, read in collection.entries([1, 9, 10, 24, 25, 45])]
    assert read == [1, 9, 10, 24, 0, 20]


def test_a_parquet_file_with_a_damaged_part(tmp_path):
    path = tmp_path / "a.parquet"
    contents = [png(shade) for shade in range(6)]
    pq.write_table(pa.table({"image": contents}), path, row_group_size=2, compression="gzip", use_dictionary=False)
    group = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    start = group.data_page_offset
    content[start + 20 : start + group.total_compressed_size] = bytes(group.total_compressed_size - 20)
    path.write_bytes(content)
    found = list(read_pictures(path))
    assert shades(found) == [0, 1, 4, 5] and list(reasons(found)) == ["a.parquet, row 2", "a.parquet, row 3"]
    path.write_bytes(content[:-20])
    with pytest.raises(InputError, match="cannot be read as a table"):
        Collection(path)


def test_which_column(tmp_path):
    two = {"left": image_column([png(1)]), "right": image_column([png(2)])}
    pq.write_table(pa.table(two), tmp_path / "two.parquet")
    with pytest.raises(InputError, match="several columns that may hold pictures, left, right"):
        Collection(tmp_path / "two.parquet")
    assert shades(read_pictures(tmp_path / "two.parquet", column="right")) == [2]
    pq.write_table(pa.table(two | {"image": image_column([png(3)])}), tmp_path / "three.parquet")
    assert shades(read_pictures(tmp_path / "three.parquet")) == [3]
    pq.write_table(pa.table({"label": [1]}), tmp_path / "none.parquet")
    with pytest.raises(InputError, match="no column of pictures"):
        Collection(tmp_path / "none.parquet")


def save_to_disk(folder, files):
    """The layout that ``datasets.Dataset.save_to_disk`` writes."""
    folder.mkdir(parents=True)
    for name, contents in files.items():
        table = pa.table({"image": image_column(contents), "label": pa.array(range(len(contents)))})
        with pa.ipc.new_stream(folder / name, table.schema) as stream:
            stream.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in files]}))
    (folder / "dataset_info.json").write_text("{}")


def test_a_folder_of_a_dataset(tmp_path):
    save_to_disk(tmp_path / "one", {"0.arrow": [png(1), png(2), png(3)], "1.arrow": [png(4), None]})
    found = list(read_pictures(tmp_path / "one"))
    assert shades(found) == [1, 2, 3, 4] and list(reasons(found)) == ["one, row 4"]
    save_to_disk(tmp_path / "both" / "train", {"0.arrow": [png(5)]})
    save_to_disk(tmp_path / "both" / "test", {"0.arrow": [png(6)]})
    (tmp_path / "both" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert shades(read_pictures(tmp_path / "both")) == [5, 6]
    (tmp_path / "one" / "state.json").write_text("[")
    with pytest.raises(InputError, match="cannot be read as a table"):
        Collection(tmp_path / "one")

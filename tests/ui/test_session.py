import json

import numpy as np
import pytest
from PIL import Image

from explorer.records import InputError
from explorer.ui import session as module
from explorer.ui.session import Session, Shelf, Source, read_examples, thumbnail


def save(folder, name, colour="#336699", size=(60, 40)):
    Image.new("RGB", size, colour).save(folder / name)
    return folder / name


def test_examples_come_in_the_order_of_their_file_then_by_name(tmp_path):
    for name in ("b.png", "a.jpg", "z_last.webp"):
        save(tmp_path, name)
    (tmp_path / "notes.txt").write_text("no picture")
    said = {"z_last.webp": {"title": "The last", "credit": "Ada", "licence": "CC0"}}
    (tmp_path / "examples.json").write_text(json.dumps(said))
    found = read_examples(tmp_path)
    assert [source.name for source in found] == ["The last", "a", "b"]
    assert found[0].credit == "Picture: Ada, CC0." and found[1].credit == ""


def test_without_examples_there_are_none(tmp_path):
    assert read_examples(tmp_path) == () == read_examples(tmp_path / "missing")


def test_a_thumbnail_is_small(tmp_path):
    assert len(thumbnail(save(tmp_path, "wide.png", size=(2000, 100)))) < 3000


def test_added_pictures_are_counted_after_the_examples():
    sources = [Source(f"/{k}", str(k)) for k in range(3)]
    session = Session().having(sources, examples=5)
    assert session.own == tuple(sources) and session.current == 5
    assert session.having(sources[:1], examples=5).current == 8


def test_too_many_pictures_are_refused():
    with pytest.raises(InputError, match="At most 300 pictures"):
        Session().having([Source("/x", "x")] * 301, examples=0)


def test_the_shelf_reads_once_and_forgets_the_oldest(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT_PICTURES", 2)
    sources = [Source(save(tmp_path, f"{k}.png", colour), str(k)) for k, colour in enumerate(["red", "green", "blue"])]
    shelf = Shelf()
    first = shelf.picture(sources[0])
    assert shelf.picture(sources[0]) is first
    np.testing.assert_array_equal(first.pixels[0, 0], [255, 0, 0])
    for source in sources[1:]:
        shelf.picture(source)
    assert shelf.picture(sources[0]) is not first


def test_a_file_that_is_gone_is_said_so(tmp_path):
    gone = Source(tmp_path / "gone.png", "holiday")
    with pytest.raises(InputError, match="holiday is no longer kept here: add it again"):
        Shelf().picture(gone)
    assert Shelf().thumb(gone) == ""


def test_a_thumb_outlives_its_file(tmp_path):
    source, shelf = Source(save(tmp_path, "a.png"), "a"), Shelf()
    shelf.picture(source)
    source.path.unlink()
    assert shelf.thumb(source).startswith("data:image/webp")

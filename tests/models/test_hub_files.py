"""Large files arrive in parts that survive: a download that was stopped or broken off goes on where it was."""

import hashlib

import numpy as np
import pytest
from loopback_hub import Hub

from explorer.models import hub_files
from explorer.models.hub import TRANSFORMERS_FILES, cached_folder, fetch
from explorer.records import EncoderError

MB = 1 << 20
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def large():
    rng = np.random.default_rng(0)
    files = {name: rng.bytes(3 * MB) for name in (FIRST, SECOND)}
    return files | {"config.json": b"{}", "preprocessor_config.json": b"{}", "model.safetensors.index.json": b"{}"}


@pytest.fixture
def hub(large, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_files, "PAUSE_SECONDS", 0.0)
    with Hub({"some/large": large}) as made:
        made.answer(monkeypatch, tmp_path / "cache")
        yield made


def ranges(hub, name):
    return [asked for path, asked in hub.ranges if path.endswith(name)]


class Enough(Exception):
    pass


def stopping_at(part):
    def report(done, said):
        if done >= part:
            raise Enough

    return report


def whole(folder, large):
    return all((folder / name).read_bytes() == data for name, data in large.items())


def test_a_stopped_download_goes_on_where_it_was_then_needs_no_network(hub, large, tmp_path, monkeypatch):
    with pytest.raises(Enough):
        fetch("some/large", TRANSFORMERS_FILES, stopping_at(0.7))
    assert cached_folder("some/large", TRANSFORMERS_FILES) is None
    assert len(list((tmp_path / "cache").rglob("*.part"))) == 1
    said = []
    folder = fetch("some/large", TRANSFORMERS_FILES, lambda part, text: said.append((part, text)))
    assert whole(folder, large) and not list((tmp_path / "cache").rglob("*.part"))
    assert ranges(hub, FIRST) == [""] and len(ranges(hub, SECOND)) == 2
    start = int(ranges(hub, SECOND)[1].removeprefix("bytes=").rstrip("-"))
    assert MB <= start < 3 * MB
    parts = [part for part, _ in said]
    assert parts == sorted(parts) and parts[1] >= 0.6 and any("6 of 6 MB" in text for _, text in said)
    hub.go_away(monkeypatch)
    assert fetch("some/large", TRANSFORMERS_FILES, lambda *_: None) == folder


def test_a_connection_that_breaks_is_taken_up_again(hub, large):
    hub.break_after = [MB + 5, MB]
    folder = fetch("some/large", TRANSFORMERS_FILES, lambda *_: None)
    assert whole(folder, large) and len(ranges(hub, FIRST)) == 3


def test_one_that_always_breaks_is_told_and_what_came_is_kept(hub, large, tmp_path):
    hub.break_after = [2 * MB, *[0] * 20]
    with pytest.raises(EncoderError, match="could not be downloaded .*: check the network and try again"):
        fetch("some/large", TRANSFORMERS_FILES, lambda *_: None)
    kept = next((tmp_path / "cache").rglob("*.part"))
    assert MB <= kept.stat().st_size <= 2 * MB
    hub.break_after = []
    assert whole(fetch("some/large", TRANSFORMERS_FILES, lambda *_: None), large)


def test_a_part_of_other_bytes_is_noticed_by_its_hash(hub, large, tmp_path):
    with pytest.raises(Enough):
        fetch("some/large", TRANSFORMERS_FILES, stopping_at(0.2))
    part = next((tmp_path / "cache").rglob("*.part"))
    part.write_bytes(bytes(part.stat().st_size))
    with pytest.raises(EncoderError, match="arrived damaged: try again"):
        fetch("some/large", TRANSFORMERS_FILES, lambda *_: None)
    assert whole(fetch("some/large", TRANSFORMERS_FILES, lambda *_: None), large)


def test_a_full_disk_is_told_before_anything_is_fetched(hub, monkeypatch):
    usage = type("Usage", (), {"free": 4 * MB})
    monkeypatch.setattr(hub_files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EncoderError, match="needs 0.0 GB of disk and 0.0 GB are free"):
        fetch("some/large", TRANSFORMERS_FILES, lambda *_: None)
    assert hub.ranges == []


def test_the_hash_is_the_etag():
    assert len(hashlib.sha256(b"").hexdigest()) == hub_files.SHA256

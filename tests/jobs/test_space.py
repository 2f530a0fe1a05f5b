import json
import subprocess
import sys
from pathlib import Path

import pytest

from explorer import cli
from explorer.jobs.space import ROOT, check_space, read_front_matter
from explorer.models.hardware import choose_device
from explorer.services.gpu import LENT, ZERO_GPU, gpu_generator, prepare


@pytest.fixture
def checkout(tmp_path):
    """A small checkout of git with our README, requirements and settings."""
    for name in ("README.md", "requirements.txt", "pyproject.toml", "app.py"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
    return tmp_path


def wrong(root):
    return {each.what: each.said for each in check_space(root, start=False) if not each.right}


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_this_checkout_can_be_a_space(capsys):
    assert cli.main(["space", "--check", "--no-start", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) >= 9 and all(each["right"] for each in found)


@pytest.mark.parametrize(
    ("file", "old", "new", "what", "says"),
    [
        ("README.md", "sdk_version: 6.31.0", "sdk_version: 5.9.0", "sdk_version", "5.9.0 is not within gradio"),
        ("README.md", "app_file: app.py", "app_file: main.py", "its values", "app_file 'main.py'"),
        ("README.md", "colorFrom: blue", "colorFrom: mauve", "its values", "colorFrom 'mauve'"),
        ("README.md", "title: Visual Layer Explorer", "x: y", "front matter", "lacks title"),
        ("README.md", 'python_version: "3.12"', 'python_version: "3.9"', "python_version", "3.9; ours is"),
        ("requirements.txt", "tqdm>=4.66", "-e .", "requirements.txt", "not installable"),
        ("requirements.txt", "tqdm>=4.66", "tqdm>=999", "versions", "tqdm>=999 (here is"),
        ("requirements.txt", "tqdm>=4.66", "no-such-package-of-ours>=1", "versions", "(not here)"),
        ("requirements.txt", "torch>=2.8", "torch>=2.12", "torch for ZeroGPU", "does not admit 2.11.0"),
    ],
)
def test_what_is_wrong_is_found(checkout, file, old, new, what, says):
    assert wrong(checkout) == {}
    change(checkout / file, old, new)
    found = wrong(checkout)
    assert says in found[what]


def test_a_file_that_is_too_large(checkout):
    with (checkout / "large.bin").open("wb") as file:
        file.truncate(70 << 20)
    subprocess.run(["git", "add", "large.bin"], cwd=checkout, check=True)
    found = wrong(checkout)
    assert "large.bin 73.4 MB" in found["each file"] and "all files" in found


def test_a_page_that_does_not_start_is_told(checkout):
    (checkout / "app.py").write_text("raise SystemExit('no such thing')")
    found = {each.what: each.said for each in check_space(checkout) if not each.right}
    assert "no such thing" in found["start"]


def test_no_front_matter():
    assert read_front_matter("# Title\n") == {} and read_front_matter("---\n- a\n---\n") == {}


def test_without_zero_gpu_nothing_is_decorated(monkeypatch):
    def work(n):
        yield from range(n)

    monkeypatch.delenv(ZERO_GPU, raising=False)
    prepare()
    assert gpu_generator(work) is work


def test_on_zero_gpu_the_generator_is_decorated_once(monkeypatch, tmp_path):
    (tmp_path / "spaces.py").write_text(
        "seen = []\ndef GPU(duration):\n    def decorate(work):\n        seen.append((duration, work))\n"
        "        return work\n    return decorate\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(ZERO_GPU, "1")
    monkeypatch.setenv(LENT, "")
    monkeypatch.delenv(LENT)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    prepare()
    assert choose_device().type == "cpu"  # the page's own views get no GPU
    made = gpu_generator(lambda n: iter(range(n)))
    import inspect

    import spaces

    assert (
        list(made(3)) == [0, 1, 2]
        and choose_device().type == "cuda"
        and len(spaces.seen) == 1
        and inspect.isgeneratorfunction(spaces.seen[0][1])
    )
    sys.modules.pop("spaces")


@pytest.mark.slow
def test_a_copy_starts_as_a_space_would_start_it():
    assert [each.said for each in check_space(Path(ROOT)) if not each.right] == []

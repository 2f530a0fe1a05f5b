"""Whether this checkout can be a Hugging Face Space: its front matter, versions, sizes, and a start as a Space does it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 60 << 20  # of all files; a clone is made at each start
MOST_FILE_BYTES = 10 << 20  # the hub takes no larger one without LFS
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
WANTED = ("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "license")
ZERO_GPU_TORCH, ZERO_GPU_PYTHONS = "2.11.0", ("3.10", "3.12")  # the newest that ZeroGPU takes, so ours must admit it
START_SECONDS = 300
INSTALL_SECONDS = 1800


@dataclass(frozen=True)
class Finding:
    """One thing that was checked: what, whether it is right, and what was seen or is to be done."""

    what: str
    right: bool
    said: str


def check_space(root: Path = ROOT, *, start: bool = True, install: bool = False) -> list[Finding]:
    """Check everything that can be checked without a Space.

    Args:
        root: the checkout.
        start: also start the page as a Space would and look at it.
        install: start it in a new environment that has requirements.txt alone; takes minutes and gigabytes.
    """
    files = _tracked(root)
    found = [*_check_front_matter(root), *_check_requirements(root), *_check_sizes(root, files)]
    if start or install:
        with tempfile.TemporaryDirectory(prefix="space-") as made:
            copy = Path(made) / "app"
            _copy(root, files, copy)
            try:
                python = _new_environment(Path(made), copy) if install else Path(sys.executable)
            except subprocess.SubprocessError as problem:
                tail = getattr(problem, "stderr", b"") or b""
                found.append(Finding("install", False, f"pip failed: {tail.decode(errors='replace').strip()[-300:]}"))
            else:
                found += _check_start(copy, python, "only requirements.txt" if install else "this environment")
    return found


def read_front_matter(text: str) -> dict[str, Any]:
    """The fields between the first two lines of three dashes; {} where there are none."""
    import yaml

    parts = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    found = yaml.safe_load(parts[1]) if parts else {}
    return found if isinstance(found, dict) else {}


def _check_front_matter(root: Path) -> Iterator[Finding]:
    said = read_front_matter((root / "README.md").read_text("utf-8"))
    missing = [name for name in WANTED if not said.get(name)]
    yield Finding("front matter", not missing, f"lacks {', '.join(missing)}" if missing else f"{len(said)} fields")
    if missing:
        return
    wrong = [f"{name} {said[name]!r}" for name in ("colorFrom", "colorTo") if said[name] not in COLOURS]
    wrong += [f"sdk {said['sdk']!r}"] if said["sdk"] != "gradio" else []
    wrong += [f"app_file {said['app_file']!r}"] if not (root / str(said["app_file"])).is_file() else []
    wrong += ["short_description of more than 60 letters"] if len(str(said.get("short_description", ""))) > 60 else []
    yield Finding("its values", not wrong, "; ".join(wrong) or f"{said['app_file']} by {said['sdk']}")
    gradio = next((each for each in _requirements(root) if each.name == "gradio"), None)
    version = str(said["sdk_version"])
    fits = gradio is not None and gradio.specifier.contains(version)
    yield Finding("sdk_version", fits, f"{version} {'is' if fits else 'is not'} within {gradio}")
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    python = str(said["python_version"])
    fits = _specifier(project["requires-python"]).contains(python) and python in ZERO_GPU_PYTHONS
    yield Finding(
        "python_version", fits, f"{python}; ours is {project['requires-python']}, ZeroGPU has {ZERO_GPU_PYTHONS}"
    )


def _check_requirements(root: Path) -> Iterator[Finding]:
    lines = (root / "requirements.txt").read_text("utf-8").splitlines()
    odd = [line for line in lines if _is_odd(line)]
    yield Finding(
        "requirements.txt", not odd, f"not installable by a Space: {odd}" if odd else f"{len(lines)} packages"
    )
    wrong = []
    for each in _requirements(root):
        try:
            version = importlib.metadata.version(each.name)
            if not each.specifier.contains(version, prereleases=True):
                wrong.append(f"{each} (here is {version})")
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{each} (not here)")
    yield Finding("versions", not wrong, "; ".join(wrong) or "what is installed here lies within all ranges")
    torch = next((each for each in _requirements(root) if each.name == "torch"), None)
    fits = torch is not None and torch.specifier.contains(ZERO_GPU_TORCH)
    yield Finding("torch for ZeroGPU", fits, f"{torch} {'admits' if fits else 'does not admit'} {ZERO_GPU_TORCH}")


def _check_sizes(root: Path, files: list[str]) -> Iterator[Finding]:
    sizes = {name: (root / name).stat().st_size for name in files if (root / name).is_file()}
    large = [f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items() if size > MOST_FILE_BYTES]
    yield Finding("each file", not large, "; ".join(large) or f"none over {MOST_FILE_BYTES / 1e6:.0f} MB")
    total = sum(sizes.values())
    yield Finding(
        "all files", total <= MOST_BYTES, f"{len(sizes)} files, {total / 1e6:.1f} of {MOST_BYTES / 1e6:.0f} MB"
    )


def _check_start(copy: Path, python: Path, where: str) -> Iterator[Finding]:
    began = time.monotonic()
    with _started(copy, python) as (url, process, log):
        up = _wait(lambda: _get(url)[0] == 200, process)
        took = time.monotonic() - began
        tail = "" if up else " ".join(log.read_text(errors="replace").split())[-300:]
        yield Finding("start", up, f"in {where} after {took:.0f} s" if up else f"it does not answer: {tail}")
        if not up:
            return
        status, headers = _get(url)
        named = "content-security-policy" in headers and headers.get("x-content-type-options") == "nosniff"
        yield Finding(
            "headers", named, "content-security-policy and nosniff" if named else f"missing in {sorted(headers)}"
        )
        closed = [
            _get(f"{url}{path}")[0]
            for path in (f"gradio_api/{way}https://example.org/" for way in ("file=", "file/", "proxy="))
        ]
        right = all(status in (403, 404) for status in closed)
        yield Finding("no proxy", right, f"files and pages of other servers: status {closed}")
        public = _wait(lambda: '"choosable":false' in _page(url).replace(" ", ""), process, 10)
        yield Finding(
            "public", public, "encoders cannot be changed by visitors" if public else "visitors can change encoders"
        )


@contextmanager
def _started(copy: Path, python: Path) -> Iterator[tuple[str, Any, Path]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = copy.parent / "log.txt"
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "GRADIO_SERVER_PORT")}
    as_space = kept | {"SPACE_ID": "owner/explorer", "HF_HUB_OFFLINE": "1", "GRADIO_SERVER_NAME": "127.0.0.1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(python), "app.py", "--port", str(port)], cwd=copy, env=as_space, stdout=out, stderr=out
        )
    try:
        yield f"http://127.0.0.1:{port}/", process, log
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(is_so: Callable[[], bool], process: Any, seconds: float = START_SECONDS) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            if is_so():
                return True
        except OSError:
            pass
        time.sleep(0.5)
    return False


def _get(url: str) -> tuple[int, dict[str, str]]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine is asked directly
    try:
        with opener.open(url, timeout=30) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as refused:
        return refused.code, {name.lower(): value for name, value in refused.headers.items()}


def _page(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}config", timeout=30) as answer:
        return answer.read().decode()


def _new_environment(made: Path, copy: Path) -> Path:
    venv = made / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, capture_output=True, timeout=INSTALL_SECONDS)
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = [str(python), "-m", "pip", "install", "--quiet", "-r", str(copy / "requirements.txt")]
    subprocess.run(wanted, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    return python


def _tracked(root: Path) -> list[str]:
    said = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, text=True).stdout
    return [name for name in said.split("\0") if name]


def _copy(root: Path, files: list[str], to: Path) -> None:
    for name in files:
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, to / name)


def _requirements(root: Path) -> list[Any]:
    from packaging.requirements import Requirement

    lines = (root / "requirements.txt").read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#") and not _is_odd(line)]


def _is_odd(line: str) -> bool:
    """Whether a line is no plain package of the index: a Space installs before the repository is there."""
    return line.startswith(("-", ".", "/")) or "://" in line or "@" in line


def _specifier(text: str) -> Any:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(text)


def as_json(found: list[Finding]) -> str:
    """The findings as a JSON list."""
    return json.dumps([vars(each) for each in found], indent=1, ensure_ascii=False)

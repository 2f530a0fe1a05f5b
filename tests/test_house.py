"""The house: imports point one way, heavy libraries stay out of start-up, files stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "explorer").rglob("*.py"))
MAY_IMPORT = {
    "records": set(),
    "layers": {"records"},
    "analysis": {"records", "layers"},
    "scenes": {"records", "layers"},
    "store": {"records", "layers"},
    "models": {"records", "layers", "analysis", "scenes", "store"},
    "services": {"records", "layers", "analysis", "scenes", "store", "models"},
    "jobs": {"records", "layers", "analysis", "scenes", "store", "models", "services"},
    "ui": {"records", "layers", "services"},
    "cli": {"records", "layers", "analysis", "scenes", "store", "models", "services", "jobs"},
}
ONLY_OUTSIDE = {
    "records": {"numpy"},
    "layers": set(),
    "scenes": {"numpy", "PIL"},
    "analysis": {"torch", "numpy", "scipy", "sklearn", "umap"},
}
HEAVY = ("torch", "transformers", "open_clip", "umap", "sklearn", "scipy")  # gradio itself imports pandas


def part_of(file: Path) -> str:
    name = file.relative_to(ROOT / "explorer").parts[0].removesuffix(".py")
    return "cli" if name.startswith(("cli", "__main__")) else name


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            base = node.module or ""
            found |= {f"{base}.{alias.name}" for alias in node.names} if base == "explorer" else {base}
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_one_way(file):
    part = part_of(file)
    if part == "__init__":
        return
    for name in imports(file):
        root, _, rest = name.partition(".")
        if root == "explorer":
            target = "cli" if rest.startswith("cli") else rest.partition(".")[0]
            assert target in MAY_IMPORT[part] | {part, "__version__"}, f"{part} must not import {name}"
        elif part in ONLY_OUTSIDE and root not in sys.stdlib_module_names:
            assert root in ONLY_OUTSIDE[part], f"{part} must not import {name}"


@pytest.mark.parametrize("file", [*FILES, ROOT / "app.py"], ids=lambda f: str(f.relative_to(ROOT)))
def test_files_stay_small(file):
    assert len(file.read_text().splitlines()) <= 400


def test_starting_the_page_and_the_command_line_loads_no_heavy_library():
    code = f"import sys, explorer.ui.page, explorer.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_code_unpickles_what_it_did_not_write():
    for file in FILES:
        text = file.read_text()
        assert "import pickle" not in text and "allow_pickle=True" not in text and "trust_remote_code=True" not in text
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert any(k.arg == "weights_only" for k in node.keywords), f"{file}: torch.load without weights_only"

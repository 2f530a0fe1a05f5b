"""The notebook in docs/ runs from its first cell to its last, and its results show themselves."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))


def run(source, names):
    """Run a cell as a notebook does; the value of its last line if that is an expression."""
    body = ast.parse(source).body
    last = ast.Expression(body.pop().value) if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return eval(compile(last, "cell", "eval"), names) if last else None


@pytest.fixture(scope="module")
def shown():
    names, found = {}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for cell in NOTEBOOK["cells"]:
            if cell["cell_type"] == "code":
                found.append(run("".join(cell["source"]), names))
    return found


def test_the_result_shows_itself_as_html(shown):
    page = next(value for value in shown if hasattr(value, "explorations"))._repr_html_()
    assert page.count("<title>layers ") == 25 * 25 and "groups (automatic): shallow 1–" in page and "cat.jpg" in page
    assert "<script" not in page


def test_frames_figures_and_answers_come_out(shown):
    layers = [value for value in shown if hasattr(value, "to_csv")]
    assert layers[0].shape == (4, 4) and (layers[0].to_numpy().diagonal() == 1).all()
    assert len(layers[1]) == 25 and layers[1]["norm"].gt(0).all()
    assert layers[2].shape == (2, 2) and layers[2].iloc[0, 1] > 0  # standard error over the examples
    figure = next(value for value in shown if hasattr(value, "to_plotly_json"))
    assert figure.data[0].z.shape == (25, 25) and "Layers of" in figure.layout.title.text
    last = shown[-1]
    assert last == "No checkpoint is on this machine." or all(reply.done and not reply.error for reply in last.replies)


def test_it_is_kept_without_outputs_and_names_no_machine():
    assert all(cell.get("outputs", []) == [] for cell in NOTEBOOK["cells"])
    assert "/work" not in json.dumps(NOTEBOOK) and "/home" not in json.dumps(NOTEBOOK)

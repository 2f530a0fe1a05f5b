import re

import pytest

from explorer.ui.components.answers_view import EVENTS, answers_view
from explorer.ui.components.files import FOLDER, joined
from explorer.ui.components.header import header
from explorer.ui.components.layers_view import layers_view
from explorer.ui.components.stress_view import stress_view

STATIC = sorted([*FOLDER.glob("*.html"), *FOLDER.glob("*.css")])


@pytest.mark.parametrize("file", STATIC, ids=lambda file: file.name)
def test_templates_hold_nothing_that_gradio_would_run(file):
    text = file.read_text()
    assert "`" not in text and "${" not in text and "{{" not in text and "\\" not in text


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_components_are_small_and_ask_no_other_host(file):
    if file.is_dir():
        return
    text = file.read_text()
    assert len(text.splitlines()) <= 400
    assert [host for host in re.findall(r"https?://[^\"' ]+", text) if host != "http://www.w3.org/2000/svg"] == []
    assert "innerHTML" not in text and "insertAdjacentHTML" not in text and "document.write" not in text


def test_events_can_be_listened_to():
    view, top = layers_view(None), header({}, {}, limit_mb=1, choosable=True)
    for event in ("patch_chosen", "text_typed", "attention_asked", "overall_asked", "outdated"):
        assert callable(getattr(view, event))
    for event in ("picture_chosen", "picture_removed", "pictures_added", "fit_chosen", "encoder_asked"):
        assert callable(getattr(top, event))
    stress = stress_view({})
    for event in ("opened", "scene_changed", "scene_invented", "scene_used", "answers_asked", "sweep_asked"):
        assert callable(getattr(stress, event))
    for event in ("change_asked", "stop_asked", "checkpoints_chosen"):
        assert callable(getattr(stress, event))
    answers = answers_view({})
    for event in EVENTS:
        assert callable(getattr(answers, event))
    with pytest.raises(AttributeError):
        _ = view.never_heard_of


@pytest.mark.parametrize("name", ["layers", "tokens", "answers", "failures", "stress", "results"])
def test_every_tab_has_a_line_and_a_longer_explanation_to_unfold(name):
    html = joined(f"{name}_view.html")
    [what] = re.findall(r'<div class="what">.*?</p>(?:\s*<div[^>]*>.*?</div>)?', html, re.S)
    assert re.search(r'class="short"', what) and 'aria-expanded="false"' in what
    assert re.search(r'class="long" hidden', html)


def test_every_control_has_a_label():
    names = ("layers_view", "header", "stress_view", "answers_view", "tokens_view", "failures_view", "results_view")
    for name in (f"{name}.html" for name in names):
        html = joined(name)
        for control in re.findall(r"<(?:input|select)[^>]*>", html):
            named = "aria-label" in control or re.search(
                rf"<label[^>]*>(?:(?!</label>).)*{re.escape(control)}", html, re.S
            )
            identity = re.search(r'id="([^"]+)"', control)
            assert named or (identity and f'for="{identity[1]}"' in html), control
        for canvas in re.findall(r"<canvas[^>]*class=\"picture\"[^>]*>|<svg[^>]*>", html):
            assert 'role="application"' in canvas and "aria-label" in canvas and "tabindex" in canvas

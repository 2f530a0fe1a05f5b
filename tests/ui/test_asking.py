import threading

import numpy as np
import pytest
from fake_answers import FakeAnswerers

from explorer.records import InputError, Picture
from explorer.ui.asking import MOST_QUESTION, clean, read_wish

PICTURE = Picture("p", np.zeros((8, 8, 3), np.uint8))
GOOD = {"question": " How many? ", "checkpoints": ["mini-l18", "mini-l18", "mini-l23"]}


def test_what_was_sent_is_read():
    wish = read_wish(
        GOOD | {"candidates": ["1", " 2 ", "1", 3], "truth": " 2\n", "temperature": 9, "most_tokens": 3.6}, PICTURE
    )
    assert (wish.question, wish.checkpoints) == ("How many?", ("mini-l18", "mini-l23"))
    assert (wish.candidates, wish.truth, wish.temperature, wish.most_tokens) == (("1", "2"), "2", 2.0, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"question": ""},
        {"question": "\x00\u202e "},
        {"question": None},
        {"question": ["x"]},
        {"question": "x" * (MOST_QUESTION + 1)},
        {"checkpoints": []},
        {"checkpoints": "mini-l18"},
        {"checkpoints": [1, 2]},
        {"checkpoints": [f"m{k}" for k in range(7)]},
        {"checkpoints": ["x" * 301]},
        {"checkpoints": [""]},
    ],
)
def test_what_cannot_be_asked_is_refused(wrong):
    with pytest.raises(InputError):
        read_wish(GOOD | wrong, PICTURE)


@pytest.mark.parametrize("nonsense", [None, "x", {}, [], float("nan"), float("inf"), True, [[1]], [{"question": 1}]])
def test_nonsense_in_what_may_be_left_out_is_left_out(nonsense):
    wish = read_wish(GOOD | dict.fromkeys(("candidates", "temperature", "most_tokens", "turns"), nonsense), PICTURE)
    assert (wish.candidates, wish.temperature, wish.most_tokens, wish.turns) == ((), 0.0, 24, ())


def test_text_keeps_its_letters_and_loses_what_disturbs_other_text():
    assert clean("a\x00b\tc\n d") == "a b c d"
    assert clean("\u202eabc\u2066 שלום 👩‍👩‍👧 <b>${x}") == "abc שלום 👩‍👩‍👧 <b>${x}"
    assert clean("\ud800x") == "x"


def test_in_a_follow_up_each_model_reads_its_own_answers():
    turns = [{"question": "Is there a dog?", "answers": {"mini-l18": "yes", "mini-l23": "no"}}]
    wish, answerers = read_wish(GOOD | {"turns": turns}, PICTURE), FakeAnswerers()
    last = list(wish.stream(answerers, (), threading.Event()))[-1]
    assert [one["turns"] for one in answerers.asked] == [(("Is there a dog?", "yes"),), (("Is there a dog?", "no"),)]
    assert [one["checkpoints"] for one in answerers.asked] == [("mini-l18",), ("mini-l23",)]
    assert [reply.checkpoint for reply in last] == ["mini-l18", "mini-l23"] and all(reply.done for reply in last)

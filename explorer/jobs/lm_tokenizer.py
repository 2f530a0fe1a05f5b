"""The tokenizer of the mini language models: whole words, so that a word it does not know is seen to be unknown.

The vocabulary holds every word of the scenes' questions and captions, their everyday synonyms, and the 4,000 most
common words of English (SCOWL, level 10). A kind of two words ("hot dog") is one token. Numbers to 100 are one token
each. Any other word is spelled, a token a letter.
"""

from __future__ import annotations

import re
import string
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from explorer.scenes.captions import make_caption
from explorer.scenes.kinds import COLOURS, KINDS, WORDS
from explorer.scenes.layout import make_scene
from explorer.scenes.questions import make_questions
from explorer.scenes.rewordings import spoken_words

ENGLISH = Path(__file__).resolve().parents[2] / "assets" / "words" / "english.txt"
PAD, UNKNOWN, FIRST, LAST, IMAGE, REPLY = SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<image>", "<reply>")
CHAT_TEMPLATE = """{{ bos_token }}
{%- for message in messages -%}
{%- set parts = [{'type': 'text', 'text': message['content']}] if message['content'] is string else message['content'] -%}
{%- for part in parts if part['type'] == 'image' -%}<image>{%- endfor -%}
{%- for part in parts if part['type'] == 'text' -%}
{%- if message['role'] == 'assistant' -%}<reply>{%- endif -%}
{{ part['text'] }}
{%- if message['role'] == 'assistant' -%}{{ eos_token }}{%- endif -%}
{%- endfor -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<reply>{%- endif -%}"""


def english_words() -> list[str]:
    """The most common words of English, 3,972, in alphabetical order."""
    return ENGLISH.read_text("utf-8").split()


def _normalizer() -> normalizers.Normalizer:
    return normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex("[‘’`]"), "'"),
            normalizers.Replace(Regex("[“”]"), '"'),
            normalizers.Replace("n't", " not"),
            normalizers.Replace(Regex("(?<=[a-z])'s\\b"), " is"),
            normalizers.Replace(Regex("(?<=[a-z])'(?=[a-z])"), " ' "),
        ]
    )


def collect_words() -> list[str]:
    """All words of the world's texts, then plain English; each once."""
    rng = np.random.default_rng(0)
    texts = []
    for seed in range(3000):
        scene = make_scene(seed)
        texts += [make_caption(scene, rng), *(f"{q.text} {q.answer}" for q in make_questions(scene, rng))]
    found = {word for text in texts for word in re.findall("[a-z]+", text.lower())}
    names = [name for kind in KINDS.values() for name in (kind.name, kind.plural)]
    parts = [part for name in names for part in name.split()]
    known = [
        *names,
        *parts,
        *COLOURS,
        *(word.lower() for word in WORDS),
        *sorted(found),
        *spoken_words(),
        *english_words(),
    ]
    return list(dict.fromkeys(known))


def make_tokenizer(words: list[str] | None = None) -> PreTrainedTokenizerFast:
    """Build the tokenizer.

    Args:
        words: what it knows besides letters, numbers and punctuation; ``collect_words()`` if not given.
    """
    words = collect_words() if words is None else words
    pairs = sorted((word for word in words if " " in word), key=len, reverse=True)
    marks = [mark for mark in string.punctuation]
    pieces = [*string.ascii_lowercase, *string.digits]
    plain = [*SPECIAL, *words, "not", "is", *map(str, range(101)), *pieces, *(f"##{piece}" for piece in pieces), *marks]
    vocabulary = {word: k for k, word in enumerate(dict.fromkeys(plain))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN, max_input_chars_per_word=40))
    backend.normalizer = _normalizer()  # type: ignore[assignment]
    whole = "|".join(rf"\b{pair}\b" for pair in pairs)
    pattern = (f"{whole}|" if whole else "") + r"\d+|[^\W\d]+|[^\w\s]"
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)  # type: ignore[assignment]
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=True)  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=FIRST,
        eos_token=LAST,
        extra_special_tokens={"image_token": IMAGE, "reply_token": REPLY},
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer

"""What a small language model makes of a person's words."""

from __future__ import annotations

import re

from transformers import PreTrainedTokenizerFast


def unknown_words(tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    """The words of a text that the tokenizer has to spell or cannot read at all, each once, in order.

    A tokenizer that spells most words from pieces, as those of large models do, knows them all the same; this is for
    the word-level tokenizers of the mini family.
    """
    found = []
    for word in re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text):
        pieces = tokenizer.tokenize(word)
        if any(piece.startswith("##") for piece in pieces) or tokenizer.unk_token in pieces:
            found.append(word)
    return list(dict.fromkeys(found))

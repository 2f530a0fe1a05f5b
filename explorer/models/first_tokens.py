"""Probabilities of candidate answers from what a first token could have been; all that a server tells."""

from __future__ import annotations

import math
from collections.abc import Sequence

from explorer.models.speaking import LIKELIEST

Tops = tuple[tuple[str, float], ...]  # (token, logarithm of its probability), the likeliest first
LEAST = 0.01  # of all probability: below it, shares among the candidates say nothing
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()


def likeliest(tops: Tops) -> tuple[tuple[str, float], ...]:
    """The likeliest first tokens with their probabilities."""
    return tuple((token.strip() or "(blank)", math.exp(value)) for token, value in tops[:LIKELIEST])


def share_of_candidates(tops: Tops, candidates: Sequence[str]) -> tuple[tuple[tuple[str, float], ...], str]:
    """How the probability of the first token is shared among the candidates.

    A token counts for the candidate that it is, in any case and with or without a blank, a numeral or a number word; or
    else for the only candidate that begins with it.

    Returns:
        tuple: (candidate, probability) summing to 1, () where the candidates have less than 1 % together; and a sentence
        on how this was found.
    """
    mass = dict.fromkeys(candidates, 0.0)
    for token, value in tops:
        candidate = _meant(token, candidates)
        if candidate is not None:
            mass[candidate] += math.exp(value)
    total = sum(mass.values())
    if total < LEAST:
        return (), "Its first word was none of the candidates, so they have no probabilities."
    shares = tuple((candidate, part / total) for candidate, part in mass.items())
    return shares, f"Probabilities are of its first token: {min(total, 1):.0%} of it fell on the candidates."


def _meant(token: str, candidates: Sequence[str]) -> str | None:
    said = _plain(token)
    if not said:
        return None
    plain = {candidate: _plain(candidate) for candidate in candidates}
    exact = [candidate for candidate, text in plain.items() if text == said]
    begins = [candidate for candidate, text in plain.items() if text.startswith(said)]
    return exact[0] if exact else begins[0] if len(begins) == 1 else None


def _plain(text: str) -> str:
    said = text.strip().strip(".,:;!?\"'").lower()
    return str(NUMBERS.index(said)) if said in NUMBERS else said

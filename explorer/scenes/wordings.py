"""How people ask: the wordings of every question about a scene.

Every task has wordings for an open answer and wordings for yes or no. Those that end in "Please answer yes or no."
follow the form of the MME benchmark (arXiv 2306.13394).
"""

from __future__ import annotations

from explorer.scenes.captions import article
from explorer.scenes.kinds import KINDS

_MME = " Please answer yes or no."
# Nouns that people count by another noun: singular, plural.
_COUNTED = {
    "scissors": ("pair of scissors", "pairs of scissors"),
    "broccoli": ("head of broccoli", "heads of broccoli"),
}

# Tasks whose wording depends on what is asked have an entry for each variant ("count one", "position sideways").
OPEN: dict[str, tuple[str, ...]] = {
    "existence": (
        "Which of these is in the picture, {one} or {other}?",
        "Which of the two can you see here, {one} or {other}?",
        "Does the image show {one} or {other}?",
        "Do you see {one} or {other} in this picture?",
        "Which one appears in this photo: {one} or {other}?",
        "What is in this image, {one} or {other}?",
    ),
    "count": (
        "How many {many} are there?",
        "How many {many} can you see in the picture?",
        "What is the number of {many} in this image?",
        "Count the {many}.",
        "How many {many} does the picture show?",
        "How many {many} in this photo?",
        "Please count the {many} in the image. How many are there?",
    ),
    "total": (
        "How many objects are there in the picture?",
        "How many things can you see in total?",
        "What is the total number of objects in this image?",
        "Count all the objects.",
        "How many separate things does this picture show?",
        "How many items are in the image altogether?",
    ),
    "position sideways": (
        "Is the {a} left or right of the {b}?",
        "Is the {a} to the left or to the right of the {b}?",
        "On which side of the {b} is the {a}, left or right?",
        "Which side of the {b} is the {a} on, the left or the right?",
    ),
    "position upright": (
        "Is the {a} above or below the {b}?",
        "Is the {a} above the {b} or below it?",
        "In the picture, is the {a} above or below the {b}?",
        "Does the {a} appear above or below the {b}?",
    ),
    "position where": (
        "Where is the {a} relative to the {b}?",
        "Where is the {a}, seen from the {b}: left, right, above or below?",
        "In which direction from the {b} is the {a}: left, right, above or below?",
        "What is the position of the {a} relative to the {b}: left, right, above or below?",
    ),
    "location": (
        "Where in the picture is the {a}?",
        "In which part of the image is the {a}?",
        "What part of the picture is the {a} in?",
        "If the image is divided into three rows and three columns, where is the {a}?",
        "Whereabouts in this image can I find the {a}?",
        "Which region of the picture holds the {a}?",
    ),
    "colour": (
        "What colour is the {a}?",
        "What color is the {a} in this picture?",
        "Which colour does the {a} have?",
        "The {a} is what color?",
        "Can you tell me the color of the {a}?",
        "What is the colour of the {a} in the image?",
    ),
    "word": (
        "What does the sign say?",
        "What is written on the sign?",
        "Which word is on the sign?",
        "Read the sign.",
        "What word can you read in this picture?",
        "What text is written on the board?",
    ),
    "larger": (
        "Which is larger in the picture, the {a} or the {b}?",
        "Which one looks bigger here, the {a} or the {b}?",
        "Which takes up more space in the image, the {a} or the {b}?",
        "Of the {a} and the {b}, which one is drawn larger?",
        "In this picture, which is the bigger one, the {a} or the {b}?",
    ),
}

# The wordings of "count" and "count one" (and of "total") correspond line by line, so that a pair reads alike.
YESNO: dict[str, tuple[str, ...]] = {
    "existence": (
        "Is there {one} in this image?" + _MME,
        "Is there {one} in the picture?",
        "Does this image contain {one}?" + _MME,
        "Can you see {one} here?",
        "Does the picture show any {many}?",
        "Are there any {many} in this scene?" + _MME,
    ),
    "count": (
        "Are there {number} {many} in this image?" + _MME,
        "Are there exactly {number} {many} in the picture?",
        "Is the number of {many} in this image {number}?" + _MME,
        "Does the picture show exactly {number} {many}?",
        "Are there a total of {number} {many} in the image?" + _MME,
        "Do you count {number} {many} here?",
    ),
    "count one": (
        "Is there only {number} {a} in this image?" + _MME,
        "Is there exactly {number} {a} in the picture?",
        "Is the number of {many} in this image {number}?" + _MME,
        "Does the picture show exactly {number} {a}?",
        "Is there a total of {number} {a} in the image?" + _MME,
        "Do you count {number} {a} here?",
    ),
    "total": (
        "Are there {number} objects in this image in total?" + _MME,
        "Is the total number of objects {number}?",
        "Are there exactly {number} things in the picture?" + _MME,
        "Does the image show {number} objects altogether?",
    ),
    "total one": (
        "Is there {number} object in this image in total?" + _MME,
        "Is the total number of objects {number}?",
        "Is there exactly {number} thing in the picture?" + _MME,
        "Does the image show {number} object altogether?",
    ),
    "position sideways": (
        "Is the {a} on the {side} side of the {b}?" + _MME,
        "Is the {a} to the {side} of the {b}?",
        "Is the {a} on the {side} of the {b}?" + _MME,
        "In this image, is the {a} to the {side} of the {b}?" + _MME,
        "Does the {a} appear to the {side} of the {b}?",
    ),
    "position upright": (
        "Is the {a} {side} the {b}?" + _MME,
        "Is the {a} {side} the {b} in the picture?",
        "In this image, is the {a} located {side} the {b}?" + _MME,
        "Does the {a} appear {side} the {b}?",
    ),
    "location": (
        "Is the {a} in the {cell} of the image?" + _MME,
        "Is the {a} in the {cell} part of the picture?",
        "Can the {a} be found in the {cell} of this picture?",
        "In a grid of three rows and three columns, is the {a} in the {cell} cell?" + _MME,
    ),
    "colour": (
        "Is the {a} {colour}?" + _MME,
        "Is the colour of the {a} {colour}?",
        "Does the {a} look {colour}?",
        "Is there {one} in the image?" + _MME,
        "Is the color of the {a} in this image {colour}?" + _MME,
    ),
    "word": (
        'Does the sign say "{word}"?' + _MME,
        'Is the word on the sign "{word}"?' + _MME,
        'Is "{word}" written on the sign?',
        'Can you read the word "{word}" in this image?',
        'Is the text in the picture "{word}"?' + _MME,
    ),
    "larger": (
        "Is the {a} larger than the {b} in this image?" + _MME,
        "Does the {a} look bigger than the {b}?",
        "In this image, is the {a} bigger than the {b}?" + _MME,
        "Does the {a} take up more space in the picture than the {b}?",
    ),
}


def single(kind: str) -> str:
    """The noun for one of a kind: "dog", "pair of scissors"."""
    return _COUNTED[kind][0] if kind in _COUNTED else kind


def several(kind: str) -> str:
    """The noun for several: "dogs", "pairs of scissors"."""
    return _COUNTED[kind][1] if kind in _COUNTED else KINDS[kind].plural


def one(kind: str) -> str:
    """With its article: "a dog", "an airplane", "a pair of scissors"."""
    return article(single(kind))

"""The same questions in other words, for training: as people type them, with synonyms, asides and things never shown."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from explorer.scenes.kinds import KINDS
from explorer.scenes.wordings import OPEN, YESNO

# Everyday names of kinds: name|synonyms in the singular; plurals add "s" unless given after a colon.
_SYNONYMS = """
person|man:men,woman:women,human,guy
bicycle|bike,cycle
car|automobile,auto
motorcycle|motorbike
airplane|plane,aeroplane,jet,aircraft:aircraft
bus|coach:coaches
train|locomotive
truck|lorry:lorries
boat|ship,sailboat
traffic light|stoplight,traffic signal
bird|birdie
cat|kitten,kitty:kitties
dog|puppy:puppies,doggy:doggies,hound
horse|pony:ponies
sheep|lamb
backpack|rucksack
umbrella|parasol
handbag|purse
suitcase|luggage
frisbee|flying disc
ball|football,soccer ball
tennis racket|tennis racquet,racket
wine glass|glass of wine:glasses of wine,wineglass:wineglasses
cup|mug
hot dog|hotdog
donut|doughnut
couch|sofa
plant|potted plant,houseplant
television|tv,television set
laptop|notebook computer,computer
computer mouse|mouse:mice
phone|cellphone,mobile,telephone,cell phone,mobile phone
clock|alarm clock
teddy bear|teddy,stuffed bear
helicopter|chopper
rocket|spaceship
rabbit|bunny:bunnies
frog|toad
pig|hog
chicken|hen
sunflower|sun flower
house|home,building
gift|present
hamburger|burger
shoe|sneaker
hat|top hat
circle|disc,disk
diamond|rhombus:rhombuses
"""

# Things that no scene holds.
ABSENT = tuple(
    "tiger|monkey|snake|spider|wolf:wolves|fox:foxes|deer:deer|owl|duck|swan|eagle|shark|whale|dolphin|octopus:octopuses|"
    "crab|snail|ant|mosquito:mosquitoes|dragon|unicorn|robot|ghost|alien|dinosaur|kangaroo|camel|goat|donkey|squirrel|"
    "hedgehog|panda|koala|gorilla|crocodile|parrot|flamingo|peacock|seal|grape|pear|peach:peaches|cherry:cherries|"
    "pineapple|watermelon|mango:mangoes|tomato:tomatoes|potato:potatoes|onion|corn cob|cucumber|pumpkin|egg|burrito|taco|"
    "pancake|cookie|ice cream|candy bar|cheese wheel|steak|noodle|fork|plate|kettle|toaster|oven|refrigerator|sink|"
    "microwave|lamp|candle|mirror|curtain|carpet|pillow|blanket|table|desk|shelf:shelves|bench:benches|door|window|"
    "stairway|bridge|tower|castle|windmill|fountain|statue|fence|mailbox:mailboxes|street lamp|fire hydrant|parking meter|"
    "tractor|ambulance|scooter|taxi|van|submarine|canoe|parachute|satellite|piano|violin|drum|trumpet|flute|microphone|"
    "radio|printer|battery:batteries|light bulb|hammer|screwdriver|saw|ladder|rope|bucket|broom|hair dryer|comb|"
    "soap bar|towel|bathtub|shower|pen|pencil|ruler|envelope|newspaper|map|globe|flag|crown|ring|necklace|watch:watches|"
    "glove|scarf:scarves|coat|dress:dresses|shirt|sock|boot|belt|wallet|coin|dice|chess board|puppet|doll|"
    "snowman:snowmen|snowboard|surfboard|baseball bat|baseball glove|helmet|medal|trophy:trophies|volcano:volcanoes|"
    "mountain|waterfall|cloud|rainbow|moon|rose|tulip|palm tree|leaf:leaves|feather|shell|bone|skull|hexagon|pentagon|"
    "oval|arrow|spiral".split("|")
)

_EXTRA: dict[str, tuple[str, ...]] = {
    "open existence": ("{one} or {other}?", "What do you see, {one} or {other}?", "Is it {one} or {other}?"),
    "open count": (
        "Number of {many}?", "How many {many}?", "{many}: how many?", "Tell me how many {many} you see.",
        "What's the count of {many}?", "How many {many} do you see?", "How many of the things are {many}?",
        "I want to know how many {many} there are.", "Could you count the {many} for me?", "The number of {many} is?",
    ),
    "open total": (
        "How many things?", "How many objects are here?", "Total number of things?", "How many things are there?",
        "Count everything.", "How many objects do you see?", "How many things are shown?", "How many things in all?",
    ),
    "open position sideways": (
        "{a}: left or right of the {b}?", "Left or right: where is the {a}, seen from the {b}?",
        "Do I find the {a} to the left or right of the {b}?", "Is the {a} on the left or the right of the {b}?",
    ),
    "open position upright": (
        "{a}: above or below the {b}?", "Is the {a} higher or lower than the {b}, above or below?",
        "Above or below: where is the {a}, seen from the {b}?", "Is the {a} over or under the {b}, above or below?",
    ),
    "open position where": ("Where is the {a} compared to the {b}?", "Which way from the {b} is the {a}?"),
    "open location": (
        "Where is the {a}?", "Where's the {a}?", "{a}: where?", "Where can I see the {a}?", "Where do you see the {a}?",
        "Find the {a}.", "Locate the {a}.", "Tell me where the {a} is.", "What is the location of the {a}?",
        "Which corner or side is the {a} in?", "Point me to the {a}.", "Where should I look for the {a}?",
    ),
    "open colour": (
        "{a}: what color?", "Color of the {a}?", "The color of the {a} is?", "Tell me the color of the {a}.",
        "What color is the {a}?", "Which color is the {a}?", "Name the colour of the {a}.", "What's the color of the {a}?",
    ),
    "open word": (
        "What's on the sign?", "What is the word?", "Which word is written here?", "Tell me what the sign says.",
        "What word is this?", "Can you read the sign?", "What does it say?", "What is the text?", "Text on the sign?",
    ),
    "open larger": (
        "Which is bigger, the {a} or the {b}?", "Which is larger: {a} or {b}?", "Bigger one, {a} or {b}?",
        "Is the {a} or the {b} bigger?", "Between the {a} and the {b}, which is larger?", "What is bigger, {a} or {b}?",
    ),
    "yesno existence": (
        "Is there {one}?", "{one}?", "Any {many}?", "Any {many} here?", "Do you see {one}?", "Do you see any {many}?",
        "Can you spot {one}?", "Are there {many}?", "Is {one} present?", "Is {one} visible?", "Is {one} shown here?",
        "Can {one} be seen?", "Have you found {one}?", "Does it have {one}?", "I wonder if there is {one}.",
        "Are any {many} visible?", "Does {one} appear anywhere?", "Is there {one} somewhere?", "Would you say there is {one}?",
    ),
    "yesno count": (
        "{number} {many}?", "Are there {number} {many}?", "Do you see {number} {many}?", "Can you see {number} {many}?",
        "Is it true that there are {number} {many}?", "Are {number} {many} shown?",
    ),
    "yesno count one": (
        "Just {number} {a}?", "Is there {number} {a}?", "Do you see just {number} {a}?", "Do you see exactly {number} {a}?",
        "Is it true that there is {number} {a}?", "Is only {number} {a} shown?",
    ),
    "yesno total": ("{number} things in all?", "Are there {number} things?", "Do you see {number} objects in total?"),
    "yesno total one": ("{number} thing in all?", "Is there just {number} thing?", "Do you see {number} object in total?"),
    "yesno position sideways": (
        "{a} {side} of {b}?", "Is the {a} {side} of the {b}?", "Can you see the {a} {side} of the {b}?",
        "Would I find the {a} to the {side} of the {b}?", "Is it true that the {a} is {side} of the {b}?",
    ),
    "yesno position upright": (
        "{a} {side} {b}?", "Can you see the {a} {side} the {b}?", "Is it true that the {a} is {side} the {b}?",
        "Would I find the {a} {side} the {b}?",
    ),
    "yesno location": (
        "{a} in the {cell}?", "Is the {a} at the {cell}?", "Do you see the {a} in the {cell}?",
        "Is the {cell} where the {a} is?", "Is it true that the {a} is in the {cell}?",
    ),
    "yesno colour": (
        "{colour} {a}?", "Is it a {colour} {a}?", "Is the {a} {colour} in color?", "Is that {a} {colour}?",
        "Is it true that the {a} is {colour}?", "Would you call the {a} {colour}?",
    ),
    "yesno word": (
        "Is the word {word}?", "Does it say {word}?", "{word}?", "Is {word} the word?", "Does the board say {word}?",
    ),
    "yesno larger": (
        "{a} bigger than {b}?", "Is the {a} bigger than the {b}?", "Is the {a} larger than the {b}?",
        "Is it true that the {a} is bigger than the {b}?", "Is the {b} smaller than the {a}?",
    ),
}  # fmt: skip

_BEFORE = (
    "please", "hey", "hello", "tell me", "so", "ok", "now", "look", "well", "question", "can you tell me", "quick question",
    "I would like to know", "look closely", "think carefully", "in your view", "honestly", "one more thing", "hi there",
)  # fmt: skip
_AFTER = (
    "please", "thanks", "thank you", "in your opinion", "as far as you can see", "if you look closely", "here",
    "answer briefly", "in one word", "right now", "do you think", "exactly", "in this view",
)  # fmt: skip
_PICTURES = ("picture", "image", "photo", "scene", "photograph", "drawing", "illustration", "view", "pic", "painting")


@cache
def synonyms() -> dict[str, tuple[tuple[str, str], ...]]:
    """For a kind's name: its everyday names as (singular, plural)."""
    table = {}
    for line in _SYNONYMS.strip().splitlines():
        name, others = line.split("|")
        table[name] = tuple(both_numbers(other) for other in others.split(","))
    return table


def both_numbers(entry: str) -> tuple[str, str]:
    """Singular and plural of an entry such as "hen" or "wolf:wolves"."""
    single, _, many = entry.partition(":")
    return single, many or f"{single}s"


def _table(form: str) -> dict[str, tuple[str, ...]]:
    return OPEN if form == "open" else YESNO


def _pattern(wording: str) -> re.Pattern[str]:
    """Matches a wording whatever its blanks hold."""
    pieces = re.split(r"\{(\w+)\}", wording)
    pattern = "".join(
        (f"(?P<{p}>.+?)" if p not in pieces[1:k:2] else f"(?P={p})") if k % 2 else re.escape(p)
        for k, p in enumerate(pieces)
    )
    return re.compile(pattern)


@cache
def _patterns(task: str, form: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """(variant, pattern) of every wording of a task."""
    table = {variant: some for variant, some in _table(form).items() if variant.split()[0] == task}
    return tuple((variant, _pattern(wording)) for variant, some in table.items() for wording in some)


@cache
def wordings_of(form: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """(variant, pattern) of every wording of a form, the world's own first, then those that rewording uses."""
    own = [(variant, _pattern(wording)) for variant, some in _table(form).items() for wording in some]
    others = [(name, some) for name, some in _EXTRA.items() if name.partition(" ")[0] == form]
    return (*own, *((name.partition(" ")[2], _pattern(wording)) for name, some in others for wording in some))


@cache
def words_of(task: str) -> frozenset[str]:
    """Every word, in lower case, that the wordings of a task use, their asides too."""
    texts = [*_BEFORE, *_AFTER, *_PICTURES]
    for form in ("open", "yesno"):
        for variant, some in _table(form).items():
            texts += some if variant.split()[0] == task else ()
        for name, some in _EXTRA.items():
            texts += some if name.split()[:2] == [form, task] else ()
    return frozenset(re.findall("[a-z]+", " ".join(re.sub(r"\{\w+\}", " ", text) for text in texts).lower()))


def reword(text: str, task: str, form: str, rng: np.random.Generator) -> str:
    """Ask the same in other words; a question that is not one of the world's wordings stays as it is."""
    for variant, pattern in _patterns(task, form):
        match = pattern.fullmatch(text)
        if match:
            fields = match.groupdict()
            usable = [w for w in _EXTRA[f"{form} {variant}"] if set(re.findall(r"\{(\w+)\}", w)) <= set(fields)]
            return _pick(usable, rng).format(**fields) if usable else text
    return text


def vary(text: str, rng: np.random.Generator, english: list[str]) -> str:
    """Change a question's surface: synonyms of kinds, other names for the picture, asides, a stray word, no capitals."""
    text = text.removesuffix(" Please answer yes or no.") if rng.random() < 0.8 else text
    if rng.random() < 0.5:
        text = re.sub(r"\b(picture|image|photo|scene)\b", _pick(_PICTURES, rng), text)
    if rng.random() < 0.25:
        text = _rename(text, rng)
    if rng.random() < 0.15:
        text = f"{_pick(_BEFORE, rng)}{_pick((',', ':', ''), rng)} {text}"
    if rng.random() < 0.1:
        text = f"{text[:-1]} {_pick(_AFTER, rng)}{text[-1]}"
    if rng.random() < 0.1:
        words = text.split(" ")
        words.insert(int(rng.integers(len(words))), _pick(english, rng))
        text = " ".join(words)
    return text[:-1] if rng.random() < 0.15 and text[-1] in "?." else text


def _rename(text: str, rng: np.random.Generator) -> str:
    for name, others in synonyms().items():
        if name in text:
            single, many = _pick(others, rng)
            text = re.sub(rf"(?<!hot )\b{KINDS[name].plural}\b", many, text)
            text = re.sub(rf"(?<!hot )\b{name}\b", single, text)
    text = re.sub(r"\b([Aa])n (?=[^aeiou\s])", r"\1 ", text)
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)


def spoken_words() -> list[str]:
    """Every word that rewording may use, and the names of more than one word as a whole."""
    names = [n for others in synonyms().values() for pair in others for n in pair]
    names += [n for entry in ABSENT for n in both_numbers(entry)]
    texts = [*names, *_BEFORE, *_AFTER, *_PICTURES, *(w for wordings in _EXTRA.values() for w in wordings)]
    texts += "higher lower over under beneath underneath beside near bigger smaller smallest biggest largest gray grey".split()
    texts += "middle centre center upper corner side sides row column zero none nothing several many few both neither".split()
    return list(dict.fromkeys(word for text in texts for word in re.findall("[a-z]+", text.lower())))


def _pick(options, rng: np.random.Generator):
    return options[int(rng.integers(len(options)))]

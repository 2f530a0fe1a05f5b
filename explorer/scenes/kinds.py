"""The things that a scene can hold: their names, where they live and how large they are beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Habitat(StrEnum):
    """Where a thing is mostly seen when a scene has a horizon."""

    AIR = "air"
    GROUND = "ground"


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes:
        name, plural: as people write them.
        glyph: the emoji its sprite was drawn from; "" for a plain shape.
        habitat: where it is mostly seen.
        scale: usual size beside other things, 0.6 (small) to 1.4 (large); muted, so that small things stay visible.
        coco: whether it is one of COCO's 80 categories (or its closest emoji).
    """

    name: str
    plural: str
    glyph: str = ""
    habitat: Habitat = Habitat.GROUND
    scale: float = 1.0
    coco: bool = False


# name | plural | glyph | habitat (a: air) | scale | c: COCO kind
# Two of COCO's kinds that Noto draws are left out, as their number would be ambiguous: a pair of skis, a fork with a knife.
_TABLE = """
person|people|🧍||1.1|c
bicycle|bicycles|🚲||1.1|c
car|cars|🚗||1.3|c
motorcycle|motorcycles|🏍||1.1|c
airplane|airplanes|✈|a|1.2|c
bus|buses|🚌||1.4|c
train|trains|🚆||1.3|c
truck|trucks|🚚||1.4|c
boat|boats|⛵||1.3|c
traffic light|traffic lights|🚦||1.0|c
stop sign|stop signs|🛑||0.9|c
bird|birds|🐦|a|0.8|c
cat|cats|🐈||0.9|c
dog|dogs|🐕||1.0|c
horse|horses|🐎||1.3|c
sheep|sheep|🐑||1.1|c
cow|cows|🐄||1.3|c
elephant|elephants|🐘||1.4|c
bear|bears|🐻||1.0|c
zebra|zebras|🦓||1.2|c
giraffe|giraffes|🦒||1.4|c
backpack|backpacks|🎒||0.9|c
umbrella|umbrellas|☂||1.0|c
handbag|handbags|👜||0.8|c
tie|ties|👔||0.8|c
suitcase|suitcases|🧳||0.9|c
frisbee|frisbees|🥏|a|0.7|c
kite|kites|🪁|a|1.0|c
ball|balls|⚽||0.7|c
skateboard|skateboards|🛹||0.8|c
tennis racket|tennis rackets|🎾||0.8|c
bottle|bottles|🍾||0.9|c
wine glass|wine glasses|🍷||0.8|c
cup|cups|☕||0.7|c
knife|knives|🔪||0.8|c
spoon|spoons|🥄||0.8|c
bowl|bowls|🥣||0.8|c
banana|bananas|🍌||0.8|c
apple|apples|🍎||0.7|c
sandwich|sandwiches|🥪||0.8|c
orange|oranges|🍊||0.7|c
broccoli|broccoli|🥦||0.8|c
carrot|carrots|🥕||0.8|c
hot dog|hot dogs|🌭||0.8|c
pizza|pizzas|🍕||0.9|c
donut|donuts|🍩||0.7|c
cake|cakes|🎂||0.9|c
chair|chairs|🪑||1.0|c
couch|couches|🛋||1.2|c
plant|plants|🪴||0.9|c
bed|beds|🛏||1.2|c
toilet|toilets|🚽||1.0|c
television|televisions|📺||1.0|c
laptop|laptops|💻||0.9|c
computer mouse|computer mice|🖱||0.7|c
keyboard|keyboards|⌨||0.9|c
phone|phones|📱||0.7|c
book|books|📕||0.8|c
clock|clocks|⏰||0.8|c
vase|vases|🏺||0.9|c
scissors|scissors|✂||0.8|c
teddy bear|teddy bears|🧸||0.9|c
toothbrush|toothbrushes|🪥||0.8|c
butterfly|butterflies|🦋|a|0.8|
bee|bees|🐝|a|0.7|
helicopter|helicopters|🚁|a|1.2|
rocket|rockets|🚀|a|1.2|
balloon|balloons|🎈|a|0.9|
fish|fish|🐟||0.8|
rabbit|rabbits|🐇||0.9|
frog|frogs|🐸||0.8|
pig|pigs|🐖||1.1|
lion|lions|🦁||1.0|
penguin|penguins|🐧||0.9|
turtle|turtles|🐢||0.8|
chicken|chickens|🐔||0.8|
tree|trees|🌳||1.4|
sunflower|sunflowers|🌻||0.9|
cactus|cactuses|🌵||1.0|
mushroom|mushrooms|🍄||0.7|
house|houses|🏠||1.4|
tent|tents|⛺||1.3|
guitar|guitars|🎸||1.0|
camera|cameras|📷||0.8|
key|keys|🔑||0.7|
hat|hats|🎩||0.8|
shoe|shoes|👟||0.8|
gift|gifts|🎁||0.8|
lemon|lemons|🍋||0.7|
strawberry|strawberries|🍓||0.7|
hamburger|hamburgers|🍔||0.8|
"""


def _parse(line: str) -> Kind:
    name, plural, glyph, habitat, scale, coco = line.split("|")
    return Kind(name, plural, glyph, Habitat.AIR if habitat else Habitat.GROUND, float(scale), bool(coco))


EMOJI = tuple(_parse(line) for line in _TABLE.strip().splitlines())
SHAPES = tuple(
    Kind(name, plural)
    for name, plural in (
        ("circle", "circles"),
        ("square", "squares"),
        ("triangle", "triangles"),
        ("star", "stars"),
        ("heart", "hearts"),
        ("diamond", "diamonds"),
    )
)
KINDS = {kind.name: kind for kind in (*EMOJI, *SHAPES)}

# Okabe–Ito's idea in everyday names: eight colours that stay apart in print and for colour-blind eyes.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (250, 215, 50),
    "green": (50, 150, 70),
    "blue": (40, 95, 200),
    "purple": (130, 65, 170),
    "black": (30, 30, 32),
    "white": (248, 248, 248),
}

# Words that may stand on a sign, three to seven letters.
WORDS = tuple(
    "ART BANK BAR BIKE BOAT BOOK BREAD BUS CAFE CAMP CITY CLUB COOK DANCE DOOR EAST EXIT FARM FISH FOOD "
    "FREE FRESH GAME GOLD GREEN HELLO HELP HOME HOTEL ICE INN JAZZ JUICE LAKE LIGHT LOVE MAIL MENU MILK MUSIC "
    "NEW NORTH OPEN PARK PIANO PIZZA PLAY POOL QUIET RADIO RICE ROAD ROOM SALE SCHOOL SHOP SLOW SOUP SOUTH STAR "
    "STOP SUN TAXI TEA TICKET TOWN TRAIN WATER WEST WINTER YOGA ZOO".split()
)

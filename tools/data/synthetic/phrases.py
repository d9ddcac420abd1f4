"""The grammar's tables: what can be said in words, and in which.

In a phrase {v} is the verb that fits the noun ("rolls"), {ving} its participle, {other} another thing, {name} and
{names} adjectives and noun in singular and plural.
"""

from .textures import COLOURS

ADJECTIVES: dict[str, tuple[str, ...]] = {
    **{colour: (colour,) for colour in COLOURS},
    "grey": ("grey", "gray"),
    "plain": ("plain", "plain", "unpatterned"),
    "striped": ("striped", "stripy"),
    "spotted": ("spotted", "dotted", "speckled"),
    "checkered": ("checkered", "chequered", "checked"),
    "furry": ("furry", "fuzzy", "hairy"),
    "shiny": ("shiny", "glossy", "metallic"),
    "small": ("small", "little", "tiny"),
    "big": ("big", "large"),
}
WITH: dict[str, tuple[str, ...]] = {
    "striped": ("with stripes",),
    "spotted": ("with spots", "with dots"),
    "checkered": ("with checks", "with a checkered pattern"),
    "furry": ("with fur",),
    "plain": ("without a pattern",),
}
VERBS: dict[str, tuple[tuple[str, str], ...]] = {
    "walk": (("walks", "walking"), ("runs", "running")),
    "run": (("runs", "running"), ("hurries", "hurrying")),
    "roll": (("rolls", "rolling"),),
    "fly": (("flies", "flying"),),
    "drive": (("drives", "driving"),),
    "sail": (("sails", "sailing"),),
    "swim": (("swims", "swimming"),),
    "crawl": (("crawls", "crawling"),),
    "float": (("floats", "floating"),),
    "slide": (("slides", "sliding"),),
    "move": (("moves", "moving"), ("goes", "going")),
}
# What a kind does when it moves; others slide.
GAIT = {
    **dict.fromkeys(("cat", "dog", "elephant", "man", "robot", "woman"), "walk"),
    **dict.fromkeys(("bird", "butterfly", "kite", "plane", "rocket"), "fly"),
    **dict.fromkeys(("car", "truck"), "drive"),
    **dict.fromkeys(("snake", "turtle"), "crawl"),
    **dict.fromkeys(("balloon", "umbrella", "star"), "float"),
    "ball": "roll",
    "boat": "sail",
    "fish": "swim",
    "rabbit": "run",
}
PLACES: dict[str, tuple[str, ...]] = {
    "left": ("on the left", "on the left side", "at the left of the picture", "at the left"),
    "right": ("on the right", "on the right side", "at the right of the picture", "at the right"),
    "middle": ("in the middle", "in the centre", "in the middle of the picture"),
    "top": ("at the top", "in the upper part", "at the top of the picture"),
    "bottom": ("at the bottom", "in the lower part", "at the bottom of the picture"),
}
WHEN: dict[str, tuple[str, ...]] = {
    "start": (
        "{place}",
        "{place}",
        "{place}",
        "that is {place} at the start",
        "{place} at first",
        "that is {place} when the video begins",
    ),
    "end": ("that is {place} at the end", "that ends up {place}", "{place} at the end of the video"),
}
MOTIONS: dict[str, tuple[str, ...]] = {
    "still": (
        "that stays in place",
        "that stays where it is",
        "staying in the same place",
        "that does not go anywhere",
    ),
    "left": (
        "that {v} to the left",
        "{ving} to the left",
        "that is {ving} left",
        "{ving} towards the left",
        "heading left",
    ),
    "right": (
        "that {v} to the right",
        "{ving} to the right",
        "that is {ving} right",
        "{ving} towards the right",
        "heading right",
    ),
    "rises": ("that goes up", "moving up", "that rises", "rising", "that {v} upwards"),
    "falls": ("that goes down", "moving down", "that comes down", "that sinks", "that {v} downwards"),
    "stops": (
        "that stops",
        "that {v} and then stops",
        "that comes to a halt",
        "which stops moving",
        "{ving} until it stops",
    ),
    "starts": (
        "that waits and then {v}",
        "that starts to move later",
        "that stays at first and then {v}",
        "which starts {ving} after a while",
    ),
    "turns": (
        "that turns back",
        "that turns around",
        "that goes one way and then back",
        "{ving} one way and then the other",
    ),
    "leaves": (
        "that leaves",
        "that leaves the picture",
        "that goes out of view",
        "leaving the picture",
        "that {v} away and is gone",
    ),
    "enters": (
        "that comes into the picture",
        "that appears later",
        "that enters",
        "coming into view",
        "which is not there at first",
    ),
    "returns": (
        "that leaves and comes back",
        "that goes away and returns",
        "that leaves the picture and comes back",
        "going out of view and returning",
    ),
    "nears": ("that comes closer", "that gets bigger", "coming closer", "that grows", "coming towards the camera"),
    "recedes": ("that gets smaller", "that moves away from the camera", "shrinking", "getting smaller", "that shrinks"),
    "spins": ("that spins", "spinning", "that rotates on the spot", "that spins around", "whirling around"),
    "hops": ("that hops", "that jumps up and down", "jumping", "hopping up and down", "that bounces"),
}
RELATIONS: dict[str, tuple[str, ...]] = {
    "left of": ("to the left of {other}", "left of {other}", "that is to the left of {other} at the start"),
    "right of": ("to the right of {other}", "right of {other}", "that is to the right of {other} at the start"),
    "above": ("above {other}", "over {other}", "that is above {other}"),
    "below": ("below {other}", "under {other}", "that is beneath {other}"),
    "near": ("next to {other}", "beside {other}", "near {other}", "close to {other}"),
    "behind": (
        "that passes behind {other}",
        "that {v} behind {other}",
        "going behind {other}",
        "that gets hidden by {other}",
    ),
    "front": ("that passes in front of {other}", "that {v} in front of {other}", "passing in front of {other}"),
    "hides": ("behind which {other} passes", "that {other} passes behind", "that hides {other} for a while"),
}
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
COUNTS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
# By what, which end → constructions around {name}: adjectives and noun. Of two only: {two}.
ENDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("size", "first"): ("the smallest {name}", "the smallest of the {count} {names}"),
    ("size", "last"): (
        "the biggest {name}",
        "the largest of the {count} {names}",
        "the biggest of the {count} {names}",
    ),
    ("speed", "first"): ("the slowest {name}", "the {name} that moves slowest"),
    ("speed", "last"): ("the fastest {name}", "the {name} that moves fastest", "the quickest {name}"),
    ("enters", "first"): (
        "the first {name} to enter",
        "the {name} that comes in first",
        "the first {name} to come into view",
    ),
    ("enters", "last"): (
        "the last {name} to enter",
        "the {name} that comes in last",
        "the last of the {names} to appear",
    ),
    ("leaves", "first"): (
        "the first {name} to leave",
        "the {name} that leaves first",
        "the first of the {names} to go out of view",
    ),
    ("leaves", "last"): (
        "the last {name} to leave",
        "the {name} that leaves last",
        "the last of the {names} to go out of view",
    ),
    ("stops", "first"): ("the first {name} to stop", "the {name} that stops first"),
    ("stops", "last"): ("the last {name} to stop", "the {name} that stops last"),
    ("x", "first"): ("the leftmost {name}", "the {name} furthest to the left", "the first {name} from the left"),
    ("x", "last"): ("the rightmost {name}", "the {name} furthest to the right", "the first {name} from the right"),
}
OF_TWO: dict[tuple[str, str], tuple[str, ...]] = {
    ("size", "first"): ("the smaller {name}", "the smaller of the two {names}", "the smaller one of the two {names}"),
    ("size", "last"): ("the bigger {name}", "the bigger of the two {names}", "the larger of the two {names}"),
    ("speed", "first"): ("the slower {name}", "the slower of the two {names}"),
    ("speed", "last"): ("the faster {name}", "the faster of the two {names}", "the quicker of the two {names}"),
}
BETWEEN = (
    "the {ordinal} {name} from the {side}",
    "{ordinal} {name} from the {side}",
    "the {ordinal} {name} counted from the {side}",
)
FORMS = ("the {name} {rest}", "the {name} {rest}", "the {name} {rest}", "a {name} {rest}", "{name} {rest}")
THAT_IS = "the {noun} that is {adjectives}"
NAMED = ("the {name}", "the {name}", "a {name}", "{name}")
# A colour before "man" would be one of skin, so people have it after the noun, by their clothes.
IN_COLOUR = ("in {look}", "wearing {look}", "dressed in {look}", "in {look} clothes")
IN_CLOTHES = ("in {look} clothes", "wearing {look} clothes")

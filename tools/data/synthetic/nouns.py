"""Nouns and what they are true of. A noun is true of several kinds ("animal"), and a kind has several nouns."""

from .shapes import KINDS

# The first noun of a kind is the plainest.
NOUNS: dict[str, tuple[str, ...]] = {
    "ball": ("ball",),
    "balloon": ("balloon",),
    "bird": ("bird", "parrot"),
    "boat": ("boat", "sailboat", "ship"),
    "box": ("box", "cube"),
    "butterfly": ("butterfly",),
    "car": ("car", "sedan"),
    "cat": ("cat", "kitten", "kitty"),
    "cup": ("cup", "mug"),
    "dog": ("dog", "puppy"),
    "elephant": ("elephant",),
    "fish": ("fish",),
    "flower": ("flower",),
    "kite": ("kite",),
    "man": ("man", "guy", "boy"),
    "plane": ("plane", "airplane"),
    "rabbit": ("rabbit", "bunny"),
    "robot": ("robot",),
    "rocket": ("rocket", "spaceship"),
    "snake": ("snake",),
    "star": ("star",),
    "tree": ("tree",),
    "truck": ("truck", "lorry"),
    "turtle": ("turtle", "tortoise"),
    "umbrella": ("umbrella", "parasol"),
    "woman": ("woman", "lady", "girl"),
}
GROUPS: dict[str, tuple[str, ...]] = {
    "animal": ("bird", "butterfly", "cat", "dog", "elephant", "fish", "rabbit", "snake", "turtle"),
    "pet": ("cat", "dog", "rabbit"),
    "person": ("man", "woman"),
    "vehicle": ("boat", "car", "plane", "rocket", "truck"),
    "plant": ("flower", "tree"),
    "toy": ("ball", "balloon", "box", "kite", "robot", "star"),
}
ANYTHING = ("one", "thing", "object")
# Words that a person may well use for these kinds too: neither true nor false of them.
DOUBTFUL: dict[str, tuple[str, ...]] = {
    "pet": ("bird", "fish", "snake", "turtle"),
    "person": ("robot",),
    "toy": ("car", "truck", "plane", "boat", "rocket", "umbrella", "cup", "fish", "turtle"),
}
PLURALS = {
    "box": "boxes",
    "butterfly": "butterflies",
    "fish": "fish",
    "kitty": "kitties",
    "lady": "ladies",
    "lorry": "lorries",
    "man": "men",
    "person": "people",
    "puppy": "puppies",
    "bunny": "bunnies",
    "woman": "women",
}

_EXTENSIONS: dict[str, frozenset[str]] = {
    **{noun: frozenset({kind}) for kind, nouns in NOUNS.items() for noun in nouns},
    **{noun: frozenset(kinds) for noun, kinds in GROUPS.items()},
    **{noun: frozenset(KINDS) for noun in ANYTHING},
}


def true_of(noun: str, kind: str) -> int:
    """Whether the noun names a thing of this kind: 1 yes, -1 no, 0 one may doubt it."""
    if kind in _EXTENSIONS[noun]:
        return 1
    return 0 if kind in DOUBTFUL.get(noun, ()) else -1


def is_specific(noun: str) -> bool:
    """Whether the noun names one kind alone, so that sizes can be compared."""
    return len(_EXTENSIONS[noun]) == 1


def plural(noun: str) -> str:
    """Two of them."""
    return PLURALS.get(noun, f"{noun}s")

"""What a thing is called: a noun with adjectives, or with clothes where it is a person."""

import numpy as np

from .conditions import Description, Has
from .nouns import NOUNS
from .phrases import ADJECTIVES, IN_CLOTHES, IN_COLOUR, NAMED, THAT_IS, WITH

PEOPLE = frozenset({"person", *NOUNS["man"], *NOUNS["woman"]})


def pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    """Any of them."""
    return options[rng.integers(len(options))]


def name_of(rng: np.random.Generator, description: Description, noun: str | None = None) -> str:
    """ "small red dog", "man in red"; `noun` stands for the description's own, in the plural for instance."""
    return _put_together(rng, _adjectives(rng, description), description.noun, noun or description.noun)


def appearance_of(rng: np.random.Generator, description: Description) -> str:
    """A sentence that says nothing but looks."""
    adjectives, noun = _adjectives(rng, description), description.noun
    pattern = adjectives.get("pattern")
    if noun in PEOPLE or rng.random() < 0.5:
        return pick(rng, NAMED).format(name=_put_together(rng, adjectives, noun, noun))
    told = next((c.value for c in description.conditions if isinstance(c, Has) and c.attribute == "pattern"), "")
    if pattern and told in WITH and rng.random() < 0.6:
        others = {name: word for name, word in adjectives.items() if name != "pattern"}
        return f"the {_put_together(rng, others, noun, noun)} {pick(rng, WITH[told])}"
    return THAT_IS.format(noun=noun, adjectives=" and ".join(adjectives.values())) if adjectives else f"the {noun}"


def _adjectives(rng: np.random.Generator, description: Description) -> dict[str, str]:
    """Attribute → word: size first; colour and pattern in either order."""
    chosen = [c for c in description.conditions if isinstance(c, Has)]
    order = {"size": -1.0, "colour": 0.4, "pattern": rng.random()}
    return {c.attribute: pick(rng, ADJECTIVES[c.value]) for c in sorted(chosen, key=lambda c: order[c.attribute])}


def _put_together(rng: np.random.Generator, adjectives: dict[str, str], singular: str, noun: str) -> str:
    look = [word for name, word in adjectives.items() if name != "size"]
    if singular not in PEOPLE or not look:
        return " ".join([*adjectives.values(), noun])
    worn = pick(rng, IN_CLOTHES if "pattern" in adjectives else IN_COLOUR).format(look=" ".join(look))
    return " ".join([*filter(None, [adjectives.get("size")]), noun, worn])

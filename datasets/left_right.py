"""What a horizontal flip does to a sentence: left becomes right (spec §3, Augmentation)."""

import re

# Whole words, and the compounds that say a side: "leftmost", "right-hand", "leftwards"; not "bright", "upright".
WORD = re.compile(r"\b(left|right)(?=(?:most|side|hand(?:ed)?|wards?)?\b)", re.IGNORECASE)
ANYWHERE = re.compile("(left|right)")
PATTERNS = {"word": WORD, "released": ANYWHERE}


def mirror_caption(caption: str, flip: str = "word") -> str:
    """Swap left and right in a sentence.

    "word" swaps them as words, capitals kept; "released" wherever the letters stand, so that "bright" becomes "bleft".

    Raises:
        ValueError: `flip` is neither.
    """
    if flip not in PATTERNS:
        raise ValueError(f"caption flip is one of {tuple(PATTERNS)}, not {flip!r}")
    return PATTERNS[flip].sub(_other_side, caption)


def _other_side(match: re.Match) -> str:
    side = match[0]
    other = "right" if side.lower() == "left" else "left"
    if side.isupper():
        return other.upper()
    return other.capitalize() if side[0].isupper() else other

"""What a sentence calls its object, and whether another object could be called so too.

A sentence decides between two objects where none of the nouns of its subject ("a brown bear | walking on the rocks")
occurs in what is said of the other: its category, its sentences, and for the host's object all of its video's, since
what they mention is in the picture too. Nouns count as one under a common name (man, rider: person), and a broader
noun (animal) is taken to occur where a narrower one does (bear). Adjectives are passed over. No parser is needed, and
where the rule is wrong, it is nearly always so that a sentence is left out.
"""

import re
from collections.abc import Iterable
from functools import cache

from datasets.left_right import WORD as SIDE


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# fmt: off
_ONE_NAME = {
    "person": "man men woman women boy girl child children kid baby toddler lady ladies guy gentleman people human "
    "adult somebody someone player rider driver dancer hiker cyclist biker surfer windsurfer skater skateboarder "
    "rollerblader snowboarder skier runner walker swimmer athlete performer breakdancer paraglider motorcyclist "
    "gymnast soldier officer worker male female teenager individual he she",
    "bike": "bicycle bmx motorbike motorcycle motocross scooter moped cycle",
    "car": "sedan suv taxi cab van jeep minivan automobile",
    "truck": "lorry pickup", "boat": "ship canoe kayak sailboat yacht", "airplane": "plane aircraft jet aeroplane",
    "train": "locomotive tram", "dog": "puppy retriever hound terrier", "cat": "kitten", "horse": "pony foal",
    "cow": "bull calf calves ox oxen cattle buffalo", "sheep": "lamb ram", "rabbit": "bunny hare",
    "rhino": "rhinoceros", "monkey": "ape gorilla chimpanzee chimp orangutan baboon", "turtle": "tortoise",
    "duck": "mallard duckling", "leopard": "cheetah jaguar", "mouse": "mice rat hamster", "deer": "antelope elk moose",
    "crocodile": "alligator",
    "thing": "object item one something other others it",
}
_BROADER = {
    "bird": "duck swan flamingo eagle owl parrot penguin goose chicken ostrich peacock pigeon seagull",
    "bear": "panda", "fish": "shark whale dolphin", "lizard": "gecko iguana chameleon", "pig": "boar",
    "animal": "bird bear fish lizard pig dog cat cow horse sheep goat camel elephant rhino rabbit monkey turtle mouse "
    "deer crocodile leopard lion tiger zebra giraffe fox raccoon squirrel hedgehog snake snail frog seal kangaroo",
    "vehicle": "car truck bus train bike boat airplane",
    "ball": "football basketball", "board": "surfboard skateboard snowboard",
}
_ADJECTIVES = _set(
    "black white brown red green blue yellow orange pink purple gray grey golden silver dark light bright colored "
    "coloured colorful big small large little tiny huge tall short long old young fat thin furry fluffy striped "
    "spotted adult first second third last same main single two three four five many several few front back middle "
    "left right far near leftmost rightmost top bottom upper lower wild toy race model moving"
)
_FILLERS = _set("a an the this that these those his her its their some there and")
_ENDS = _set(  # a subject that has its noun is over before these
    "in on at by of with from to into onto over under behind beside besides next near between among across along "
    "through around above below up down off out away towards toward against inside outside before after while as and "
    "or that which who whose when where is are was were be being been has have had can does do did not"
)
# fmt: on
_WORDS = re.compile(r"[^\W_]+")
_COMMON = {word: name for name, words in _ONE_NAME.items() for word in words.split()}
_WIDER = {word: name for name, words in _BROADER.items() for word in words.split()}
EVERYTHING = "thing"


def subject_nouns(sentence: str) -> frozenset[str]:
    """The common names of the nouns in the sentence's subject; of all its words where no subject is found."""
    words = [match[0] for match in _WORDS.finditer(_subject(sentence)[0])]
    nouns = frozenset(_common(word) for word in words if _is_noun(word))
    return nouns or frozenset(_common(word) for word in _content(sentence))


def occurring(texts: Iterable[str]) -> frozenset[str]:
    """The common names of all words in texts or category names, and what they may be called more broadly."""
    names = {EVERYTHING}
    for text in texts:
        for word in _content(text):
            names |= _names(word)
    return frozenset(names)


def deciding(sentences: Iterable[str], occurring_of_other: frozenset[str]) -> list[str]:
    """The sentences that cannot be said of the other object, for what occurs of it."""
    return [sentence for sentence in sentences if subject_nouns(sentence).isdisjoint(occurring_of_other)]


def without_sides(sentences: Iterable[str]) -> list[str]:
    """The sentences that say nothing of left or right."""
    return [sentence for sentence in sentences if not SIDE.search(sentence)]


def on_the(side: str, sentence: str) -> str:
    """The sentence with "on the left" or "on the right" behind its subject."""
    subject, rest = _subject(sentence.rstrip(" ."))
    return f"{subject} on the {side} {rest}".rstrip()


def _subject(sentence: str) -> tuple[str, str]:
    """The sentence cut where its subject ends."""
    found = False  # a noun of the subject
    for match in _WORDS.finditer(sentence):
        word = match[0].lower()
        # Only then: "brown and white dog", "fishing boat".
        if found and (word in _ENDS or word.endswith("ing")):
            return sentence[: match.start()].rstrip(), sentence[match.start() :]
        found = found or _is_noun(word)
    return sentence.rstrip(), ""


def _content(text: str) -> list[str]:
    return [match[0] for match in _WORDS.finditer(text) if match[0].lower() not in _FILLERS | _ENDS]


def _is_noun(word: str) -> bool:
    """Whether a word of a subject may be one."""
    return word.lower() not in _ADJECTIVES | _FILLERS | _ENDS


@cache
def _common(word: str) -> str:
    """The name under which a noun counts; plurals count with it."""
    word = word.lower()
    for form in (word, word.removesuffix("s"), word.removesuffix("es")):
        if form in _COMMON:
            return _COMMON[form]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


@cache
def _names(word: str) -> frozenset[str]:
    """The common name and all broader ones."""
    name = _common(word)
    return frozenset((name,)) | (_names(_WIDER[name]) if name in _WIDER else frozenset())

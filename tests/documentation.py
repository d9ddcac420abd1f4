"""What the documentation tells people to type: its pages, their blocks, and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Command:
    """What a line of a ```bash block says; `words` are those of the program itself."""

    text: str
    environment: dict[str, str]
    words: list[str]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The texts of a page's blocks in a language."""
    return [found["text"] for found in BLOCK.finditer(text_of(page)) if found["language"] == language]


def commands(page: str) -> list[Command]:
    """Every command of a page's ```bash blocks, in order."""
    lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [read_command(line) for line in lines if shlex.split(line, comments=True)]


def read_command(line: str) -> Command:
    """`NAME=value program flags  # comment`."""
    words = shlex.split(line, comments=True)
    first = next(i for i, word in enumerate(words) if not re.fullmatch(r"[A-Z_]+=.*", word))
    environment = dict(word.split("=", 1) for word in words[:first])
    return Command(" ".join(words), environment, words[first:])


def inline_code(page: str) -> list[str]:
    """What a page's sentences and tables set in code."""
    return INLINE.findall(BLOCK.sub("", text_of(page)))

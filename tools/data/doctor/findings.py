"""What a check of a data set found, and the one way in which it is shown."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from util.names import printable

MOST_SHOWN = 5  # offenders of a kind


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    what   reads on from a count and "×": "listed frame is not there"
    cure   what the user does about it
    wrong  whether it needs mending; False: good to know
    """

    what: str
    cure: str
    wrong: bool = True


@dataclass
class Finding:
    """How often a kind was met, and where first."""

    kind: Kind
    count: int = 0
    first: list[str] = field(default_factory=list)


class Report:
    """Facts and findings about the data set `name` in the folder `root`, in the order they came."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.facts: list[str] = []
        self._findings: dict[Kind, Finding] = {}

    def fact(self, text: str) -> None:
        """Note what is there."""
        self.facts.append(text)

    def add(self, kind: Kind, offender: str | Path, count: int = 1) -> None:
        """Count an offender, or `count` that one line names; paths are shown from the data set's folder on."""
        finding = self._findings.setdefault(kind, Finding(kind))
        finding.count += count
        if len(finding.first) < MOST_SHOWN:
            offender = str(offender).replace(f"{self.root}/", "").replace(f"{self.root}\\", "")
            finding.first.append(printable(offender))

    def findings(self, wrong: bool) -> list[Finding]:
        """What needs mending, or what is good to know."""
        return [finding for finding in self._findings.values() if finding.kind.wrong == wrong]

    @property
    def ok(self) -> bool:
        """Whether nothing needs mending."""
        return not self.findings(wrong=True)

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return {
            "set": self.name,
            "path": str(self.root),
            "ok": self.ok,
            "facts": self.facts,
            "findings": [
                {
                    "what": finding.kind.what,
                    "wrong": finding.kind.wrong,
                    "count": finding.count,
                    "first": finding.first,
                    "cure": finding.kind.cure,
                }
                for finding in self._findings.values()
            ],
        }

    def text(self) -> str:
        """The report for a person."""
        lines = [f"{self.name} in {self.root}", *(f"  {fact}" for fact in self.facts)]
        for title, wrong in (("wrong", True), ("good to know", False)):
            found = self.findings(wrong)
            if found:
                lines += ["", f"{title}:", *(line for finding in found for line in _lines(finding))]
        wrong = len(self.findings(wrong=True))
        lines += [
            "",
            "all is well" if self.ok else f"kinds of fault: {wrong}; mend them from the top, then run this again",
        ]
        return "\n".join(lines)


def _lines(finding: Finding) -> list[str]:
    rest = finding.count - len(finding.first)
    return [
        f"  {finding.count} × {finding.kind.what}",
        *(f"      {offender}" for offender in finding.first),
        *([f"      and {rest} more"] if rest > 0 and len(finding.first) == MOST_SHOWN else []),
        *([f"    to do: {finding.kind.cure}"] if finding.kind.cure else []),
    ]

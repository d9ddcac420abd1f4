"""The table of docs/reliability.md, of what the fault tests counted: `python -m tools.fault_table --counts FILE`.

`make faults` runs both. The lines between the markers are replaced, nothing else.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, Python looks beside the script only

from util.errors import InputError, exit_on_input_error
from util.files import atomic_write

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: written by tools/fault_table.py -->", "<!-- end of faults -->"
HEAD = ("| fault | tries | survived | what the user sees |", "| --- | --- | --- | --- |")


@dataclass(frozen=True)
class Fault:
    """A row of the table: what was done, how often, how often the promise was kept, and what the user sees."""

    fault: str
    tried: int
    survived: int
    seen: str

    def __str__(self) -> str:
        cells = (self.fault, str(self.tried), str(self.survived), self.seen)
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 where a fault was not survived each time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", required=True, type=Path, help="what TF2_FAULT_COUNTS named while the tests ran")
    parser.add_argument("--document", default=DOCUMENT, type=Path, help="the file with the markers")
    args = parser.parse_args(arguments)
    faults = added_up(read_counts(args.counts))
    write_table(args.document, faults)
    print(f"{args.document}: {sum(f.survived for f in faults)} of {sum(f.tried for f in faults)} tries survived")
    return int(any(fault.survived < fault.tried for fault in faults))


def read_counts(file: Path) -> list[Fault]:
    """The file's lines. Raises InputError where it cannot be read."""
    try:
        return [Fault(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; run the tests with TF2_FAULT_COUNTS={file}") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{file}: not a list of faults ({error}); delete it and run the tests again") from error


def added_up(faults: Iterable[Fault]) -> list[Fault]:
    """One row a fault, by name; the last line's words."""
    rows: dict[str, Fault] = {}
    for new in faults:
        old = rows.get(new.fault, replace(new, tried=0, survived=0))
        rows[new.fault] = replace(new, tried=old.tried + new.tried, survived=old.survived + new.survived)
    return [rows[name] for name in sorted(rows)]


def write_table(document: Path, faults: Sequence[Fault]) -> None:
    """Replace what is between the markers. Raises InputError where the document or a marker is missing."""
    try:
        before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    except OSError as error:
        raise InputError(f"{document}: {error.strerror}") from error
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"{document}: no lines {BEGIN} and {END} to write between")
    table = "\n".join([BEGIN, "", *HEAD, *map(str, faults), "", END])
    with atomic_write(document) as temporary:
        temporary.write_text(before + table + after, encoding="utf-8")


if __name__ == "__main__":
    exit_on_input_error(main)

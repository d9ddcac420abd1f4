"""Where fault tests count: one JSON line a fault, in the file that TF2_FAULT_COUNTS names.

tools/fault_table.py makes the table of docs/reliability.md of it.
"""

import json
import os
from pathlib import Path

FILE = "TF2_FAULT_COUNTS"


def record(fault: str, tried: int, survived: int, seen: str) -> None:
    """Count one kind of fault; does nothing where no file is named.

    fault     what was done, in the table's words; lines of the same fault are added up
    tried     how often
    survived  in how many of those tries the promise was kept
    seen      what the user sees: the program's own words
    """
    file = os.environ.get(FILE)
    if not file:
        return
    line = json.dumps({"fault": fault, "tried": tried, "survived": survived, "seen": seen})
    with Path(file).open("a", encoding="utf-8") as out:  # one write a line: several processes may append
        out.write(line + "\n")

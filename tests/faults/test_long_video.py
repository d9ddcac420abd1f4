"""Memory does not grow with a video's length."""

import os
import time
from pathlib import Path

from conftest import write_expressions, write_frames

from tests.faults.conftest import TRIES
from tests.faults.counts import record
from tests.faults.programs import start

FRAMES = 2000 if TRIES > 3 else 200
MIB = 1 << 20
ALLOWED = 24 * MIB  # of growth over the last three quarters; all frames would be 60 times that
SIZE = (270, 480)


def resident(pid):
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_flat_memory(inference_flags, output, tmp_path):
    """Memory is looked at from where the key frame's candidates, and the first frames, have come and gone."""
    names = [f"{number:05d}" for number in range(FRAMES)]
    folder = tmp_path / "data" / "valid" / "JPEGImages" / "long"
    write_frames(folder, names[:1], SIZE)
    for name in names[1:]:
        os.link(folder / f"{names[0]}.jpg", folder / f"{name}.jpg")
    write_expressions(tmp_path / "data", "valid", {"long": {"0": "the red ball"}}, names)
    flags = (*inference_flags, "--ytvos_path", tmp_path / "data", "--output_dir", output, "--feature_memory", "8")
    running = start("inference_ytvos", flags, tmp_path / "said")
    early = late = 0
    while running.processes[0].is_alive():
        done = sum(1 for _ in output.rglob("*.png"))
        held = resident(running.group) if running.processes[0].is_alive() else 0
        if FRAMES // 8 < done < FRAMES // 4:
            early = max(early, held)
        elif done >= FRAMES // 4:
            late = max(late, held)
        time.sleep(0.2)
    running.finished()
    assert early and late and late - early < ALLOWED, (early / MIB, late / MIB)
    seen = f"{late / MIB:.0f} MiB in all, {max(late - early, 0) / MIB:.0f} MiB more than in its first quarter"
    record(f"a video of {FRAMES} frames of {SIZE[1]}×{SIZE[0]}", 1, 1, seen)

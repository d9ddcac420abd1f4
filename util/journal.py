"""What training says while it runs: `steps.jsonl`, `log.txt` (a JSON line an epoch), TensorBoard, `curves.png`, and
lines to read."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from torch.utils.tensorboard import SummaryWriter

from datasets.batches import BatchPlan
from util.files import atomic_write, cannot_write
from util.training_curves import STEPS, draw_own


class Journal:
    """Files of one run; a resumed run cuts off what it will do again. Silent in all processes but the first."""

    def __init__(self, folder: Path, active: bool, next_step: int, next_epoch: int) -> None:
        self.folder, self.active = folder, active
        self.next_step, self.next_epoch = next_step, next_epoch

    def __enter__(self) -> "Journal":
        if self.active:
            with self._explained():
                self._steps = _open_from(self.folder / STEPS, "step", self.next_step)
                self._epochs = _open_from(self.folder / "log.txt", "epoch", self.next_epoch)
                self._board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.next_step)
        return self

    def __exit__(self, *_: object) -> None:
        if self.active:
            for file in (self._steps, self._epochs, self._board):
                with self._explained():
                    file.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raises InputError where the disk refuses a line."""
        try:
            yield
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def step(self, step: int, losses: Mapping[str, float], lr: float) -> None:
        """One step's losses."""
        if not self.active:
            return
        with self._explained():
            print(json.dumps({"step": step, "lr": lr, **losses}), file=self._steps, flush=True)
            for name, value in losses.items():
                self._board.add_scalar(f"train/{name}", value, step)
            self._board.add_scalar("train/lr", lr, step)

    def epoch(self, epoch: int, record: Mapping[str, Any]) -> None:
        """One epoch's means and scores, and the curves up to here."""
        if not self.active:
            return
        scores = {name: value for name, value in record.items() if name.startswith("test_")}
        with self._explained():
            print(json.dumps(record), file=self._epochs, flush=True)
            for name, value in scores.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"test/{name.removeprefix('test_')}", value, epoch)
        draw_own(self.folder)


def _open_from(path: Path, counter: str, first: int) -> TextIO:
    """A file of JSON lines to append to, without the lines from `first` on and without a half-written one."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)[counter] < first]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(kept))
    return path.open("a")


class Progress:
    """A line every `every` steps: losses, clips a second, share of time spent waiting for data, time to go."""

    def __init__(self, plan: BatchPlan, to_go: int, every: int) -> None:
        self.plan, self.to_go, self.every = plan, to_go, every
        self.started = self.last = time.monotonic()
        self.steps = self.since_last = 0
        self.waited = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent in here counts as waiting for data."""
        begin = time.monotonic()
        yield
        self.waited += time.monotonic() - begin

    def report(self, step: int, losses: Mapping[str, float]) -> None:
        """Counts a step; prints where it is time to."""
        self.steps += 1
        self.since_last += 1
        if not self.every or (self.steps % self.every and self.steps != 1):
            return
        now = time.monotonic()
        seconds = max(now - self.last, 1e-9)
        left = timedelta(seconds=round((now - self.started) / self.steps * (self.to_go - self.steps)))
        epoch, step = divmod(step, self.plan.steps_per_epoch)
        print(
            f"epoch {epoch + 1}/{self.plan.epochs} step {step + 1}/{self.plan.steps_per_epoch} "
            f"loss {losses['loss']:.3f} {self.since_last * self.plan.clips_per_step / seconds:.2f} clips/s "
            f"waiting {self.waited / seconds:.0%} left {left}",
            flush=True,
        )
        self.last, self.since_last, self.waited = now, 0, 0.0

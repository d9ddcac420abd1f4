"""What the inference scripts share: checks before hours of work, sharing out, and passing over what is broken."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from datasets.expressions import Expression, VideoEntry, normalise_caption
from datasets.key_frames import KeyFrameFiles
from datasets.ytvos_videos import VideoCollection
from models.text_encoder import CaptionTokenizer
from models.tracker import TrackedFrame, Tracker, load_tracker
from util.errors import InputError, OutputError
from util.files import make_output_folder
from util.launch import run_sharded
from util.model_folder import is_model_folder
from util.settings import Settings


@dataclass(frozen=True)
class Job:
    """A piece of work that is finished or not: expressions of one video that end in one place."""

    video: VideoEntry
    expressions: tuple[Expression, ...]

    @property
    def frames(self) -> int:
        return len(self.video.frames) * len(self.expressions)

    @property
    def name(self) -> str:
        return f"{self.video.name}/{'+'.join(e.id for e in self.expressions)}"


@dataclass(frozen=True)
class InferenceRun:
    """A checked run over a collection of videos."""

    settings: Settings
    collection: VideoCollection
    keys: KeyFrameFiles

    @classmethod
    def prepare(cls, settings: Settings, root: Path) -> "InferenceRun":
        """Everything that can be known to fail fails here. Raises InputError."""
        resume = settings.run.resume
        if not (Path(resume).is_file() or is_model_folder(resume)):
            raise InputError(f"{resume or 'no checkpoint'}: give --resume the file or folder of a trained network")
        inference = settings.inference
        run = cls(
            settings,
            VideoCollection(root, inference.split),
            KeyFrameFiles(inference.key_frames, inference.key_masks),
        )
        run._check_expressions()
        make_output_folder(settings.run.output_dir)
        return run

    @property
    def results(self) -> Path:
        """The folder of the split's masks."""
        return self.settings.run.output_dir / self.settings.inference.split

    def caption(self, expression: Expression) -> str:
        """The sentence as the network reads it."""
        return normalise_caption(expression.text, self.settings.data.caption_case)

    def track(self, tracker: Tracker, video: VideoEntry, expression: Expression) -> Iterator[TrackedFrame]:
        """Every frame of one expression, as it is done."""
        given = self.keys.choice(video, expression.id)
        return tracker.track(self.collection.open(video), self.caption(expression), given)

    def carry_out(self, jobs: Sequence[Job], work: "Work") -> int | None:
        """Share the jobs out and do them; the exit code, or None in all but the first of torchrun's processes."""
        share = partial(do_share, work, self)
        problems = run_sharded(share, jobs, lambda job: job.frames, self.settings.run.ngpu)
        if problems is None:
            return None
        for problem in dict.fromkeys(problems):  # a broken frame is met by each of its video's expressions
            print(f"error: {problem}", file=sys.stderr)
        return 2 if problems else 0

    def _check_expressions(self) -> None:
        tokenizer = CaptionTokenizer(self.settings.model.text_encoder)
        for video in self.collection.videos:
            for expression in video.expressions:
                try:
                    tokenizer.ids(self.caption(expression))
                except InputError as error:
                    where = f"{self.collection.list_file}: video {video.name!r}, expression {expression.id!r}"
                    raise InputError(f"{where}: {error}") from error
                self.keys.choice(video, expression.id)


Work = Callable[[InferenceRun, Tracker, Job, tqdm], None]


def do_share(work: Work, run: InferenceRun, jobs: Sequence[Job], local_rank: int, *, progress: bool) -> list[str]:
    """One process's jobs; a broken video is reported and passed over. Returns what went wrong."""
    if not jobs:
        return []
    tracker = load_tracker(run.settings, local_rank)
    problems = []
    with tqdm(total=sum(job.frames for job in jobs), unit="frame", disable=not progress) as bar:
        for job in jobs:
            bar.set_description(job.name)
            try:
                work(run, tracker, job, bar)
            except OutputError:
                raise
            except InputError as error:
                problems.append(str(error))
    return problems

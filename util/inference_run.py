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
from models.propagation import TrackedFrame
from models.text_encoder import CaptionTokenizer
from models.tracker import Tracker, load_tracker
from util.errors import InputError, OutputError
from util.launch import run_sharded
from util.model_folder import is_model_folder
from util.settings import Settings

TOGETHER = 4  # expressions that share a video's features: more cost memory, and more work where a run is cut off


@dataclass(frozen=True)
class Job:
    """Expressions of one video that are segmented together.

    indivisible: they end in one place, so that one is of no use without the others
    """

    video: VideoEntry
    expressions: tuple[Expression, ...]
    indivisible: bool = False

    @property
    def frames(self) -> int:
        return len(self.video.frames) * len(self.expressions)

    @property
    def name(self) -> str:
        return f"{self.video.name}/{'+'.join(e.id for e in self.expressions)}"

    def parts(self, size: int = TOGETHER) -> Iterator["Job"]:
        """The same work in jobs of at most `size` expressions."""
        for start in range(0, len(self.expressions), size):
            yield Job(self.video, self.expressions[start : start + size])


@dataclass(frozen=True)
class InferenceRun:
    """A checked run over a collection of videos."""

    settings: Settings
    collection: VideoCollection
    keys: KeyFrameFiles

    @classmethod
    def prepare(cls, settings: Settings, root: Path) -> "InferenceRun":
        """Everything that can be known to fail fails here, or in `claimed` of util/claim.py. Raises InputError."""
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
        return run

    @property
    def results(self) -> Path:
        """The folder of the split's masks."""
        return self.settings.run.output_dir / self.settings.inference.split

    def caption(self, expression: Expression) -> str:
        """The sentence as the network reads it."""
        return normalise_caption(expression.text, self.settings.data.caption_case)

    def track(self, tracker: Tracker, job: Job) -> Iterator[tuple[int, TrackedFrame]]:
        """Every frame of the job's expressions, as it is done: (place of the expression in the job, frame)."""
        given = [self.keys.choice(job.video, expression.id) for expression in job.expressions]
        captions = [self.caption(expression) for expression in job.expressions]
        return tracker.track_together(self.collection.open(job.video), captions, given)

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
            problems += do_job(lambda part: work(run, tracker, part, bar), job)
    return problems


def do_job(work: Callable[[Job], None], job: Job) -> list[str]:
    """Do what can be done of a job: what fails together is tried one by one. Returns what went wrong."""
    try:
        work(job)
    except OutputError:
        raise
    except InputError as error:
        if job.indivisible or len(job.expressions) == 1:
            return [str(error)]
        return [problem for part in job.parts(1) for problem in do_job(work, part)]
    return []

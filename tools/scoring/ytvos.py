"""Score Ref-YouTube-VOS results, or those of a set in its layout (spec §4, §6): J and F of each expression."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from tqdm import tqdm

from tools.scoring.evaluation import Evaluation, LeftOut, Request, refuse_same_place
from tools.scoring.mask_scores import VideoJob, VideoScores, header_problems, score_video
from tools.scoring.page import Page, Shot, means_table
from tools.scoring.pictures import frame_or_blank
from tools.scoring.png import decode_mask
from tools.scoring.result_files import open_results
from tools.scoring.tracks import Means, Track, TrackScores
from tools.scoring.ytvos_truth import Truth, read_truth
from util.files import first_few
from util.mask_io import read_label_map
from util.processes import process_map


def evaluate(request: Request) -> Evaluation:
    """Check every file, score, and sum up. Raises InputError where anything given is wrong."""
    truth = read_truth(request.ground_truth, request.split, request.expressions)
    refuse_same_place(request.results, truth.annotations)
    left_out = LeftOut(request.results, len(truth.expressions), request.partial)
    left_out.add((key, f"{'/'.join(key)}: {why}") for key, why in truth.unknown.items())
    jobs = scorable_jobs(truth, request.results, left_out)
    with process_map(min(request.workers, len(jobs)), score_video.__module__) as mapped:
        scored = tqdm(mapped(partial(score_video, request.results), jobs), total=len(jobs), unit="video", disable=None)
        videos = tuple(zip(jobs, scored, strict=True))
    for job, scores in videos:
        left_out.add(((job.name, problem.expression), problem.text) for problem in scores.problems)
    left_out.refuse()
    return Scored(request, truth, videos, left_out).evaluation()


def scorable_jobs(truth: Truth, results: Path, left_out: LeftOut) -> list[VideoJob]:
    """The jobs without the expressions that a look at names and headers rules out. Raises InputError."""
    open_results.cache_clear()  # other results may lie there by now
    files = open_results(results)
    rest = []
    for job in truth.jobs:
        problems = list(header_problems(job, files))
        left_out.add(((job.name, problem.expression), problem.text) for problem in problems)
        rest.append(job.without({problem.expression for problem in problems}))
    left_out.refuse()
    return [job for job in rest if job.targets]


@dataclass(frozen=True)
class Scored:
    """A set whose videos have all been scored."""

    request: Request
    truth: Truth
    videos: tuple[tuple[VideoJob, VideoScores], ...]
    left_out: LeftOut

    def evaluation(self) -> Evaluation:
        """Text, JSON, CSV and page."""
        tracks = self.tracks
        frames = {"frames": self.truth.frames, "frames_scored": self.frames}
        return Evaluation(
            text="\n".join([tracks.as_text(), *self.facts()]),
            figures=tracks.as_dict() | frames | self.left_out.as_dict(),
            csv=tracks.as_csv(),
            page=self.page,
        )

    def page(self) -> Page:
        """Means, curves and what pictures of the worst need."""
        videos = {name: Means.of(tracks) for name, tracks in self.tracks.by_video().items()}
        kinds = {"all expressions": self.tracks.overall, **self.tracks.by_group()}
        return Page(
            title=f"J&F {self.tracks.overall.jf:.4f}: {self.request.results}",
            facts=list(self.facts()),
            tables=[means_table(kinds, "Means over expressions"), means_table(videos, "Videos")],
            tracks=self.tracks.tracks,
            shot=self.shot,
        )

    @cached_property
    def tracks(self) -> TrackScores:
        """Every scored expression, in the list's order."""
        return TrackScores(tuple(self._track(job, key, scores) for job, scores in self.videos for key in scores.j))

    @property
    def frames(self) -> int:
        """How many frames were scored, each once whatever its expressions."""
        return sum(len(job.frames) for job, _ in self.videos)

    def facts(self) -> Iterator[str]:
        """What a reader of the scores must know: what was scored, what was left out, what is odd."""
        overall = self.tracks.overall
        yield f"{overall.tracks} expressions in {overall.videos} videos"
        yield f"{self.frames} of the list's {self.truth.frames} frames have ground truth and were scored"
        if self.left_out.reasons:
            yield self.left_out.as_text()
        zero_one = sum(scores.zero_one for _, scores in self.videos)
        if zero_one:
            yield f"note: {zero_one} masks hold 0 and 1 instead of 0 and 255, and were read so"
        never_seen = [f"{job.name}/{key}" for job, scores in self.videos for key in scores.never_seen]
        if never_seen:
            yield (
                f"note: the objects of {len(never_seen)} expressions are on no annotated frame, so an empty mask is "
                f"right: {first_few(never_seen)}"
            )

    def shot(self, track: Track, index: int) -> Shot:
        """One frame of an expression; its picture where JPEGImages lies beside the annotations."""
        job = next(job for job, _ in self.videos if job.name == track.video)
        frame = track.frames[index]
        labels = read_label_map(job.annotations / f"{frame}.png")
        data = open_results(self.request.results).read(job.result(track.id, frame))
        picture = self.truth.annotations.parent / "JPEGImages" / job.name / f"{frame}.jpg"
        return Shot(
            image=frame_or_blank(picture, labels.shape),
            prediction=decode_mask(data, labels.shape).pixels,
            truth=labels == job.targets[track.id],
        )

    def _track(self, job: VideoJob, key: str, scores: VideoScores) -> Track:
        both = job.name, key
        text = self.truth.expressions[both].text
        return Track(*both, text, self.truth.groups[both], job.frames, scores.j[key], scores.f[key])

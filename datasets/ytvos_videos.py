"""The videos that inference runs over, in Ref-YouTube-VOS layout (Ref-DAVIS17 after conversion has the same)."""

from pathlib import Path

from util.errors import InputError
from util.files import first_few

from .expressions import VideoEntry, excluded_list, read_meta_expressions
from .video_source import FrameFolder


class VideoCollection:
    """Videos and expressions of one split under `root`."""

    def __init__(self, root: Path, split: str) -> None:
        """Reads the list of expressions and checks that every frame is there.

        The distributed validation list of Ref-YouTube-VOS holds the test videos too; where their own list lies beside
        it, they are left out (spec §4). Raises InputError for a missing list or missing frames.
        """
        self.frames_folder = root / split / "JPEGImages"
        self.list_file = root / "meta_expressions" / split / "meta_expressions.json"
        videos = read_meta_expressions(self.list_file, excluded_list(self.list_file))
        self.videos = [video for video in videos if video.expressions]
        self._refuse_missing_frames()

    def open(self, video: VideoEntry) -> FrameFolder:
        """The frames of a video, read as they are asked for."""
        return FrameFolder([self._file(video, frame) for frame in video.frames])

    def _file(self, video: VideoEntry, frame: str) -> Path:
        return self.frames_folder / video.name / f"{frame}.jpg"

    def _refuse_missing_frames(self) -> None:
        missing = [
            f"{video.name}/{frame}.jpg"
            for video in self.videos
            for frame in video.frames
            if not self._file(video, frame).is_file()
        ]
        if missing:
            raise InputError(
                f"{len(missing)} frames of {self.list_file} are not under {self.frames_folder} "
                f"({first_few(missing, 3)}): fetch them again"
            )

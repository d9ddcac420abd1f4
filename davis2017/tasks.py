"""The two ways in which DAVIS 2017 is scored, and where the rules differ (spec §6)."""

from dataclasses import dataclass

VOID = 255  # the id of pixels that no one could tell


@dataclass(frozen=True)
class Task:
    """Rules of a task.

    folders         with the ground truth, the one the task is made for first
    matched         objects and proposals are matched once a sequence; else an id means the same object in both
    most_proposals  the largest id that results may hold; None: the number of objects
    keeps_ends      the first and the last frame are scored as well
    ignores_void    pixels that are void in the ground truth count nowhere; else they are background
    """

    name: str
    folders: tuple[str, ...]
    matched: bool
    most_proposals: int | None
    keeps_ends: bool
    ignores_void: bool


TASKS = {
    task.name: task
    for task in (
        Task("unsupervised", ("Annotations_unsupervised", "Annotations"), True, 20, True, True),
        Task("semi-supervised", ("Annotations", "Annotations_unsupervised"), False, None, False, False),
    )
}

"""Label maps of 480p as DAVIS has them, made: objects that move and change their shape, and results that wobble."""

from pathlib import Path

import cv2
import numpy as np

from util.mask_io import read_label_map, write_label_map

HEIGHT, WIDTH = 480, 854
WOBBLE = 4.0  # pixels, standard deviation


def make_set(davis: Path, results: Path, sequences: int, frames: int) -> None:
    """A DAVIS folder of made sequences with 1 to 5 objects, and results that wobble about the truth."""
    names = [f"made-{number:02d}" for number in range(sequences)]
    list_sequences(davis, names)
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        blobs = [Blob(rng) for _ in range(1 + number % 5)]
        for index in range(frames):
            file = f"{name}/{index:05d}.png"
            for folder, error in ((davis / "Annotations_unsupervised" / "480p", 0.0), (results, WOBBLE)):
                (folder / name).mkdir(parents=True, exist_ok=True)
                write_label_map(
                    folder / file, draw([blob.outline(index, error * rng.normal(size=2)) for blob in blobs])
                )


def make_results(truth: Path, results: Path, names: list[str]) -> None:
    """Results for given sequences: the truth, moved by a few pixels."""
    for name in names:
        (results / name).mkdir(parents=True)
        for index, path in enumerate(sorted((truth / name).glob("*.png"))):
            labels = read_label_map(path)
            write_label_map(results / name / path.name, np.roll(labels * (labels < 255), (index % 7, 5), (0, 1)))


def list_sequences(davis: Path, names: list[str]) -> None:
    """Write the set "val"."""
    path = davis / "ImageSets" / "2017" / "val.txt"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{name}\n" for name in names))


class Blob:
    """A closed outline that moves through the image and changes its shape."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.centre = rng.uniform((150, 100), (WIDTH - 150, HEIGHT - 100))
        self.speed = rng.uniform(-3, 3, 2)
        self.radius = rng.uniform(40, 110)
        self.waves = [(k, rng.uniform(0, 0.3 / k), rng.uniform(-0.1, 0.1)) for k in range(2, 9)]

    def outline(self, index: int, error: np.ndarray) -> np.ndarray:
        """[200, 2] int32 x, y in frame `index`, moved by `error` pixels and turned a little."""
        angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
        turns = index + error[0] / 4
        radii = self.radius * (1 + sum(size * np.cos(k * angles + turn * turns) for k, size, turn in self.waves))
        around = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
        return np.rint(self.centre + self.speed * index + error + around).astype(np.int32)


def draw(outlines: list[np.ndarray]) -> np.ndarray:
    """[H, W] uint8 ids from 1; later objects are in front."""
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for number, outline in enumerate(outlines, 1):
        cv2.fillPoly(labels, [outline], number)
    return labels

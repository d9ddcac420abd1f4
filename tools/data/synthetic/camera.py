"""How the camera moves: still, panning, zooming or held in a shaking hand."""

import numpy as np


def draw_camera(rng: np.random.Generator, frames: int, size: tuple[int, int]) -> np.ndarray:
    """From the scene's pixels to the picture's, [frames, 2, 3]; at no move it is the identity.

    The camera moves by less than 7 % of the picture in all, so that what is well inside stays inside.
    """
    height, width = size
    u = np.linspace(0, 1, frames) - rng.choice([0.0, 0.5, 1.0])
    ease = u if rng.random() < 0.5 else np.sin(np.pi * u / 2)
    pan = ease[:, None] * rng.uniform(-0.06, 0.06, 2) * (rng.random() < 0.6) * (width, 0.6 * height)
    zoom = 1 + np.abs(ease) * rng.uniform(0, 0.08) * (rng.random() < 0.5)
    shaky = (rng.random() < 0.4) * rng.uniform(0.002, 0.006) * height
    shake = np.cumsum(rng.standard_normal((frames, 2)) * shaky, axis=0)
    shake -= np.linspace(0, 1, frames)[:, None] * shake[-1]
    roll = np.cumsum(rng.standard_normal(frames)) * (shaky / height) * 0.4
    c, s = zoom * np.cos(roll), zoom * np.sin(roll)
    turned = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], axis=1)
    centre = np.array([width / 2, height / 2])
    shift = centre - turned @ centre + pan + shake
    return np.concatenate([turned, shift[..., None]], axis=2)

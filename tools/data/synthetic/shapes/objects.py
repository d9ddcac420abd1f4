"""Toys, household things and plants."""

import numpy as np

from .outlines import DARK, WOOD, Part, Pose, ellipse, polygon, ribbon, rounded


def ball(pose: Pose) -> list[Part]:
    """Two seams show how it rolls."""
    squash = 1 + 0.04 * np.sin(pose.sway)
    y = np.linspace(-0.46, 0.46, 9)
    seams = [np.stack([side * (0.2 + 0.5 * y * y), y], axis=1) for side in (-1, 1)]
    parts = [Part(ellipse((0, 0), 0.5 * squash, 0.5 / squash, corners=28))]
    return parts + [Part(ribbon(seam, 0.035), tint=0.45) for seam in seams]


def box(pose: Pose) -> list[Part]:
    """Three faces; it wobbles a little."""
    lean = 0.06 * np.sin(pose.sway)
    deep = 0.22 + 0.04 * pose.build[0]
    faces = [
        ((-0.5, -0.28), (0.3, -0.28), (0.3, 0.5), (-0.5, 0.5)),
        ((-0.5, -0.28), (0.3, -0.28), (0.3 + deep, -0.5), (-0.5 + deep, -0.5)),
        ((0.3, -0.28), (0.3 + deep, -0.5), (0.3 + deep, 0.26), (0.3, 0.5)),
    ]
    outlines = [polygon(*((x + lean * (0.5 - y), y) for x, y in face)) for face in faces]
    edge = ribbon((outlines[0][0], outlines[0][1], outlines[1][2]), 0.03)
    return [*(Part(o, tint=tint) for o, tint in zip(outlines, (0.85, 1.0, 0.55), strict=True)), Part(edge, tint=0.4)]


def star(pose: Pose) -> list[Part]:
    """Five rays that stretch in turn."""
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 0.56 + 0.06 * np.sin(pose.sway + np.arange(10)), 0.25)
    return [Part(np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1))]


def cup(pose: Pose) -> list[Part]:
    """A mug with a handle."""
    lean = 0.03 * np.sin(pose.sway)
    turns = np.linspace(-1.4, 1.4, 9)
    handle = np.stack([0.32 + 0.26 * np.cos(turns), 0.02 + 0.24 * np.sin(turns)], axis=1)
    return [
        Part(ribbon(handle, 0.09), tint=0.7),
        Part(
            rounded((-0.42 + lean, -0.4), (0.42 + lean, -0.4), (0.36, 0.2), (0.28, 0.46), (-0.28, 0.46), (-0.36, 0.2))
        ),
        Part(ellipse((lean, -0.4), 0.42, 0.11), tint=0.75),
        Part(ellipse((lean, -0.39), 0.35, 0.075), (70, 44, 32)),
    ]


def umbrella(pose: Pose) -> list[Part]:
    """A dome with a scalloped rim on a hooked stick; it opens and closes a little."""
    wide = 0.62 + 0.06 * np.sin(pose.sway)
    rim = [(wide * x, 0.02 - 0.06 * (k % 2)) for k, x in enumerate(np.linspace(1, -1, 9))]
    dome = [(wide * np.cos(a), 0.02 + 0.5 * np.sin(a)) for a in np.linspace(np.pi, 2 * np.pi, 12)[1:-1]]
    panel = polygon((0, -0.48), (wide * 0.5, 0.0), (0.0, -0.04), (-wide * 0.5, 0.0))
    return [
        Part(ribbon(((0, -0.56), (0, 0.36), (0.05, 0.46), (0.14, 0.44), (0.15, 0.36)), 0.055), WOOD),
        Part(polygon(*rim, *dome)),
        Part(panel, tint=0.72),
    ]


def kite(pose: Pose) -> list[Part]:
    """A diamond with a waving tail."""
    t = np.linspace(0, 1, 9)
    tail = np.stack([-0.1 * t + 0.12 * t * np.sin(9 * t - pose.sway), 0.2 + 0.62 * t], axis=1)
    bows = [
        polygon((x - 0.1, y - 0.05), (x + 0.1, y + 0.05), (x + 0.1, y - 0.05), (x - 0.1, y + 0.05))
        for x, y in tail[3::2]
    ]
    return [
        Part(ribbon(tail, 0.03), DARK),
        *(Part(bow, tint=0.75) for bow in bows),
        Part(polygon((0, -0.62), (0.42, -0.2), (0, 0.24), (-0.42, -0.2))),
        Part(ribbon(((0, -0.6), (0, 0.22)), 0.035), tint=0.45),
        Part(ribbon(((-0.4, -0.2), (0.4, -0.2)), 0.035), tint=0.45),
    ]


def balloon(pose: Pose) -> list[Part]:
    """An egg on a waving string."""
    t = np.linspace(0, 1, 8)
    string = np.stack([0.1 * t * np.sin(6 * t - pose.sway), 0.2 + 0.5 * t], axis=1)
    return [
        Part(ribbon(string, 0.03), DARK),
        Part(polygon((0, 0.14), (0.08, 0.26), (-0.08, 0.26)), tint=0.6),
        Part(
            rounded(
                (0, -0.56),
                (0.3, -0.44),
                (0.38, -0.16),
                (0.2, 0.1),
                (0, 0.18),
                (-0.2, 0.1),
                (-0.38, -0.16),
                (-0.3, -0.44),
            )
        ),
    ]


def tree(pose: Pose) -> list[Part]:
    """A trunk under a crown that sways."""
    sway = 0.03 * np.sin(pose.sway)
    blobs = [(-0.24, -0.08, 0.24), (0.25, -0.06, 0.23), (0.0, -0.02, 0.26), (-0.12, -0.32, 0.24), (0.15, -0.3, 0.23)]
    crown = [ellipse((x + sway * (1 - 2 * y), y), r, r) for x, y, r in blobs]
    trunk = polygon((-0.07, 0.1), (0.07, 0.1), (0.11, 0.5), (-0.11, 0.5))
    return [
        Part(trunk, WOOD),
        *(Part(o, tint=tint) for o, tint in zip(crown, (0.8, 0.75, 0.85, 0.95, 1.0), strict=True)),
    ]


def flower(pose: Pose) -> list[Part]:
    """Petals around a disk, on a stem with leaves."""
    sway = 0.08 * np.sin(pose.sway)
    head = (sway, -0.26)
    angles = np.arange(7) * 2 * np.pi / 7 + 0.2 * sway
    petals = [ellipse((sway + 0.2 * np.cos(a), -0.26 + 0.2 * np.sin(a)), 0.15, 0.1, a, corners=14) for a in angles]
    leaves = [rounded((0, 0.34), (s * 0.16, 0.16), (s * 0.34, 0.14), (s * 0.2, 0.32)) for s in (-1, 1)]
    green = (62, 128, 58)
    return [
        Part(ribbon(((0, 0.5), (sway / 3, 0.14), head), 0.05), green),
        *(Part(o, green) for o in leaves),
        *(Part(petal, tint=0.8 + 0.2 * (k % 2)) for k, petal in enumerate(petals)),
        Part(ellipse(head, 0.12, 0.12), (92, 62, 32)),
    ]

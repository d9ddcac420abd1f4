"""What carries people: on the road, on the water and in the air."""

import numpy as np

from .outlines import DARK, GLASS, STEEL, WHITE, WOOD, Part, Pose, ellipse, polygon, ribbon, rounded, wheel


def car(pose: Pose) -> list[Part]:
    """Windows and two turning wheels."""
    jolt = np.array([0, 0.01 * np.sin(2 * pose.sway)])
    body = rounded((-0.92, 0.26), (-0.92, 0.0), (-0.56, -0.06), (0.44, -0.06), (0.88, 0.02), (0.94, 0.28), (0.0, 0.3))
    cabin = polygon((-0.62, -0.04), (-0.42, -0.42), (0.16, -0.42), (0.48, -0.03))
    windows = [
        ((-0.5, -0.06), (-0.37, -0.34), (-0.14, -0.34), (-0.14, -0.06)),
        ((-0.07, -0.06), (-0.07, -0.34), (0.12, -0.34), (0.36, -0.06)),
    ]
    return [
        Part(cabin + jolt, tint=0.85),
        *(Part(polygon(*window) + jolt, GLASS) for window in windows),
        Part(body + jolt),
        Part(ellipse((0.86, 0.1), 0.06, 0.06, corners=10), (250, 240, 180)),
        *wheel((-0.5, 0.32), 0.19, pose.stride),
        *wheel((0.52, 0.32), 0.19, pose.stride),
    ]


def truck(pose: Pose) -> list[Part]:
    """A cab in front of a high load."""
    jolt = np.array([0, 0.01 * np.sin(2 * pose.sway)])
    return [
        Part(polygon((-0.95, 0.22), (0.95, 0.22), (0.95, 0.32), (-0.95, 0.32)), DARK),
        Part(polygon((-0.98, -0.5), (0.36, -0.5), (0.36, 0.24), (-0.98, 0.24)) + jolt),
        Part(polygon((0.42, -0.26), (0.74, -0.26), (0.96, 0.02), (0.96, 0.26), (0.42, 0.26)) + jolt, tint=0.72),
        Part(polygon((0.56, -0.18), (0.7, -0.18), (0.84, 0.02), (0.56, 0.02)) + jolt, GLASS),
        *wheel((-0.66, 0.34), 0.16, pose.stride),
        *wheel((-0.26, 0.34), 0.16, pose.stride),
        *wheel((0.68, 0.34), 0.16, pose.stride),
    ]


def boat(pose: Pose) -> list[Part]:
    """A sailing boat that rocks."""
    bulge = 0.06 * np.sin(pose.sway)
    return [
        Part(ribbon(((0.0, 0.24), (0.0, -0.56)), 0.05), WOOD),
        Part(rounded((0.05, -0.54), (0.36 + bulge, -0.2), (0.56 + bulge, 0.12), (0.05, 0.14), between=3), tint=0.95),
        Part(polygon((-0.05, -0.44), (-0.4 + bulge / 2, 0.12), (-0.05, 0.12)), WHITE),
        Part(rounded((-0.74, 0.18), (0.0, 0.2), (0.8, 0.16), (0.54, 0.46), (0.0, 0.5), (-0.52, 0.46)), tint=0.72),
    ]


def plane(pose: Pose) -> list[Part]:
    """From the side, with windows in a row."""
    tail = polygon((-0.9, -0.04), (-1.04, -0.48), (-0.8, -0.46), (-0.52, -0.08))
    return [
        Part(polygon((0.16, -0.08), (-0.1, -0.36), (-0.24, -0.36), (-0.1, -0.06)), tint=0.6),
        Part(tail, tint=0.8),
        Part(rounded((-1.0, -0.06), (-0.4, -0.18), (0.6, -0.18), (0.98, 0.0), (0.6, 0.15), (-0.4, 0.13))),
        Part(polygon((0.7, -0.13), (0.88, -0.08), (0.92, -0.02), (0.7, -0.02)), GLASS),
        *(Part(ellipse((x, -0.05), 0.045, 0.05, corners=8), GLASS) for x in np.arange(-0.5, 0.6, 0.18)),
        Part(polygon((0.24, 0.03), (-0.34, 0.44), (-0.5, 0.44), (-0.22, 0.04)), tint=0.65),
        Part(ellipse((-0.06, 0.28), 0.13, 0.065, 0.03 * np.sin(pose.sway)), STEEL),
    ]


def rocket(pose: Pose) -> list[Part]:
    """Upright, with fins and a flickering flame."""
    flame = 0.16 + 0.07 * np.sin(3 * pose.sway)
    return [
        Part(
            rounded((-0.1, 0.3), (0.1, 0.3), (0.06, 0.3 + flame), (0.0, 0.36 + flame), (-0.06, 0.3 + flame)),
            (252, 150, 40),
        ),
        Part(rounded((-0.05, 0.3), (0.05, 0.3), (0.0, 0.28 + flame)), (255, 230, 110)),
        *(
            Part(polygon((s * 0.12, 0.04), (s * 0.36, 0.26), (s * 0.34, 0.42), (s * 0.1, 0.3)), tint=0.6)
            for s in (-1, 1)
        ),
        Part(
            rounded(
                (0.0, -0.62), (0.15, -0.38), (0.19, -0.02), (0.13, 0.32), (-0.13, 0.32), (-0.19, -0.02), (-0.15, -0.38)
            )
        ),
        Part(ellipse((0.0, -0.2), 0.1, 0.1), STEEL),
        Part(ellipse((0.0, -0.2), 0.07, 0.07), GLASS),
    ]

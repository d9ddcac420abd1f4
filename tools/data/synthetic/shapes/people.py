"""People and a robot. A person's coat is the clothes."""

import numpy as np

from .outlines import DARK, HAIRS, SKINS, STEEL, Colour, Part, Pose, ellipse, leg, polygon, ribbon, rounded

LAMP = (250, 236, 120)


def man(pose: Pose) -> list[Part]:
    """Short hair, shirt and trousers."""
    skin, hair = _skin_and_hair(pose)
    far, near = _steps(pose)
    return [
        *_arm(pose, far, 0.62, skin),
        Part(leg((0.0, 0.06), 0.5, 0.13, far), tint=0.42),
        Part(leg((0.0, 0.06), 0.5, 0.14, near), tint=0.52),
        Part(
            rounded((-0.14, -0.24), (0.0, -0.28), (0.14, -0.24), (0.13, 0.02), (0.12, 0.1), (-0.12, 0.1), (-0.13, 0.02))
        ),
        *_arm(pose, near, 0.8, skin),
        Part(ribbon(((0.0, -0.3), (0.0, -0.22)), 0.09), skin),
        Part(ellipse((0.01, -0.4), 0.105, 0.12), skin),
        Part(rounded((-0.11, -0.36), (-0.12, -0.5), (0.02, -0.55), (0.12, -0.48), (0.02, -0.46), (-0.05, -0.4)), hair),
        Part(ellipse((0.06, -0.41), 0.015, 0.02, corners=8), DARK),
    ]


def woman(pose: Pose) -> list[Part]:
    """Long hair and a wide dress."""
    skin, hair = _skin_and_hair(pose)
    far, near = _steps(pose)
    flow = 0.03 * np.sin(pose.sway)
    mane = rounded(
        (0.0, -0.55),
        (0.11, -0.48),
        (0.0, -0.46),
        (-0.05, -0.34),
        (-0.06, -0.14),
        (-0.2 - flow, -0.1),
        (-0.16, -0.36),
        (-0.1, -0.52),
    )
    hem = 0.26 + 0.03 * pose.build[1]
    dress = rounded(
        (-0.1, -0.25), (0.1, -0.25), (0.09, -0.06), (hem + flow, 0.3), (0.0, 0.33), (-hem + flow, 0.3), (-0.09, -0.06)
    )
    return [
        Part(leg((0.04, 0.16), 0.5, 0.08, 0.7 * far), skin),
        Part(leg((-0.02, 0.16), 0.5, 0.085, 0.7 * near), skin),
        *_arm(pose, far, 0.62, skin),
        Part(dress),
        *_arm(pose, near, 0.75, skin),
        Part(ribbon(((0.0, -0.32), (0.0, -0.22)), 0.08), skin),
        Part(ellipse((0.02, -0.4), 0.1, 0.12), skin),
        Part(mane, hair),
        Part(ellipse((0.07, -0.41), 0.015, 0.02, corners=8), DARK),
    ]


def robot(pose: Pose) -> list[Part]:
    """All boxes, with an antenna and lamps for eyes."""
    far, near = _steps(pose)
    tilt = 0.03 * np.sin(pose.sway)
    legs = [
        polygon((x - 0.08, 0.2), (x + 0.08, 0.2), (x + 0.12, 0.5 + lift), (x - 0.1, 0.5 + lift))
        for x, lift in _tread(near)
    ]
    arms = [
        ribbon(((s * 0.26, -0.1), (s * 0.38, 0.04), (s * 0.36 + 0.1 * step, 0.2)), 0.09)
        for s, step in ((-1, far), (1, near))
    ]
    return [
        *(Part(outline, tint=0.6) for outline in legs),
        *(Part(arm, STEEL) for arm in arms),
        Part(polygon((-0.28, -0.16), (0.28, -0.16), (0.24, 0.24), (-0.24, 0.24))),
        Part(polygon((-0.14, -0.06), (0.14, -0.06), (0.14, 0.1), (-0.14, 0.1)), STEEL),
        *(
            Part(ellipse((x, 0.02), 0.03, 0.03, corners=8), colour)
            for x, colour in ((-0.06, (210, 60, 60)), (0.06, LAMP))
        ),
        Part(ribbon(((tilt, -0.46), (2 * tilt, -0.6)), 0.03), STEEL),
        Part(ellipse((2 * tilt, -0.61), 0.045, 0.045, corners=10), (210, 60, 60)),
        Part(polygon((-0.2 + tilt, -0.48), (0.2 + tilt, -0.48), (0.2, -0.2), (-0.2, -0.2)), tint=0.85),
        *(Part(ellipse((x + tilt, -0.36), 0.05, 0.05, corners=12), LAMP) for x in (-0.09, 0.09)),
        Part(polygon((-0.1, -0.27), (0.1, -0.27), (0.1, -0.24), (-0.1, -0.24)), DARK),
    ]


def _skin_and_hair(pose: Pose) -> tuple[Colour, Colour]:
    return SKINS[int((pose.build[0] + 1) * 1.99)], HAIRS[int((pose.build[1] + 1) * 1.49)]


def _steps(pose: Pose) -> tuple[float, float]:
    step = pose.swing * np.sin(pose.stride)
    return -step, step


def _tread(step: float) -> list[tuple[float, float]]:
    return [(-0.13, -0.06 * max(step, 0)), (0.13, -0.06 * max(-step, 0))]


def _arm(pose: Pose, step: float, tint: float, skin: Colour) -> list[Part]:
    """A sleeve and a hand; an arm goes against its side's leg, and that of a standing person moves a little."""
    reach = 0.3 * np.sin(pose.sway) - 0.8 * step
    hand = (0.3 * reach + 0.03, 0.09)
    sleeve = ribbon(((0.0, -0.2), (0.16 * reach - 0.02, -0.04), hand), (0.1, 0.085, 0.07))
    return [Part(sleeve, tint=tint), Part(ellipse(hand, 0.042, 0.042, corners=10), skin)]

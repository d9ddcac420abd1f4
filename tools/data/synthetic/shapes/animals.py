"""Animals: four-legged ones, fish and snakes, and those with wings."""

import numpy as np

from .outlines import DARK, WHITE, Part, Pose, ellipse, eye, four_legs, polygon, ribbon, rounded

PINK = (226, 132, 140)
BEAK = (232, 160, 44)
SHELL_SKIN = (126, 146, 88)


def dog(pose: Pose) -> list[Part]:
    """Long snout, hanging ear, short wagging tail."""
    far, near = four_legs(pose, (-0.4, 0.32), 0.05, 0.13)
    wag = 0.1 * np.sin(2 * pose.sway)
    long = 0.05 * pose.build[0]
    body = rounded(
        (-0.52, -0.1),
        (-0.2, -0.2),
        (0.2, -0.19),
        (0.44, -0.32),
        (0.52, -0.05),
        (0.36, 0.17),
        (-0.1, 0.12),
        (-0.46, 0.17),
    )
    return [
        *far,
        Part(ribbon(((-0.46, -0.08), (-0.62, -0.24), (-0.7 + wag, -0.44)), (0.12, 0.1, 0.05)), tint=0.85),
        Part(body),
        *near,
        Part(ellipse((0.54, -0.3), 0.2, 0.18)),
        Part(rounded((0.56, -0.34), (0.84 + long, -0.31), (0.88 + long, -0.22), (0.76, -0.15), (0.56, -0.14))),
        Part(ribbon(((0.88 + long, -0.2), (0.72, -0.17)), 0.02), DARK),
        Part(ellipse((0.87 + long, -0.29), 0.05, 0.045, corners=10), DARK),
        Part(rounded((0.4, -0.46), (0.52, -0.42), (0.5, -0.2 - wag / 3), (0.42, -0.08), (0.34, -0.2)), tint=0.55),
        *eye((0.63, -0.36), 0.042),
    ]


def cat(pose: Pose) -> list[Part]:
    """Round face with pointed ears and whiskers, a long raised tail."""
    far, near = four_legs(pose, (-0.38, 0.26), 0.06, 0.1)
    wave = 0.12 * np.sin(pose.sway)
    tail = ((-0.42, -0.02), (-0.62, -0.1), (-0.7, -0.32), (-0.62 + wave, -0.5), (-0.5 + 1.5 * wave, -0.6))
    body = rounded(
        (-0.48, 0.0), (-0.3, -0.17), (0.1, -0.14), (0.34, -0.2), (0.42, 0.0), (0.28, 0.16), (-0.1, 0.13), (-0.42, 0.18)
    )
    ears = [polygon((0.34 + d, -0.42), (0.33 + 1.35 * d, -0.68), (0.5 + 0.6 * d, -0.47)) for d in (0.0, 0.22)]
    whiskers = [ribbon(((0.5, -0.24), (0.5 + dx, -0.24 + dy)), 0.014) for dx in (-0.3, 0.3) for dy in (-0.05, 0.05)]
    return [
        *far,
        Part(ribbon(tail, (0.11, 0.1, 0.09, 0.08, 0.05)), tint=0.85),
        Part(body),
        *near,
        *(Part(ear, tint=0.75) for ear in ears),
        Part(ellipse((0.5, -0.3), 0.23, 0.2)),
        *(Part(ellipse((0.5 + dx, -0.34), 0.045, 0.055, corners=10), (196, 214, 96)) for dx in (-0.09, 0.09)),
        *(Part(ellipse((0.5 + dx, -0.34), 0.018, 0.05, corners=8), DARK) for dx in (-0.09, 0.09)),
        *(Part(whisker, DARK) for whisker in whiskers),
        Part(polygon((0.46, -0.27), (0.54, -0.27), (0.5, -0.22)), PINK),
    ]


def rabbit(pose: Pose) -> list[Part]:
    """Sits; long ears, a white puff for a tail."""
    flap = 0.06 * np.sin(pose.sway)
    kick = 0.12 * pose.swing * np.sin(pose.stride)
    ears = [((0.26 + d, -0.2), (0.2 + d + flap, -0.45), (0.14 + 1.6 * d + 2 * flap, -0.68)) for d in (-0.06, 0.08)]
    return [
        Part(ellipse((-0.46, 0.2), 0.12, 0.12), WHITE),
        Part(ribbon(ears[0], (0.08, 0.14, 0.07)), tint=0.65),
        Part(ellipse((-0.08, 0.14), 0.4, 0.34)),
        Part(ellipse((-0.12 - kick, 0.44), 0.27, 0.075), tint=0.75),
        Part(ellipse((0.24 + kick, 0.42), 0.13, 0.075), tint=0.85),
        Part(ribbon(ears[1], (0.09, 0.15, 0.08))),
        Part(ribbon(ears[1], (0.03, 0.06, 0.02)), PINK),
        Part(ellipse((0.3, -0.1), 0.24, 0.2)),
        *eye((0.36, -0.15), 0.05),
        Part(ellipse((0.53, -0.09), 0.035, 0.03, corners=8), PINK),
    ]


def elephant(pose: Pose) -> list[Part]:
    """Trunk, tusk, big ear, thick legs."""
    far, near = four_legs(pose, (-0.36, 0.2), 0.1, 0.2)
    swing = 0.08 * np.sin(pose.sway)
    trunk = ((0.58, -0.16), (0.74, 0.0), (0.77 + swing / 2, 0.2), (0.76 + swing, 0.36), (0.86 + 1.4 * swing, 0.42))
    flap = 0.05 * np.sin(pose.sway + 1)
    return [
        *far,
        Part(ribbon(((-0.56, -0.1), (-0.66, 0.06), (-0.64 + swing, 0.22)), (0.06, 0.04, 0.05)), tint=0.6),
        Part(ellipse((-0.1, -0.08), 0.52, 0.36)),
        *near,
        Part(ribbon(trunk, (0.24, 0.18, 0.13, 0.1, 0.08)), tint=0.92),
        Part(ellipse((0.46, -0.2), 0.25, 0.25)),
        Part(ribbon(((0.56, -0.02), (0.68, 0.1), (0.8, 0.08)), (0.07, 0.05, 0.02)), WHITE),
        Part(ellipse((0.28, -0.16), 0.18 + flap, 0.26, 0.15), tint=0.72),
        *eye((0.56, -0.26), 0.035),
    ]


def turtle(pose: Pose) -> list[Part]:
    """A dome on short legs."""
    bob = 0.03 * np.sin(pose.sway)
    step = 0.08 * pose.swing * np.sin(pose.stride)
    feet = [ellipse((x + sign * step, 0.4), 0.13, 0.11) for x, sign in ((-0.42, 1), (0.36, -1))]
    plates = [((-0.3, 0.26), (-0.22, -0.04), (-0.36, -0.16)), ((0.3, 0.26), (0.22, -0.04), (0.36, -0.16))]
    return [
        Part(polygon((-0.6, 0.24), (-0.84, 0.34), (-0.6, 0.36)), SHELL_SKIN),
        *(Part(foot, SHELL_SKIN) for foot in feet),
        Part(ribbon(((0.5, 0.24), (0.74, 0.12 + bob)), (0.16, 0.14)), SHELL_SKIN),
        Part(ellipse((0.82, 0.06 + bob), 0.16, 0.13), SHELL_SKIN),
        *eye((0.87, 0.03 + bob), 0.04),
        Part(
            rounded((-0.68, 0.28), (-0.52, -0.1), (-0.2, -0.32), (0.2, -0.32), (0.52, -0.1), (0.68, 0.28), (0.0, 0.34))
        ),
        *(Part(ribbon(plate, 0.03), tint=0.5) for plate in plates),
        Part(ribbon(((-0.22, -0.04), (0.22, -0.04)), 0.03), tint=0.5),
        Part(ribbon(((-0.68, 0.27), (0.0, 0.32), (0.68, 0.27)), 0.09), tint=0.6),
    ]


def fish(pose: Pose) -> list[Part]:
    """The tail fin beats."""
    beat = 0.14 * np.sin(2 * pose.sway)
    tall = 0.36 + 0.05 * pose.build[0]
    tail = rounded((-0.44, 0.0), (-0.86, -0.32 + beat), (-0.74, beat), (-0.86, 0.32 + beat))
    return [
        Part(tail, tint=0.75),
        Part(rounded((-0.28, -0.26), (-0.02, -0.58), (0.28, -0.3), (0.0, -0.2)), tint=0.65),
        Part(rounded((-0.1, 0.26), (-0.16, 0.5), (0.14, 0.3)), tint=0.65),
        Part(
            rounded((-0.56, 0.0), (-0.2, -tall * 0.85), (0.25, -tall), (0.68, 0.0), (0.25, tall), (-0.2, tall * 0.85))
        ),
        Part(ribbon(((0.34, -0.26), (0.26, 0.0), (0.34, 0.26)), 0.03), tint=0.55),
        Part(rounded((0.14, 0.02), (-0.14, 0.1 + beat / 2), (-0.1, 0.22 + beat / 2), (0.14, 0.14)), tint=0.6),
        *eye((0.46, -0.1), 0.07),
        Part(ribbon(((0.68, 0.04), (0.52, 0.1)), 0.025), DARK),
    ]


def snake(pose: Pose) -> list[Part]:
    """A wave runs along it; the head is lifted."""
    x = np.linspace(-1.0, 0.74, 22)
    taper = np.minimum(1, (x + 1.04) * 2)
    body = np.stack([x, 0.3 + 0.15 * taper * np.sin(6.5 * x - pose.stride - pose.sway / 3)], axis=1)
    neck = np.concatenate([body[-3:], [(0.86, 0.1), (0.96, 0.02)]])
    flick = 0.12 if np.sin(2 * pose.sway) > 0 else 0.02
    return [
        Part(ribbon(body, 0.05 + 0.17 * taper)),
        Part(ribbon(neck, 0.2)),
        Part(ribbon(((1.16, 0.0), (1.2 + flick, 0.03)), 0.03), (206, 40, 56)),
        Part(rounded((0.84, -0.08), (1.02, -0.14), (1.24, -0.02), (1.04, 0.12), (0.86, 0.12))),
        *eye((1.04, -0.05), 0.045),
    ]


def bird(pose: Pose) -> list[Part]:
    """Flies; both wings beat."""
    beat = np.sin(2 * pose.sway)
    tip = -0.1 - 0.42 * beat
    near = rounded(
        (-0.22, -0.04), (-0.34, tip * 0.8), (-0.12, tip - 0.06), (0.1, tip * 0.5), (0.24, -0.02), (0.0, 0.08)
    )
    return [
        Part(near * (0.85, 0.8) + (0.14, -0.06), tint=0.55),
        Part(polygon((-0.42, -0.04), (-0.86, -0.1), (-0.8, 0.06), (-0.88, 0.14), (-0.4, 0.12)), tint=0.7),
        Part(rounded((-0.54, 0.02), (-0.2, -0.16), (0.24, -0.2), (0.4, 0.02), (0.1, 0.22), (-0.3, 0.16))),
        Part(ellipse((0.42, -0.12), 0.18, 0.16)),
        Part(polygon((0.56, -0.18), (0.82, -0.08), (0.56, -0.03)), BEAK),
        *eye((0.47, -0.16), 0.045),
        Part(near, tint=0.8),
    ]


def butterfly(pose: Pose) -> list[Part]:
    """Seen from above; the wings fold and open."""
    open_ = 0.45 + 0.55 * abs(np.cos(pose.sway))
    upper = rounded((0.02, -0.06), (0.16, -0.4), (0.5, -0.52), (0.58, -0.24), (0.36, 0.02), (0.04, 0.06))
    lower = rounded((0.02, 0.02), (0.34, 0.06), (0.46, 0.26), (0.3, 0.48), (0.1, 0.32))
    wings = [(outline * (side * open_, 1), tint) for outline, tint in ((lower, 0.75), (upper, 1.0)) for side in (-1, 1)]
    feelers = [ribbon(((0, -0.3), (side * 0.07, -0.48), (side * 0.16, -0.56)), 0.025) for side in (-1, 1)]
    return [
        *(Part(outline, tint=tint) for outline, tint in wings),
        *(Part(feeler, DARK) for feeler in feelers),
        Part(ellipse((0, 0.02), 0.05, 0.34), DARK),
        Part(ellipse((0, -0.3), 0.07, 0.07, corners=12), DARK),
    ]

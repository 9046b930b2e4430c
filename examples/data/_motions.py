"""The classes of the synthetic data: which joints move, how far, how fast and when."""

from __future__ import annotations

import numpy as np

# One term of a class: (degree of freedom, offset, amplitude, harmonic, phase, shape). Offset and
# amplitude are degrees (metres for "jump"); phase is in turns. Shapes: "sine" in [-1, 1], "bump" a
# raised cosine in [0, 1], "half" the positive half of a sine.
_Term = tuple[str, float, float, int, float, str]


def _both(
    name: str,
    offset: float,
    amplitude: float,
    harmonic: int,
    phase: float,
    kind: str,
    lag: float = 0.0,
) -> list[_Term]:
    """Return a term for each side, the right one ``lag`` turns later."""
    return [
        (f"L_{name}", offset, amplitude, harmonic, phase, kind),
        (f"R_{name}", offset, amplitude, harmonic, phase - lag, kind),
    ]


def _wave(side: str, amplitude: float) -> list[_Term]:
    """Upper arm out, forearm up, swinging at the elbow."""
    return [
        (f"{side}_abduct", 75, 5, 1, 0.0, "sine"),
        (f"{side}_twist", -85, 12, 1, 0.25, "sine"),
        (f"{side}_elbow", 75, amplitude, 1, 0.0, "sine"),
    ]


def _kick(side: str, other: str) -> list[_Term]:
    return [
        (f"{side}_hip", -5, 75, 1, 0.0, "half"),
        (f"{side}_knee", 5, 60, 1, 0.12, "half"),
        (f"{other}_flex", 0, 30, 1, 0.0, "half"),
        ("bend", 0, -8, 1, 0.0, "half"),
    ]


def _steps(lift: float, bend: float, swing: float) -> list[_Term]:
    """Knees lifted in turn, each arm swinging with the opposite leg."""
    return [
        *_both("hip", 0, lift, 1, 0.0, "half", lag=0.5),
        *_both("knee", 5, bend, 1, 0.0, "half", lag=0.5),
        *_both("flex", 0, swing, 1, 0.5, "sine", lag=0.5),
        *_both("elbow", 35, 10, 1, 0.5, "sine", lag=0.5),
    ]


# Class: (cycles per second, terms). Among the first ten, the fast wave differs from the wave, and
# jogging from marching, mostly in frequency: no single frame tells them apart.
CLASSES: dict[str, tuple[float, list[_Term]]] = {
    "wave right hand": (1.3, _wave("R", 30)),
    "fast wave right hand": (2.7, _wave("R", 24)),
    "wave left hand": (1.3, _wave("L", 30)),
    "clap": (1.8, [*_both("flex", 25, 4, 1, 0.25, "sine"), *_both("elbow", 75, 8, 1, 0.25, "sine"),
                   *_both("twist", 15, 25, 1, 0.0, "sine")]),
    "raise both arms": (0.55, [*_both("abduct", 0, 150, 1, 0.0, "bump")]),
    "arm circles": (0.9, [*_both("abduct", 85, 40, 1, 0.0, "sine"),
                          *_both("flex", 0, 40, 1, 0.25, "sine")]),
    "squat": (0.6, [*_both("hip", 0, 75, 1, 0.0, "bump"), *_both("knee", 0, 95, 1, 0.0, "bump"),
                    *_both("flex", 0, 60, 1, 0.0, "bump"), ("bend", 0, 25, 1, 0.0, "bump")]),
    "kick left": (0.8, _kick("L", "R")),
    "march": (1.0, _steps(60, 70, 25)),
    "jog in place": (2.1, _steps(45, 65, 30)),
    "throw": (0.7, [("R_abduct", 20, 60, 1, 0.0, "bump"), ("R_flex", 20, 70, 1, 0.15, "sine"),
                    ("R_elbow", 20, 70, 1, -0.1, "bump"), ("turn", 0, 25, 1, 0.1, "sine")]),
    "bow": (0.45, [("bend", 0, 65, 1, 0.0, "bump"), ("nod", 0, 15, 1, 0.0, "bump")]),
    "jump": (1.1, [("jump", 0, 0.28, 1, 0.0, "half"), *_both("hip", 0, 45, 1, 0.5, "half"),
                   *_both("knee", 0, 65, 1, 0.5, "half"), *_both("flex", 10, 40, 1, 0.0, "sine")]),
    "jumping jack": (1.2, [*_both("abduct", 0, 140, 1, 0.0, "bump"), ("jump", 0, 0.1, 2, 0, "half"),
                           *_both("spread", 0, 25, 1, 0.0, "bump")]),
    "kick right": (0.8, _kick("R", "L")),
    "punch": (1.3, [*_both("flex", 10, 70, 1, 0.0, "half", lag=0.5),
                    *_both("elbow", 100, -85, 1, 0.0, "half", lag=0.5),
                    ("turn", 0, 15, 1, 0.0, "sine")]),
}  # fmt: skip


def shape(kind: str, turns: np.ndarray) -> np.ndarray:
    """Evaluate a shape at a phase given in turns."""
    angle = 2 * np.pi * turns
    if kind == "bump":
        return 0.5 - 0.5 * np.cos(angle)
    return np.sin(angle) if kind == "sine" else np.maximum(np.sin(angle), 0.0)

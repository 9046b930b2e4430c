"""Text like that of NTU RGB+D, for samples and benchmarks."""

from __future__ import annotations

import numpy as np

__all__ = ["ntu_text"]


def ntu_text(rng: np.random.Generator, frames: int, bodies: int = 1) -> str:
    """Return text like that of a ``.skeleton`` file of NTU RGB+D, numbers written as long."""
    joints = np.round(rng.normal(size=(frames, bodies, 25, 11)) + 2, 7)
    lines = [str(frames)]
    for frame in range(frames):
        # The second body comes and goes.
        present = [body for body in range(bodies) if not body or frame % 3]
        lines.append(str(len(present)))
        for body in present:
            lines.append(f"{72057594037931101 + body} 0 1 1 1 1 0 0.02764709 0.05745083 2")
            lines.append("25")
            lines += [" ".join(map(str, row)) + " 2" for row in joints[frame, body].tolist()]
    return "\n".join(lines) + "\n"

"""A jointed body in the ``ntu25`` joint order: bone lengths and forward kinematics.

Body frame, in metres: axis 0 to the person's right, axis 1 up, axis 2 to the back. At rest the
person stands upright with hanging arms.
"""

from __future__ import annotations

import numpy as np

# child: (parent, offset of the child from the parent at rest) for a body of 1.70 m. Finger tip and
# thumb are rigid on the hand, so every edge of the layout, tip to thumb included, keeps its length.
_BONES: dict[int, tuple[int, tuple[float, float, float]]] = {
    1: (0, (0.0, 0.28, 0.0)),
    20: (1, (0.0, 0.22, 0.01)),
    2: (20, (0.0, 0.08, 0.0)),
    3: (2, (0.0, 0.16, -0.02)),
}
for _arm, _leg, _tip, _side in ((4, 12, 21, -1.0), (8, 16, 23, 1.0)):
    _BONES |= {
        _arm: (20, (0.17 * _side, -0.05, 0.0)),
        _arm + 1: (_arm, (0.0, -0.28, 0.0)),
        _arm + 2: (_arm + 1, (0.0, -0.25, 0.0)),
        _arm + 3: (_arm + 2, (0.0, -0.08, 0.0)),
        _tip: (_arm + 3, (0.0, -0.08, 0.0)),
        _tip + 1: (_arm + 3, (-0.02 * _side, -0.03, -0.05)),
        _leg: (0, (0.08 * _side, -0.03, 0.0)),
        _leg + 1: (_leg, (0.0, -0.41, 0.0)),
        _leg + 2: (_leg + 1, (0.0, -0.40, 0.0)),
        _leg + 3: (_leg + 2, (0.0, -0.06, -0.13)),
    }
_FEET = [14, 15, 18, 19]

# Degree of freedom: what one radian of it adds to the rotations of joints, as (joint, axis, factor)
# with axes x = 0, y = 1, z = 2. Positive values bring limbs forward, outward or inward-turned and
# flex elbows and knees. Ankles undo hips and knees to keep the soles level, and hips undo the
# pelvis so that a bow leaves the legs upright.
DOFS: dict[str, list[tuple[int, int, float]]] = {
    "bend": [(0, 0, -0.5), (1, 0, -0.5), (12, 0, 0.5), (16, 0, 0.5)],
    "lean": [(1, 2, 1.0)],
    "turn": [(1, 1, 1.0)],
    "nod": [(2, 0, -1.0)],
}
for _letter, _arm, _leg, _side in (("L", 4, 12, -1.0), ("R", 8, 16, 1.0)):
    DOFS |= {
        f"{_letter}_flex": [(_arm, 0, 1.0)],
        f"{_letter}_abduct": [(_arm, 2, _side)],
        f"{_letter}_twist": [(_arm, 1, _side)],
        f"{_letter}_elbow": [(_arm + 1, 0, 1.0)],
        f"{_letter}_hip": [(_leg, 0, 1.0), (_leg + 2, 0, -1.0)],
        f"{_letter}_spread": [(_leg, 2, _side)],
        f"{_letter}_knee": [(_leg + 1, 0, -1.0), (_leg + 2, 0, 1.0)],
    }


def rotation(angles: np.ndarray) -> np.ndarray:
    """Return the matrices ``Rz Rx Ry`` of angles ``[..., 3]`` (x, y, z, in radians)."""
    (cx, cy, cz), (sx, sy, sz) = (np.moveaxis(f(angles), -1, 0) for f in (np.cos, np.sin))
    rows = [
        [cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy],
        [sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy],
        [-cx * sy, sx, cx * cy],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def body(height: np.ndarray, proportions: np.ndarray) -> np.ndarray:
    """Return bone offsets ``[n, 25, 3]`` of n people.

    ``height [n]`` is relative to 1.70 m; ``proportions [n, 4]`` scales trunk, arms, legs and the
    width of shoulders and hips, alike on both sides.
    """
    offsets = np.zeros((len(height), 25, 3))
    for child, (_, offset) in _BONES.items():
        part = 0 if child in (1, 2, 3, 20) else 2 if 12 <= child <= 19 else 1
        part = 3 if child in (4, 8, 12, 16) else part
        offsets[:, child] = np.array(offset) * (height * proportions[:, part])[:, None]
    return offsets


def pose(offsets: np.ndarray, dofs: dict[str, np.ndarray], jump: np.ndarray) -> np.ndarray:
    """Return joint positions from joint angles.

    Parameters
    ----------
    offsets : ndarray
        Bones ``[n, 25, 3]`` from :func:`body`.
    dofs : dict
        Degree of freedom of :data:`DOFS` to angle ``[n, T]`` in radians.
    jump : ndarray
        Height ``[n, T]`` in metres of the lowest foot above the floor.

    Returns
    -------
    ndarray
        ``[n, T, 25, 3]`` in the body frame, the floor at height 0 below the pelvis.
    """
    clips, frames = jump.shape
    angles: dict[int, np.ndarray] = {}
    for name, angle in dofs.items():
        for joint, axis, factor in DOFS[name]:
            angles.setdefault(joint, np.zeros((clips, frames, 3)))[..., axis] += factor * angle
    turned = {0: rotation(angles.get(0, np.zeros((clips, frames, 3))))}
    joints = np.zeros((clips, frames, 25, 3))
    # Parents stand before their children in the table.
    for child, (parent, _) in _BONES.items():
        step = np.einsum("ntij,nj->nti", turned[parent], offsets[:, child])
        joints[:, :, child] = joints[:, :, parent] + step
        local = angles.get(child)
        turned[child] = turned[parent] if local is None else turned[parent] @ rotation(local)
    # Someone stands on the lower foot, so knees that bend lower the body.
    joints[..., 1] += (jump - joints[:, :, _FEET, 1].min(axis=2))[..., None]
    return joints

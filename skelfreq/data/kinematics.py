"""Forward kinematics of joint chains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["chain", "rotations"]

FloatArray = NDArray[np.float64]


def rotations(axes: str, degrees: FloatArray) -> FloatArray:
    """Return the product of rotations about X, Y and Z, the first one leftmost.

    Parameters
    ----------
    axes : str
        One of the letters X, Y, Z per rotation.
    degrees : ndarray
        Angles ``[..., len(axes)]``.

    Returns
    -------
    ndarray
        Matrices ``[..., 3, 3]`` that act on column vectors.
    """
    product: FloatArray = np.broadcast_to(np.eye(3), (*degrees.shape[:-1], 3, 3))
    for number, axis in enumerate(axes):
        angle = np.deg2rad(degrees[..., number])
        i, j = {"X": (1, 2), "Y": (2, 0), "Z": (0, 1)}[axis]
        turn = np.zeros((*angle.shape, 3, 3))
        turn[..., range(3), range(3)] = 1.0
        turn[..., i, i] = turn[..., j, j] = np.cos(angle)
        turn[..., j, i] = np.sin(angle)
        turn[..., i, j] = -turn[..., j, i]
        product = product @ turn
    return product


def chain(parents: Sequence[int], offsets: FloatArray, turns: FloatArray) -> FloatArray:
    """Return joint positions from offsets and rotations relative to the parents.

    Parameters
    ----------
    parents : sequence of int
        Number of each joint's parent, -1 for a root; parents come before their children.
    offsets : ndarray
        ``[T, V, 3]``: position of each joint in the frame of its parent.
    turns : ndarray
        ``[T, V, 3, 3]``: rotation of each joint relative to its parent.

    Returns
    -------
    ndarray
        ``[T, V, 3]``. Cost: one 3 by 3 product per joint and frame.
    """
    places = np.empty(offsets.shape)
    frames = np.empty(turns.shape)
    for joint, parent in enumerate(parents):
        if parent < 0:
            places[:, joint], frames[:, joint] = offsets[:, joint], turns[:, joint]
        else:
            step = np.einsum("tij,tj->ti", frames[:, parent], offsets[:, joint])
            places[:, joint] = places[:, parent] + step
            frames[:, joint] = frames[:, parent] @ turns[:, joint]
    return places

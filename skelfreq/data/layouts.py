"""Layouts of joints in files: named ones, and those that a file brings along."""

from __future__ import annotations

from collections.abc import Sequence

from skelfreq.skeletons import SkeletonLayout, get_layout

__all__ = ["layout_named", "layout_of_names", "unnamed_layout"]


def layout_named(name: str) -> SkeletonLayout:
    """Return the layout of that name, or a plain one for a name such as ``"joints22"``.

    Raises
    ------
    ValueError
        If no layout has that name.
    """
    if name.startswith("joints") and name[6:].isdigit() and 0 < int(name[6:]) <= 10_000:
        return unnamed_layout(int(name[6:]))
    return get_layout(name)


def unnamed_layout(num_joints: int) -> SkeletonLayout:
    """Return a layout of joints without names and bones."""
    names = tuple(f"joint {index}" for index in range(num_joints))
    return SkeletonLayout(f"joints{num_joints}", names, (), (), 0)


def layout_of_names(name: str, joints: Sequence[str], parents: Sequence[int]) -> SkeletonLayout:
    """Return a layout from joint names and the number of each joint's parent (-1: none)."""
    edges = tuple((child, parent) for child, parent in enumerate(parents) if parent >= 0)
    return SkeletonLayout(name, tuple(joints), edges, _mirrored(joints), 0)


def _mirrored(joints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of joints whose names differ in left and right only."""
    place = {joint.lower(): index for index, joint in enumerate(joints)}
    pairs = []
    if len(place) == len(joints):
        for joint, left in place.items():
            right = place.get(joint.replace("left", "right"), left)
            if right == left and joint[:1] == "l":
                right = place.get("r" + joint[1:], left)
            if right != left:
                pairs.append((left, right))
    flat = [joint for pair in pairs for joint in pair]
    return tuple(pairs) if len(set(flat)) == len(flat) else ()

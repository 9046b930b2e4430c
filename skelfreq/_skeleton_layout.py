"""The record of a named skeleton layout, public through ``skelfreq.skeletons``."""

from __future__ import annotations

from dataclasses import dataclass

from skelfreq._checks import check_int


@dataclass(frozen=True)
class SkeletonLayout:
    """A joint order with its bones.

    Parameters
    ----------
    name : str
        Short name of the layout.
    joints : tuple of str
        Joint names, in the order of the joint axis ``V``.
    edges : tuple of (int, int)
        Bones as ``(child, parent)``; in the named layouts the parent is nearer to ``centre``, so
        ``x[..., child] - x[..., parent]`` is the bone vector that points away from it.
    left_right : tuple of (int, int)
        ``(left, right)`` pairs of mirrored joints; joints on the body's midline are in no pair.
    centre : int
        Joint from which the graph distances of :func:`skelfreq.skeletons.adjacency` are counted.

    Raises
    ------
    ValueError
        If a joint number in ``edges``, ``left_right`` or ``centre`` names no joint, if an edge or a
        pair joins a joint to itself, or if a joint is in two pairs.

    Source
    ------
    The four fields are those that graph networks for skeletons define per data set (ST-GCN, Yan et
    al., AAAI 2018, section 3.2); see :func:`get_layout` for the orders themselves.

    Examples
    --------
    >>> arm = SkeletonLayout("arm", ("shoulder", "elbow", "wrist"), ((1, 0), (2, 1)), (), 0)
    >>> arm.num_joints
    3
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    left_right: tuple[tuple[int, int], ...]
    centre: int

    def __post_init__(self) -> None:
        last = len(self.joints) - 1
        check_int("centre", self.centre, 0, last)
        for field, pairs in (("edges", self.edges), ("left_right", self.left_right)):
            for pair in pairs:
                if not all(0 <= joint <= last for joint in pair) or pair[0] == pair[1]:
                    raise ValueError(
                        f"{field} must hold pairs of different joints from 0 to {last}, got {pair}."
                    )
        paired = [joint for pair in self.left_right for joint in pair]
        if len(set(paired)) != len(paired):
            raise ValueError(
                f"left_right must name each joint at most once, got {self.left_right}."
            )

    @property
    def num_joints(self) -> int:
        """Number of joints V."""
        return len(self.joints)

"""The table of named skeleton layouts, public through ``skelfreq.skeletons``."""

from __future__ import annotations

from dataclasses import dataclass

from skelfreq._checks import check_int, check_option


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
    The four fields are those that graph networks for skeletons keep per data set (ST-GCN, Yan et
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


def _sides(*parts: str) -> tuple[str, ...]:
    """Return the left names of ``parts``, then the right ones."""
    return tuple(f"{side} {part}" for side in ("left", "right") for part in parts)


def _interleaved(*parts: str) -> tuple[str, ...]:
    """Return left and right names of ``parts`` in turn."""
    return tuple(f"{side} {part}" for part in parts for side in ("left", "right"))


# fmt: off
_LAYOUTS = {
    layout.name: layout
    for layout in (
        SkeletonLayout(
            "ntu25",
            ("spine base", "spine middle", "neck", "head",
             *_sides("shoulder", "elbow", "wrist", "hand"), *_sides("hip", "knee", "ankle", "foot"),
             "spine shoulder",
             "left hand tip", "left thumb", "right hand tip", "right thumb"),
            # The finger tip hangs on the thumb and the thumb on the hand, as in ST-GCN; pyskl joins
            # both to the hand instead.
            ((0, 1), (1, 20), (2, 20), (3, 2), (4, 20), (5, 4), (6, 5), (7, 6), (8, 20), (9, 8),
             (10, 9), (11, 10), (12, 0), (13, 12), (14, 13), (15, 14), (16, 0), (17, 16), (18, 17),
             (19, 18), (21, 22), (22, 7), (23, 24), (24, 11)),
            ((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19),
             (21, 23), (22, 24)),
            20,
        ),
        SkeletonLayout(
            "kinect20",
            (*_interleaved("shoulder"), "shoulder centre", "spine", *_interleaved("hip"),
             "hip centre", *_interleaved("elbow", "wrist", "hand", "knee", "ankle", "foot"),
             "head"),
            ((19, 2), (0, 2), (1, 2), (7, 0), (9, 7), (11, 9), (8, 1), (10, 8), (12, 10), (3, 2),
             (6, 3), (4, 6), (5, 6), (13, 4), (14, 5), (15, 13), (16, 14), (17, 15), (18, 16)),
            ((0, 1), (4, 5), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (17, 18)),
            2,
        ),
        SkeletonLayout(
            "coco17",
            ("nose",
             *_interleaved("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")),
            ((15, 13), (13, 11), (16, 14), (14, 12), (11, 5), (12, 6), (9, 7), (7, 5), (10, 8),
             (8, 6), (5, 0), (6, 0), (1, 0), (3, 1), (2, 0), (4, 2)),
            ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
            0,
        ),
        SkeletonLayout(
            "openpose18",
            ("nose", "neck",
             "right shoulder", "right elbow", "right wrist",
             "left shoulder", "left elbow", "left wrist",
             "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
             "right eye", "left eye", "right ear", "left ear"),
            ((4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8), (11, 5), (8, 2),
             (5, 1), (2, 1), (0, 1), (15, 0), (14, 0), (17, 15), (16, 14)),
            ((5, 2), (6, 3), (7, 4), (11, 8), (12, 9), (13, 10), (15, 14), (17, 16)),
            1,
        ),
        SkeletonLayout(
            "h36m17",
            ("hip", "right hip", "right knee", "right foot", "left hip", "left knee", "left foot",
             "spine", "thorax", "neck", "head", *_sides("shoulder", "elbow", "wrist")),
            ((1, 0), (2, 1), (3, 2), (4, 0), (5, 4), (6, 5), (7, 0), (8, 7), (9, 8), (10, 9),
             (11, 8), (12, 11), (13, 12), (14, 8), (15, 14), (16, 15)),
            ((4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)),
            0,
        ),
    )
}
# fmt: on


def get_layout(name: str) -> SkeletonLayout:
    """Return the skeleton layout of that name.

    Parameters
    ----------
    name : str
        ``"ntu25"`` (Kinect v2: NTU RGB+D, PKU-MMD), ``"kinect20"`` (Kinect v1 in the order of the
        MSR Action3D files), ``"coco17"``, ``"openpose18"`` or ``"h36m17"``.

    Returns
    -------
    SkeletonLayout
        The joint names, bones, mirrored pairs and centre.

    Shape
    -----
    Data in a layout has ``layout.num_joints`` entries on its joint axis V.

    Raises
    ------
    ValueError
        If no layout has that name.

    Notes
    -----
    UTKinect-Action files keep the order of the Kinect SDK (hip centre, spine, shoulder centre,
    head, left arm, right arm, left leg, right leg); indexing their joint axis with
    ``[4, 8, 2, 1, 12, 16, 0, 5, 9, 6, 10, 7, 11, 13, 17, 14, 18, 15, 19, 3]`` gives ``"kinect20"``.

    Source
    ------
    ``ntu25``: Shahroudy et al., CVPR 2016, figure 2 (joints); ST-GCN and CTR-GCN (edges).
    ``kinect20``: the drawing script distributed with MSR Action3D (Li, Zhang and Liu, CVPR
    Workshops 2010); sides agree with its protocol of acting with the right hand. ``coco17``: COCO
    key points, edges of pyskl. ``openpose18``: OpenPose's COCO model, edges of ST-GCN.
    ``h36m17``: Human3.6M reduced as in Martinez et al., ICCV 2017.

    Examples
    --------
    >>> layout = get_layout("ntu25")
    >>> layout.num_joints, layout.joints[layout.centre]
    (25, 'spine shoulder')
    """
    check_option("name", name, tuple(_LAYOUTS))
    return _LAYOUTS[name]

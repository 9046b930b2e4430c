"""The table of named skeleton layouts, public through ``skelfreq.skeletons``."""

from __future__ import annotations

from skelfreq._checks import check_option
from skelfreq._skeleton_layout import SkeletonLayout


def _sides(*parts: str) -> tuple[str, ...]:
    """Return the left names of ``parts``, then the right ones."""
    return tuple(f"{side} {part}" for side in ("left", "right") for part in parts)


def _interleaved(*parts: str) -> tuple[str, ...]:
    """Return left and right names of ``parts`` in turn."""
    return tuple(f"{side} {part}" for part in parts for side in ("left", "right"))


def _layout(
    name: str, joints: tuple[str, ...], edges: tuple[tuple[int, int], ...], centre: int
) -> SkeletonLayout:
    """Return a layout whose mirrored pairs follow from the joint names."""
    pairs = tuple(
        (index, joints.index(joint.replace("left ", "right ")))
        for index, joint in enumerate(joints)
        if joint.startswith("left ")
    )
    return SkeletonLayout(name, joints, edges, pairs, centre)


_ARM, _LEG = ("shoulder", "elbow", "wrist", "hand"), ("hip", "knee", "ankle", "foot")
_JOINTS13 = ("head", *_interleaved("shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
_JOINTS15 = (*_JOINTS13, "shoulder centre", "hip centre")
_JOINTS20 = (*_JOINTS15, "spine", *_interleaved("hand", "foot"))

# fmt: off
_LIMBS13 = ((3, 1), (4, 2), (5, 3), (6, 4), (9, 7), (10, 8), (11, 9), (12, 10))
_EDGES13 = ((1, 0), (2, 0), (7, 1), (8, 2), *_LIMBS13)
_TRUNK15 = ((0, 13), (1, 13), (2, 13), (7, 14), (8, 14))

_LAYOUTS = {
    layout.name: layout
    for layout in (
        _layout(
            "ntu25",
            ("spine base", "spine middle", "neck", "head", *_sides(*_ARM), *_sides(*_LEG),
             "spine shoulder",
             "left hand tip", "left thumb", "right hand tip", "right thumb"),
            # The finger tip is joined to the thumb and the thumb to the hand, as in ST-GCN; pyskl
            # joins both to the hand.
            ((0, 1), (1, 20), (2, 20), (3, 2), (4, 20), (5, 4), (6, 5), (7, 6), (8, 20), (9, 8),
             (10, 9), (11, 10), (12, 0), (13, 12), (14, 13), (15, 14), (16, 0), (17, 16), (18, 17),
             (19, 18), (21, 22), (22, 7), (23, 24), (24, 11)),
            20,
        ),
        _layout(
            "kinect20",
            (*_interleaved("shoulder"), "shoulder centre", "spine", *_interleaved("hip"),
             "hip centre", *_interleaved("elbow", "wrist", "hand", "knee", "ankle", "foot"),
             "head"),
            ((19, 2), (0, 2), (1, 2), (7, 0), (9, 7), (11, 9), (8, 1), (10, 8), (12, 10), (3, 2),
             (6, 3), (4, 6), (5, 6), (13, 4), (14, 5), (15, 13), (16, 14), (17, 15), (18, 16)),
            2,
        ),
        _layout(
            "kinect20_sdk",
            ("hip centre", "spine", "shoulder centre", "head", *_sides(*_ARM), *_sides(*_LEG)),
            ((0, 1), (1, 2), (3, 2), (4, 2), (5, 4), (6, 5), (7, 6), (8, 2), (9, 8), (10, 9),
             (11, 10), (12, 0), (13, 12), (14, 13), (15, 14), (16, 0), (17, 16), (18, 17),
             (19, 18)),
            2,
        ),
        _layout(
            "utd20",
            ("head", "shoulder centre", "spine", "hip centre", *_sides(*_ARM), *_sides(*_LEG)),
            ((0, 1), (2, 1), (3, 2), (4, 1), (5, 4), (6, 5), (7, 6), (8, 1), (9, 8), (10, 9),
             (11, 10), (12, 3), (13, 12), (14, 13), (15, 14), (16, 3), (17, 16), (18, 17),
             (19, 18)),
            1,
        ),
        _layout(
            "coco17",
            ("nose",
             *_interleaved("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")),
            ((15, 13), (13, 11), (16, 14), (14, 12), (11, 5), (12, 6), (9, 7), (7, 5), (10, 8),
             (8, 6), (5, 0), (6, 0), (1, 0), (3, 1), (2, 0), (4, 2)),
            0,
        ),
        _layout(
            "openpose18",
            ("nose", "neck",
             "right shoulder", "right elbow", "right wrist",
             "left shoulder", "left elbow", "left wrist",
             "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
             "right eye", "left eye", "right ear", "left ear"),
            ((4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8), (11, 5), (8, 2),
             (5, 1), (2, 1), (0, 1), (15, 0), (14, 0), (17, 15), (16, 14)),
            1,
        ),
        _layout(
            "body25",
            ("nose", "neck",
             "right shoulder", "right elbow", "right wrist",
             "left shoulder", "left elbow", "left wrist", "middle hip",
             "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
             "right eye", "left eye", "right ear", "left ear",
             "left big toe", "left small toe", "left heel",
             "right big toe", "right small toe", "right heel"),
            ((8, 1), (2, 1), (5, 1), (3, 2), (4, 3), (6, 5), (7, 6), (9, 8), (10, 9), (11, 10),
             (12, 8), (13, 12), (14, 13), (0, 1), (15, 0), (17, 15), (16, 0), (18, 16), (19, 14),
             (20, 19), (21, 14), (22, 11), (23, 22), (24, 11)),
            1,
        ),
        _layout(
            "h36m17",
            ("hip", "right hip", "right knee", "right foot", "left hip", "left knee", "left foot",
             "spine", "thorax", "neck", "head", *_sides("shoulder", "elbow", "wrist")),
            ((1, 0), (2, 1), (3, 2), (4, 0), (5, 4), (6, 5), (7, 0), (8, 7), (9, 8), (10, 9),
             (11, 8), (12, 11), (13, 12), (14, 8), (15, 14), (16, 15)),
            0,
        ),
        _layout("penn13", _JOINTS13, _EDGES13, 0),
        _layout(
            "prmd22",
            ("waist", "spine", "chest", "neck", "head", "head tip",
             *_sides("collar", "shoulder", "elbow", "wrist"), *_sides(*_LEG)),
            ((0, 1), (1, 2), (3, 2), (4, 3), (5, 4), (6, 2), (7, 6), (8, 7), (9, 8), (10, 2),
             (11, 10), (12, 11), (13, 12), (14, 0), (15, 14), (16, 15), (17, 16), (18, 0),
             (19, 18), (20, 19), (21, 20)),
            2,
        ),
        _layout(
            "hdm24",
            ("root", *_sides("hip", "knee", "ankle", "toes"),
             "belly", "chest", "neck", "head", "head top",
             *_sides("clavicle", "shoulder", "elbow", "wrist", "fingers")),
            ((0, 9), (1, 0), (2, 1), (3, 2), (4, 3), (5, 0), (6, 5), (7, 6), (8, 7), (9, 10),
             (11, 10), (12, 11), (13, 12), (14, 10), (15, 14), (16, 15), (17, 16), (18, 17),
             (19, 10), (20, 19), (21, 20), (22, 21), (23, 22)),
            10,
        ),
        _layout("common13", _JOINTS13, _EDGES13, 0),
        _layout("common15", _JOINTS15, (*_TRUNK15, *_LIMBS13, (14, 13)), 13),
        _layout(
            "common20",
            _JOINTS20,
            (*_TRUNK15, *_LIMBS13, (14, 15), (15, 13), (16, 5), (17, 6), (18, 11), (19, 12)),
            13,
        ),
    )
}
# fmt: on


def get_layout(name: str) -> SkeletonLayout:
    """Return the skeleton layout of that name.

    Parameters
    ----------
    name : str
        One of

        * ``"ntu25"``: Kinect v2 (NTU RGB+D, PKU-MMD);
        * ``"kinect20"``: Kinect v1 in the order of the MSR Action3D files;
        * ``"kinect20_sdk"``: Kinect v1 in the order of its SDK (NW-UCLA, UTKinect-Action);
        * ``"utd20"``: Kinect v1 in the order of UTD-MHAD;
        * ``"prmd22"``: Kinect v2 as UI-PRMD stores it;
        * ``"hdm24"``: the motion capture skeleton of HDM05;
        * ``"h36m17"``, ``"coco17"``, ``"openpose18"``, ``"body25"`` (OpenPose), ``"penn13"``;
        * ``"common13"``, ``"common15"``, ``"common20"``: joints that sensors share, for training on
          several sets at once; each is the beginning of the next, see :func:`convert_layout`.

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

    Source
    ------
    ``ntu25``: Shahroudy et al., CVPR 2016, figure 2 (joints); ST-GCN and CTR-GCN (edges).
    ``kinect20``: the drawing script distributed with MSR Action3D (Li, Zhang and Liu, CVPR
    Workshops 2010); sides agree with its protocol of acting with the right hand. ``kinect20_sdk``:
    Kinect for Windows SDK 1.8; edges of CTR-GCN for NW-UCLA. ``utd20``: the file description of
    UTD-MHAD (Chen et al., ICIP 2015). ``coco17``: COCO key points, edges of pyskl. ``openpose18``:
    OpenPose's COCO model, edges of ST-GCN. ``body25``: OpenPose's output format. ``h36m17``:
    Human3.6M reduced as in Martinez et al., ICCV 2017. ``penn13``: Penn Action (Zhang et al., ICCV
    2013). ``prmd22``: UI-PRMD (Vakanski et al., 2018); its upper arm, forearm, hand, upper leg,
    lower leg, foot and toes are named shoulder, elbow, wrist, hip, knee, ankle and foot here, the
    joints at which these segments begin. ``hdm24``: HDM05 (Müller et al., 2007).

    Examples
    --------
    >>> layout = get_layout("ntu25")
    >>> layout.num_joints, layout.joints[layout.centre]
    (25, 'spine shoulder')
    """
    check_option("name", name, tuple(_LAYOUTS))
    return _LAYOUTS[name]

"""Joint maps between layouts, and the joint orders on published data."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from conftest import normal
from shared_data import require_data
from tolerances import assert_close, assert_rounded

from skelfreq.skeletons import SkeletonLayout, convert_layout, get_layout

NAMES = (
    *("ntu25", "kinect20", "kinect20_sdk", "utd20", "coco17", "openpose18", "body25", "h36m17"),
    *("penn13", "prmd22", "hdm24", "common13", "common15", "common20"),
)
WITH_HANDS_AND_FEET = ("ntu25", "kinect20", "kinect20_sdk", "utd20", "hdm24", "common20")


def one(name: str, joint: str) -> torch.Tensor:
    """Return a skeleton that is 1 at one joint and 0 elsewhere."""
    layout = get_layout(name)
    return torch.eye(layout.num_joints, dtype=torch.float64)[layout.joints.index(joint)]


@pytest.mark.parametrize("target", ["common13", "common15"])
@pytest.mark.parametrize("source", NAMES)
def test_every_layout_has_the_joints_of_the_small_common_ones(source, target):
    x = normal(2, 3, 4, get_layout(source).num_joints)
    y = convert_layout(x, source, target)
    assert y.shape == (2, 3, 4, get_layout(target).num_joints)
    # An affine map: a shift of the input is the same shift of the result.
    assert_close(convert_layout(x + 3.0, source, target), y + 3.0)


@pytest.mark.parametrize("source", NAMES)
def test_missing_hands_and_feet_raise(source):
    x = normal(2, get_layout(source).num_joints)
    if source in WITH_HANDS_AND_FEET:
        y = convert_layout(x, source, "common20")
        assert torch.equal(y[:, :15], convert_layout(x, source, "common15"))
        assert torch.equal(y[:, :13], convert_layout(x, source, "common13"))
    else:
        with pytest.raises(ValueError, match=r"'common13', 'common15' .*lacks left hand"):
            convert_layout(x, source, "common20")


@pytest.mark.parametrize(
    ("first", "second"),
    list(itertools.permutations(("kinect20", "kinect20_sdk", "utd20"), 2)),
)
def test_kinect_orders_are_permutations_of_each_other(first, second):
    x = normal(3, 20, dtype=torch.float16)
    y = convert_layout(x, first, second)
    assert torch.equal(convert_layout(y, second, first), x)
    names = [get_layout(name).joints for name in (first, second)]
    order = [names[0].index(joint) for joint in names[1]]
    assert torch.equal(y, x[:, order])


@pytest.mark.parametrize(
    ("source", "joint", "target", "expected"),
    [
        ("coco17", "nose", "common15", {"head": 1.0}),
        ("coco17", "left shoulder", "openpose18", {"left shoulder": 1.0, "neck": 0.5}),
        ("coco17", "right hip", "common15", {"right hip": 1.0, "hip centre": 0.5}),
        ("body25", "neck", "openpose18", {"neck": 1.0}),
        ("body25", "middle hip", "common15", {"hip centre": 1.0}),
        ("ntu25", "spine shoulder", "common15", {"shoulder centre": 1.0}),
        ("ntu25", "neck", "common20", {}),
        ("ntu25", "spine base", "kinect20", {"hip centre": 1.0}),
        ("hdm24", "neck", "common20", {"shoulder centre": 1.0}),
        ("hdm24", "left toes", "common20", {"left foot": 1.0}),
        ("h36m17", "right foot", "penn13", {"right ankle": 1.0}),
        # nose → head, half of it in the neck between head and shoulder centre
        ("coco17", "nose", "h36m17", {"head": 1.0, "neck": 0.5}),
        # half of the shoulder centre, which is half of the spine and of the neck
        ("coco17", "left shoulder", "h36m17",
         {"left shoulder": 1.0, "thorax": 0.5, "spine": 0.25, "neck": 0.25}),
    ],
)  # fmt: skip
def test_parts_of_the_body(source, joint, target, expected):
    got = convert_layout(one(source, joint), source, target, dim=0)
    names = get_layout(target).joints
    assert {n: float(w) for n, w in zip(names, got, strict=True) if w} == expected


@pytest.mark.parametrize("name", NAMES)
def test_conversion_commutes_with_exchanging_sides(name):
    def exchange(x, layout):
        order = list(range(layout.num_joints))
        for left, right in layout.left_right:
            order[left], order[right] = right, left
        return x[..., order]

    x = normal(3, get_layout(name).num_joints)
    there = exchange(convert_layout(x, name, "common15"), get_layout("common15"))
    assert_close(convert_layout(exchange(x, get_layout(name)), name, "common15"), there)


@pytest.mark.parametrize("dim", [0, 1, 2, 3, -2])
def test_any_axis(dim):
    x = normal(2, 3, 4, 17)
    expected = convert_layout(x, "coco17", "common15")
    moved = convert_layout(x.movedim(-1, dim), "coco17", "common15", dim=dim)
    assert torch.equal(moved.movedim(dim, -1), expected)


def test_dtypes_arrays_and_gradients():
    x = normal(2, 17)
    exact = convert_layout(x, "coco17", "h36m17")
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        low = convert_layout(x.to(dtype), "coco17", "h36m17")
        assert low.dtype == dtype
        assert_rounded(low, convert_layout(x.to(dtype).double(), "coco17", "h36m17"))
    assert torch.equal(convert_layout(x.numpy(), "coco17", "h36m17"), exact)
    numbers = torch.arange(20)
    assert convert_layout(numbers, "kinect20_sdk", "utd20").tolist()[:4] == [3, 2, 1, 0]
    x.requires_grad_()
    convert_layout(x, "coco17", "h36m17").sum().backward()
    # The gradients of each target joint add up to 1.
    assert float(x.grad.sum()) == pytest.approx(2 * 17)
    assert convert_layout(x.to("meta"), "coco17", "penn13").shape == (2, 13)


def test_own_layouts_are_matched_by_name():
    own = SkeletonLayout("own", ("right hip", "head", "left hip"), ((0, 2), (1, 2)), ((2, 0),), 2)
    pelvis = SkeletonLayout("pelvis", ("hip centre", "head"), ((0, 1),), (), 0)
    x = torch.tensor([1.0, 7.0, 4.0])
    assert convert_layout(x, own, pelvis).tolist() == [2.5, 7.0]
    with pytest.raises(ValueError, match=r"for source 'own', which lacks left shoulder"):
        convert_layout(x, own, "common13")


def test_errors_list_the_possible_targets():
    with pytest.raises(ValueError, match=r"25 joints of 'ntu25' on dim=1, got shape \(2, 17\)"):
        convert_layout(torch.zeros(2, 17), "ntu25", "common13")
    with pytest.raises(ValueError, match=r"name must be one of 'ntu25'.* got 'coco'"):
        convert_layout(torch.zeros(2, 17), "coco", "common13")
    with pytest.raises(TypeError, match="floating point to convert 'coco17' into 'common15'"):
        convert_layout(torch.zeros(17, dtype=torch.int64), "coco17", "common15")
    with pytest.raises(TypeError, match="tensor or a numpy array, got list"):
        convert_layout([0.0] * 17, "coco17", "common15")


# The orders on published data

SETS = {
    "msr_action3d.npz": "kinect20",
    "nw_ucla.npz": "kinect20_sdk",
    "utd_mhad.npz": "utd20",
    "ui_prmd_kinect.npz": "prmd22",
    "hdm05_11.npz": "hdm24",
    "gtu_action3d.npz": "ntu25",
}


def frames_of(file: str) -> np.ndarray:
    with np.load(require_data(file)) as archive:
        joints = archive["joints"]
    return joints[np.abs(joints).max(axis=(1, 2)) > 0].astype(np.float64)


def spread_of_bones(x: np.ndarray, layout: SkeletonLayout) -> float:
    """Return how far bones typically are from their median length, summed, in metres."""
    child, parent = np.array(layout.edges).T
    length = np.linalg.norm(x[:, child] - x[:, parent], axis=-1)
    return float(np.median(np.abs(length - np.median(length, axis=0)), axis=0).sum())


@pytest.mark.parametrize("file", SETS)
def test_bones_of_published_skeletons_have_constant_length(file):
    layout = get_layout(SETS[file])
    x = frames_of(file)[::10]
    right = spread_of_bones(x, layout)
    rng = np.random.default_rng(0)
    wrong = [spread_of_bones(x[:, rng.permutation(layout.num_joints)], layout) for _ in range(20)]
    assert right < 0.6 * min(wrong)
    # Kinect v1's three orders; the SDK's and UTD-MHAD's differ in the order of the trunk alone.
    if layout.num_joints == 20:
        for name in {"kinect20", "kinect20_sdk", "utd20"} - {layout.name}:
            assert right < spread_of_bones(x, get_layout(name)), name


@pytest.mark.parametrize("file", SETS)
def test_published_skeletons_stand_on_their_feet(file):
    layout = get_layout("common15")
    heights = convert_layout(frames_of(file), SETS[file], layout, dim=1)[:, :, 1].mean(0)
    at = dict(zip(layout.joints, heights.tolist(), strict=True))
    for side in ("left", "right"):
        order = [f"{side} ankle", f"{side} knee", "hip centre", "shoulder centre", "head"]
        assert order == sorted(order, key=at.get)


@pytest.mark.parametrize("file", SETS)
def test_left_and_right_of_published_skeletons(file):
    """In top view, left is a quarter turn from the direction of the feet."""
    layout = get_layout(SETS[file])
    x = frames_of(file)
    at = {joint: x[:, index] for index, joint in enumerate(layout.joints)}
    toes = "toes" if "left toes" in at else "foot"
    forward = sum(at[f"{side} {toes}"] - at[f"{side} ankle"] for side in ("left", "right"))
    across = at["left hip"] - at["right hip"] + at["left shoulder"] - at["right shoulder"]
    towards_left = np.stack([forward[:, 2], -forward[:, 0]], axis=1)
    assert ((towards_left * across[:, [0, 2]]).sum(axis=1) > 0).mean() > 0.8


def test_penn_is_upright_and_its_sides_move_alike():
    layout = get_layout("penn13")
    with np.load(require_data("penn_action_2d.npz")) as archive:
        x, visible = archive["joints"].astype(np.float64), archive["visible"].all(axis=1)
    x = x[visible]
    at = {joint: x[:, index] for index, joint in enumerate(layout.joints)}
    down = 1  # pixels are counted from the top
    for above, below in (("head", "hip"), ("shoulder", "knee"), ("hip", "ankle")):
        sides = ("left", "right")
        top = at[above] if above == "head" else sum(at[f"{side} {above}"] for side in sides) / 2
        bottom = sum(at[f"{side} {below}"] for side in sides) / 2
        assert np.mean(top[:, down] < bottom[:, down]) > 0.75
    # Bones of both sides of a body have nearly the same length in most pictures.
    for upper, lower in (("elbow", "shoulder"), ("wrist", "elbow"), ("knee", "hip")):
        bones = [np.linalg.norm(at[f"{s} {upper}"] - at[f"{s} {lower}"], axis=1) for s in sides]
        assert np.median(np.abs(bones[0] - bones[1]) / (bones[0] + bones[1] + 1)) < 0.2

"""Place, facing, size, streams, persons and missing joints, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shared_data import require_data
from tolerances import assert_close
from transform_cases import make, seeded

from skelfreq.data.transforms import (
    Centre,
    FaceForward,
    FillMissing,
    ScaleBones,
    SelectPersons,
    Streams,
    bones,
    centre,
    face_forward,
    fill_missing,
    motion_energy,
    scale_bones,
)
from skelfreq.functional import motion
from skelfreq.skeletons import SkeletonLayout, get_layout

LAYOUT = get_layout("ntu25")
HIPS = [12, 16]
LENGTHS = torch.tensor([9, 5, 1, 9])
on_all = pytest.mark.parametrize("on", ["first", "clip", "frame"])


def people(seed: int, t: int = 9) -> torch.Tensor:
    """Return clips whose left and right are apart, as a person's are."""
    x = make(4, t, 25, seed, missing=0.0)[0]
    for left, right in LAYOUT.left_right:
        x[:, 0, :, right] += 3
        x[:, 0, :, left] -= 3
    return x


def turned(x: torch.Tensor, angle: float, vertical: int = 1) -> torch.Tensor:
    """Turn about the vertical, by the matrix of the textbook."""
    c, s = math.cos(angle), math.sin(angle)
    matrix = torch.eye(3, dtype=x.dtype)
    one, two = (vertical + 1) % 3, (vertical + 2) % 3
    matrix[one, one], matrix[one, two], matrix[two, one], matrix[two, two] = c, -s, s, c
    return torch.einsum("ij,njtv->nitv", matrix, x)


# Centre


@on_all
@given(seed=st.integers(0, 1000))
def test_hips_come_to_the_origin(on, seed):
    x = people(seed)
    y = centre(x, "ntu25", on=on, lengths=LENGTHS)
    hips = y[..., HIPS].mean(-1)
    for i, length in enumerate(LENGTHS.tolist()):
        middle = hips[i, :, :length]
        middle = {"first": middle[:, :1], "clip": middle.mean(1), "frame": middle}[on]
        assert_close(middle + 1, torch.ones_like(middle))
    # Only moved: distances between joints stay, and, but for "frame", between frames.
    assert_close(y[..., 1:] - y[..., :1], torch.where(y[..., :1] != 0, x[..., 1:] - x[..., :1], 0))
    moved = x + torch.randn(4, 3, 9 if on == "frame" else 1, 1, dtype=x.dtype)
    assert_close(centre(moved, "ntu25", on=on, lengths=LENGTHS), y, 1e-11)
    assert_close(centre(y, "ntu25", on=on, lengths=LENGTHS), y)


def test_missing_frames_stay_zero_and_do_not_count():
    x = people(0)
    x[:, :, 0] = 0
    x[:, :, 3] = 0
    first, clip = centre(x, "ntu25", on="first"), centre(x, "ntu25", on="clip")
    for y in (first, clip, centre(x, "ntu25", on="frame")):
        assert not y[:, :, [0, 3]].any()
    hips = x[..., HIPS].mean(-1)
    assert_close(first[:, :, 1:3], x[:, :, 1:3] - hips[:, :, 1, None, None])
    mean = hips[:, :, [1, 2, 4, 5, 6, 7, 8]].mean(2)
    assert_close(clip[:, :, 4:], x[:, :, 4:] - mean[:, :, None, None])
    lost = people(1)
    lost[..., 12] = 0  # the left hip: the right one is left
    assert_close(centre(lost, "ntu25", on="frame"), lost - lost[..., 16:17])


def test_confidence_weighs_the_hips():
    x = people(2)
    confidence = torch.ones(4, 9, 25, dtype=torch.float64)
    assert_close(centre(x, LAYOUT, confidence=confidence), centre(x, LAYOUT))
    confidence[..., 12] = 0.25
    confidence[..., 16] = 0.75
    origin = 0.25 * x[..., 12] + 0.75 * x[..., 16]
    y = centre(x, LAYOUT, on="frame", confidence=confidence)
    assert_close(y, x - origin[..., None])
    # The first frame in which a hip was seen.
    confidence[:, :2, HIPS] = 0
    y = centre(x, LAYOUT, on="first", confidence=confidence)
    assert_close(y, x - origin[:, :, 2, None, None])
    # Never seen, but filled: both count alike.
    confidence[:, :, HIPS] = 0
    y = centre(x, LAYOUT, on="frame", confidence=confidence)
    assert_close(y, x - x[..., HIPS].mean(-1, keepdim=True))


def test_other_joints_may_be_the_origin():
    x = people(3)
    y = Centre("ntu25", on="frame", joints=[20])(x).x
    assert not y[..., 20].any()
    assert_close(y, x - x[..., 20:21])


# Face forward


@given(st.integers(0, 1000), st.floats(-3.1, 3.1), st.sampled_from([0, 1, 2]))
def test_facing_does_not_depend_on_the_way_a_person_faced(seed, angle, vertical):
    x = people(seed)
    if vertical == 0:
        x = x.flip(1)  # left and right run along axis 2 there
    y = face_forward(x, LAYOUT, vertical=vertical)
    assert_close(face_forward(turned(x, angle, vertical), LAYOUT, vertical=vertical), y, 1e-9)
    first, second = (axis for axis in range(3) if axis != vertical)
    across = y[..., 8] - y[..., 4] + y[..., 16] - y[..., 12]
    across = across.mean(2)
    assert (across[:, first] > 0).all()
    assert across[:, second].abs().max() < 1e-9
    assert torch.equal(y[:, vertical], x[:, vertical])
    assert_close(y.norm(dim=1), x.norm(dim=1))


def test_one_angle_for_every_frame_or_the_first():
    x = people(5)
    frame = face_forward(x, LAYOUT, on="frame")
    across = frame[..., 8] - frame[..., 4] + frame[..., 16] - frame[..., 12]
    assert (across[:, 0] > 0).all() and across[:, 2].abs().max() < 1e-9
    x[:, :, 0] = 0
    first = face_forward(x, LAYOUT, on="first")
    across = first[..., 8] - first[..., 4] + first[..., 16] - first[..., 12]
    assert (across[:, 0, 1] > 0).all() and across[:, 2, 1].abs().max() < 1e-9
    assert_close(
        (first[..., 1:] - first[..., :1]).norm(dim=1), (x[..., 1:] - x[..., :1]).norm(dim=1)
    )


def test_a_clip_without_direction_is_not_turned():
    x = torch.ones(1, 3, 4, 25, requires_grad=True)
    y = face_forward(x, LAYOUT)
    assert torch.equal(y, x)
    y.sum().backward()
    assert x.grad.isfinite().all()


# Size


@given(st.integers(0, 1000), st.floats(0.01, 100.0))
def test_mean_bone_length_is_the_size(seed, factor):
    x = people(seed)
    y = scale_bones(x, LAYOUT, size=0.3, lengths=LENGTHS)
    child, parent = torch.tensor(LAYOUT.edges).T
    for i, length in enumerate(LENGTHS.tolist()):
        bone = (y[i, :, :length, child] - y[i, :, :length, parent]).norm(dim=0)
        assert float(bone.mean()) == pytest.approx(0.3)
    assert_close(scale_bones(factor * x, LAYOUT, size=0.3, lengths=LENGTHS), y, 1e-11)


def test_missing_joints_and_confidence_in_bones():
    x = people(1)
    child, parent = torch.tensor(LAYOUT.edges).T
    length = (x[..., child] - x[..., parent]).norm(dim=1)
    confidence = torch.rand(4, 9, 25, generator=seeded(), dtype=torch.float64)
    weight = torch.minimum(confidence[..., child], confidence[..., parent])
    mean = (length * weight).sum((1, 2)) / weight.sum((1, 2))
    y = ScaleBones(LAYOUT)(x, confidence=confidence).x
    assert_close(y, x / mean[:, None, None, None])
    x[:, :, :, 7] = 0  # left hand: in the bones to the wrist and to the thumb
    there = [i for i, edge in enumerate(LAYOUT.edges) if 7 not in edge]
    mean = length[..., there].mean((1, 2))
    assert_close(scale_bones(x, LAYOUT), x / mean[:, None, None, None])
    assert torch.equal(scale_bones(torch.ones(1, 3, 2, 25), LAYOUT), torch.ones(1, 3, 2, 25))


def test_persons_of_a_sample_are_moved_as_one():
    x = people(7).repeat_interleave(2, 0) + torch.arange(8.0)[:, None, None, None]
    lengths = LENGTHS.repeat_interleave(2)
    for on in ("first", "clip", "frame"):
        y = Centre(LAYOUT, on=on)(x, lengths, persons=2).x
        assert_close(y[0::2], centre(x[0::2], LAYOUT, on=on, lengths=LENGTHS))
        inside = (y[1::2] != 0).any(1, keepdim=True)
        assert_close(y[1::2] - y[0::2], torch.where(inside, (x[1::2] - x[0::2]), 0))
    y = FaceForward(LAYOUT)(x, lengths, persons=2).x
    assert_close(y[0::2], face_forward(x[0::2], LAYOUT, lengths=LENGTHS))
    distance = (y[0::2] - y[1::2]).norm(dim=1)
    assert_close(distance[0], (x[0::2] - x[1::2]).norm(dim=1)[0])
    y = ScaleBones(LAYOUT)(x * torch.tensor([1.0, 5.0] * 4)[:, None, None, None], persons=2).x
    assert_close(y[0::2], scale_bones(x[0::2], LAYOUT))
    # Nobody in the first place: the second person gives the origin.
    x[0::2] = 0
    y = Centre(LAYOUT)(x, lengths, persons=2).x
    assert not y[0::2].any()
    assert_close(y[1::2], centre(x[1::2], LAYOUT, lengths=LENGTHS))


# Streams


@given(st.integers(0, 1000))
def test_bones_add_up_to_joints(seed):
    x = people(seed)
    y = bones(x, LAYOUT)
    assert not y[..., LAYOUT.centre].any()
    parent = dict(LAYOUT.edges)
    for joint in range(25):
        path, at = torch.zeros_like(x[..., 0]), joint
        while at != LAYOUT.centre:
            path, at = path + y[..., at], parent[at]
        assert_close(x[..., LAYOUT.centre] + path, x[..., joint])


def test_streams_are_joined_in_order():
    x, lengths = people(0), LENGTHS
    names = ("bone motion", "joint", "bone", "joint motion")
    y = Streams(LAYOUT, names)(x, lengths).x
    inside = torch.arange(9) < lengths[:, None]
    z = torch.where(inside[:, None, :, None], x, 0)
    expected = [
        motion(bones(z, LAYOUT), lengths=lengths),
        z,
        bones(z, LAYOUT),
        motion(z, lengths=lengths),
    ]
    assert torch.equal(y, torch.cat(expected, 1))
    assert torch.equal(Streams(LAYOUT, "bone")(x, lengths).x, expected[2])


def test_bones_and_motions_of_joints_that_were_not_seen_are_zero():
    x = people(0)
    confidence = torch.ones(4, 9, 25, dtype=torch.float64)
    confidence[:, 4, 5] = 0  # left elbow, parent of the wrist
    confidence[:, :, 8] = 0.5
    bone = Streams(LAYOUT, "bone")(x, confidence=confidence)
    assert not bone.x[:, :, 4, [5, 6]].any() and bone.x[:, :, 4, 7].all()
    assert not bone.confidence[:, 4, [5, 6]].any()
    assert torch.equal(bone.confidence[:, :, [8, 9]], torch.full((4, 9, 2), 0.5).double())
    step = Streams(LAYOUT, "joint motion")(x, confidence=confidence)
    assert not step.x[:, :, [3, 4], 5].any() and step.x[:, :, 2, 5].all()
    both = Streams(LAYOUT, ("joint", "bone"))(x, confidence=confidence)
    assert torch.equal(both.x[:, :3], x)
    assert torch.equal(both.confidence, bone.confidence)


# Persons


def test_motion_energy_is_the_way_that_joints_travel():
    x = people(0)
    way = (x[:, :, 1:] - x[:, :, :-1]).norm(dim=1).sum((1, 2))
    assert_close(motion_energy(x), way)
    gone = x.clone()
    gone[:, :, 4] = 0  # neither the step into the gap nor the one out of it counts
    steps = [t for t in range(8) if t not in (3, 4)]
    way = (x[:, :, 1:] - x[:, :, :-1]).norm(dim=1).sum(2)[:, steps].sum(1)
    assert_close(motion_energy(gone), way)
    confidence = (gone != 0).any(1).double()
    assert_close(motion_energy(x, confidence=confidence), way)
    short = motion_energy(x, lengths=LENGTHS)
    assert_close(short[1], motion_energy(x[1:2, :, :5])[0])
    assert short[2] == 0


@given(st.permutations(range(4)), st.integers(1, 4))
def test_those_who_move_most_are_kept(order, keep):
    x = people(3).repeat_interleave(4, 0)
    speed = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)[list(order)].repeat(4)
    x = x * speed[:, None, None, None]
    lengths = torch.full((16,), 9)
    batch = SelectPersons(keep)(x, lengths, persons=4)
    assert batch.persons == keep and batch.lengths.shape == (4 * keep,)
    expected = people(3).repeat_interleave(keep, 0)
    expected = expected * torch.tensor([4.0, 3.0, 2.0, 1.0])[:keep].repeat(4)[:, None, None, None]
    assert_close(batch.x, expected)


def test_persons_who_move_alike_keep_their_order():
    x = people(0)
    batch = SelectPersons(1)(torch.stack([x, -x], 1).flatten(0, 1), persons=2)
    assert torch.equal(batch.x, x)
    with pytest.raises(ValueError, match="persons must be at least 3, those to keep, got 2"):
        SelectPersons(3)(x, persons=2)


# Missing joints


@given(st.integers(0, 1000), st.floats(0.0, 0.9), st.booleans())
def test_filling_is_interpolation_in_time(seed, missing, confident):
    x, confidence = make(4, 9, 13, seed, missing)
    known = (confidence > 0).numpy()
    options = {}
    if confident:
        # Where nothing was seen a file may hold anything.
        x = torch.where(confidence[:, None] > 0, x, 99.0)
        options["confidence"] = confidence
    y = fill_missing(x, lengths=LENGTHS, **options)
    for i, length in enumerate(LENGTHS.tolist()):
        assert not y[i, :, length:].any()
        for joint in range(13):
            frames = np.flatnonzero(known[i, :length, joint])
            for channel in range(3):
                expected = np.zeros(length)
                if len(frames):
                    values = x[i, channel, frames, joint].numpy()
                    expected = np.interp(np.arange(length), frames, values)
                assert_close(y[i, channel, :length, joint], expected)


def test_filling_leaves_what_was_seen_and_confidence():
    x, confidence = make(4, 9, 13)
    batch = FillMissing()(x, confidence=confidence)
    assert torch.equal(torch.where(confidence[:, None] > 0, batch.x, x), x)
    assert batch.confidence is confidence
    assert torch.equal(fill_missing(batch.x), batch.x)


def test_a_published_set_with_lost_joints():
    """Penn Action: 22 % of the joints are invisible; filled, they stay near what was seen."""
    with np.load(require_data("penn_action_2d.npz")) as archive:
        count = int(archive["lengths"][0])
        joints = archive["joints"][:count].astype(np.float64)
        visible = archive["visible"][:count]
    x = torch.from_numpy(joints).permute(2, 0, 1)[None]
    confidence = torch.from_numpy(visible.astype(np.float64))[None]
    y = fill_missing(x, confidence=confidence)
    seen = confidence[0] > 0
    assert torch.equal(y[0][:, seen], x[0][:, seen])
    for joint in range(13):
        if seen[:, joint].any():
            rows = x[0, :, seen[:, joint], joint]
            assert (y[0, :, :, joint] >= rows.amin(1, keepdim=True)).all()
            assert (y[0, :, :, joint] <= rows.amax(1, keepdim=True)).all()


# Arguments


def test_options_out_of_range():
    x = people(0)
    with pytest.raises(ValueError, match="on must be one of 'first', 'clip', 'frame', got 'mean'"):
        Centre("ntu25", on="mean")
    with pytest.raises(ValueError, match="vertical must be one of 0, 1, 2, got 3"):
        FaceForward("ntu25", vertical=3)
    with pytest.raises(ValueError, match="joints must lie between 0 and 24, got 25"):
        centre(x, "ntu25", joints=[25])
    with pytest.raises(ValueError, match="joints must hold at least 1 joint"):
        centre(x, "ntu25", joints=[])
    with pytest.raises(ValueError, match=r"17 joints of 'coco17' on axis 3, got shape"):
        centre(x, "coco17")
    with pytest.raises(ValueError, match="3 coordinates on axis 1, got 2"):
        face_forward(x[:, :2], "ntu25")
    with pytest.raises(ValueError, match="size must be a finite number above 0, got 0"):
        ScaleBones("ntu25", size=0)
    own = SkeletonLayout("own", ("a", "b"), (), (), 0)
    with pytest.raises(ValueError, match="'left hip' and 'right hip', got 'own' without them"):
        Centre(own)
    with pytest.raises(ValueError, match="layout must have bones, got 'own' without edges"):
        scale_bones(x[..., :2], own)
    with pytest.raises(ValueError, match=r"streams must be one of 'joint', 'bone'.* got 'bones'"):
        Streams("ntu25", "bones")
    with pytest.raises(ValueError, match="streams must name at least one"):
        Streams("ntu25", ())
    with pytest.raises(TypeError, match="keep must be an integer"):
        SelectPersons(1.5)

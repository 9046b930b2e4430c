"""Synthetic motions in the NTU joint order: data for examples that need no download."""

from __future__ import annotations

import numpy as np

from examples.data._kinematics import DOFS, body, pose, rotation
from examples.data._motions import CLASSES, shape
from examples.data.clips import SkeletonClips
from examples.data.clips import fill_missing as _fill

_RATE = 30.0  # frames per second, as Kinect records


def synthetic_ntu25(
    num_classes: int = 10,
    num_subjects: int = 12,
    clips_per: int = 4,
    seed: int = 0,
    num_frames: int = 64,
    *,
    noise: float = 0.01,
    dropout: float = 0.3,
    fill_missing: bool = True,
) -> SkeletonClips:
    """Make synthetic skeleton clips; no person was recorded for them.

    A body with the bone lengths of an adult is moved by forward kinematics. Classes differ in the
    limbs they move and in frequency, amplitude and phase. Subjects differ in size, proportions,
    tempo, vigour and posture. A clip starts and ends near rest, at a random phase, heading (up to
    60 degrees either way) and place in front of a sensor 1 m above the floor; arms that the class
    does not use are often held up or bent, so a pose alone does not give the class away. Results on
    this data say whether code works, not how a method does on people.

    Parameters
    ----------
    num_classes : int, default 10
        Classes, the first of 16.
    num_subjects : int, default 12
        Subjects, numbered from 1; odd ones train, even ones test.
    clips_per : int, default 4
        Clips per class and subject.
    seed : int, default 0
        Everything random comes from ``numpy.random.default_rng(seed)``.
    num_frames : int, default 64
        Middle of the clips' lengths, which are uniform from 3/4 to 5/4 of it; 30 frames make a
        second.
    noise : float, default 0.01
        Standard deviation of the sensor noise per coordinate, in metres.
    dropout : float, default 0.3
        Share of clips in which a joint is frozen, or lost, for 4 to 12 frames; drawn twice.
    fill_missing : bool, default True
        Interpolate lost joints in time; otherwise they are zero, as a sensor reports them.

    Returns
    -------
    SkeletonClips
        In the layout ``ntu25``, in metres; axis 0 to the right of a person facing the sensor,
        axis 1 up, axis 2 away from the sensor.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    for name, value, low, high in (
        ("num_classes", num_classes, 1, len(CLASSES)),
        ("num_subjects", num_subjects, 1, 10**6),
        ("clips_per", clips_per, 1, 10**6),
        ("num_frames", num_frames, 2, 10**6),
        ("noise", noise, 0, 1),
        ("dropout", dropout, 0, 1),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} must lie between {low} and {high}, got {value}.")
    rng = np.random.default_rng(seed)
    class_names = tuple(CLASSES)[:num_classes]
    # Row order: class, then subject, then repetition.
    labels = np.repeat(np.arange(num_classes), num_subjects * clips_per)
    subjects = np.tile(np.repeat(np.arange(num_subjects), clips_per), num_classes)
    clips = len(labels)
    lengths = rng.integers(-(-3 * num_frames // 4), 5 * num_frames // 4, clips, endpoint=True)
    height = 1 + rng.normal(0, 0.06, num_subjects).clip(-0.15, 0.15)
    bones = body(height, 1 + rng.normal(0, 0.04, (num_subjects, 4)).clip(-0.1, 0.1))[subjects]
    angles, jump = _motion(rng, labels, subjects, lengths, num_subjects)
    joints = pose(bones, angles, jump)
    joints = _place(rng, joints)
    joints += rng.normal(0, 1, joints.shape) * noise
    _drop(rng, joints, lengths, dropout)
    joints = joints[np.arange(joints.shape[1]) < lengths[:, None]].astype(np.float32)
    if fill_missing:
        joints = _fill(joints, lengths)
    repetition = np.tile(np.arange(clips_per), num_classes * num_subjects)
    return SkeletonClips(
        joints=joints,
        lengths=lengths.astype(np.int64),
        labels=labels.astype(np.int64),
        groups=subjects.astype(np.int64) + 1,
        train=subjects % 2 == 0,
        names=tuple(
            f"a{a + 1:02d}_s{s + 1:02d}_e{e + 1:02d}"
            for a, s, e in zip(labels, subjects, repetition, strict=True)
        ),
        class_names=class_names,
        layout="ntu25",
        source=f"synthetic, seed {seed}",
    )


def _motion(
    rng: np.random.Generator,
    labels: np.ndarray,
    subjects: np.ndarray,
    lengths: np.ndarray,
    num_subjects: int,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return angles [n, T] in radians by degree of freedom, and the height of jumps [n, T]."""
    clips, frames = len(labels), int(lengths.max())
    time = np.arange(frames) / _RATE

    def vary(spread: float, clip_spread: float) -> np.ndarray:
        """Return a factor [n, 1] around 1: the subject's own times the clip's."""
        own = rng.normal(0, spread, num_subjects)[subjects]
        return np.exp(own + rng.normal(0, clip_spread, clips))[:, None]

    tempo, vigour = vary(0.08, 0.06), vary(0.08, 0.08)
    phase = rng.random((clips, 1))
    # The action sets in during the first 15 % of the clip and dies away during the last.
    share = time * _RATE / (lengths[:, None] - 1)
    edge = rng.uniform(0.05, 0.15, (2, clips, 1))
    ramp = np.clip(np.minimum(share / edge[0], (1 - share) / edge[1]), 0, 1)
    active = ramp * ramp * (3 - 2 * ramp)

    # Everyone sways a little around a posture of their own.
    angles = {}
    for name in DOFS:
        rest = {"abduct": 8.0, "elbow": 12.0, "spread": 3.0}.get(name[2:], 0.0)
        posture = rest + rng.normal(0, 2.5, num_subjects)[subjects] + rng.normal(0, 2, clips)
        sway = rng.normal(0, 1.5, (clips, 1)) * np.sin(
            2 * np.pi * (rng.uniform(0.2, 0.6, (clips, 1)) * time + rng.random((clips, 1)))
        )
        angles[name] = posture[:, None] + sway
    jump = np.zeros((clips, frames))

    limits = {"flex": (-20, 80), "abduct": (0, 100), "twist": (-80, 60), "elbow": (0, 110)}
    held = {name: rng.uniform(low, high, (2, clips)) for name, (low, high) in limits.items()}
    holds = rng.random((2, clips)) < 0.4
    for label, (rate, terms) in enumerate(CLASSES.values()):
        rows = np.flatnonzero(labels == label)
        turns = phase[rows] + rate * tempo[rows] * time
        for name, offset, amplitude, harmonic, lead, kind in terms:
            wave = amplitude * vigour[rows] * shape(kind, harmonic * turns + lead)
            target = jump if name == "jump" else angles[name]
            target[rows] += active[rows] * (offset + wave)
        used = {term[0] for term in terms}
        for side, letter in enumerate("LR"):
            if not any(f"{letter}_{name}" in used for name in limits):
                rows_held = rows[holds[side, rows]]
                for name in limits:
                    angles[f"{letter}_{name}"][rows_held] += held[name][side, rows_held, None]
    return {name: np.deg2rad(angle) for name, angle in angles.items()}, jump


def _place(rng: np.random.Generator, joints: np.ndarray) -> np.ndarray:
    """Put every clip [T, V, C] at a random place and heading in front of the sensor."""
    clips = len(joints)
    heading = np.zeros((clips, 3))
    heading[:, 1] = rng.uniform(-np.pi / 3, np.pi / 3, clips)
    place = rng.uniform((-0.5, -1.0, 2.5), (0.5, -1.0, 4.0), (clips, 3))
    return np.einsum("nij,ntvj->ntvi", rotation(heading), joints) + place[:, None, None]


def _drop(rng: np.random.Generator, joints: np.ndarray, lengths: np.ndarray, chance: float) -> None:
    """Freeze or lose one joint for some frames in a share of the clips, twice, in place."""
    clips, frames, num_joints, _ = joints.shape
    for _ in range(2):
        rows = np.flatnonzero(rng.random(clips) < chance)
        joint = rng.integers(0, num_joints, len(rows))
        start = (rng.random(len(rows)) * lengths[rows]).astype(np.int64)
        stop = start + rng.integers(4, 12, len(rows), endpoint=True)
        lost = rng.random(len(rows)) < 0.5
        value = np.where(lost[:, None], 0.0, joints[rows, start, joint])
        frame = np.arange(frames)
        which, when = np.nonzero((frame >= start[:, None]) & (frame < stop[:, None]))
        joints[rows[which], when, joint[which]] = value[which]

"""Clips in batches: the data set, collation, workers, persons folded into the batch and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from benchmarks.loading import PERSONS, write_set
from skelfreq.data import Clip, ConvertedSet
from skelfreq.data.loading import (
    Batch,
    Collate,
    SkeletonDataset,
    fold_persons,
    pack,
    pad_collate,
    unfold_persons,
)
from skelfreq.data.transforms import Compose, Jitter, RandomRotation, Resample, SelectPersons


def make_clip(number: int, frames: int, persons: int, confident: bool) -> Clip:
    rng = np.random.default_rng(number)
    joints = rng.normal(size=(frames, persons, 13, 3)).astype(np.float32)
    confidence = rng.random((frames, persons, 13)).astype(np.float32) if confident else None
    return Clip(f"clip{number}", joints, confidence, label=number % 3)


@st.composite
def clip_lists(draw: st.DrawFn) -> list[Clip]:
    count = draw(st.integers(1, 5))
    return [
        make_clip(i, draw(st.integers(1, 9)), draw(st.integers(1, 3)), draw(st.booleans()))
        for i in range(count)
    ]


@given(clip_lists())
def test_padding_keeps_every_frame(clips):
    batch = pad_collate(clips)
    persons = max(clip.num_persons for clip in clips)
    frames = max(clip.num_frames for clip in clips)
    assert batch.x.shape == (len(clips), persons, 3, frames, 13)
    assert batch.lengths.tolist() == [clip.num_frames for clip in clips]
    assert batch.labels.tolist() == [clip.label for clip in clips]
    assert batch.names == tuple(clip.name for clip in clips)
    known = any(clip.confidence is not None for clip in clips)
    assert (batch.confidence is not None) == known
    for x, clip, row in zip(batch.x, clips, range(len(clips)), strict=True):
        part = x[: clip.num_persons, :, : clip.num_frames].permute(2, 0, 3, 1)
        assert np.array_equal(part.numpy(), clip.joints)
        assert float(x.abs().sum()) == pytest.approx(float(np.abs(clip.joints).sum()), rel=1e-5)
        if known:
            weights = batch.confidence[row]
            part = weights[: clip.num_persons, : clip.num_frames].movedim(0, 1)
            expected = 1.0 if clip.confidence is None else clip.confidence
            assert np.array_equal(part.numpy(), np.broadcast_to(expected, part.shape))
            assert float(weights.sum()) == pytest.approx(float(part.sum()), rel=1e-5)


@given(clip_lists())
def test_packing_is_padding_without_the_padding(clips):
    packed, padded = pack(clips), pad_collate(clips)
    assert torch.equal(packed.lengths, padded.lengths)
    assert torch.equal(packed.labels, padded.labels)
    rows = torch.split(packed.frames, packed.lengths.tolist())
    for row, x, length in zip(rows, padded.x, packed.lengths.tolist(), strict=True):
        assert torch.equal(row, x[:, :, :length].permute(2, 0, 3, 1))
    if packed.confidence is not None:
        rows = torch.split(packed.confidence, packed.lengths.tolist())
        for row, weights in zip(rows, padded.confidence, strict=True):
            assert torch.equal(row, weights[:, : len(row)].movedim(0, 1))


@pytest.mark.parametrize("collate", [pad_collate, pack])
def test_a_number_of_persons(collate):
    clip = make_clip(0, 6, 3, True)
    clip.joints[:, 1] = clip.joints[:1, 1]  # person 1 does not move
    batch = collate([clip], num_persons=2)
    if collate is pack:
        assert np.array_equal(batch.frames.numpy(), clip.joints[:, [0, 2]])
        assert np.array_equal(batch.confidence.numpy(), clip.confidence[:, [0, 2]])
    else:
        assert np.array_equal(batch.x[0].permute(2, 0, 3, 1).numpy(), clip.joints[:, [0, 2]])
    more = collate([clip], num_persons=4)
    people = more.frames[:, 3] if collate is pack else more.x[:, 3]
    assert not people.any()
    with pytest.raises(ValueError, match="num_persons must be at least 1, got 0"):
        collate([clip], num_persons=0)
    with pytest.raises(ValueError, match="clips must hold at least 1 clip"):
        collate([])
    other = Clip("other", np.zeros((3, 1, 17, 3), np.float32))
    with pytest.raises(ValueError, match=r"\[\(13, 3\), \(17, 3\)\].*convert_layout"):
        collate([clip, other])


@given(st.integers(0, 3), st.integers(1, 3))
def test_persons_are_folded_and_unfolded(samples, persons):
    x = torch.randn(samples, persons, 3, 5, 13)
    lengths = torch.arange(samples)
    folded, repeated = fold_persons(x, lengths)
    assert folded.shape == (samples * persons, 3, 5, 13)
    assert repeated.tolist() == [n for n in range(samples) for _ in range(persons)]
    assert torch.equal(unfold_persons(folded, persons), x)
    if samples:
        assert torch.equal(folded[(samples - 1) * persons], x[-1, 0])
    assert fold_persons(x)[1] is None


def test_folding_what_pad_collate_gives_copies_nothing():
    batch = pad_collate([make_clip(i, 4, 2, True) for i in range(3)])
    assert fold_persons(batch.x)[0].data_ptr() == batch.x.data_ptr()
    features = torch.randn(6, 8)
    assert torch.equal(unfold_persons(features, 2)[1, 0], features[2])
    with pytest.raises(ValueError, match=r"multiple of 4 rows on axis 0, got shape \(6, 8\)"):
        unfold_persons(features, 4)
    with pytest.raises(ValueError, match=r"lengths must have shape \(3,\)"):
        fold_persons(batch.x, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="axes"):
        fold_persons(torch.zeros(3))


def test_collate_transforms_with_persons_as_one():
    clips = [make_clip(i, frames, 2, True) for i, frames in enumerate((4, 9, 6))]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        batch = Collate(Compose(Resample(8), RandomRotation(90.0)), num_persons=2)(clips)
        assert batch.x.shape == (3, 2, 3, 8, 13) and batch.lengths.tolist() == [8, 8, 8]
        assert batch.confidence.shape == (3, 2, 8, 13)
        plain = pad_collate(clips)
        x, lengths = fold_persons(plain.x, plain.lengths)
        weights = fold_persons(plain.confidence)[0]
        torch.manual_seed(0)
        still = Resample(8)(x, lengths, confidence=weights)
        x, *_ = RandomRotation(90.0)(*still[:2], confidence=still.confidence, persons=2)
        assert torch.equal(batch.x, unfold_persons(x, 2))
    one = Collate(SelectPersons(1))(clips)
    assert one.x.shape == (3, 1, 3, 9, 13) and one.lengths.tolist() == [4, 9, 6]
    assert one.labels.tolist() == [0, 1, 2]
    with pytest.raises(TypeError, match="transform must be a module of type Transform, got int"):
        Collate(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("converted")
    write_set(path, 24)
    return path


def test_a_converted_set_and_a_protocol_s_indices(folder):
    converted = ConvertedSet(folder)
    dataset = SkeletonDataset(folder, indices=[5, 3, -1])
    assert len(dataset) == 3
    assert [clip.name for clip in dataset] == ["clip5", "clip3", "clip23"]
    assert np.array_equal(dataset[1].joints, converted[3].joints)
    assert not dataset[1].joints.flags.writeable, "a view of the file"
    assert len(SkeletonDataset(converted)) == 24
    for wrong in ([24], [-25], [[1]]):
        with pytest.raises(IndexError, match="numbers from 0 to 23"):
            SkeletonDataset(folder, indices=wrong)


@pytest.mark.parametrize("workers", [0, 1])
def test_workers_give_what_the_process_itself_gives(folder, workers):
    def load(seed: int) -> list[Batch]:
        loader = DataLoader(
            SkeletonDataset(folder),
            batch_size=10,
            shuffle=True,
            num_workers=workers,
            collate_fn=Collate(Compose(Resample(16), Jitter(0.1)), num_persons=PERSONS),
            generator=torch.Generator().manual_seed(seed),
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return list(loader)

    batches = load(0)
    assert sorted(name for batch in batches for name in batch.names) == sorted(
        f"clip{i}" for i in range(24)
    )
    converted = ConvertedSet(folder)
    batch = batches[0]
    for i, name in enumerate(batch.names):
        clip = converted[int(name.removeprefix("clip"))]
        x = torch.from_numpy(np.array(clip.joints)).permute(1, 3, 0, 2)
        noise = batch.x[i] - Resample(16)(x).x
        assert 0.05 < float(noise.std()) < 0.2 and int(batch.labels[i]) == clip.label
    again = load(0)
    assert all(torch.equal(a.x, b.x) for a, b in zip(batches, again, strict=True))
    assert not torch.equal(load(1)[0].x, batches[0].x)

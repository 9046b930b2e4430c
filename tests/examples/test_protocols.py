"""Protocols by name: against the published counts and lists, and small-label subsets."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import require_data

from examples.data.protocols import (
    CLASS_SPLITS,
    PROTOCOLS,
    Columns,
    class_split,
    few_labels,
    msr_subject_splits,
    split,
)
from skelfreq.data import Clip, read

JOINTS = np.ones((1, 1, 25, 3), np.float32)


def clip(**numbers) -> Clip:
    return Clip(numbers.pop("name", "clip"), JOINTS, **numbers)


def ntu(setups, cameras, subjects, labels) -> list[Clip]:
    """Return a clip for every combination."""
    return [
        clip(
            setup=s, camera=c, subject=p, label=a, name=f"S{s:03d}C{c:03d}P{p:03d}R001A{a + 1:03d}"
        )
        for s, c, p, a in product(setups, cameras, subjects, labels)
    ]


def test_ntu60():
    clips = ntu((1,), (1, 2, 3), range(1, 41), (0, 59))
    train, test = split("ntu60-xsub", clips)
    subjects = {c.subject for c, mask in zip(clips, train, strict=True) if mask}
    # The list of the data set's paper.
    published = "1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38"
    assert subjects == {int(word) for word in published.split(", ")} and len(subjects) == 20
    assert (train ^ test).all() and train.sum() == test.sum()
    train, test = split("ntu60-xview", clips)
    assert {c.camera for c, mask in zip(clips, train, strict=True) if mask} == {2, 3}
    assert (train ^ test).all() and train.sum() == 2 * test.sum()


def test_ntu60_within_ntu120():
    clips = ntu((1, 18), (1,), (1, 3, 50), (0, 59, 60, 119))
    for name in ("ntu60-xsub", "ntu60-xview"):
        if name == "ntu60-xview":
            clips = ntu((1, 18), (1, 2), (1, 3, 50), (0, 59, 60, 119))
        train, test = split(name, clips)
        labels = np.array([c.label for c in clips])
        assert np.array_equal(train | test, labels < 60)


def test_ntu120():
    clips = ntu(range(1, 33), (1,), range(1, 107), (0,))
    train, test = split("ntu120-xsub", clips)
    subjects = {c.subject for c, mask in zip(clips, train, strict=True) if mask}
    # 53 of 106 subjects; the first 40 as in NTU RGB+D 60.
    assert len(subjects) == 53 and (train ^ test).all()
    sixty, _ = split("ntu60-xsub", clips)
    assert {s for s in subjects if s <= 40} == {
        c.subject for c, mask in zip(clips, sixty, strict=True) if mask and c.subject <= 40
    }
    published = (
        "45 46 47 49 50 52 53 54 55 56 57 58 59 70 74 78 80 81 82 83 84 85 86 89 91 92 93 94 95 97 "
        "98 100 103"
    )
    assert {s for s in subjects if s > 40} == set(map(int, published.split()))
    train, test = split("ntu120-xset", clips)
    assert {c.setup for c, mask in zip(clips, train, strict=True) if mask} == set(range(2, 33, 2))
    assert (train ^ test).all()


def test_an_original_ntu_file():
    clips = read(require_data("raw/ntu_skeleton")).clips
    for name in ("ntu60-xsub", "ntu120-xsub"):
        train, _ = split(name, clips)
        assert dict(zip((c.subject for c in clips), train, strict=True)) == {1: 1, 8: 1, 3: 0}
    train, test = split("ntu60-xview", clips)
    cameras = np.array([c.camera for c in clips])
    assert np.array_equal(train, np.isin(cameras, (2, 3))) and np.array_equal(test, cameras == 1)


@pytest.mark.parametrize(
    ("file", "name", "counts"),
    [
        ("msr_action3d.npz", "msr-xsub", (292, 275)),
        ("nw_ucla.npz", "nwucla-xview", (1020, 464)),
        ("nw_ucla.npz", "nwucla-choice", (773, 247)),
        ("utd_mhad.npz", "utd-xsub", (431, 430)),
        ("penn_action_2d.npz", "penn", (1258, 1068)),
    ],
)
def test_counts_of_published_sets(file, name, counts):
    clips = read(require_data(file))
    train, test = split(name, clips)
    assert (int(train.sum()), int(test.sum())) == counts
    assert not (train & test).any()


def test_all_halves_of_the_msr_subjects():
    names = msr_subject_splits()
    assert len(set(names)) == 252
    clips = [clip(subject=s, label=0) for s in range(1, 11)]
    halves = {}
    for name in names:
        train, test = split(name, clips)
        assert train.sum() == test.sum() == 5 and (train ^ test).all()
        halves[tuple(train)] = tuple(test)
    assert len(halves) == 252
    assert all(halves[test] == train for train, test in halves.items()), "both directions"
    odd = split("msr-train-1-3-5-7-9", clips)
    assert all(np.array_equal(a, b) for a, b in zip(odd, split("msr-xsub", clips), strict=True))
    for wrong in ("msr-train-1-1-2-3-4", "msr-train-1-2-3-4-11"):
        with pytest.raises(ValueError, match="5 different subjects from 1 to 10"):
            split(wrong, clips)


def test_splits_of_any_set():
    clips = ntu((1, 2), (1, 2, 3), (1, 2, 3, 4, 5, 6), (0, 1))
    columns = Columns.of(clips)
    for name, numbers, training in (
        ("subjects:1,3,5", columns.subjects, (1, 3, 5)),
        ("cameras:2", columns.cameras, (2,)),
        ("setups:1", columns.setups, (1,)),
    ):
        train, test = split(name, clips)
        assert np.array_equal(train, np.isin(numbers, training)) and np.array_equal(test, ~train)
    train, test = split("random:0", clips)
    assert len(set(columns.subjects[test])) == 2 and np.array_equal(test, ~train)
    assert not set(columns.subjects[test]) & set(columns.subjects[train])
    assert not all(
        np.array_equal(split(f"random:{seed}", clips).test, test) for seed in range(1, 6)
    )
    alone = [clip(name=str(index), label=index % 2) for index in range(12)]
    test = split("random:0", alone).test
    assert [int(test[label::2].sum()) for label in (0, 1)] == [2, 2]
    with pytest.raises(ValueError, match="needs the subjects of every clip"):
        split("subjects:1", alone)
    for name in ("subjects:", "subjects:-1", "subjects:1,", "random", "random:x", "persons:1"):
        with pytest.raises(ValueError, match="protocol must be one of"):
            split(name, clips)


def test_the_list_of_pku_mmd(tmp_path):
    path = tmp_path / "cross-subject.txt"
    path.write_text("Training videos:\n0002-L, 0003-M,\nValidataion videos:\n0005-R, 0006-L\n")
    names = ("skeleton/0002-L/000", "0002-L/013", "0003-M", "0005-R/001", "0009-L/000")
    clips = [clip(name=name, label=0) for name in names]
    train, test = split("pku1-xsub", clips, listed=path)
    assert train.tolist() == [True, True, True, False, False]
    assert test.tolist() == [False, False, False, True, False]
    own = [clip(split=word, label=0) for word in ("train", "test", "test")]
    assert split("pku1-xsub", own).test.tolist() == [False, True, True]
    with pytest.raises(ValueError, match="pku1-xsub needs the splits of every clip, 5 of 5"):
        split("pku1-xsub", clips)
    path.write_text("Training videos:\n0002-L, 0003-M,\n\n0002-L\n")
    with pytest.raises(ValueError, match="got 2 and 1, 1 of them in both"):
        split("pku1-xsub", clips, listed=path)
    path.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"cross-subject\.txt: lines 2 and 4 must list"):
        split("pku1-xsub", clips, listed=path)
    with pytest.raises(ValueError, match="listed goes with pku1-xsub"):
        split("msr-xsub", clips, listed=path)


def test_what_is_lacking_is_named():
    clips = [clip(name="a", subject=1, label=0), clip(name="b", label=0)]
    with pytest.raises(
        ValueError, match=r"msr-xsub needs the subjects of every clip, 1 of 2 .*: b"
    ):
        split("msr-xsub", clips)
    with pytest.raises(ValueError, match=r"one of own, ntu60-xsub.* got 'ntu-xsub'"):
        split("ntu-xsub", clips)
    with pytest.raises(ValueError, match="leaves no clip for the test part of 1 clips"):
        split("msr-xsub", clips[:1])
    assert len(Columns.of([])) == 0
    assert {"ntu60-xsub", "ntu60-xview", "ntu120-xsub", "ntu120-xset", "pku1-xsub"} < set(PROTOCOLS)


@given(st.integers(0, 1000), st.floats(0.01, 1.0), st.integers(1, 6))
def test_few_labels_take_so_many_of_every_class(seed, share, count):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 200)
    train = rng.random(200) < 0.7
    chosen = few_labels(labels, train, share=share, seed=seed)
    assert not (chosen & ~train).any()
    for label in range(5):
        rows = int((train & (labels == label)).sum())
        assert (chosen & (labels == label)).sum() == max(1, round(share * rows))
    larger = few_labels(labels, train, share=min(1.0, 2 * share), seed=seed)
    assert (larger | ~chosen).all(), "nested"
    some = few_labels(labels, train, per_class=count, seed=seed)
    assert all((some & (labels == label)).sum() == count for label in range(5))
    # Another class more or fewer changes nothing for the others.
    fewer = few_labels(labels, train & (labels != 2), per_class=count, seed=seed)
    assert np.array_equal(fewer, some & (labels != 2))


def test_few_labels_depend_on_the_seed():
    labels, train = np.repeat(np.arange(3), 50), np.ones(150, bool)
    draws = [few_labels(labels, train, share=0.1, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])
    assert few_labels(labels, train, share=1.0).all()
    assert few_labels(labels, train, per_class=99).all()
    for wrong, message in (
        ({}, "one of share and per_class"),
        ({"share": 0.1, "per_class": 1}, "one of share and per_class"),
        ({"share": 0.0}, "share must lie above 0"),
        ({"per_class": 0}, "per_class must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            few_labels(labels, train, **wrong)


@pytest.mark.parametrize("name", CLASS_SPLITS)
def test_synse_splits_are_the_published_ones(name):
    found = class_split(name)
    count = int(name.rpartition("/")[2])
    folder = require_data("synse_splits")
    assert found.unseen == tuple(sorted(np.load(folder / f"ru{count}.npy").tolist()))
    assert found.validation == tuple(sorted(np.load(folder / f"rv{count}_0.npy").tolist()))
    assert len(found.seen) == int(name.rpartition("-")[2].split("/")[0])
    assert not set(found.unseen) & set(found.validation)
    if name != "synse-120-110/10":  # of rs110 the published copies are defective
        seen = np.load(folder / f"rs{len(found.seen)}.npy")
        assert found.seen == tuple(sorted(seen.tolist()))
    with pytest.raises(ValueError, match="split must be one of synse-60-55/5"):
        class_split("55/5")

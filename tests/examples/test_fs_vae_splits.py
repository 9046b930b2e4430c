"""Class splits of the zero-shot example: listed, drawn, and read from SynSE's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shared_data import require_data

from examples.fs_vae.features import ClassSplit, draw_split, load_splits
from examples.fs_vae.synse import load_split, read_split

# Unseen classes as the papers list them.
NTU60_5 = (10, 11, 19, 26, 56)
NTU120_24 = (
    5, 9, 11, 16, 18, 20, 22, 29, 35, 39, 45, 49,
    59, 68, 70, 81, 84, 87, 93, 94, 104, 113, 114, 119,
)  # fmt: skip


@pytest.mark.parametrize(("data", "classes", "unseen"), [("msr_action3d", 20, 5),
                                                         ("msr_action3d", 20, 8),
                                                         ("synthetic", 16, 4)])  # fmt: skip
def test_listed_splits_are_the_drawn_ones(data: str, classes: int, unseen: int) -> None:
    for seed, split in enumerate(load_splits(data, unseen)):
        drawn = draw_split(classes, unseen, seed)
        assert (split.unseen, split.validation) == (drawn.unseen, drawn.validation)
        assert len(split.unseen) == unseen
        assert not set(split.unseen) & set(split.seen)
        assert set(split.validation) < set(split.seen)
        assert set(split.seen) | set(split.unseen) == set(range(classes))
        assert set(split.seen_in_validation) == set(split.seen) - set(split.validation)


def test_unknown_split_names_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"'msr_action3d' with 3 unseen.*'5', '8'"):
        load_splits("msr_action3d", 3)
    with pytest.raises(ValueError, match="unseen must lie between 1 and 17, got 18"):
        draw_split(20, 18, 0)


@pytest.mark.parametrize(("name", "seen", "unseen"), [("60/5", 55, 5), ("60/12", 48, 12),
                                                      ("120/24", 96, 24)])  # fmt: skip
def test_published_splits(name: str, seen: int, unseen: int) -> None:
    split = load_split(require_data("synse_splits"), name)
    assert (len(split.seen), len(split.unseen), len(split.validation)) == (seen, unseen, unseen)
    if name == "60/5":
        assert tuple(sorted(split.unseen)) == NTU60_5
    if name == "120/24":
        assert tuple(sorted(split.unseen)) == NTU120_24


def test_defective_published_lists_are_named_with_the_fix() -> None:
    folder = require_data("synse_splits")
    with pytest.raises(ValueError, match=r"rs100_0\.npy.*lacks \[100, 101, .*delete it"):
        load_split(folder, "120/10")
    with pytest.raises(ValueError, match=r"rs10\.npy must hold every class.*got 110"):
        read_split(60, folder / "ru5.npy", folder / "rv5_0.npy", seen=folder / "rs10.npy")


def test_a_split_without_the_defective_list_works(tmp_path: Path) -> None:
    folder = require_data("synse_splits")
    for name in ("ru10.npy", "rv10_0.npy", "rs110.npy"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    split = load_split(tmp_path, "120/10")
    assert len(split.seen) == 110 and len(split.seen_in_validation) == 100


def save(folder: Path, **arrays: object) -> None:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array))


def test_bad_lists(tmp_path: Path) -> None:
    save(
        tmp_path, u=[0, 1], v=[1, 2], w=[3, 4], seen=[1, 2, 3], words=["a"], far=[99], twice=[3, 3]
    )
    read_split(10, tmp_path / "u.npy", tmp_path / "w.npy")
    for unseen, validation, seen, message in (
        ("u", "v", None, r"v\.npy: unseen and validation classes must be disjoint.*\[1\]"),
        ("u", "w", "seen", r"seen\.npy must hold.*also lists \[1\]"),
        ("words", "w", None, r"words\.npy must hold a list of class numbers"),
        ("far", "w", None, r"unseen classes must lie between 0 and 9"),
        ("u", "twice", None, "validation classes must be distinct"),
    ):
        with pytest.raises(ValueError, match=message):
            read_split(
                10,
                tmp_path / f"{unseen}.npy",
                tmp_path / f"{validation}.npy",
                None if seen is None else tmp_path / f"{seen}.npy",
            )
    with pytest.raises(FileNotFoundError, match=r"none\.npy: no such file; it must hold a list"):
        read_split(10, tmp_path / "none.npy", tmp_path / "w.npy")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"broken\.npy must be a \.npy file with a list"):
        read_split(10, tmp_path / "broken.npy", tmp_path / "w.npy")


def test_pickled_lists_are_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "u.npy", np.array([{1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"u\.npy must be a \.npy file with a list"):
        read_split(10, tmp_path / "u.npy", tmp_path / "u.npy")


def test_too_few_seen_classes() -> None:
    with pytest.raises(ValueError, match="at least 2 seen classes must remain"):
        ClassSplit(4, (0, 1), (2,), "four classes")

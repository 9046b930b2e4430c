"""Class splits of the zero-shot example: those that results were measured with, and SynSE's."""

from __future__ import annotations

import numpy as np
import pytest
from shared_data import require_data

from examples.data.protocols import class_split
from examples.fs_vae.config import SYNSE
from examples.fs_vae.features import draw_split, seen_in_validation

# Classes and unseen ones → unseen and validation classes of the seeds 0, 1, ...: those of MSR
# Action3D and of the synthetic motions in docs/results.md. Another numpy may not draw others.
DRAWN = {
    (20, 5): [
        ((2, 4, 6, 13, 19), (3, 8, 10, 11, 16)),
        ((1, 7, 10, 16, 18), (2, 11, 12, 15, 17)),
        ((2, 6, 7, 10, 18), (0, 11, 16, 17, 19)),
    ],
    (20, 8): [
        ((2, 3, 4, 6, 11, 13, 16, 19), (0, 8, 10, 12)),
        ((1, 7, 10, 11, 12, 16, 17, 18), (2, 3, 4, 15)),
        ((0, 2, 6, 7, 10, 11, 17, 18), (9, 12, 16, 19)),
    ],
    (16, 4): [
        ((2, 3, 10, 11), (0, 4, 5, 7)),
        ((1, 7, 10, 12), (4, 5, 8, 14)),
        ((6, 7, 10, 14), (0, 2, 13, 15)),
        ((1, 9, 11, 15), (2, 10, 12, 14)),
    ],
}


@pytest.mark.parametrize(("classes", "unseen"), DRAWN)
def test_splits_are_those_that_results_were_measured_with(classes: int, unseen: int) -> None:
    for seed, expected in enumerate(DRAWN[classes, unseen]):
        split = draw_split(classes, unseen, seed)
        assert (split.unseen, split.validation) == expected
        assert len(split.unseen) == unseen
        assert not set(split.unseen) & set(split.seen)
        assert set(split.validation) < set(split.seen)
        assert set(split.seen) | set(split.unseen) == set(range(classes))
        assert set(seen_in_validation(split)) == set(split.seen) - set(split.validation)
        assert len(seen_in_validation(split)) >= 2


def test_as_many_classes_may_be_unseen_as_leave_three() -> None:
    assert len(seen_in_validation(draw_split(20, 17, 0))) == 2
    for unseen in (0, 18):
        with pytest.raises(ValueError, match=f"unseen must lie between 1 and 17, got {unseen}"):
            draw_split(20, unseen, 0)


@pytest.mark.parametrize("name", SYNSE)
def test_synse_splits_are_the_published_lists(name: str) -> None:
    folder, split = require_data("synse_splits"), class_split(SYNSE[name])
    classes, count = (int(part) for part in name.split("/"))
    assert (split.num_classes, len(split.unseen), len(split.validation)) == (classes, count, count)
    assert set(split.unseen) == set(np.load(folder / f"ru{count}.npy").tolist())
    assert set(split.validation) == set(np.load(folder / f"rv{count}_0.npy").tolist())

"""UTD-MHAD as published: one ``.mat`` file per sample with ``d_skel``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.layouts import layout_named
from skelfreq.data.lists import name_list
from skelfreq.data.matfile import MatFile
from skelfreq.data.readers.mat_names import variable_names
from skelfreq.data.source import Options, Reader, Unit, check_size, to_float32

__all__ = ["UtdMhadMat"]

_NAME = re.compile(r"a(\d{1,3})_s(\d{1,3})_t(\d{1,3})")
_JOINTS, _AXES = 20, 3


class UtdMhadMat(Reader):
    """Reader of ``aX_sY_tZ_skeleton.mat`` with ``d_skel`` [20, 3, T]."""

    name = "utd_mhad_mat"
    reads = "UTD-MHAD: d_skel, 20 joints x, y, z; action, subject, repetition of the name"
    suffixes = (".mat",)
    unit = "m"

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the file holds ``d_skel``."""
        return "d_skel" in variable_names(path)

    def class_names(self) -> Sequence[str]:
        """Return the names of the 27 actions."""
        return name_list("utd_classes")

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clip of a file."""
        path = unit.path
        values = MatFile(path, options.limits).numbers("d_skel", (_JOINTS, _AXES, "T"))
        if not values.shape[2]:
            yield Dropped(unit.name, "holds no frames")
            return
        check_size(path, values.shape[2], 1, _JOINTS * _AXES, options)
        joints, confidence = to_float32(path, np.moveaxis(values, 2, 0)[:, None], options)
        match = _NAME.search(unit.name)
        action, subject, repetition = map(int, match.groups()) if match else (0, -1, -1)
        yield Clip(
            unit.name.removesuffix("_skeleton"),
            joints,
            confidence,
            layout_named("utd20"),
            label=action - 1,
            subject=subject,
            repetition=repetition,
            frame_rate=30.0,
        )

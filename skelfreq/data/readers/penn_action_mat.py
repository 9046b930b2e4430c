"""Penn Action as published: one ``.mat`` file per clip with 13 joints in pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.layouts import layout_named
from skelfreq.data.lists import name_list
from skelfreq.data.matfile import MatFile
from skelfreq.data.readers.mat_names import variable_names
from skelfreq.data.source import Options, Reader, Unit, check_size, to_float32

__all__ = ["PennActionMat"]

_JOINTS = 13


class PennActionMat(Reader):
    """Reader of files with ``x``, ``y`` and ``visibility`` [T, 13], ``action`` and ``train``."""

    name = "penn_action_mat"
    reads = "Penn Action: 13 joints x, y with visibility; action, split, image size"
    suffixes = (".mat",)
    unit = "px"

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the file holds the joints of Penn Action."""
        return {"x", "y", "visibility"} <= set(variable_names(path))

    def class_names(self) -> Sequence[str]:
        """Return the names of the 15 actions."""
        return name_list("penn_classes")

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clip of a file."""
        path = unit.path
        file = MatFile(path, options.limits)
        x = file.numbers("x", ("T", _JOINTS))
        if not len(x):
            yield Dropped(unit.name, "holds no frames")
            return
        shape = (len(x), _JOINTS)
        check_size(path, len(x), 1, 3 * _JOINTS, options)
        values = np.stack([x, file.numbers("y", shape)], axis=-1)[:, None]
        visible = file.numbers("visibility", shape).astype(np.float32)[:, None]
        joints, confidence = to_float32(path, values, options, None, visible)
        numbers: dict[str, Any] = {}
        if "action" in file.names:
            action, classes = file.text("action"), self.class_names()
            # Some files write the name in another way than the others.
            label = {name.replace("_", ""): index for index, name in enumerate(classes)}.get(
                action.replace("_", "").replace(" ", ""), -1
            )
            numbers |= {"label": label, "label_name": classes[label] if label >= 0 else action}
        if "train" in file.names:
            train = float(file.numbers("train", (1, 1))[0, 0])
            if train not in (1.0, -1.0, 0.0):
                raise SkeletonFormatError(path, f"train must be 1 or -1, got {train:g}")
            numbers["split"] = "train" if train == 1 else "test"
        if "dimensions" in file.names:
            height, width = file.numbers("dimensions", (1, 3))[0, :2].tolist()
            if all(0 < edge < 1 << 20 for edge in (height, width)):
                numbers["image_size"] = (int(width), int(height))
        yield Clip(unit.name, joints, confidence, layout_named("penn13"), **numbers)

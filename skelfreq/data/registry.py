"""All readers by name, and which of them a file or folder is for."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.files import Limits, open_regular
from skelfreq.data.readers.array import PlainArray
from skelfreq.data.readers.bvh import Bvh
from skelfreq.data.readers.clips_npz import ClipsNpz
from skelfreq.data.readers.ctrgcn_npz import CtrGcnNpz
from skelfreq.data.readers.kinetics_json import KineticsJson
from skelfreq.data.readers.msr_action3d_txt import MsrAction3dTxt
from skelfreq.data.readers.ntu_skeleton import NtuSkeleton
from skelfreq.data.readers.nw_ucla_json import NwUclaJson
from skelfreq.data.readers.openpose_json import OpenPoseBody25
from skelfreq.data.readers.penn_action_mat import PennActionMat
from skelfreq.data.readers.pku_mmd_txt import PkuMmdTxt
from skelfreq.data.readers.pyskl import Pyskl
from skelfreq.data.readers.ui_prmd_txt import UiPrmdTxt
from skelfreq.data.readers.utd_mhad_mat import UtdMhadMat
from skelfreq.data.source import Reader

__all__ = ["READERS", "detect_format", "get_reader"]

# In the order in which they are asked whether a file is theirs; the last takes any array.
READERS: dict[str, type[Reader]] = {
    reader.name: reader
    for reader in (
        NtuSkeleton,
        Bvh,
        OpenPoseBody25,
        KineticsJson,
        NwUclaJson,
        UtdMhadMat,
        PennActionMat,
        UiPrmdTxt,
        MsrAction3dTxt,
        PkuMmdTxt,
        Pyskl,
        CtrGcnNpz,
        ClipsNpz,
        PlainArray,
    )
}
_HEAD, _SAMPLE = 1 << 16, 200
_REMEDY = f"Name the format with --format: {', '.join(READERS)}"


def get_reader(name: str) -> Reader:
    """Return a reader by name.

    Raises
    ------
    ValueError
        If there is no such format.
    """
    if name not in READERS:
        raise ValueError(f"format must be one of {', '.join(READERS)}, got {name!r}.")
    return READERS[name]()


def detect_format(path: str | Path) -> str:
    """Return the name of the format of a file, or of the files in a folder.

    Content decides, together with the ending of the name; of a folder, up to 200 files are looked
    at.

    Raises
    ------
    SkeletonFormatError
        If there is no such file, it is damaged, no format is recognised, or several are.
    """
    path = Path(path)
    if not path.is_dir():
        head = _head(path)
        found = _format_of(path, head)
        if found is None:
            raise SkeletonFormatError(path, "is in no format that is recognised", remedy=_REMEDY)
        return found
    counts: Counter[str] = Counter()
    first_error: SkeletonFormatError | None = None
    seen = 0
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder, name)
            if name.startswith(".") or not file.is_file():
                continue
            seen += 1
            try:
                found = _format_of(file, _head(file))
            except SkeletonFormatError as error:
                first_error = first_error or error
                continue
            if found is not None:
                counts[found] += 1
            if seen >= _SAMPLE:
                break
        if seen >= _SAMPLE:
            break
    if not counts and first_error is not None:
        raise first_error
    if len(counts) != 1:
        what = ", ".join(f"{count} of {name}" for name, count in counts.most_common())
        raise SkeletonFormatError(
            path,
            f"holds files of several formats: {what}" if counts
            else f"holds no file of a known format among the first {seen}",
            remedy=_REMEDY,
        )  # fmt: skip
    return next(iter(counts))


def _head(path: Path) -> bytes:
    """Return the beginning of a file, UTF-16 and UTF-32 as UTF-8."""
    with open_regular(path, Limits(1 << 62), "text") as file:
        head = file.read(_HEAD)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-32" if head[:4] == b"\xff\xfe\0\0" else "utf-16"
        return head.decode(encoding, "ignore").encode()
    return head


def _format_of(path: Path, head: bytes) -> str | None:
    for name, reader in READERS.items():
        if path.name.lower().endswith(reader.suffixes) and reader().matches(path, head):
            return name
    return None

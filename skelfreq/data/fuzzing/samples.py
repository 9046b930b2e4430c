"""Small valid files of every format, of random numbers, to begin mutations from."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.fuzzing.mat import write_mat
from skelfreq.data.fuzzing.ntu import ntu_text

__all__ = ["SAMPLES", "write_sample"]

Array = NDArray[np.float64]


def _walk(rng: np.random.Generator, frames: int, joints: int, axes: int) -> Array:
    """Return joints that move a little from frame to frame, rounded as text files are."""
    start = rng.normal(size=(1, joints, axes))
    found: Array = np.round(start + 0.02 * rng.normal(size=(frames, joints, axes)).cumsum(0), 4)
    return found


def _ntu(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "S001C002P003R001A004.skeleton"
    path.write_text(ntu_text(rng, int(rng.integers(1, 6)), int(rng.integers(1, 3))))
    return path


def _ctrgcn(rng: np.random.Generator, folder: Path) -> Path:
    arrays: dict[str, NDArray[np.generic]] = {}
    for split, count in (("train", 3), ("test", 2)):
        x = np.zeros((count, 8, 150), np.float32)
        x[:, :6, :75] = rng.normal(size=(count, 6, 75))
        arrays[f"x_{split}"] = x
        arrays[f"y_{split}"] = np.eye(3)[rng.integers(0, 3, count)]
    path = folder / "ntu.npz"
    (np.savez_compressed if rng.random() < 0.5 else np.savez)(path, **arrays)  # type: ignore[arg-type]
    return path


def _clips_npz(rng: np.random.Generator, folder: Path) -> Path:
    lengths = rng.integers(1, 6, 4)
    total = int(lengths.sum())
    path = folder / "clips.npz"
    arrays: dict[str, NDArray[np.generic]] = {
        "joints": rng.normal(size=(total, 20, 3)).astype(np.float32),
        "lengths": lengths.astype(np.int32),
        "label": np.array([0, 1, 1, 0], np.int16),
        "subject": np.array([1, 2, 3, 4], np.int16),
        "visible": rng.integers(0, 2, (total, 20)).astype(np.uint8),
        "train": np.array([True, False, True, False]),
        "sample": np.array(["a01_s01_e01", "a02_s02_e01", "a02_s03_e01", "a01_s04_e01"]),
        "class_names": np.array(["wave", "clap"]),
    }
    (np.savez_compressed if rng.random() < 0.5 else np.savez)(path, **arrays)  # type: ignore[arg-type]
    return path


def _array(rng: np.random.Generator, folder: Path) -> Path:
    x = rng.normal(size=(3, 5, 17, 3))
    label = np.array([0, 1, 2])
    if rng.random() < 0.5:
        path = folder / "mine.npy"
        np.save(path, x.astype(np.float32))
        np.save(folder / "mine_label.npy", label)
    else:
        path = folder / "mine.npz"
        np.savez(path, x=x, label=label, lengths=np.array([5, 4, 1]))
    return path


def _pyskl(rng: np.random.Generator, folder: Path) -> Path:
    def entry(name: str) -> dict[str, object]:
        return {
            "frame_dir": name,
            "label": int(rng.integers(0, 4)),
            "img_shape": (1080, 1920),
            "original_shape": (1080, 1920),
            "total_frames": 4,
            "keypoint": rng.normal(size=(2, 4, 17, 2)).astype(np.float16),
            "keypoint_score": rng.random((2, 4, 17)).astype(np.float16),
        }

    names = ["S001C001P001R001A001", "v_two"]
    entries = [entry(name) for name in names]
    content: object = {
        "split": {"xsub_train": names[:1], "xsub_val": names[1:]}, "annotations": entries,
    }  # fmt: skip
    content = (content, entries, entries[0])[int(rng.integers(0, 3))]
    path = folder / "annotations.pkl"
    path.write_bytes(pickle.dumps(content, protocol=int(rng.integers(2, 6))))
    return path


def _kinetics(rng: np.random.Generator, folder: Path) -> Path:
    def person() -> dict[str, list[float]]:
        return {
            "pose": np.round(rng.random(36), 3).tolist(),
            "score": np.round(rng.random(18), 3).tolist(),
        }

    data = [
        {"frame_index": frame, "skeleton": [person() for _ in range(frame % 3)]}
        for frame in range(1, 7)
    ]
    path = folder / "clip.json"
    path.write_text(json.dumps({"data": data, "label": "juggling", "label_index": 3}))
    return path


def _openpose(rng: np.random.Generator, folder: Path) -> Path:
    for frame in range(4):
        people = [
            {
                "person_id": [-1],
                "pose_keypoints_2d": np.round(rng.random(75) * 500, 3).tolist(),
                "face_keypoints_2d": [],
            }
            for _ in range(int(rng.integers(0, 3)))
        ]
        path = folder / f"clip_{frame:012d}_keypoints.json"
        path.write_text(json.dumps({"version": 1.3, "people": people}))
    return folder


def _nw_ucla(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "a01_s02_e03_v01.json"
    skeletons = _walk(rng, 5, 20, 3).tolist()
    path.write_text(json.dumps({"file_name": path.stem, "skeletons": skeletons, "label": 1}))
    return path


def _pku(rng: np.random.Generator, folder: Path) -> Path:
    (folder / "skeleton").mkdir()
    (folder / "label").mkdir()
    rows = _walk(rng, 12, 50, 3).reshape(12, 150)
    if rng.random() < 0.5:
        rows[:, 75:] = 0
    text = "\n".join(" ".join(map(str, row)) for row in rows.tolist())
    (folder / "skeleton" / "0002-L.txt").write_text(text + "\n")
    (folder / "label" / "0002-L.txt").write_text("3,1,5,1\n7,6,11,2\n")
    return folder


def _utd(rng: np.random.Generator, folder: Path) -> Path:
    walk = np.moveaxis(_walk(rng, 6, 20, 3), 0, 2)
    return write_mat(rng, folder / "a1_s2_t3_skeleton.mat", {"d_skel": walk})


def _penn(rng: np.random.Generator, folder: Path) -> Path:
    walk = _walk(rng, 6, 13, 2) * 100
    variables: dict[str, NDArray[np.generic] | str] = {
        "action": "golf_swing",
        "x": walk[..., 0],
        "y": walk[..., 1],
        "visibility": rng.integers(0, 2, (6, 13)).astype(np.uint8),
        "train": np.array([[1.0]]),
        "dimensions": np.array([[360.0, 480.0, 6.0]]),
    }
    return write_mat(rng, folder / "0001.mat", variables)


def _msr(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "a01_s02_e03_skeleton3D.txt"
    rows = _walk(rng, 4, 20, 4).reshape(-1, 4)
    path.write_text("".join(" ".join(f"{v:.6f}" for v in row) + "\n" for row in rows))
    return path


def _prmd(rng: np.random.Generator, folder: Path) -> Path:
    for word in ("positions", "angles"):
        rows = _walk(rng, 4, 22, 3).reshape(4, 66)
        text = "\n".join(",".join(map(str, row)) for row in rows.tolist())
        (folder / f"m01_s02_e03_{word}.txt").write_text(text + "\n")
    return folder


_BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT LeftLeg
  {
    OFFSET 1.5 -9 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -4 1
    }
  }
  JOINT Spine
  {
    OFFSET 0 12 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 5 0
    }
  }
}
MOTION
Frames: 4
Frame Time: 0.0333333
"""


def _bvh(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "walk.bvh"
    rows = np.round(rng.normal(size=(4, 12)) * 20, 4)
    path.write_text(_BVH + "".join(" ".join(map(str, row)) + "\n" for row in rows.tolist()))
    return path


SAMPLES: dict[str, Callable[[np.random.Generator, Path], Path]] = {
    "ntu_skeleton": _ntu,
    "bvh": _bvh,
    "openpose_body25": _openpose,
    "kinetics_json": _kinetics,
    "nw_ucla_json": _nw_ucla,
    "utd_mhad_mat": _utd,
    "penn_action_mat": _penn,
    "ui_prmd_txt": _prmd,
    "msr_action3d_txt": _msr,
    "pku_mmd_txt": _pku,
    "pyskl": _pyskl,
    "ctrgcn_npz": _ctrgcn,
    "clips_npz": _clips_npz,
    "array": _array,
}


def write_sample(reader: str, folder: Path, rng: np.random.Generator) -> Path:
    """Write a valid sample of a format into an empty folder; return what a reader is given."""
    return SAMPLES[reader](rng, folder)

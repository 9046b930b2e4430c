"""Write the motions and bones into playground.html: ``python docs/playground_clips.py``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch

from examples.data import synthetic_ntu25
from examples.data.body import centre_frames, face_forward
from skelfreq.skeletons import get_layout

PAGE = Path(__file__).parent / "playground.html"
BLOCK = re.compile(r'(<script type="application/json" id="data">)(.*?)(</script>)', re.DOTALL)
MOTIONS = ("jumping jack", "fast wave right hand", "march", "throw")
FRAMES, RATE = 90, 30
# Layouts by their joints; of two with as many, the one with as many coordinates as the file.
LAYOUTS = {"ntu25": 3, "body25": 2, "kinect20": 3, "coco17": 2, "openpose18": 2}


def data() -> str:
    """Return the block's JSON: positions in whole millimetres, bones of the known layouts."""
    clips = synthetic_ntu25(16, 1, 1, num_frames=120, noise=0.004, dropout=0)
    ends = clips.lengths.cumsum()
    layout = get_layout("ntu25")
    written = []
    for name in MOTIONS:
        row = clips.class_names.index(name)
        joints = clips.joints[ends[row] - clips.lengths[row] : ends[row]]
        x = torch.from_numpy(joints).permute(2, 0, 1)[None].double()
        x = centre_frames(face_forward(x, layout), layout)[0]
        start = (x.shape[1] - FRAMES) // 2
        x = x[:, start : start + FRAMES].permute(1, 2, 0).reshape(FRAMES, -1)
        mm = (1000 * x).round().long().tolist()
        written.append({"name": name, "rate": RATE, "mm": mm})
    known = [
        {"joints": one.num_joints, "coordinates": size, "edges": [list(e) for e in one.edges]}
        for one, size in ((get_layout(name), size) for name, size in LAYOUTS.items())
    ]
    return json.dumps({"clips": written, "layouts": known}, separators=(",", ":"))


def main() -> None:
    """Write the block."""
    text = PAGE.read_text("utf-8")
    PAGE.write_text(BLOCK.sub(lambda found: found[1] + data() + found[3], text), "utf-8")


if __name__ == "__main__":
    main()

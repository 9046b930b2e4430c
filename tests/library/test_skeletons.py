"""Named skeletons: joint orders, graphs and the way to [N, C, T, V] and back.

Joint maps, and the orders on published data: ``test_skeleton_maps.py``.
"""

from __future__ import annotations

import re
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tolerances import TOLERANCE, assert_close

from skelfreq.skeletons import SkeletonLayout, adjacency, from_nctv, get_layout, to_nctv

NAMES = (
    *("ntu25", "kinect20", "kinect20_sdk", "utd20", "coco17", "openpose18", "body25", "h36m17"),
    *("penn13", "prmd22", "hdm24", "common13", "common15", "common20"),
)
SUBSETS = {"uniform": 1, "distance": 2, "spatial": 3}

ORDERS = [
    "".join(order)
    for letters in ("CTV", "NCTV", "MCTV", "NMCTV")
    for order in permutations(letters)
]


@st.composite
def trees(draw: st.DrawFn) -> SkeletonLayout:
    """Draw a skeleton in which every joint but the first is joined to an earlier one."""
    joints = draw(st.integers(1, 12))
    edges = tuple((child, draw(st.integers(0, child - 1))) for child in range(1, joints))
    names = tuple(f"joint {joint}" for joint in range(joints))
    return SkeletonLayout("tree", names, edges, (), draw(st.integers(0, joints - 1)))


def hops_from(layout: SkeletonLayout, start: int) -> dict[int, int]:
    """Return the graph distances from a joint by breadth-first search."""
    hops = {start: 0}
    queue = [start]
    for joint in queue:
        for edge in layout.edges:
            if joint in edge:
                other = sum(edge) - joint
                if other not in hops:
                    hops[other] = hops[joint] + 1
                    queue.append(other)
    return hops


def reference(layout: SkeletonLayout, strategy: str) -> torch.Tensor:
    """Partition one entry at a time, from the definition."""
    hops = hops_from(layout, layout.centre)
    joints = layout.num_joints
    linked = {(j, j) for j in range(joints)} | set(layout.edges)
    linked |= {(parent, child) for child, parent in layout.edges}
    a = torch.zeros(SUBSETS[strategy], joints, joints)
    for v, w in linked:
        subset = 0
        if v != w and strategy != "uniform":
            subset = 2 if strategy == "spatial" and hops[v] < hops[w] else 1
        a[subset, v, w] = 1 / sum(other == w for _, other in linked)
    return a


@pytest.mark.parametrize("name", NAMES)
def test_layout_is_a_tree_around_its_centre(name):
    layout = get_layout(name)
    hops = hops_from(layout, layout.centre)
    assert layout.name == name
    assert layout.num_joints == len(set(layout.joints)) == int(re.search(r"\d+(?=_|$)", name)[0])
    assert len(hops) == layout.num_joints, "connected"
    assert len(layout.edges) == layout.num_joints - 1, "no cycle"
    assert all(hops[child] == hops[parent] + 1 for child, parent in layout.edges)


@pytest.mark.parametrize("name", NAMES)
def test_sides_are_named_alike_and_mirror_the_bones(name):
    layout = get_layout(name)
    order = list(range(layout.num_joints))
    for left, right in layout.left_right:
        assert layout.joints[left].startswith("left ")
        assert layout.joints[right] == layout.joints[left].replace("left ", "right ")
        order[left], order[right] = right, left
    sided = sum(joint.startswith(("left ", "right ")) for joint in layout.joints)
    assert sided == 2 * len(layout.left_right)
    assert {(order[a], order[b]) for a, b in layout.edges} == set(layout.edges)


def test_ntu_edges_are_those_of_ctrgcn():
    inward = (
        "1 2, 2 21, 3 21, 4 3, 5 21, 6 5, 7 6, 8 7, 9 21, 10 9, 11 10, 12 11, 13 1, 14 13, 15 14, "
        "16 15, 17 1, 18 17, 19 18, 20 19, 22 23, 23 8, 24 25, 25 12"
    )
    pairs = [[int(number) - 1 for number in pair.split()] for pair in inward.split(", ")]
    assert [list(edge) for edge in get_layout("ntu25").edges] == pairs


@given(trees(), st.sampled_from(sorted(SUBSETS)))
def test_adjacency_follows_its_definition(layout, strategy):
    assert_close(adjacency(layout, strategy), reference(layout, strategy))


@pytest.mark.parametrize("strategy", SUBSETS)
@pytest.mark.parametrize("name", NAMES)
def test_adjacency_laws(name, strategy):
    layout = get_layout(name)
    a = adjacency(name, strategy)
    assert a.shape == (SUBSETS[strategy], layout.num_joints, layout.num_joints)
    assert a.dtype == torch.float32
    assert_close(a, reference(layout, strategy))
    assert_close(a.sum((0, 1)), torch.ones(layout.num_joints))
    support = a > 0
    assert int(support.sum(0).max()) == 1, "subsets do not overlap"
    assert torch.equal(support.any(0), support.any(0).T)
    if strategy != "uniform":
        assert torch.equal(support[0], torch.eye(layout.num_joints, dtype=torch.bool))
    if strategy == "spatial":
        assert torch.equal(support[1], support[2].T), "towards and away from the centre"


def test_adjacency_returns_a_new_tensor():
    adjacency("ntu25").zero_()
    assert adjacency("ntu25").any()


@pytest.mark.parametrize("axes", ORDERS)
def test_nctv_matches_indexing_and_round_trip(axes):
    sizes = {"N": 3, "M": 2, "C": 4, "T": 5, "V": 6}
    shape = [sizes[letter] for letter in axes]
    persons = sizes["M"] if "M" in axes else 1
    x = torch.arange(torch.Size(shape).numel()).reshape(shape)
    y = to_nctv(x, axes)
    at = {"N": 2 if "N" in axes else 0, "M": 1 if "M" in axes else 0, "C": 3, "T": 4, "V": 5}
    entry = x[tuple(at[letter] for letter in axes)]
    assert y[at["N"] * persons + at["M"], at["C"], at["T"], at["V"]] == entry
    assert torch.equal(from_nctv(y, axes, persons), x)


@given(st.sampled_from(ORDERS), st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_nctv_round_trip_with_any_size(axes, sizes):
    size = dict(zip("NMCTV", sizes, strict=True))
    size["M"] = max(size["M"], 1)
    shape = [size[letter] for letter in axes]
    x = torch.arange(torch.Size(shape).numel(), dtype=torch.float16).reshape(shape)
    persons = size["M"] if "M" in axes else 1
    y = to_nctv(x, axes)
    batch = (size["N"] if "N" in axes else 1) * persons
    assert y.shape == (batch, size["C"], size["T"], size["V"])
    assert torch.equal(from_nctv(y, axes, persons), x)


@pytest.mark.parametrize("order", ["native", "foreign", "reversed", "read-only"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i2"])
def test_arrays_become_tensors(dtype, order):
    x = np.arange(2 * 4 * 5 * 6 * 3).reshape(2, 4, 5, 6, 3).astype(dtype)
    y = to_nctv(torch.from_numpy(x.copy()), "NMTVC")
    if order == "foreign":
        x = x.astype(x.dtype.newbyteorder())
    elif order == "reversed":
        x = x[:, ::-1].copy()[:, ::-1]
    elif order == "read-only":
        x.flags.writeable = False
    before = x.copy()
    assert torch.equal(to_nctv(x, "NMTVC"), y)
    assert torch.equal(from_nctv(y.numpy(), "NMTVC", 4), torch.tensor(before.astype(dtype)))
    assert np.array_equal(x, before)


def test_persons_must_be_given():
    with pytest.raises(ValueError, match=r"num_persons must be given for axes 'NCTVM'.* got None"):
        from_nctv(torch.zeros(4, 3, 5, 6), "NCTVM")
    assert from_nctv(torch.zeros(4, 3, 5, 6), "NTVC").shape == (4, 5, 6, 3)


def test_axes_are_moved_in_compiled_and_exported_code(fresh_dynamo):
    def there_and_back(x):
        return from_nctv(2 * to_nctv(x, "NMTVC"), "NCTVM", 2)

    x = torch.randn(3, 2, 4, 5, 3)
    expected = (2 * x).permute(0, 4, 2, 3, 1)
    assert_close(torch.compile(there_and_back, fullgraph=True, backend="eager")(x), expected)

    class Module(torch.nn.Module):
        def forward(self, x):
            return there_and_back(x)

    frames = torch.export.Dim("t")
    program = torch.export.export(Module(), (x,), dynamic_shapes={"x": {2: frames}}, strict=True)
    longer = torch.randn(3, 2, 9, 5, 3)
    assert_close(program.module()(longer), (2 * longer).permute(0, 4, 2, 3, 1))
    assert there_and_back(x.to("meta")).shape == (3, 3, 4, 5, 2)


def test_gradient_flows_through_the_layout_change():
    x = torch.ones(2, 2, 3, 4, 3, requires_grad=True)
    to_nctv(x, "NMTVC").square().sum().backward()
    assert_close(x.grad, 2 * x, TOLERANCE[torch.float32])


@pytest.mark.parametrize("name", ["ntu", "NTU25", "", None])
def test_unknown_layout_lists_the_names(name):
    with pytest.raises(ValueError, match="name must be one of 'ntu25', 'kinect20'") as error:
        get_layout(name)
    assert repr(name) in str(error.value)


def test_unknown_strategy():
    with pytest.raises(ValueError, match=r"strategy must be one of 'uniform'.*got 'none'"):
        adjacency("ntu25", "none")


@pytest.mark.parametrize("axes", ["NTV", "NTVCC", "NTVCX", "ntvc", "NTVC ", ""])
def test_malformed_axes(axes):
    x = torch.zeros([2] * len(axes))
    for convert in (to_nctv, lambda _, axes: from_nctv(torch.zeros(2, 3, 4, 5), axes)):
        with pytest.raises(ValueError, match="axes must hold C, T and V") as error:
            convert(x, axes)
        assert repr(axes) in str(error.value)


def test_axes_and_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"axes must have 3 letters.*\(2, 3, 4\).*'NTVC'"):
        to_nctv(torch.zeros(2, 3, 4), "NTVC")
    with pytest.raises(ValueError, match=r"num_persons must divide the 3 entries.*got 2"):
        from_nctv(torch.zeros(3, 3, 4, 5), "NMTVC", 2)
    with pytest.raises(ValueError, match="axes must hold M where that axis has 2 entries"):
        from_nctv(torch.zeros(4, 3, 4, 5), "NTVC", 2)
    with pytest.raises(ValueError, match="axes must hold N where that axis has 4 entries"):
        from_nctv(torch.zeros(4, 3, 4, 5), "TVC")
    with pytest.raises(ValueError, match=r"4 axes \[N\*M, C, T, V\], got shape \(3, 4, 5\)"):
        from_nctv(torch.zeros(3, 4, 5), "TVC")
    with pytest.raises(ValueError, match="num_persons must be at least 1, got 0"):
        from_nctv(torch.zeros(3, 3, 4, 5), "NMTVC", 0)


def test_wrong_types():
    with pytest.raises(TypeError, match="x must be a tensor or a numpy array, got list"):
        to_nctv([1.0], "TVC")
    with pytest.raises(TypeError, match="x must be a tensor or a numpy array, got list"):
        from_nctv([1.0], "TVC")
    with pytest.raises(TypeError, match="axes must be a string"):
        to_nctv(torch.zeros(2, 3, 4), 3)
    with pytest.raises(TypeError, match=r"num_persons must be an integer, got 1\.5"):
        from_nctv(torch.zeros(3, 3, 4, 5), "NMTVC", 1.5)


@pytest.mark.parametrize(
    ("edges", "pairs", "centre", "message"),
    [
        (((1, 3),), (), 0, r"edges must hold .* 0 to 2, got \(1, 3\)"),
        (((1, 1),), (), 0, "edges must hold pairs of different joints"),
        ((), ((-1, 2),), 0, "left_right must hold"),
        ((), ((0, 1), (1, 2)), 0, "left_right must name each joint at most once"),
        ((), (), 3, "centre must lie between 0 and 2, got 3"),
    ],
)
def test_inconsistent_layout(edges, pairs, centre, message):
    with pytest.raises(ValueError, match=message):
        SkeletonLayout("own", ("a", "b", "c"), edges, pairs, centre)

"""Pictures: what is drawn is the data; axes are taken and returned; no window is shown."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("matplotlib")
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from skelfreq import FreqEnhance, FreT, SpectralFilter, TubeMasking
from skelfreq.functional import dct, frame_mask, rdft
from skelfreq.plotting import (
    animate,
    plot_filter,
    plot_gains,
    plot_mask,
    plot_skeleton,
    plot_spectrum,
)
from skelfreq.skeletons import get_layout

NTU = get_layout("ntu25")


@pytest.fixture(autouse=True)
def nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def show(*_: object, **__: object) -> None:
        raise AssertionError("a picture was shown")

    monkeypatch.setattr(plt, "show", show)
    monkeypatch.setattr(matplotlib.figure.Figure, "show", show)
    yield
    plt.close("all")


def clip(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def dots(ax: plt.Axes, person: int = 0, masked: bool = False) -> np.ndarray:
    """Return the joints drawn for a person, [joints, 2]."""
    return np.stack(ax.lines[2 * person + masked].get_data(), -1)


# --- Skeletons ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["torch", "numpy", "bfloat16", "with gradient"])
def test_joints_and_bones_are_those_of_the_frame(kind: str) -> None:
    x = clip(3, 5, 25)
    given = {
        "numpy": x.numpy(),
        "bfloat16": x.bfloat16(),
        "with gradient": x.clone().requires_grad_(),
    }.get(kind, x)
    _, ax = plt.subplots()
    assert plot_skeleton(given, "ntu25", frame=3, ax=ax) is ax
    expected = (x.bfloat16() if kind == "bfloat16" else x)[:2, 3].T.double().numpy()
    np.testing.assert_array_equal(dots(ax), expected)
    segments = np.stack(ax.collections[0].get_segments())
    np.testing.assert_array_equal(segments, np.stack([expected[list(e)] for e in NTU.edges]))


def test_every_layout_that_is_named_is_drawn() -> None:
    for name in ("ntu25", "kinect20", "coco17", "openpose18", "body25"):
        layout = get_layout(name)
        ax = plot_skeleton(clip(3, 2, layout.num_joints), layout)
        assert len(ax.collections[0].get_segments()) == len(layout.edges)
        plt.close(ax.figure)


def test_persons_have_colours_of_their_own_and_a_frame_from_the_end() -> None:
    x = clip(2, 3, 4, 25)
    ax = plot_skeleton(x, NTU, frame=-1)
    for person in range(2):
        np.testing.assert_array_equal(dots(ax, person), x[person, :2, -1].T)
    assert ax.lines[0].get_color() != ax.lines[2].get_color()
    assert ax.lines[0].get_markersize() == 5


def test_limits_leave_room_for_all_frames_and_the_scale_is_the_same() -> None:
    x = clip(3, 6, 25)
    x[:, 4] *= 10
    ax = plot_skeleton(x, NTU, unit="m")
    for coordinate, limits in ((0, ax.get_xlim()), (1, ax.get_ylim())):
        assert limits[0] < x[coordinate].min() and limits[1] > x[coordinate].max()
    assert ax.get_aspect() == 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (m)", "y (m)")


def test_masked_joints_have_their_colour_and_lost_joints_are_left_out() -> None:
    x, mask = clip(3, 2, 25), torch.zeros(2, 25, dtype=torch.bool)
    mask[1, 4:7] = True
    x[0, 1, 24] = math.nan  # the right thumb, an end of one bone
    ax = plot_skeleton(x, NTU, frame=1, mask=mask, masked_color="red")
    np.testing.assert_array_equal(dots(ax, masked=True), x[:2, 1, 4:7].T)
    assert len(dots(ax)) == 25 - 3 - 1 and ax.lines[1].get_color() == "red"
    bones = [edge for edge in NTU.edges if 24 not in edge]
    assert len(ax.collections[0].get_segments()) == len(bones) < len(NTU.edges)


@pytest.mark.parametrize("projection", [None, "3d"])
def test_a_clip_without_a_single_joint_draws_nothing(projection: str | None) -> None:
    ax = plt.figure().add_subplot(projection=projection)
    plot_skeleton(torch.full((3, 2, 25), math.nan), NTU, ax=ax)
    ax.figure.canvas.draw()
    assert len(ax.lines[0].get_xdata()) == 0


def test_images_point_down_and_a_view_chooses_coordinates() -> None:
    flat, solid = clip(2, 2, 17), clip(3, 2, 25)
    ax = plot_skeleton(flat, "coco17")
    assert ax.yaxis_inverted()
    plot_skeleton(flat, "coco17", ax=ax)
    assert ax.yaxis_inverted()
    assert not plot_skeleton(flat, "coco17", y_down=False).yaxis_inverted()
    side = plot_skeleton(solid, NTU, view=(2, 1))
    assert not side.yaxis_inverted() and side.get_xlabel() == "z"
    np.testing.assert_array_equal(dots(side), solid[[2, 1], 0].T)


def test_three_dimensions() -> None:
    x = clip(3, 4, 25)
    ax = plt.figure().add_subplot(projection="3d")
    plot_skeleton(x, NTU, frame=2, ax=ax)
    drawn = np.stack(ax.lines[0].get_data_3d())
    np.testing.assert_array_equal(drawn, x[[0, 2, 1], 2])
    assert ax.get_zlim()[0] <= x[1].min() and ax.get_zlim()[1] >= x[1].max()
    assert ax.get_zlabel() == "y"
    ax.figure.canvas.draw()
    with pytest.raises(ValueError, match="3 coordinates on axes with projection"):
        plot_skeleton(x[:2], NTU, ax=ax)


# --- Animations ---------------------------------------------------------------------------------


def test_an_animation_shows_every_frame_of_every_clip(tmp_path) -> None:
    x = clip(3, 3, 25)
    mask = torch.zeros(3, 25, dtype=torch.bool)
    mask[2, 7] = True
    film = animate({"before": x, "after": -x}, NTU, masks={"after": mask}, frame_rate=10)
    film.save(tmp_path / "film.gif", writer="pillow", fps=10)
    with Image.open(tmp_path / "film.gif") as picture:
        assert picture.n_frames == 3 and picture.info["duration"] == 100
    before, after = film._fig.axes
    assert before.get_title() == "before"
    np.testing.assert_array_equal(dots(before), x[:2, 2].T)
    np.testing.assert_array_equal(dots(after, masked=True), -x[:2, 2, 7:8].T)
    assert before.texts[0].get_text() == "frame 2"


def test_an_animation_on_axes_that_are_given(tmp_path) -> None:
    figure = plt.figure()
    ax = figure.add_subplot(projection="3d")
    film = animate(clip(3, 2, 25), "ntu25", ax=ax)
    film.save(tmp_path / "film.gif", writer="pillow")
    assert film._fig is figure and film._interval == pytest.approx(1000 / 30)


# --- Masks --------------------------------------------------------------------------------------


def test_a_mask_is_drawn_as_it_is() -> None:
    mask = TubeMasking(25, 0.6, 5)((2, 10, 25, 1), generator=torch.Generator().manual_seed(0)).mask
    ax = plot_mask(mask, NTU, sample=1, patch_frames=4, tube_length=5, frame_rate=20)
    np.testing.assert_array_equal(ax.images[0].get_array(), mask[1].T)
    assert ax.images[0].get_extent() == [0, 10 * 4 / 20, 24.5, -0.5]
    assert [line.get_xdata()[0] for line in ax.lines] == [1.0]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(NTU.joints)
    assert ax.get_xlabel() == "time (s)"
    frames = plot_mask(frame_mask(mask, patch_frames=4)[0].numpy())
    assert frames.images[0].get_extent()[1] == 40 and frames.get_xlabel() == "time (frames)"


# --- Spectra, gains and filters -----------------------------------------------------------------


@pytest.mark.parametrize("mean", [False, True])
def test_a_spectrum_is_the_root_mean_square_of_the_dct(mean: bool) -> None:
    x = clip(2, 3, 40, 25)
    ax = plot_spectrum(x, frame_rate=30, mean=mean, unit="m")
    hertz, amplitude = ax.lines[0].get_data()
    expected = dct(x.double(), dim=-2).square().mean((0, 1, 3)).sqrt()
    k = np.arange(40)
    np.testing.assert_allclose(hertz, (k * 30 / 80)[0 if mean else 1 :])
    np.testing.assert_allclose(amplitude, expected[0 if mean else 1 :], rtol=1e-12)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("frequency (Hz)", "amplitude (m)")


def test_a_spectrum_of_the_dft_has_its_peak_at_the_frequency_of_the_signal() -> None:
    t = torch.arange(60, dtype=torch.float64) / 30
    x = torch.sin(2 * math.pi * 4 * t) + 7
    ax = plot_spectrum(x, dim=-1, transform="fourier", frame_rate=30)
    hertz, amplitude = ax.lines[0].get_data()
    assert hertz[amplitude.argmax()] == pytest.approx(4)
    re, im = rdft(x, dim=-1)
    np.testing.assert_allclose(amplitude, torch.hypot(re, im)[1:], atol=1e-12)
    bare = plot_spectrum(x.numpy(), dim=0, transform="fourier")
    assert bare.get_xlabel() == "coefficient k (periods)"
    np.testing.assert_array_equal(bare.lines[0].get_xdata(), np.arange(1, 31))


def test_gains_stand_at_their_frequencies() -> None:
    layer = FreqEnhance(120)
    ax = plot_gains(layer.gains, frame_rate=30, label="start")
    k = np.arange(120)
    np.testing.assert_allclose(ax.lines[1].get_xdata(), k / 8)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), layer.gains.detach())
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), 1)
    fourier = plot_gains(np.ones(16), transform="fourier", length=31, frame_rate=31)
    np.testing.assert_allclose(fourier.lines[1].get_xdata(), np.arange(16))


def test_a_filter_has_a_curve_for_each_channel_or_their_range() -> None:
    layer = SpectralFilter(3, length=60, weight="full")
    pairs = layer.complex_weight.detach().double()
    ax = plot_filter(layer.complex_weight, frame_rate=30)
    np.testing.assert_allclose(ax.lines[2].get_ydata(), torch.hypot(*pairs[1].unbind(-1)))
    np.testing.assert_allclose(ax.lines[2].get_xdata(), np.arange(31) / 2)
    phase = plot_filter(pairs, part="phase")
    np.testing.assert_allclose(
        phase.lines[0].get_ydata(), torch.atan2(pairs[0, :, 1], pairs[0, :, 0]).rad2deg()
    )
    many = SpectralFilter(64, length=60, weight="full").complex_weight
    amplitude = many.detach().double().norm(dim=-1)
    ax = plot_filter(many, label="of 64")
    np.testing.assert_allclose(ax.lines[1].get_ydata(), np.median(amplitude, axis=0))
    corners = ax.collections[0].get_paths()[0].vertices
    assert corners[:, 1].max() == pytest.approx(float(amplitude.max()))


def test_filters_of_one_axis() -> None:
    weight = FreT(8).global_weight
    ax = plot_filter(weight, weight="channel")
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, weight.detach().norm(dim=-1), rtol=1e-6)
    pair = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]])
    line = plot_filter(pair, part="phase").lines[0]
    np.testing.assert_allclose(line.get_ydata(), [0, -90, 0])


# --- Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: plot_skeleton([[1.0]], NTU), TypeError, "x must be a tensor or an array, got lis"),
        (lambda: plot_skeleton(clip(5, 25), NTU), ValueError, r"shape \[C, T, V\] or \[N, C"),
        (lambda: plot_skeleton(clip(4, 5, 25), NTU), ValueError, "2 or 3 coordinates .* got 4"),
        (lambda: plot_skeleton(clip(3, 5, 20), NTU), ValueError, "25 joints of layout 'ntu25'"),
        (lambda: plot_skeleton(clip(3, 5, 25), "ntu"), ValueError, "ntu25"),
        (lambda: plot_skeleton(clip(3, 5, 25), NTU, frame=5), ValueError, "between -5 and 4"),
        (lambda: plot_skeleton(clip(3, 5, 25), NTU, view=(0, 3)), ValueError, "from 0 to 2"),
        (lambda: plot_skeleton(clip(3, 5, 25), NTU, mask=clip(2, 25)), ValueError, "frame_mask"),
        (lambda: plot_skeleton(clip(3, 5, 25), NTU, ax=plt), TypeError, "ax must be axes"),
        (lambda: animate({}, NTU), ValueError, "at least 1 clip"),
        (lambda: animate({"a": clip(3, 5, 25)}, NTU, masks={"b": 1}), ValueError, r"got \['b'\]"),
        (
            lambda: animate({"a": clip(3, 5, 25), "b": clip(3, 6, 25)}, NTU),
            ValueError,
            r"same number of frames, got \[5, 6\]",
        ),
        (lambda: animate(clip(3, 5, 25), NTU, frame_rate=0), ValueError, "frame_rate must be abo"),
        (lambda: animate(clip(3, 5, 25), NTU, ax=[]), ValueError, "1 axes, one for each clip"),
        (lambda: plot_mask(clip(3)), ValueError, r"mask must have shape \[T, V\]"),
        (lambda: plot_mask(clip(3, 20), NTU), ValueError, "25 joints"),
        (lambda: plot_mask(clip(3, 20), sample=1), ValueError, "between 0 and 0"),
        (lambda: plot_spectrum(clip(3, 1, 25)), ValueError, "at least 2 points along dim=1"),
        (lambda: plot_spectrum(clip(3, 2, 25) * math.inf), ValueError, "150 not finite"),
        (lambda: plot_spectrum(clip(9)), ValueError, "dim must be an axis of x"),
        (lambda: plot_spectrum(clip(3, 4, 5), transform="dst"), ValueError, "'dct', 'fourier'"),
        (lambda: plot_spectrum(clip(3, 4, 5) + 0j), TypeError, "x must be real"),
        (lambda: plot_gains(clip(3, 4)), ValueError, r"gains must have shape \[K\]"),
        (lambda: plot_gains(clip(3), length=4), ValueError, "length must lie between 3 and 3"),
        (lambda: plot_filter(clip(3, 4)), ValueError, "2 axes for weight='frequency'"),
        (lambda: plot_filter(clip(3, 2), weight="full"), ValueError, "3 axes for weight='full'"),
    ],
)
def test_errors_are_one_readable_sentence(call, error, message) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_without_matplotlib_the_import_works_and_a_call_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import numpy as np, skelfreq.plotting as p\n"
        "try: p.plot_gains(np.ones(3))\n"
        "except ImportError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "Pictures need matplotlib: pip install 'skelfreq[plot]'."

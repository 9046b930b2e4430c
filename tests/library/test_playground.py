"""The page to play with: its arithmetic is the library's, and a reader can use it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import normal

from skelfreq import TubeMasking
from skelfreq.functional import apply_gain, dct, idct, split_bands

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "playground.html"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# (frames, columns, cutoff): odd, prime, short and the longest one that the page takes.
SHAPES = ((2, 1, 1), (3, 4, 2), (31, 6, 8), (90, 75, 6), (97, 5, 96), (600, 2, 40))
RATIOS = [(25, 0.88), (25, 0.5), (20, 0.675), (17, 0.5), (22, 0.25), (13, 0.9), (25, 0.0), (2, 0.9)]
RUN = """(cases) => cases.map(({x, n, columns, cutoff, low, high}) => {
  const signal = Float64Array.from(x), gains = spectral.bandGains(n, cutoff, low, high, false);
  const coefficients = spectral.dct(signal, n, columns);
  const only = spectral.bandGains(n, cutoff, 1, 0, false);
  return {
    dct: [...coefficients],
    idct: [...spectral.idct(signal, n, columns)],
    gained: [...spectral.applyGain(signal, gains, n, columns)],
    low: [...spectral.idct(spectral.scaled(coefficients, only, n, columns), n, columns)],
    amplitude: [...spectral.amplitude(coefficients, n, columns)],
  };
})"""
MASKS = """(cases) => cases.map(([joints, ratio]) => {
  let seed = 1;
  const random = () => { seed = (seed * 16807) % 2147483647; return seed / 2147483647; };
  return [spectral.numMasked(joints, ratio),
          [...spectral.tubeMask(20, joints, ratio, 6, random)]];
})"""


def required() -> bool:
    return os.environ.get("SKELFREQ_REQUIRE_BROWSER") == "1"


def skip(reason: str) -> None:
    if required():
        pytest.fail(f"{reason}, and SKELFREQ_REQUIRE_BROWSER=1")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        skip("there is no Chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip("playwright is not installed")
    with sync_playwright() as playwright:
        # As root, as in a container, Chromium has no sandbox.
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """Open the page offline; any error in the console, or a request, fails the test."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, offline=True)
    tab = context.new_page()
    faults: list[str] = []
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("request", lambda request: faults.append(request.url))
    tab.goto(PAGE.as_uri())
    assert faults == [PAGE.as_uri()]
    faults.clear()
    yield tab
    assert faults == []
    context.close()


def block(name: str) -> str:
    found = re.search(rf'<script [^>]*id="{name}">(.*?)</script>', PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(params=["node", "chromium"])
def javascript(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a function that calls a function of JavaScript with an argument."""
    if request.param == "chromium":
        return request.getfixturevalue("page").evaluate
    if shutil.which("node") is None:
        pytest.skip("there is no node")

    def call(function: str, argument: object) -> Any:
        (tmp_path / "spectral.js").write_text(block("arithmetic"))
        (tmp_path / "argument.json").write_text(json.dumps(argument))
        code = (
            "const spectral = require('./spectral.js');"
            f"const argument = require('./argument.json'); const run = {function};"
            "process.stdout.write(JSON.stringify(run(argument)))"
        )
        ran = subprocess.run(["node", "-e", code], cwd=tmp_path, capture_output=True, check=True)
        return json.loads(ran.stdout)

    return call


def test_the_arithmetic_is_that_of_the_library(javascript: Any) -> None:
    signals = [normal(n, columns, seed=n) for n, columns, _ in SHAPES]
    results = javascript(
        RUN,
        [
            {"x": x.flatten().tolist(), "n": n, "columns": c, "cutoff": k, "low": 0.3, "high": 1.7}
            for x, (n, c, k) in zip(signals, SHAPES, strict=True)
        ],
    )
    for x, (n, _, cutoff), got in zip(signals, SHAPES, results, strict=True):
        gains = torch.where(torch.arange(n) < cutoff, 0.3, 1.7).double()
        expected = {
            "dct": dct(x, dim=0),
            "idct": idct(x, dim=0),
            "gained": apply_gain(x, gains, dim=0),
            "low": split_bands(x, cutoff, dim=0).low,
            "amplitude": dct(x, dim=0).square().mean(1).sqrt(),
        }
        for name, value in expected.items():
            error = (torch.tensor(got[name]) - value.flatten()).abs().max()
            assert error < 1e-6, (name, n, float(error))


def test_the_mask_has_the_joints_of_tube_masking(javascript: Any) -> None:
    for (joints, ratio), (count, mask) in zip(RATIOS, javascript(MASKS, RATIOS), strict=True):
        # The page leaves a joint visible where the layer raises an error.
        expected = TubeMasking(joints, ratio).num_masked if joints > 2 else 1
        assert count == expected
        drawn = torch.tensor(mask).reshape(20, joints)
        assert (drawn.sum(1) == count).all()
        for start in range(0, 20, 6):
            assert (drawn[start : start + 6] == drawn[start]).all()
        assert count in (0, joints) or not (drawn == drawn[0]).all() or joints == 2


def test_the_embedded_motions_are_those_of_the_example(tmp_path: Path) -> None:
    code = "import playground_clips as p; import sys; sys.stdout.write(p.data())"
    path = os.pathsep.join([str(DOCS), str(DOCS.parent)])
    environment = {**os.environ, "PYTHONPATH": path}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == json.loads(block("data"))


def test_the_page_is_one_file_without_network() -> None:
    text = PAGE.read_text()
    assert len(text) < 200_000
    assert not re.search(r"https?:|\bsrc=|@import|fetch\(|XMLHttpRequest|import ", text)


# --- In a browser -------------------------------------------------------------------------------


def pixels(page: Any, name: str = "skeleton") -> str:
    return page.evaluate(f"document.getElementById('{name}').toDataURL()")


def set_slider(page: Any, name: str, value: float) -> None:
    page.evaluate(
        """([name, value]) => { const slider = document.getElementById(name);
        slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true})); }""",
        [name, value],
    )


def test_sliders_move_the_skeleton(page: Any) -> None:
    page.click("#play")
    page.evaluate("state.frame = 20; drawAll()")
    before = {name: pixels(page, name) for name in ("skeleton", "spectrum", "mask")}
    moved = page.evaluate("[...state.moved]")
    assert (
        max(map(abs, page.evaluate("[...state.moved].map((v, i) => v - state.clip.x[i])"))) < 1e-9
    )
    set_slider(page, "high", 0)
    low = page.evaluate("[...state.moved]")
    clip = torch.tensor(page.evaluate("[...state.clip.x]"), dtype=torch.float64).reshape(90, 75)
    expected = split_bands(clip, 8, dim=0).low
    torch.testing.assert_close(
        torch.tensor(low, dtype=torch.float64).reshape(90, 75), expected, atol=1e-6, rtol=0
    )
    assert low != moved and pixels(page) != before["skeleton"]
    assert pixels(page, "spectrum") != before["spectrum"]
    set_slider(page, "cutoff", 3)
    assert page.evaluate("[...state.moved]") != low
    assert page.text_content("#cutoff-out") == "0.50 Hz (k = 3)"
    set_slider(page, "low", 0)
    # With the mean pose alone nothing moves.
    still = torch.tensor(page.evaluate("[...state.moved]")).reshape(90, 75)
    assert (still - still[0]).abs().max() < 1e-9
    set_slider(page, "ratio", 0.6)
    set_slider(page, "tube", 30)
    assert page.text_content("#ratio-out") == "0.60: 15 of 25 joints"
    assert page.evaluate("state.mask.reduce((a, b) => a + b)") == 15 * 90
    assert pixels(page, "mask") != before["mask"]


def test_it_moves_by_itself_and_the_keyboard_does_all(page: Any) -> None:
    page.wait_for_function("state.frame > 2")
    page.keyboard.press("Space")
    assert page.text_content("#play") == "Play"
    frame = page.evaluate("state.frame")
    page.focus("#skeleton")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("state.frame") == (frame + 1) % 90
    page.focus("#ratio")
    page.keyboard.press("End")
    assert page.text_content("#ratio-out") == "0.96: 24 of 25 joints"
    mask = page.evaluate("[...state.mask]")
    page.keyboard.press("m")
    assert page.evaluate("[...state.mask]") != mask
    page.keyboard.press("r")
    assert page.evaluate("document.getElementById('ratio').value") == "0"
    reached = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    controls = {"skeleton", "play", "clip", "file", "reset", "frame", "turn", "low", "high"}
    assert controls | {"cutoff", "mean", "ratio", "tube", "draw", "ghost", "flip"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_scrolling_sideways(browser: Any, scheme: str, tmp_path: Path) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, device_scale_factor=2, color_scheme=scheme,
        reduced_motion="reduce",
    )  # fmt: skip
    tab = context.new_page()
    tab.goto(PAGE.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.text_content("#play") == "Play"  # nothing moves unasked
    low = tab.evaluate(
        "[...document.querySelectorAll('button, select, .file')]"
        ".map((e) => e.getBoundingClientRect().height)"
    )
    assert min(low) >= 40
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(19, 20, 22)")
    context.close()


DROP = """([name, text]) => { const data = new DataTransfer();
  data.items.add(new File([text], name));
  document.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true})); }"""


def drop(page: Any, name: str, text: str) -> str:
    """Drop a file and return what the page says."""
    page.evaluate("say('')")
    page.evaluate(DROP, [name, text])
    page.wait_for_function("document.getElementById('status').textContent !== ''")
    return page.text_content("#status")


def test_a_clip_of_the_reader_is_opened(page: Any) -> None:
    x = normal(12, 20, 3)
    text = json.dumps({"joints": x.tolist(), "fps": 20, "edges": [[1, 0], [2, 1]]})
    assert drop(page, "mine.json", text) == "mine.json: 12 frames, 20 joints, 20 frames per second."
    assert page.evaluate("[...state.clip.x]") == x.flatten().tolist()
    assert page.evaluate("document.getElementById('clip').value") == "own"
    flat = normal(5, 34)
    rows = "\n".join(",".join(map(str, row)) for row in flat.tolist())
    said = drop(
        page, "flat.csv", "# 17 joints\n" + ",".join(f"c{i}" for i in range(34)) + "\n" + rows
    )
    assert "5 frames, 17 joints" in said
    assert page.evaluate("[...state.clip.x]") == flat.flatten().tolist()
    assert page.evaluate("state.clip.edges.length") == 16
    page.set_input_files(
        "#file", {"name": "a.json", "mimeType": "", "buffer": b"[[[0,1]],[[1,2]]]"}
    )
    page.wait_for_function("state.clip.name === 'a.json'")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.bvh", "x", "expected a file that ends in .json or .csv"),
        ("a.json", "{", "a.json was not opened: "),
        ("a.json", "[]", "at least 2 frames"),
        ("a.json", "null", "at least 2 frames"),
        ("a.json", "[[[1, 2]], [[1, null]]]", "frame 1, joint 0 has no 2 numbers"),
        ("a.json", "[[[1, 2]], [[1, 2], [3, 4]]]", "frame 1 has not 1 joints"),
        ("a.json", '{"joints": [[[1, 2]], [[1, 2]]], "edges": [[0, 1]]}', "from 0 to 0"),
        ("a.json", '{"joints": [[[1, 2]], [[1, 2]]], "fps": 0}', "fps must be"),
        ("a.json", json.dumps([[[0, 0]]] * 601), "601 frames, at most 600"),
        ("a.csv", "1,2,3\n1,2", "line 2 has not 3 numbers"),
        ("a.csv", "1\n2", "1 columns are neither"),
        ("a.csv", "", "0 columns"),
    ],
)
def test_a_bad_file_is_named_and_changes_nothing(
    page: Any, name: str, text: str, message: str
) -> None:
    said = drop(page, name, text)
    assert said.startswith(f"{name} was not opened: ") and message in said
    assert page.evaluate("state.clip.name") == "jumping jack"

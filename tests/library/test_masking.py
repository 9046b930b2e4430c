"""Multi-tube masks and patches: counts, distribution, visible tokens, and every tracer."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import load_golden, normal
from einops import rearrange
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim

from skelfreq import TubeMask, TubeMasking
from skelfreq.functional import frame_mask, motion, patchify, tube_mask, unpatchify

# A fixed seed makes these tests repeatable; the threshold makes the choice of seed irrelevant.
FALSE_ALARM = 1e-6


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chi_square(counts: torch.Tensor) -> float:
    counts = counts.double().flatten()
    return float(((counts - counts.mean()).square() / counts.mean()).sum())


# --- The mask -----------------------------------------------------------------------------------


@given(st.integers(0, 4), st.integers(1, 31), st.integers(1, 26), st.integers(1, 40), st.data())
def test_count_and_constancy(batch, steps, joints, tube_length, data) -> None:
    num_masked = data.draw(st.integers(0, joints))
    mask = tube_mask(
        batch,
        steps,
        joints,
        num_masked=num_masked,
        tube_length=tube_length,
        generator=seeded(data.draw(st.integers(0, 2**16))),
    )
    assert mask.shape == (batch, steps, joints) and mask.dtype == torch.bool
    assert bool((mask.sum(-1) == num_masked).all())
    for tube in mask.split(tube_length, dim=1):
        assert torch.equal(tube, tube[:, :1].expand_as(tube))


def test_every_joint_is_masked_equally_often() -> None:
    batch, tubes, joints, masked = 1000, 4, 25, 22
    mask = tube_mask(batch, tubes, joints, num_masked=masked, tube_length=1, generator=seeded(1))
    counts, draws, p = mask.sum((0, 1)).double(), batch * tubes, masked / joints
    # Joints of one tube are drawn without replacement: the variance is known, the rank is V - 1.
    variance = draws * p * (1 - p)
    statistic = float((counts - draws * p).square().sum() / variance) * (joints - 1) / joints
    assert statistic < chi2.isf(FALSE_ALARM, joints - 1)
    assert statistic > chi2.ppf(FALSE_ALARM, joints - 1)  # nor too even for random draws


def test_sets_are_uniform_and_independent() -> None:
    batch, joints, masked = 6000, 4, 2
    mask = tube_mask(batch, 4, joints, num_masked=masked, tube_length=2, generator=seeded(2))
    sets = {pair: index for index, pair in enumerate(combinations(range(joints), masked))}
    codes = torch.tensor(
        [[sets[tuple(row.nonzero()[:, 0].tolist())] for row in sample[::2]] for sample in mask]
    )
    first, second = codes.T
    size = len(sets)
    assert chi_square(torch.bincount(codes.flatten(), minlength=size)) < chi2.isf(
        FALSE_ALARM, size - 1
    )
    # Every pair (set here, set there) is equally likely: the tubes of a sample, then neighbours.
    for here, there in ((first, second), (first[0::2], first[1::2]), (first[0::2], second[1::2])):
        pairs = torch.bincount(here * size + there, minlength=size**2)
        assert chi_square(pairs) < chi2.isf(FALSE_ALARM, size**2 - 1)


def test_generator_determines_the_mask() -> None:
    sizes = {"num_masked": 22, "tube_length": 3}
    before = torch.get_rng_state()
    first = tube_mask(3, 30, 25, **sizes, generator=seeded(5))
    assert torch.equal(first, tube_mask(3, 30, 25, **sizes, generator=seeded(5)))
    assert not torch.equal(first, tube_mask(3, 30, 25, **sizes, generator=seeded(6)))
    generator = seeded(5)
    tube_mask(3, 30, 25, **sizes, generator=generator)
    assert not torch.equal(first, tube_mask(3, 30, 25, **sizes, generator=generator))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sizes", [(3, 30, 25, 22, 3), (2, 7, 5, 3, 3), (1, 1, 4, 1, 9)])
def test_draws_are_those_of_the_first_release(sizes: tuple[int, ...]) -> None:
    # Results that were measured with a seed depend on every draw.
    batch, steps, joints, masked, length = sizes
    tubes = -(-steps // length)
    noise = torch.empty(batch, tubes, joints).uniform_(generator=seeded(7))
    chosen = noise.topk(masked, dim=-1).indices
    expected = torch.zeros_like(noise, dtype=torch.bool).scatter(-1, chosen, True)
    expected = expected.repeat_interleave(length, 1)[:, :steps]
    generator, reference = seeded(7), seeded(7)
    mask = tube_mask(
        batch, steps, joints, num_masked=masked, tube_length=length, generator=generator
    )
    assert torch.equal(mask, expected)
    noise.uniform_(generator=reference)
    assert torch.equal(generator.get_state(), reference.get_state())


def test_without_generator_the_global_one_is_used() -> None:
    state = torch.get_rng_state()
    try:
        torch.manual_seed(3)
        first = TubeMasking()((2, 30, 25, 8)).mask
        second = TubeMasking()((2, 30, 25, 8)).mask
        torch.manual_seed(3)
        assert torch.equal(TubeMasking()((2, 30, 25, 8)).mask, first)
        assert not torch.equal(first, second)
    finally:
        torch.set_rng_state(state)


def test_device_argument() -> None:
    mask = tube_mask(2, 3, 4, num_masked=1, tube_length=2, device="cpu", generator=seeded())
    assert mask.device.type == "cpu"
    assert tube_mask(2, 3, 4, num_masked=1, tube_length=2, device="meta").shape == (2, 3, 4)


# --- The layer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("joints", "ratio", "masked"),
    [(25, 0.88, 22), (25, 0.8, 20), (25, 0.9, 22), (25, 0.95, 24), (20, 0.0, 0), (1, 0.0, 0)],
)
def test_ratio_is_rounded_to_a_number_of_joints(joints: int, ratio: float, masked: int) -> None:
    layer = TubeMasking(joints, ratio, 3)
    assert layer.num_masked == masked
    assert bool((layer((2, 7, joints, 4)).mask.sum(-1) == masked).all())


def test_numpy_integers_are_integers() -> None:
    layer = TubeMasking(np.int64(25), np.float32(0.88), np.int32(3))
    assert repr(layer.num_joints) == "25" and repr(layer.tube_length) == "3"
    shape = (np.int64(2), np.int64(30), 25, 8)
    assert torch.equal(
        layer(shape, generator=seeded()).mask, TubeMasking()((2, 30, 25, 8), seeded()).mask
    )


def test_layer_is_the_function() -> None:
    result = TubeMasking(25, 0.88, 3)((2, 30, 25, 8), generator=seeded(4))
    expected = tube_mask(2, 30, 25, num_masked=22, tube_length=3, generator=seeded(4))
    assert torch.equal(result.mask, expected)


@given(st.integers(0, 3), st.integers(1, 9), st.integers(2, 7), st.integers(1, 10), st.data())
def test_ids_are_those_of_mae(batch, steps, joints, tube_length, data) -> None:
    masked = data.draw(st.integers(0, joints - 1))
    layer = TubeMasking(joints, masked / joints, tube_length)
    drawn = layer((batch, steps, joints, 5), generator=seeded(data.draw(st.integers(0, 999))))
    mask, keep, restore = drawn
    flat = mask.flatten(1)
    assert keep.dtype == restore.dtype == torch.int64
    assert keep.shape == (batch, steps * (joints - masked)) and restore.shape == flat.shape
    for row, visible_ids, back in zip(flat, keep, restore, strict=True):
        visible, hidden = (~row).nonzero()[:, 0], row.nonzero()[:, 0]
        assert torch.equal(visible_ids, visible)
        # MAE: shuffled = visible tokens, then masked ones; restore undoes that order.
        assert torch.equal(torch.cat([visible, hidden])[back], torch.arange(row.numel()))


@given(st.integers(0, 3), st.integers(1, 9), st.integers(2, 7), st.data())
def test_scatter_undoes_gather(batch, steps, joints, data) -> None:
    masked = data.draw(st.integers(0, joints - 1))
    layer = TubeMasking(joints, masked / joints, data.draw(st.integers(1, 4)))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    tokens = normal(batch, steps, joints, 5, dtype=dtype)
    mask_token = normal(5, seed=1, dtype=dtype)
    drawn = layer(tokens, generator=seeded(data.draw(st.integers(0, 999))))
    visible = drawn.gather(tokens)
    assert visible.shape == (*drawn.ids_keep.shape, 5)
    assert torch.equal(visible, tokens.flatten(1, 2)[(~drawn.mask).flatten(1)].view_as(visible))
    result = drawn.scatter(visible, mask_token)
    assert result.dtype == dtype and result.shape == tokens.shape
    assert torch.equal(result, torch.where(drawn.mask.unsqueeze(-1), mask_token, tokens))


def test_scatter_takes_another_width_than_gather() -> None:
    # A decoder is narrower than its encoder, and mask tokens stay in fp32 under autocast.
    drawn = TubeMasking()((2, 30, 25, 64))
    visible = normal(2, 90, 16, dtype=torch.bfloat16)
    result = drawn.scatter(visible, torch.zeros(16))
    assert result.shape == (2, 30, 25, 16) and result.dtype == torch.bfloat16


def test_flat_tokens_are_the_same_tokens() -> None:
    layer, tokens = TubeMasking(5, 0.6, 2), normal(2, 6, 5, 4)
    flat = tokens.flatten(1, 2)
    drawn = layer(tokens, generator=seeded())
    for got, value in zip(layer(flat, generator=seeded()), drawn, strict=True):
        assert torch.equal(got, value)
    for got, value in zip(layer((2, 30, 4), generator=seeded()), drawn, strict=True):
        assert torch.equal(got, value)
    visible = drawn.gather(tokens)
    assert torch.equal(drawn.gather(flat), visible)
    restored = drawn.scatter(visible, torch.zeros(4))
    assert torch.equal(drawn.scatter(visible, torch.zeros(4), flat=True), restored.flatten(1, 2))


def test_mask_token_with_leading_axes() -> None:
    drawn = TubeMasking(5, 0.6, 2)((2, 6, 5, 4), generator=seeded())
    visible, mask_token = normal(*drawn.ids_keep.shape, 4), normal(4, seed=1)
    expected = drawn.scatter(visible, mask_token)
    for axes in range(1, 4):
        shaped = mask_token.reshape((1,) * axes + (4,)).requires_grad_()
        result = drawn.scatter(visible, shaped)
        assert torch.equal(result, expected)
        (gradient,) = torch.autograd.grad(result.sum(), shaped)
        assert torch.equal(gradient, torch.full_like(shaped, float(drawn.mask.sum())))


def test_scatter_equals_the_restore_of_mae(golden_path: Path) -> None:
    # MAMP's own indices and its mask token [1, 1, D]: flat tokens in, flat tokens out.
    golden = load_golden(golden_path / "mamp_forward_T20V20_tau0_raw.npz")
    stored = {name: torch.from_numpy(golden[name]) for name in ("mask", "ids_keep", "ids_restore")}
    drawn = TubeMask(
        stored["mask"].bool().view(2, 4, 20), stored["ids_keep"], stored["ids_restore"]
    )
    tokens = torch.from_numpy(golden["tokens_in"])
    visible = torch.stack([x[keep] for x, keep in zip(tokens, drawn.ids_keep, strict=True)])
    assert torch.equal(drawn.gather(tokens), visible)
    mask_token = torch.from_numpy(golden["sd/mask_token"])
    latent = normal(2, 15, 24)
    rows = torch.cat([latent, mask_token.expand(2, 65, 24)], 1)
    expected = torch.stack([x[back] for x, back in zip(rows, drawn.ids_restore, strict=True)])
    assert torch.equal(drawn.scatter(latent, mask_token, flat=True), expected)


def test_gradients_through_gather_and_scatter() -> None:
    layer = TubeMasking(5, 0.6, 2)
    tokens, mask_token = normal(2, 3, 5, 4).requires_grad_(), normal(4, seed=1).requires_grad_()
    drawn = layer(tokens, generator=seeded())
    result = drawn.scatter(drawn.gather(tokens), mask_token)
    weight = normal(*result.shape, seed=2)
    g_tokens, g_mask_token = torch.autograd.grad(result, (tokens, mask_token), weight)
    hidden = drawn.mask.unsqueeze(-1)
    assert torch.equal(g_tokens, torch.where(hidden, 0.0, weight))
    assert torch.allclose(g_mask_token, torch.where(hidden, weight, 0.0).sum((0, 1, 2)))
    assert torch.autograd.gradcheck(
        lambda t, m: drawn.scatter(drawn.gather(t), m), (tokens, mask_token)
    )


def test_nan_in_a_masked_token_has_no_effect() -> None:
    tokens = normal(2, 6, 25, 4)
    drawn = TubeMasking()(tokens, generator=seeded())
    tokens[drawn.mask] = float("nan")
    result = drawn.scatter(drawn.gather(tokens), torch.zeros(4, dtype=torch.float64))
    assert result.isfinite().all()


def test_shape_in_place_of_tokens() -> None:
    tokens, layer = normal(2, 30, 25, 8), TubeMasking()
    expected = layer(tokens, generator=seeded())
    for shape in (tokens.shape, (2, 30, 25, 8), [2, 30, 25, 8]):
        for got, value in zip(layer(shape, generator=seeded()), expected, strict=True):
            assert torch.equal(got, value)


def test_nothing_masked() -> None:
    tokens = normal(2, 3, 4, 5)
    drawn = TubeMasking(4, 0.0, 2)(tokens)
    assert not drawn.mask.any()
    assert torch.equal(drawn.gather(tokens), tokens.flatten(1, 2))
    empty = normal(5, seed=1)
    assert torch.equal(drawn.scatter(drawn.gather(tokens), empty), tokens)


def test_empty_batch() -> None:
    tokens = torch.empty(0, 30, 25, 8)
    drawn = TubeMasking()(tokens)
    assert drawn.mask.shape == (0, 30, 25) and drawn.ids_keep.shape == (0, 90)
    assert drawn.gather(tokens).shape == (0, 90, 8)
    assert drawn.scatter(drawn.gather(tokens), torch.zeros(8)).shape == tokens.shape


def test_masks_in_evaluation_too() -> None:
    assert TubeMasking().eval()((2, 30, 25, 8)).mask.any()


def test_repr_shows_the_configuration() -> None:
    assert repr(TubeMasking()) == (
        "TubeMasking(num_joints=25, mask_ratio=0.88, tube_length=3, num_masked=22)"
    )


# --- Patches ------------------------------------------------------------------------------------


def test_patches_equal_those_of_mamp(golden_path: Path) -> None:
    golden = load_golden(golden_path / "mamp_patch_motion_T12V6_p2.npz")
    frames, joints = int(golden["t_patch_size"]), int(golden["patch_size"])
    for stored, values in (("patches", "x"), ("patches_of_motion_stride1", "motion_stride1")):
        clip = rearrange(torch.from_numpy(golden[values]), "n t v c -> n c t v")
        patches = patchify(clip, patch_frames=frames)
        # There a patch may hold several joints: frame, joint, channel.
        merged = rearrange(patches, "n t (v q) (p c) -> n (t v) (p q c)", q=joints, p=frames)
        assert torch.equal(merged, torch.from_numpy(golden[stored]))


def test_target_and_mask_equal_those_of_mamp(golden_path: Path) -> None:
    golden = load_golden(golden_path / "mamp_forward_T20V20_tau0_raw.npz")
    sizes = dict(zip(golden["config_names"].tolist(), golden["config"].tolist(), strict=True))
    frames = sizes["t_patch"]
    clip = rearrange(torch.from_numpy(golden["x"]), "n c t v m -> (n m) c t v")
    target = motion(clip, stride=sizes["stride"])
    patches = patchify(target, patch_frames=frames)
    assert torch.equal(patches.flatten(1, 2), torch.from_numpy(golden["target"]))
    # Their loss is the mean over masked patches; ours over masked frames of a clip is the same.
    prediction = unpatchify(torch.from_numpy(golden["pred"]).view_as(patches), patch_frames=frames)
    token_mask = torch.from_numpy(golden["mask"]).view(patches.shape[:3])
    mask = frame_mask(token_mask, patch_frames=frames).unsqueeze(1).expand_as(target).bool()
    loss = (prediction - target)[mask].square().mean()
    assert abs(float(loss) - float(golden["loss"])) < 1e-12


@given(st.integers(0, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.data())
def test_unpatchify_undoes_patchify(batch, channels, steps, joints, data) -> None:
    frames = data.draw(st.integers(1, 5))
    dtype = data.draw(st.sampled_from([torch.float64, torch.float16, torch.int64, torch.bool]))
    clip = (10 * normal(batch, channels, steps * frames, joints)).to(dtype)
    patches = patchify(clip, patch_frames=np.int64(frames))
    assert patches.shape == (batch, steps, joints, frames * channels) and patches.dtype == dtype
    assert torch.equal(unpatchify(patches, patch_frames=frames), clip)
    for p in range(frames):
        for c in range(channels):
            entry = patches[..., p * channels + c]
            assert torch.equal(entry, clip[:, c, p::frames])


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_frame_mask_repeats_tokens(dtype: torch.dtype) -> None:
    token_mask = TubeMasking(5, 0.6, 2)((2, 6, 5, 1), generator=seeded()).mask.to(dtype)
    mask = frame_mask(token_mask, patch_frames=4)
    assert mask.dtype == dtype
    assert torch.equal(mask, token_mask.repeat_interleave(4, dim=1))
    # All frames of a patch are masked, or none.
    patches = patchify(mask.unsqueeze(1), patch_frames=4)
    assert torch.equal(patches, token_mask.unsqueeze(-1).expand_as(patches))


# --- Tracers and transforms ---------------------------------------------------------------------


class MaskedClip(nn.Module):
    """From a clip to patches, visible patches, and back to frames."""

    def __init__(self) -> None:
        super().__init__()
        self.masking = TubeMasking(5, 0.6, 3)

    def forward(self, clip: Tensor) -> tuple[TubeMask, Tensor, Tensor]:
        patches = patchify(clip, patch_frames=4)
        drawn = self.masking(patches)
        restored = drawn.scatter(drawn.gather(patches), torch.zeros(patches.shape[-1]))
        frames = unpatchify(restored, patch_frames=4)
        return drawn, frames, frame_mask(drawn.mask, patch_frames=4)


class MaskAndRestore(nn.Module):
    """Draw a mask, select the visible tokens, and put them back; flat where tokens are flat."""

    def __init__(self) -> None:
        super().__init__()
        self.masking = TubeMasking(5, 0.6, 3)

    def forward(self, tokens: Tensor) -> tuple[TubeMask, Tensor]:
        drawn = self.masking(tokens)
        mask_token = torch.zeros(1, 1, tokens.shape[-1])
        return drawn, drawn.scatter(drawn.gather(tokens), mask_token, flat=tokens.ndim == 3)


def check_drawn(drawn: TubeMask, batch: int, steps: int) -> None:
    """3 of 5 joints in every tube of 3 steps, and the indices that belong to the mask."""
    assert drawn.mask.shape == (batch, steps, 5)
    assert bool((drawn.mask.sum(-1) == 3).all())
    for tube in drawn.mask.split(3, dim=1):
        assert torch.equal(tube, tube[:, :1].expand_as(tube))
    hidden = drawn.mask.flatten(1)
    assert torch.equal(drawn.ids_keep, (~hidden).nonzero()[:, 1].view(batch, 2 * steps))
    order = torch.cat([drawn.ids_keep, hidden.nonzero()[:, 1].view(batch, 3 * steps)], 1)
    assert torch.equal(order.gather(1, drawn.ids_restore), torch.arange(5 * steps).expand_as(order))


def check_clip(clip: Tensor, drawn: TubeMask, frames: Tensor, mask: Tensor) -> None:
    check_drawn(drawn, clip.shape[0], clip.shape[2] // 4)
    assert torch.equal(mask, drawn.mask.repeat_interleave(4, dim=1))
    assert torch.equal(frames, clip.masked_fill(mask.unsqueeze(1), 0))


def test_compiles_for_any_number_of_frames(fresh_dynamo: None) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(MaskedClip(), backend=counter, fullgraph=True, dynamic=True)
    for n, steps in ((2, 7), (3, 9), (4, 13), (5, 8), (6, 10)):
        clip = normal(n, 3, 4 * steps, 5, dtype=torch.float32)
        check_clip(clip, *compiled(clip))
    assert counter.frame_count == 1


@pytest.mark.parametrize(("strict", "flat"), [(False, False), (True, False), (False, True)])
def test_masking_exports(strict: bool, flat: bool, fresh_dynamo: None) -> None:
    axes = {0: Dim("batch"), 1: 5 * Dim("t") if flat else Dim("t")}
    tokens = normal(3, 35, 4) if flat else normal(3, 7, 5, 4)
    program = torch.export.export(
        MaskAndRestore(), (tokens,), dynamic_shapes=(axes,), strict=strict
    )
    saved = io.BytesIO()
    torch.export.save(program, saved)
    saved.seek(0)
    loaded = torch.export.load(saved).module()
    # The exporter does not accept a multiple of 1 for a dimension that is a multiple.
    for n, steps in ((3, 7), (1, 2 if flat else 1), (2, 3), (4, 14), (0, 5)):
        tokens = normal(n, 5 * steps, 4) if flat else normal(n, steps, 5, 4)
        drawn, restored = loaded(tokens)
        assert isinstance(drawn, TubeMask)
        check_drawn(drawn, n, steps)
        hidden = drawn.mask.flatten(1) if flat else drawn.mask
        assert torch.equal(restored, tokens.masked_fill(hidden.unsqueeze(-1), 0))


@pytest.mark.parametrize("strict", [False, True])
def test_masked_clip_exports(strict: bool, fresh_dynamo: None) -> None:
    axes, clip = {0: Dim("batch"), 2: 4 * Dim("steps")}, normal(3, 3, 28, 5, dtype=torch.float32)
    program = torch.export.export(MaskedClip(), (clip,), dynamic_shapes=(axes,), strict=strict)
    for n, frames in ((3, 28), (1, 8), (7, 40)):
        clip = normal(n, 3, frames, 5, dtype=torch.float32)
        check_clip(clip, *program.module()(clip))


# torch's exporter uses one of its own deprecated names.
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning")
def test_masked_clip_in_onnx() -> None:
    axes, clip = {0: Dim("batch"), 2: 4 * Dim("steps")}, normal(3, 3, 28, 5, dtype=torch.float32)
    program = torch.onnx.export(
        MaskedClip().eval(), (clip,), dynamo=True, dynamic_shapes=(axes,), verbose=False
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    (source,) = session.get_inputs()
    draws = []
    for n, frames in ((3, 28), (2, 48), (2, 48)):
        clip = normal(n, 3, frames, 5, dtype=torch.float32)
        values = session.run(None, {source.name: clip.numpy()})
        *drawn, masked, mask = map(torch.from_numpy, values)
        check_clip(clip, TubeMask(*drawn), masked, mask)
        draws.append(mask)
    assert not torch.equal(draws[1], draws[2])


def test_vmap_draws_a_mask_for_each_sample() -> None:
    layer, tokens = TubeMasking(5, 0.6, 3), normal(8, 7, 5, 4)

    def one(sample: Tensor) -> tuple[Tensor, Tensor]:
        drawn = layer(sample.unsqueeze(0))
        return drawn.mask[0], drawn.scatter(drawn.gather(sample.unsqueeze(0)), torch.zeros(4))[0]

    mask, restored = torch.vmap(one, randomness="different")(tokens)
    assert mask.shape == (8, 7, 5) and bool((mask.sum(-1) == 3).all())
    assert torch.equal(restored, tokens.masked_fill(mask.unsqueeze(-1), 0))
    assert not torch.equal(mask, mask[:1].expand_as(mask))
    mask, _ = torch.vmap(one, randomness="same")(tokens)
    assert torch.equal(mask, mask[:1].expand_as(mask))


def test_gradients_for_each_sample() -> None:
    layer, tokens, weight = TubeMasking(5, 0.6, 3), normal(4, 7, 5, 6), normal(6, seed=1)

    def loss(weight: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
        drawn = layer(sample.unsqueeze(0))
        visible = drawn.gather(sample.unsqueeze(0)) * weight
        return drawn.scatter(visible, 2 * weight).square().sum(), drawn.mask[0]

    per_sample = torch.func.grad(loss, has_aux=True)
    gradients, mask = torch.vmap(per_sample, (None, 0), randomness="different")(weight, tokens)
    hidden = mask.unsqueeze(-1)
    visible = tokens.masked_fill(hidden, 0).square().sum((1, 2))
    expected = 2 * weight * (visible + 4 * hidden.sum((1, 2)))
    assert torch.allclose(gradients, expected, rtol=1e-12)


# --- Errors -------------------------------------------------------------------------------------

DRAWN = TubeMask(
    torch.tensor([[[True, False, False]]]), torch.tensor([[1, 2]]), torch.tensor([[2, 0, 1]])
)
CLIP = torch.zeros(1, 3, 6, 5)
SIZES = {"batch": 2, "steps": 3, "joints": 4, "num_masked": 1, "tube_length": 2}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: TubeMasking(0), ValueError, ["num_joints", "at least 1", "0"]),
        (lambda: TubeMasking(2.0), TypeError, ["num_joints", "2.0"]),
        (lambda: TubeMasking(25, 1.0), ValueError, ["mask_ratio", "[0, 1)", "1.0"]),
        (lambda: TubeMasking(25, -0.1), ValueError, ["mask_ratio", "[0, 1)", "-0.1"]),
        (lambda: TubeMasking(25, float("nan")), ValueError, ["mask_ratio", "nan"]),
        (lambda: TubeMasking(25, 0.99), ValueError, ["mask_ratio", "25", "0.99"]),
        (lambda: TubeMasking(tube_length=0), ValueError, ["tube_length", "at least 1", "0"]),
        (lambda: TubeMasking(25, 0.01), ValueError, ["mask_ratio", "25 joints", "0.01"]),
        (lambda: TubeMasking(25, "0.9"), TypeError, ["mask_ratio", "a number", "'0.9'"]),
        (lambda: TubeMasking("25"), TypeError, ["num_joints", "an integer", "'25'"]),
        (lambda: TubeMasking()((2, 30, 20, 8)), ValueError, ["25", "(2, 30, 20, 8)"]),
        (
            lambda: TubeMasking()((2, 30, 25)),
            ValueError,
            ["[N, T_p, 25, D]", "[N, L, D]", "multiple of 25", "(2, 30, 25)"],
        ),
        (lambda: TubeMasking()((2, 750)), ValueError, ["[N, L, D]", "(2, 750)"]),
        (lambda: TubeMasking()((2, 0, 8)), ValueError, ["steps", "at least 1", "0"]),
        (lambda: TubeMasking()((2, 30.0, 25, 8)), TypeError, ["tokens[1]", "30.0"]),
        (
            lambda: TubeMasking()(np.zeros((2, 30, 25, 8))),
            TypeError,
            ["tokens", "ndarray", "torch.from_numpy"],
        ),
        (
            lambda: TubeMasking()((2, 30, 25, 8), 0),
            TypeError,
            ["generator", "torch.Generator().manual_seed", "got 0"],
        ),
        (lambda: TubeMasking()((2, 0, 25, 8)), ValueError, ["steps", "at least 1", "0"]),
        (lambda: DRAWN.gather(torch.zeros(1, 1, 4, 2)), ValueError, ["tokens", "(1, 1, 4, 2)"]),
        (
            lambda: DRAWN.gather(torch.zeros(1, 4, 2)),
            ValueError,
            ["tokens", "(1, 1, 3, 'D')", "(1, 3, 'D')", "(1, 4, 2)"],
        ),
        (lambda: DRAWN.gather(np.zeros((1, 3, 2))), TypeError, ["tokens", "torch.from_numpy"]),
        (
            lambda: DRAWN.scatter(np.zeros((1, 2, 2)), torch.zeros(2)),
            TypeError,
            ["visible", "torch.from_numpy"],
        ),
        (
            lambda: DRAWN.scatter(torch.zeros(1, 2, 2), np.zeros(2)),
            TypeError,
            ["mask_token", "torch.from_numpy"],
        ),
        (
            lambda: DRAWN.scatter(torch.zeros(1, 2, 2), torch.zeros(2), True),
            TypeError,
            ["TubeMask.scatter", "flat="],
        ),
        (
            lambda: DRAWN.scatter(torch.zeros(1, 2, 2), torch.zeros(2, 2)),
            ValueError,
            ["mask_token", "(1, 1, 2)", "(2, 2)"],
        ),
        (
            lambda: DRAWN.scatter(torch.zeros(1, 2, 2), torch.zeros(1, 1, 1, 1, 2)),
            ValueError,
            ["mask_token", "(1, 1, 1, 2)", "(1, 1, 1, 1, 2)"],
        ),
        (
            lambda: DRAWN.scatter(torch.zeros(1, 2, 2), torch.tensor(1.0)),
            ValueError,
            ["mask_token", "got ()"],
        ),
        (
            lambda: DRAWN.scatter(torch.zeros(1, 3, 2), torch.zeros(2)),
            ValueError,
            ["visible", "(1, 2, 'D')", "(1, 3, 2)"],
        ),
        (
            lambda: DRAWN.scatter(torch.zeros(1, 2, 2), torch.zeros(3)),
            ValueError,
            ["mask_token", "(2,)", "(3,)"],
        ),
        (lambda: tube_mask(**SIZES | {"batch": -1}), ValueError, ["batch", "at least 0", "-1"]),
        (lambda: tube_mask(**SIZES | {"steps": 0}), ValueError, ["steps", "at least 1", "0"]),
        (lambda: tube_mask(**SIZES | {"joints": 0}), ValueError, ["joints", "at least 1", "0"]),
        (lambda: tube_mask(**SIZES | {"num_masked": 5}), ValueError, ["num_masked", "0 and 4"]),
        (lambda: tube_mask(**SIZES | {"num_masked": -1}), ValueError, ["num_masked", "-1"]),
        (lambda: tube_mask(**SIZES | {"tube_length": 0}), ValueError, ["tube_length", "0"]),
        (lambda: tube_mask(**SIZES | {"tube_length": 1.5}), TypeError, ["tube_length", "1.5"]),
        (lambda: tube_mask(**SIZES | {"generator": 3}), TypeError, ["generator", "got 3"]),
        (lambda: tube_mask(2, 3, 4, 1, 2), TypeError, ["num_masked=", "tube_length="]),
        (lambda: patchify(CLIP, 2), TypeError, ["patch_frames=", "got 2"]),
        (lambda: patchify(CLIP, patch_frames=0), ValueError, ["patch_frames", "at least 1", "0"]),
        (lambda: patchify(CLIP, patch_frames="2"), TypeError, ["patch_frames", "'2'"]),
        (lambda: patchify(CLIP, patch_frames=4), ValueError, ["clip", "patch_frames=4", "got 6"]),
        (lambda: patchify(CLIP[0], patch_frames=2), ValueError, ["[N, C, T, V]", "(3, 6, 5)"]),
        (lambda: patchify(CLIP.numpy(), patch_frames=2), TypeError, ["clip", "torch.from_numpy"]),
        (lambda: unpatchify(CLIP, patch_frames=2), ValueError, ["patches", "2", "got 5"]),
        (lambda: unpatchify(CLIP[0], patch_frames=1), ValueError, ["patches", "(3, 6, 5)"]),
        (lambda: unpatchify([1.0], patch_frames=1), TypeError, ["patches", "torch.tensor"]),
        (lambda: frame_mask(CLIP, patch_frames=2), ValueError, ["token_mask", "(1, 3, 6, 5)"]),
        (lambda: frame_mask(CLIP[0], patch_frames=0), ValueError, ["patch_frames", "0"]),
        (lambda: frame_mask(CLIP[0].numpy(), patch_frames=2), TypeError, ["token_mask"]),
    ],
)
def test_errors(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)

"""What holds for every transform: padding, lengths, confidence, generators, devices, gradients."""

from __future__ import annotations

import pytest
import torch
from tolerances import TOLERANCE, assert_close
from transform_cases import ALL, DETERMINISTIC, EACH_PERSON, RANDOM, make, seeded

import skelfreq.data.transforms as transforms
from skelfreq.data.transforms import Compose, Resample, Skeletons, Transform
from skelfreq.skeletons import get_layout

LAYOUTS = ("ntu25", "kinect20", "coco17", "penn13")
LENGTHS = torch.tensor([9, 5, 1, 0, 2, 9])
every = pytest.mark.parametrize("name", ALL)
every_random = pytest.mark.parametrize("name", RANDOM)


def call(name: str, layout: str = "ntu25", **options) -> Skeletons:
    """Call a transform on a fresh batch of the layout, or on the ``x`` that is given."""
    x, confidence = make(6, 9, get_layout(layout).num_joints)
    x = options.pop("x", x)
    options.setdefault("lengths", LENGTHS)
    options.setdefault("confidence", confidence)
    return ALL[name](layout)(x, generator=seeded(3), **options)


def test_the_table_holds_every_transform():
    classes = {
        value
        for key in transforms.__all__
        if isinstance(value := getattr(transforms, key), type) and issubclass(value, Transform)
    }
    assert {type(make_one("ntu25")) for make_one in ALL.values()} == classes - {Transform, Compose}


@every
@pytest.mark.parametrize("layout", LAYOUTS)
def test_shapes_for_any_layout(name, layout):
    for confidence in (make(6, 9, get_layout(layout).num_joints)[1], None):
        x, lengths, weights, persons = call(name, layout, confidence=confidence)
        assert x.dtype == torch.float64 and x.isfinite().all()
        assert lengths.dtype == torch.int64 and lengths.shape == (len(x),)
        assert (lengths >= 0).all() and (lengths <= x.shape[2]).all()
        assert (weights is None) == (confidence is None)
        if weights is not None:
            assert weights.shape == (len(x), *x.shape[2:]) and (weights >= 0).all()
        assert persons == 1


@every
@pytest.mark.parametrize("confident", [True, False])
@pytest.mark.parametrize("padding", [7.0, float("nan"), float("inf")])
def test_padding_is_never_read_and_becomes_zero(name, confident, padding):
    x, confidence = make(6, 9, 25)
    after = torch.arange(9) >= LENGTHS[:, None]
    zero = torch.where(after[:, None, :, None], 0, x)
    filled = torch.where(after[:, None, :, None], padding, x)
    weights = torch.where(after[..., None], 0, confidence) if confident else None
    other = torch.where(after[..., None], 0.5, confidence) if confident else None
    expected = call(name, x=zero, confidence=weights)
    actual = call(name, x=filled, confidence=other)
    assert torch.equal(actual.x, expected.x)
    assert torch.equal(actual.lengths, expected.lengths)
    frames = torch.arange(actual.x.shape[2]) >= actual.lengths[:, None]
    assert not (actual.x * frames[:, None, :, None]).any()


@every
@pytest.mark.parametrize("confident", [True, False])
def test_full_lengths_are_no_lengths(name, confident):
    confidence = make(6, 9, 25)[1] if confident else None
    lengths = torch.full((6,), 9)
    expected = call(name, lengths=None, confidence=confidence)
    actual = call(name, lengths=lengths, confidence=confidence)
    assert torch.equal(actual.x, expected.x)


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("confident", [True, False])
def test_a_batch_is_its_samples(name, confident):
    x, confidence = make(6, 9, 25)
    confidence = confidence if confident else None
    together = call(name, x=x, confidence=confidence)
    for i, length in enumerate(LENGTHS.tolist()):
        # Alone and without padding.
        part = x[i : i + 1, :, : max(length, 1)]
        weights = None if confidence is None else confidence[i : i + 1, : max(length, 1)]
        alone = ALL[name]("ntu25")(part, LENGTHS[i : i + 1], confidence=weights)
        frames = min(alone.x.shape[2], together.x.shape[2])
        assert_close(alone.x[0, :, :frames], together.x[i, :, :frames])
        if confidence is not None:
            kept = int(alone.lengths[0])
            assert_close(alone.confidence[0, :kept], together.confidence[i, :kept])


@every
def test_one_sample_does_not_touch_another(name):
    x, _ = make(6, 9, 25)
    other = x.clone()
    other[0] = other[0] * 3 + 1
    for confidence in (make(6, 9, 25)[1], None):
        before = call(name, x=x, confidence=confidence).x
        after = call(name, x=other, confidence=confidence).x
        assert torch.equal(before[1:], after[1:])


@every_random
def test_one_seed_gives_one_result(name):
    first, again = call(name), call(name)
    for one, two in zip(first, again, strict=True):
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(two))
    x, confidence = make(6, 9, 25)
    other = ALL[name]("ntu25")(x, LENGTHS, confidence=confidence, generator=seeded(4))
    assert not torch.equal(other.x, first.x)
    # Torch's global numbers, where no generator is given.
    with torch.random.fork_rng():
        results = []
        for _ in range(2):
            torch.manual_seed(5)
            results.append(ALL[name]("ntu25")(x, LENGTHS).x)
        assert torch.equal(*results)
        state = torch.get_rng_state()
        call(name)
        assert torch.equal(torch.get_rng_state(), state), "a generator is given: no global draw"


@every_random
def test_samples_get_draws_of_their_own(name):
    x, _ = make(1, 9, 25, missing=0.0)
    y = ALL[name]("ntu25")(x.expand(8, -1, -1, -1), generator=seeded())
    different = len({tuple(row.tolist()) for row in y.x.reshape(8, -1)})
    # A flip has two results, a crop of 9 frames 34.
    assert different == 8 if name not in ("flip", "crop") else different > 1


@pytest.mark.parametrize("name", [name for name in RANDOM if name not in EACH_PERSON])
def test_persons_of_a_sample_share_the_draw(name):
    x, confidence = make(3, 9, 25)
    twice, weights = (y.repeat_interleave(2, 0) for y in (x, confidence))
    one = ALL[name]("ntu25")(x, confidence=confidence, generator=seeded())
    two = ALL[name]("ntu25")(twice, confidence=weights, generator=seeded(), persons=2)
    assert two.persons == 2
    assert torch.equal(two.x, one.x.repeat_interleave(2, 0))
    assert torch.equal(two.confidence, one.confidence.repeat_interleave(2, 0))


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_dtype_follows_the_input(name, dtype):
    x, confidence = make(6, 9, 25)
    for weights in (confidence.to(dtype), None):
        low = call(name, x=x.to(dtype), confidence=weights)
        assert low.x.dtype == dtype
        if weights is not None:
            assert low.confidence.dtype == dtype
        if dtype == torch.float32 and weights is None:
            assert_close(low.x, call(name, x=x.to(dtype).double(), confidence=None).x, 1e-5)


@every
def test_the_input_is_left_alone(name):
    x, confidence = make(6, 9, 25)
    before = x.clone(), confidence.clone(), LENGTHS.clone()
    call(name, x=x, confidence=confidence)
    assert all(map(torch.equal, (x, confidence, LENGTHS), before))
    # Rows that share memory cannot be written.
    call(name, x=x[:1].expand(6, -1, -1, -1), confidence=confidence[:1].expand(6, -1, -1))


@every
def test_gradients_are_finite_even_where_nothing_moves(name):
    x, confidence = make(6, 9, 25)
    x[1] = 0
    x[4] = 1.0
    for weights in (confidence, None):
        y = x.clone().requires_grad_()
        call(name, x=y, confidence=weights).x.square().sum().backward()
        assert y.grad.isfinite().all()
        assert y.grad[0].any()
        beyond = torch.arange(9) >= LENGTHS[:, None]
        assert not (y.grad * beyond[:, None, :, None]).any()


@pytest.mark.parametrize("name", [n for n in DETERMINISTIC if n != "select persons"])
def test_gradients_are_right(name):
    x, _ = make(2, 4, 13, missing=0.0)
    transform = ALL[name]("penn13")
    lengths = torch.tensor([4, 3])
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: transform(x, lengths).x, (x,), fast_mode=True)


@every
def test_meta_tensors_pass(name):
    """Finds reads of values and tensors left on another device."""
    x, confidence = make(6, 9, 25)
    real = call(name)
    transform = ALL[name]("ntu25")
    for persons in (1, 2):
        fake = transform(
            x.to("meta"), LENGTHS.to("meta"), confidence=confidence.to("meta"), persons=persons
        )
        assert fake.x.device.type == "meta"
        assert fake.x.shape[1:] == real.x.shape[1:]


@every
def test_empty_batches_pass(name):
    x, confidence = make(0, 9, 25)
    empty = ALL[name]("ntu25")(x, torch.zeros(0, dtype=torch.int64), confidence=confidence)
    assert empty.x.shape[0] == 0 and empty.lengths.shape == (0,)


def test_all_compile_in_one_graph(fresh_dynamo):
    # The streams' 12 channels are no coordinates for the others.
    chain = Compose(*(make_one("ntu25") for name, make_one in ALL.items() if name != "streams"))
    x, confidence = make(6, 9, 25)

    compiled = torch.compile(chain, fullgraph=True, backend="eager")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = chain(x, LENGTHS, confidence=confidence)
        torch.manual_seed(0)
        actual = compiled(x, LENGTHS, confidence=confidence)
    assert_close(actual.x, expected.x)


def test_compose_is_one_after_the_other():
    chosen = ("centre first", "crop", "rotation", "resample longer", "jitter")
    parts = [ALL[name]("ntu25") for name in chosen]
    x, confidence = make(6, 9, 25)
    generator = seeded(1)
    expected = Skeletons(x, LENGTHS, confidence, 2)
    for part in parts:
        x, lengths, weights, persons = expected
        expected = part(x, lengths, confidence=weights, generator=generator, persons=persons)
    x, confidence = make(6, 9, 25)
    actual = Compose(*parts)(x, LENGTHS, confidence=confidence, generator=seeded(1), persons=2)
    assert torch.equal(actual.x, expected.x)
    assert torch.equal(actual.confidence, expected.confidence)
    assert actual.persons == 2
    nothing = Compose()(x, LENGTHS, confidence=confidence)
    assert nothing.x is x and torch.equal(nothing.lengths, LENGTHS)
    with pytest.raises(TypeError, match="transforms must be modules of type Transform, got ReLU"):
        Compose(Resample(3), torch.nn.ReLU())


@every
def test_no_state_and_a_readable_name(name):
    transform = ALL[name]("ntu25")
    assert not list(transform.parameters()) and not transform.state_dict()
    assert type(transform).__name__ in repr(transform)
    training = transform.train()(make(2, 4, 25)[0], generator=seeded()).x
    assert torch.equal(transform.eval()(make(2, 4, 25)[0], generator=seeded()).x, training)


@every
def test_errors_name_the_argument(name):
    x, confidence = make(6, 9, 25)
    transform = ALL[name]("ntu25")
    with pytest.raises(ValueError, match=r"4 axes \[N, C, T, V\], got shape \(3, 9, 25\)"):
        transform(x[0])
    with pytest.raises(TypeError, match="floating-point"):
        transform(x.long())
    with pytest.raises(ValueError, match=r"confidence must have shape \(6, 9, 25\)"):
        transform(x, confidence=confidence[:, :3])
    with pytest.raises(ValueError, match="lengths"):
        transform(x, torch.full((6,), 10))
    with pytest.raises(ValueError, match=r"persons must divide the 6 skeletons .* got 4"):
        transform(x, persons=4)


def test_half_precision_is_rounded_once():
    x = make(2, 9, 25, missing=0.0)[0].to(torch.float16)
    for name in ("centre clip", "scale bones", "resample longer", "rotation 3"):
        exact = ALL[name]("ntu25")(x.double(), generator=seeded()).x
        assert_close(ALL[name]("ntu25")(x, generator=seeded()).x, exact, TOLERANCE[torch.float16])


@every
@pytest.mark.parametrize("persons", [0, 1.0])
def test_persons_are_a_whole_number(name, persons):
    with pytest.raises((TypeError, ValueError), match="persons must be"):
        call(name, persons=persons)

"""Stages 2 to 4 of the zero-shot example: the loss, learning, selection, gate and stacking."""

from __future__ import annotations

import itertools
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import GOLDEN, assert_close
from torch import Tensor

from examples.common.runs import Cell
from examples.common.signals import Stop, Stopped
from examples.fs_vae.config import PRESETS, Config
from examples.fs_vae.features import Features, Part
from examples.fs_vae.model import CrossModalVAE, Outputs, Weights, alignment_loss, loss_of
from examples.fs_vae.recognise import Scores, Stacking, fit_gate, fit_stacking, recognise
from examples.fs_vae.train import schedule, train_cycles
from examples.soak import differing
from skelfreq import FreqEnhance
from skelfreq.functional import generalized_zero_shot_accuracy

SMALL = replace(PRESETS["msr"], latent=8, cycles=2, cycle_epochs=25, lr=5e-3, num_bands=4, split=9)


def problem(seed: int = 0, noise: float = 0.5) -> tuple[Features, Features, Tensor]:
    """Ten classes whose skeleton features are a linear map of their text, plus noise."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.nn.functional.normalize(torch.randn(10, 24, generator=generator), dim=1)
    # Few factors: classes can be told apart from the ones that were seen.
    text = torch.nn.functional.normalize(text[:, :3] @ torch.randn(3, 24, generator=generator), 1)
    mapping = 3 * torch.randn(24, 16, generator=generator)
    heads = torch.randn(16, 10, generator=generator) / 4

    def part(classes: tuple[int, ...], seen: tuple[int, ...], count: int) -> Part:
        labels = torch.tensor(classes).repeat_interleave(count)
        x = text[labels] @ mapping
        x = x + noise * torch.randn(x.shape, generator=generator)
        own = 4.0 * (labels[:, None] == torch.tensor(seen))
        return Part(x, labels, x @ heads[:, list(seen)] + own)

    def features(seen: tuple[int, ...], unseen: tuple[int, ...]) -> Features:
        parts = (part(seen, seen, 20), part(seen, seen, 8), part(unseen, seen, 12))
        return Features(*parts, seen, unseen, "test")

    return features((0, 1, 2, 3, 4, 5, 6), (7, 8, 9)), features((0, 1, 2, 3), (4, 5, 6)), text


class StoredNoise(CrossModalVAE):
    """The network with noise from a file instead of a generator."""

    noise: list[Tensor]

    def sample(self, mu: Tensor, logvar: Tensor, generator: object) -> Tensor:
        return mu + self.noise.pop(0) * (logvar / 2).exp()


def test_one_training_step_equals_the_release(golden_path: Path) -> None:
    stored = np.load(golden_path / "fsvae_step_256.npz")
    z = {name: torch.from_numpy(np.asarray(stored[name])) for name in stored.files}
    config = Config(
        latent=8,
        split=30,
        last="released",
        enhance_text=True,
        alignment="released",
        sensitivity=float(z["lmd"]),
        shared_noise=True,
        decoder_relu=True,
    )
    model = StoredNoise(256, 64, config).double()
    names = {"skeleton": "sequence_encoder", "text": "text_encoder",
             "to_skeleton": "sequence_decoder", "to_text": "text_decoder"}  # fmt: skip
    inner = {"enhance.weights": "freq_weights", "enhance.strength": "k",
             "mu.weight": "mu_transformation.weight", "mu.bias": "mu_transformation.bias",
             "logvar.weight": "logvar_transformation.weight",
             "logvar.bias": "logvar_transformation.bias",
             "0.weight": "model.0.weight", "0.bias": "model.0.bias"}  # fmt: skip

    def released(name: str) -> str:
        network, rest = name.split(".", 1)
        return f"{names[network]}.{inner[rest]}"

    state = {name: z[f"sd/{released(name)}"].double() for name in model.state_dict()}
    model.load_state_dict(state)
    model.noise = [z["eps_s"], z["eps_t"]]
    out = model(z["s"], z["t"])
    weights = Weights(
        1.0, float(z["k_fact"]), float(z["k_fact2"]), float(z["lmd"]) * float(z["alpha"])
    )
    loss = loss_of(out, z["s"], z["t"], weights, config, z["t_perm"])
    loss.backward()
    assert_close(loss, z["loss"], GOLDEN)
    compared = 0
    for name, parameter in model.named_parameters():
        if (key := f"grad/{released(name)}") in z:
            assert_close(parameter.grad, z[key].double().reshape(parameter.shape), GOLDEN)
            compared += 1
    assert compared == 13


def test_recognises_unseen_classes_of_linear_problems() -> None:
    found = [recognise(*problem(seed), SMALL)[0] for seed in range(4)]
    mean = {name: np.mean([metrics[name] for metrics in found]) for name in found[0]}
    chance = 1 / 3
    assert mean["zero-shot"] > 2 * chance
    assert mean["seen classifier"] > 0.9
    assert mean["harmonic"] > 0.55 and mean["stacked harmonic"] > 0.55 and mean["area"] > 0.5
    for metrics in found:
        for prefix in ("", "stacked "):
            s, u = metrics[f"{prefix}seen"], metrics[f"{prefix}unseen"]
            assert metrics[f"{prefix}harmonic"] == pytest.approx(2 * s * u / (s + u))


def test_without_alignment_nothing_is_transferred() -> None:
    accuracies = [
        np.mean(
            [
                recognise(*problem(seed), replace(SMALL, alignment=alignment))[0]["zero-shot"]
                for seed in range(4)
            ]
        )
        for alignment in ("calibrated", "none")
    ]
    assert accuracies[0] > accuracies[1] + 0.3


def test_same_seed_same_result() -> None:
    features, validation, text = problem()
    first, second = (recognise(features, validation, text, SMALL) for _ in range(2))
    assert first == second


def test_selection_does_not_look_at_the_test_samples() -> None:
    features, validation, text = problem()
    shuffled = replace(
        features,
        unseen_test=replace(features.unseen_test, x=features.unseen_test.x.flip(0)),
        seen_test=replace(features.seen_test, x=features.seen_test.x.flip(0)),
    )
    first, second = (recognise(f, validation, text, SMALL) for f in (features, shuffled))
    assert first[1]["chosen"] == second[1]["chosen"]
    assert first[0] != second[0]


def test_selection_on_the_test_set_warns_and_is_never_worse() -> None:
    features, validation, text = problem(noise=2.0)
    honest, _ = recognise(features, validation, text, SMALL)
    with pytest.warns(UserWarning, match="on the test samples"):
        published, _ = recognise(features, validation, text, replace(SMALL, select="test"))
    assert published["zero-shot"] >= honest["zero-shot"]
    assert published["harmonic"] >= honest["harmonic"]


@pytest.mark.parametrize("step", [1, 60, 150])
def test_resume_equals_the_uninterrupted_run(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 2 cycles of 25 epochs with 2 batches to select on, and as many or half of it to test with.
    given = problem()
    folders = [tmp_path / name for name in ("whole", "parts")]
    for folder in folders:
        folder.mkdir()
    whole = recognise(*given, SMALL, Cell(folders[0]))
    made = itertools.count(1)
    forward = CrossModalVAE.forward

    def interrupted(self: CrossModalVAE, *args: object) -> Outputs:
        if next(made) == step:
            signal.raise_signal(signal.SIGINT)
        return forward(self, *args)

    with Stop() as stop, monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(CrossModalVAE, "forward", interrupted)
        recognise(*given, SMALL, Cell(folders[1], stop=stop))
    assert recognise(*given, SMALL, Cell(folders[1])) == whole
    assert differing(*folders) == []


def test_the_best_cycle_is_taken_and_the_first_of_equals() -> None:
    features, _, text = problem()
    config = replace(SMALL, cycles=3, cycle_epochs=1)
    said = iter([0.2, 0.5, 0.5])
    seen: list[Tensor] = []

    def judge(model: CrossModalVAE) -> float:
        seen.append(model.to_text[0].weight.detach().clone())
        return next(said)

    model, judged = train_cycles(features, text, config, judge=judge)
    assert judged == [0.2, 0.5, 0.5]
    assert torch.equal(model.to_text[0].weight, seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_triplet_wants_the_right_decoding() -> None:
    config = replace(SMALL, alignment="triplet")
    s, t = torch.randn(6, 4), torch.randn(6, 3)
    order = torch.tensor([1, 2, 3, 4, 5, 0])

    def loss(s_from_t: Tensor, t_from_s: Tensor) -> float:
        out = Outputs(s, s, t, t, s, t, s_from_t, t_from_s)
        return float(alignment_loss(out, 9 * s, 9 * t, config, order))

    assert loss(9 * s, 9 * t) < loss(-9 * s, -9 * t)


def test_schedule_warms_up_in_order() -> None:
    config = Config(kl_start=0.2, kl_end=0.6, kl_weight=0.5, alignment_start=0.4)
    steps = [schedule(config, p / 10) for p in range(10)]
    assert [w.kl_skeleton for w in steps] == pytest.approx(
        [0, 0, 0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5]
    )
    assert [w.alignment for w in steps] == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("enhance", "kind"), [("bands", "bands"), ("free", "free")])
def test_gains_are_trained(enhance: str, kind: str) -> None:
    features, _, text = problem()
    config = replace(SMALL, enhance=enhance, cycles=1, cycle_epochs=2)
    model, _ = train_cycles(features, text, config)
    layer = model.skeleton.enhance
    assert isinstance(layer, FreqEnhance) and layer.learnable == kind
    assert not torch.equal(layer.weights, torch.ones_like(layer.weights))


def scores(seed: int = 0) -> Scores:
    """Seen samples with a sure seen classifier, unseen ones with an unsure one."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.arange(4).repeat(15), torch.arange(4, 7).repeat(15)])
    logits = torch.randn(105, 4, generator=generator)
    logits[torch.arange(60), labels[:60]] += 6
    unseen = torch.randn(105, 3, generator=generator)
    unseen[torch.arange(60, 105), labels[60:] - 4] += 4
    return Scores(unseen.softmax(1), logits, labels, (4, 5, 6), (0, 1, 2, 3))


def test_gate_and_stacking_separate_seen_from_unseen() -> None:
    validation, test = scores(0), scores(1)
    for decision in (fit_gate(validation), fit_stacking(validation)):
        accuracy = generalized_zero_shot_accuracy(decision.predict(test), test.labels, range(4))
        assert accuracy.harmonic > 0.7


def test_a_large_handicap_leaves_only_unseen_classes() -> None:
    test = scores()
    assert set(Stacking(1.0, 2.0).predict(test).tolist()) <= {4, 5, 6}
    assert set(Stacking(1.0, -2.0).predict(test).tolist()) <= {0, 1, 2, 3}


def test_text_must_cover_the_classes_and_be_finite() -> None:
    features, validation, text = problem()
    with pytest.raises(ValueError, match="a row for each of 10 classes, got 8"):
        recognise(features, validation, text[:8], SMALL)
    text[3, 2] = torch.nan
    with pytest.raises(ValueError, match="finite, got NaN or infinity for class 3"):
        recognise(features, validation, text, SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"enhance": "all"}, "enhance must be one of"), ({"levels": ("word",)}, "levels must be"),
     ({"alignment": "cosine"}, "alignment must be"), ({"select": "train"}, "select must be"),
     ({"latent": 0}, "latent must be at least 1")],
)  # fmt: skip
def test_bad_settings(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["msr"], **change)

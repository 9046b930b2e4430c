"""The FD-MAE example: parity with MAMP's network, training, resuming, evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from interruptions import signal_at
from torch import Tensor

from examples.common.probe import probe
from examples.common.runs import Cell
from examples.common.settings import from_dict
from examples.common.signals import Stop, Stopped
from examples.data.task import Labelled, Task
from examples.encoders.pooling import pool
from examples.fd_mae.config import PRESETS, ROWS, Config
from examples.fd_mae.experiment import fine_tuned
from examples.fd_mae.model import MaskedAutoencoder
from examples.fd_mae.train import Pretraining, build
from examples.soak import differing, equal
from skelfreq import TubeMask
from skelfreq.functional import motion, motion_reconstruction_loss

TINY = Config(
    frames=8, width=16, depth=1, heads=2, decoder_width=16, ssfrm_width=8, cutoff=3,
    tube_length=1, mask_ratio=0.6, epochs=7, batch_size=8, warmup_epochs=1,
)  # fmt: skip
JOINTS = 5


def clips(count: int = 24, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(16.0).view(1, 1, 16, 1) / 16
    rate = torch.randint(1, 4, (count, 1, 1, 1), generator=generator)
    shift = torch.rand(count, 3, 1, JOINTS, generator=generator)
    return torch.sin(2 * torch.pi * (rate * time + shift))


def mamp_weights(golden: dict[str, np.ndarray], prefix: str) -> dict[str, Tensor]:
    """Rename MAMP's arrays to this network's parameters."""
    renamed = {}
    for key, value in golden.items():
        if not key.startswith(prefix):
            continue
        name = key.removeprefix(prefix)
        tensor = torch.from_numpy(np.asarray(value)).double()
        for old, new in (
            ("attn.qkv", "qkv"), ("attn.proj", "proj"), ("mlp.fc1", "mlp.0"), ("mlp.fc2", "mlp.2"),
            ("joints_embed.proj", "embed"), ("decoder_pred", "signal_head"),
        ):  # fmt: skip
            name = name.replace(old, new)
        if name.startswith(("blocks", "norm", "embed")):
            name = f"encoder.{name}"
        positions = {
            "temp_embed": "encoder.time_position",
            "pos_embed": "encoder.joint_position",
            "decoder_temp_embed": "decoder_time_position",
            "decoder_pos_embed": "decoder_joint_position",
        }
        if name in positions:
            name, tensor = positions[name], tensor[0]
        renamed[name] = tensor.flatten() if name == "mask_token" else tensor
    return renamed


def test_network_equals_mamp(golden_path: Path) -> None:
    with np.load(golden_path / "mamp_forward_T20V20_tau0_raw.npz") as file:
        golden = dict(file)
    config = dict(zip(golden["config_names"].tolist(), golden["config"].tolist(), strict=True))
    network = MaskedAutoencoder(
        frames=config["T"], joints=config["V"], patch_frames=config["t_patch"],
        width=config["dim"], depth=config["depth"], heads=config["heads"],
        decoder_width=config["dec_dim"], decoder_depth=config["dec_depth"], frequency=False,
    ).double()  # fmt: skip
    network.load_state_dict(mamp_weights(golden, "sd/"))
    x = torch.from_numpy(golden["x"])
    x = x.permute(0, 4, 1, 2, 3).flatten(0, 1)
    steps = config["T"] // config["t_patch"]
    mask = torch.from_numpy(golden["mask"]).bool().reshape(-1, steps, config["V"])
    drawn = TubeMask(
        mask, torch.from_numpy(golden["ids_keep"]), torch.from_numpy(golden["ids_restore"])
    )
    tokens = network.encoder.tokens(x)
    latent = network.encoder(drawn.gather(tokens))
    signal = network.reconstruct(latent, drawn).signal
    loss = motion_reconstruction_loss(
        signal, motion(x, stride=config["stride"]), mask.repeat_interleave(config["t_patch"], 1)
    )
    loss.backward()
    assert np.abs(tokens.detach().flatten(1, 2).numpy() - golden["tokens_in"]).max() < 1e-10
    assert np.abs(latent.detach().numpy() - golden["latent"]).max() < 1e-10
    prediction = golden["pred"].reshape(len(x), steps, config["V"], config["t_patch"], 3)
    prediction = prediction.transpose(0, 4, 1, 3, 2).reshape(signal.shape)
    assert np.abs(signal.detach().numpy() - prediction).max() < 1e-10
    assert abs(float(loss.detach()) - golden["loss"]) < 1e-10
    gradients = mamp_weights(golden, "grad/")
    for name, parameter in network.named_parameters():
        expected = gradients[name].reshape(parameter.shape)
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("row", [row for row in ROWS if "epochs" not in ROWS[row].changes])
def test_every_row_trains(row: str) -> None:
    config = replace(TINY, **ROWS[row].changes, lr=3e-3, epochs=15)
    run = Pretraining(config, clips())
    before = {name: value.clone() for name, value in run.network.named_parameters()}
    history = run.run().loop.history
    assert history[-1]["motion"] < 0.9 * history[0]["motion"]
    assert all(not torch.equal(before[n], p) for n, p in run.network.named_parameters())
    assert (history[-1]["consistency"] > 0) == config.dual_path
    assert (history[-1]["frequency"] > 0) == config.frequency


def test_no_epoch_leaves_the_network_as_it_was_made() -> None:
    torch.manual_seed(TINY.seed)
    made = build(TINY, JOINTS)
    run = Pretraining(replace(TINY, epochs=0), clips()).run()
    assert run.loop.history == []
    for name, value in run.trained().state_dict().items():
        assert torch.equal(value, made.state_dict()[name]), name


def test_mask_of_a_row_is_the_one_it_names() -> None:
    clip = torch.zeros(64, 3, 32, JOINTS)
    tubes = build(replace(TINY, frames=32, tube_length=4), JOINTS).draw_mask(clip)
    assert (tubes.mask.sum(-1) == 3).all()
    assert (tubes.mask[:, :4] == tubes.mask[:, :1]).all()
    free = build(replace(TINY, frames=32, multi_tube=False), JOINTS).draw_mask(clip)
    assert (free.mask.sum((1, 2)) == round(0.6 * 8 * JOINTS)).all()
    assert free.mask.sum(-1).unique().numel() > 1


def test_only_visible_tokens_enter_the_encoder() -> None:
    network = build(TINY, JOINTS)
    seen: list[torch.Size] = []
    network.encoder.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    network(clips(4)[:, :, ::2])
    assert seen == [torch.Size([4, 2 * 2, 16])]


@pytest.mark.parametrize("row", ["plain", "fd-mae"])
@pytest.mark.parametrize("step", [1, 3, 8])
def test_resume_equals_the_uninterrupted_run(row: str, step: int, tmp_path: Path) -> None:
    config, data = replace(TINY, **ROWS[row].changes), clips()
    folders = [tmp_path / name for name in ("whole", "parts")]
    for folder in folders:
        folder.mkdir()
    whole = Pretraining(config, data, Cell(folders[0])).run()
    with Stop() as stop, pytest.raises(Stopped):
        first = Pretraining(config, data, Cell(folders[1], stop=stop))
        signal_at(first.network, step)
        first.run()
    torch.rand(7)  # whatever happened in between must not matter
    parts = Pretraining(config, data, Cell(folders[1]))
    assert parts.loop.step == step
    assert parts.run().loop.history == whole.loop.history
    assert differing(*folders) == []
    # Nothing is left to do, and the generators are where the whole run left them.
    torch.rand(3)
    again = Pretraining(config, data, Cell(folders[1])).run()
    assert equal(again.network.state_dict(), whole.network.state_dict())
    assert torch.equal(again.generator.get_state(), whole.generator.get_state())


def test_the_ema_target_follows_the_online_network() -> None:
    run = Pretraining(replace(TINY, epochs=1), clips()).run()
    assert run.dual is not None
    assert run.dual.num_updates == 3
    assert [run.momentum_at(k) for k in (0, 1)] == [0.1, 2 / 11]
    assert run.momentum_at(10**6) == TINY.momentum
    for target, online in zip(
        run.dual.target.parameters(), run.dual.online.parameters(), strict=True
    ):
        assert target.grad is None
        assert not target.requires_grad
        assert not torch.equal(target, online)


def test_probe_and_fine_tuning_find_what_is_there() -> None:
    time = torch.arange(16.0).view(1, 1, 16, 1) / 16
    labels = torch.arange(60) % 3
    rate = (labels + 1).view(-1, 1, 1, 1)
    shift = torch.rand(60, 3, 1, JOINTS, generator=torch.Generator().manual_seed(0))
    data = torch.sin(2 * torch.pi * (rate * time + shift))
    train, test = Labelled(data[:45], labels[:45]), Labelled(data[45:], labels[45:])
    task = Task(train, test, "none", ("a", "b", "c"), "waves")
    network = build(TINY, JOINTS)
    before = [p.clone() for p in network.parameters()]
    embed, device = network.encoder.clip_features, torch.device("cpu")
    options = {"poolings": {"": partial(pool, pooling="mean+deviation")}}
    found = probe(embed, train, test, device, neighbours=5, **options)
    assert found["linear probe"] > 0.5 and found["kNN"] > 0.5
    assert probe(embed, train, test, device, **options) == {"linear probe": found["linear probe"]}
    # The classes are rates, which a temporal crop would change.
    still = replace(TINY, rotation=0.0, scale=0.0, crop=1.0, fine_tuning_steps=60)
    first = fine_tuned(network, still, task, 1.0, 0, Cell(quiet=True))
    assert first > 0.8
    assert fine_tuned(network, still, task, 1.0, 0, Cell(quiet=True)) == first
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_config_survives_json_and_rejects_unknown_names() -> None:
    for config in PRESETS.values():
        assert from_dict(Config, json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match=r"unknown names .*'mask_ration'"):
        from_dict(Config, {"mask_ration": 0.5})
    with pytest.raises(ValueError, match=r"signal must be one of .*displacement.* got 'speed'"):
        Config(signal="speed")

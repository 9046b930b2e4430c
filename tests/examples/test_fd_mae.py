"""The FD-MAE example: parity with MAMP's network, training, resuming, evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from examples.data.task import Labelled
from examples.fd_mae.augmentation import Augmentation
from examples.fd_mae.config import PRESETS, Config, from_dict
from examples.fd_mae.evaluate import FineTuning, fine_tune, linear_probe, take_labels
from examples.fd_mae.model import MaskedAutoencoder
from examples.fd_mae.pretrain import CHECKPOINT_EVERY, Pretraining, build, pretrain
from examples.fd_mae.rows import ROWS
from examples.runs import load_checkpoint, new_folder, save_checkpoint
from skelfreq import TubeMask
from skelfreq.functional import motion, motion_reconstruction_loss

TINY = Config(
    frames=8, width=16, depth=1, heads=2, decoder_width=16, ssfrm_width=8, cutoff=3,
    tube_length=1, mask_ratio=0.6, epochs=CHECKPOINT_EVERY + 2, batch_size=8, warmup_epochs=1,
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


@pytest.mark.parametrize("row", [row for row in ROWS if row != "untrained"])
def test_every_row_trains(row: str) -> None:
    change = ROWS[row]
    assert change is not None
    config = replace(change(TINY), lr=3e-3)
    run = Pretraining(config, clips(), "cpu")
    before = {name: value.clone() for name, value in run.network.named_parameters()}
    for _ in range(15):
        run.run_epoch()
    assert run.history[-1]["motion"] < 0.9 * run.history[0]["motion"]
    assert all(not torch.equal(before[n], p) for n, p in run.network.named_parameters())
    assert (run.history[-1]["consistency"] > 0) == config.dual_path
    assert (run.history[-1]["frequency"] > 0) == config.frequency


def test_mask_of_a_row_is_the_one_it_names() -> None:
    tokens = torch.zeros(64, 8, JOINTS, 1)
    tubes = build(replace(TINY, tube_length=4), JOINTS).draw_mask(tokens)
    assert (tubes.mask.sum(-1) == 3).all()
    assert (tubes.mask[:, :4] == tubes.mask[:, :1]).all()
    scattered = build(replace(TINY, multi_tube=False, frames=32), JOINTS).draw_mask(tokens)
    assert (scattered.mask.flatten(1).sum(-1) == round(0.6 * 8 * JOINTS)).all()
    assert scattered.mask.sum(-1).unique().numel() > 1


def test_only_visible_tokens_pass_the_encoder() -> None:
    network = build(TINY, JOINTS)
    seen: list[torch.Size] = []
    network.encoder.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    network(clips(4)[:, :, ::2])
    assert seen == [torch.Size([4, 2 * 2, 16])]


def weights(run: Pretraining) -> dict[str, Tensor]:
    return dict(run.module.state_dict().items())


def test_resume_equals_the_uninterrupted_run(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    data = clips()
    whole = pretrain(TINY, data, tmp_path / "whole")

    class Stop(Exception):
        pass

    def interrupt(run: Pretraining, *args: object) -> None:
        if run.epoch == CHECKPOINT_EVERY + 1:
            raise Stop
        original(run, *args)

    original = Pretraining.run_epoch
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Pretraining, "run_epoch", interrupt)
        pretrain(TINY, data, tmp_path / "parts")
    torch.rand(7)  # whatever happened in between must not matter
    parts = pretrain(TINY, data, tmp_path / "parts")
    assert parts.history == whole.history
    expected = weights(whole)
    assert weights(parts).keys() == expected.keys()
    for name, value in weights(parts).items():
        assert torch.equal(value, expected[name]), name
    state, again = whole.optimizer.state_dict()["state"], parts.optimizer.state_dict()["state"]
    assert all(torch.equal(state[k]["exp_avg_sq"], again[k]["exp_avg_sq"]) for k in state)
    metrics = json.loads((tmp_path / "parts" / "metrics.json").read_text())
    assert metrics == whole.history


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"epoch": 1, "x": torch.ones(3)})
    whole = path.read_bytes()
    assert torch.equal(load_checkpoint(path)["x"], torch.ones(3))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"checkpoint.pt is not a readable checkpoint"):
        load_checkpoint(path)
    with pytest.raises(FileNotFoundError, match=r"missing.pt"):
        load_checkpoint(tmp_path / "missing.pt")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises(Exception, match=r"pickle"):
        save_checkpoint(path, {"epoch": 2, "bad": lambda: None})
    assert load_checkpoint(path) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_run_folders_never_collide(tmp_path: Path) -> None:
    folders = {new_folder(tmp_path, "run") for _ in range(5)}
    assert len(folders) == 5
    assert all(folder.is_dir() for folder in folders)


def test_the_ema_target_follows_the_online_network() -> None:
    run = Pretraining(TINY, clips(), "cpu")
    run.run_epoch()
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


def test_take_labels_spreads_over_the_classes() -> None:
    labels = torch.arange(20).repeat_interleave(15)
    chosen = take_labels(labels, 0.1, torch.Generator().manual_seed(0))
    assert chosen.unique().numel() == 30
    counts = labels[chosen].bincount(minlength=20)
    assert counts.min() == 1
    assert counts.max() == 2
    assert (
        take_labels(labels, 1.0, torch.Generator().manual_seed(0))
        .sort()
        .values.equal(torch.arange(300))
    )
    with pytest.raises(ValueError, match=r"labels must be a share"):
        take_labels(labels, 0.0, torch.Generator())


def test_probe_and_fine_tuning_find_what_is_there() -> None:
    time = torch.arange(16.0).view(1, 1, 16, 1) / 16
    labels = torch.arange(60) % 3
    rate = (labels + 1).view(-1, 1, 1, 1)
    shift = torch.rand(60, 3, 1, JOINTS, generator=torch.Generator().manual_seed(0))
    data = torch.sin(2 * torch.pi * (rate * time + shift))
    train, test = Labelled(data[:45], labels[:45]), Labelled(data[45:], labels[45:])
    network = build(TINY, JOINTS)
    before = [p.clone() for p in network.parameters()]
    assert linear_probe(network.encoder, train, test) > 0.5
    # The classes are rates, which a temporal crop would change.
    still = Augmentation(rotation=0.0, scale=0.0, crop=1.0)
    settings = FineTuning(steps=60, batch_size=16, lr=5e-3, drop_tokens=0.0, augmentation=still)
    first = fine_tune(network.encoder, train, test, settings, seed=0)
    assert first > 0.8
    assert fine_tune(network.encoder, train, test, settings, seed=0) == first
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_config_survives_json_and_rejects_unknown_names() -> None:
    for config in PRESETS.values():
        assert from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match=r"unknown names .*'mask_ration'"):
        from_dict({"mask_ration": 0.5})
    with pytest.raises(ValueError, match=r"signal must be one of .*'displacement'.* got 'speed'"):
        Config(signal="speed")

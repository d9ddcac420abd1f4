"""The engine's promises: exact resume, several processes, bad samples, numbers that are not finite."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from PIL import Image

from datasets.clip_dataset import ClipDataset
from datasets.sample import ClipSample, RawClip, collate
from engine import Trainer
from models import build_model
from opts import parse_settings
from tests.test_criterion import target
from tools.make_untrained import SMALL
from util.checkpoint_file import read_checkpoint
from util.errors import InputError
from util.structures import Clips, Tokens

ROOT = Path(__file__).parents[1]


def as_sample(raw, rng):
    """No augmentation, but a draw, so that a wrong generator shows."""
    noise = torch.from_numpy(rng.standard_normal((len(raw.frames), 3, *raw.masks.shape[1:]), dtype=np.float32))
    return ClipSample(noise, noise * 0.5, target(len(noise), *raw.masks.shape[1:]), raw.caption, raw.name, (64, 96))


class NoiseClips(ClipDataset):
    """Clips of noise; those in `broken` cannot be read, those in `empty` hold no object."""

    def __init__(self, length=6, broken=(), empty=()):
        super().__init__(as_sample)
        self.length, self.broken, self.empty = length, broken, empty

    def __len__(self):
        return self.length

    def read(self, index, rng):
        if index in self.broken:
            raise InputError(f"clip {index} is broken")
        return RawClip([None] * 2, [None] * 2, np.ones((2, 64, 96), dtype=bool), "the red ball", 0, f"noise {index}")

    def __getitem__(self, key):
        sample = super().__getitem__(key)
        if key[1] in self.empty:
            nothing = target(2, 64, 96, valid=[False, False])
            return ClipSample(sample.frames, sample.reference, nothing, sample.caption, "nothing", (64, 96))
        return sample


def settings_for(text_encoder, output, *flags):
    return parse_settings(
        [*SMALL, "--text_encoder", str(text_encoder), "--output_dir", str(output), "--num_workers", "0", *flags]
    )


def trainer_for(text_encoder, output, *flags, dataset=None):
    settings = settings_for(text_encoder, output, *flags)
    torch.manual_seed(0)
    model, criterion, _ = build_model(settings)
    output.mkdir(exist_ok=True)
    return Trainer(settings, (model, criterion), dataset or NoiseClips(), torch.device("cpu"))


def steps_of(output):
    return [json.loads(line) for line in (output / "steps.jsonl").read_text().splitlines()]


def same_weights(a, b):
    one, other = read_checkpoint(a)["model"], read_checkpoint(b)["model"]
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("workers", "stop"), [(0, 2), (0, 3), (2, 3)])
def test_a_resumed_run_is_the_same_run(text_encoder, tmp_path, workers, stop):
    flags = ("--epochs", "2", "--num_workers", str(workers), "--checkpoint_steps", "1", "--ema", "0.9")
    flags += ("--batch_size", "2", "--lr_drop", "1")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trainer_for(text_encoder, whole, *flags).fit()
    trainer_for(text_encoder, parts, *flags, "--max_steps", str(stop)).fit()
    trainer_for(text_encoder, parts, *flags, "--resume", str(parts / "checkpoint.pth")).fit()
    assert steps_of(parts) == steps_of(whole)
    assert len(steps_of(whole)) == 6
    assert (parts / "log.txt").read_text() == (whole / "log.txt").read_text()
    assert same_weights(parts / "checkpoint.pth", whole / "checkpoint.pth")
    ema = [read_checkpoint(folder / "checkpoint.pth")["ema"] for folder in (whole, parts)]
    assert all(torch.equal(ema[0][name], ema[1][name]) for name in ema[0])


def test_what_a_killed_run_wrote_beyond_its_checkpoint_is_done_again(text_encoder, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trainer_for(text_encoder, whole, "--epochs", "1").fit()

    class KilledError(Exception):
        pass

    class Stops(NoiseClips):
        def read(self, index, rng):
            if (parts / "steps.jsonl").exists() and len(steps_of(parts)) == 5:
                raise KilledError
            return super().read(index, rng)

    flags = ("--epochs", "1", "--checkpoint_steps", "2")
    with pytest.raises(KilledError):
        trainer_for(text_encoder, parts, *flags, dataset=Stops()).fit()
    with (parts / "steps.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # cut off in the middle of a line
    trainer_for(text_encoder, parts, *flags, "--resume", str(parts / "checkpoint.pth")).fit()
    assert steps_of(parts) == steps_of(whole)
    assert same_weights(parts / "checkpoint.pth", whole / "checkpoint.pth")


def test_files_of_an_epoch(text_encoder, tmp_path):
    output = tmp_path / "run"
    trainer_for(text_encoder, output, "--epochs", "2").fit(lambda network: {"test_score": 0.5})
    epochs = [json.loads(line) for line in (output / "log.txt").read_text().splitlines()]
    assert [e["epoch"] for e in epochs] == [0, 1]
    assert epochs[0]["test_score"] == 0.5
    steps = steps_of(output)
    assert epochs[0]["train_loss"] == pytest.approx(np.mean([s["loss"] for s in steps[:6]]))
    names = {path.name for path in output.glob("*.pth")}
    assert names == {"checkpoint.pth", "checkpoint0000.pth", "checkpoint0001.pth"}
    state = read_checkpoint(output / "checkpoint0000.pth")
    assert state["epoch"] == 0
    assert state["args"]["backbone"] == "timm:test_efficientnet"
    with Image.open(output / "curves.png") as curves:
        curves.verify()


def test_curves_that_cannot_be_drawn_stop_nothing(text_encoder, tmp_path, capsys, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no ink")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", refuse)
    trainer_for(text_encoder, tmp_path / "run", "--epochs", "2", "--epoch_clips", "1").fit()
    assert len(steps_of(tmp_path / "run")) == 2
    assert [line for line in capsys.readouterr().err.splitlines() if line.endswith("not drawn: no ink")][1:]
    assert not [path for path in (tmp_path / "run").iterdir() if "curves" in path.name]


def test_bad_samples_are_counted_and_replaced(text_encoder, tmp_path, capsys):
    flags = ("--epochs", "1")
    with pytest.raises(InputError, match="clip 1 is broken"):
        trainer_for(text_encoder, tmp_path / "a", *flags, dataset=NoiseClips(broken=(1,))).fit()
    trainer_for(text_encoder, tmp_path / "b", *flags, "--max_bad_samples", "5", dataset=NoiseClips(broken=(1,))).fit()
    assert "bad sample 1: clip 1 is broken" in capsys.readouterr().err
    assert len(steps_of(tmp_path / "b")) == 6


def test_numbers_that_are_not_finite_stop_the_run(text_encoder, tmp_path):
    output = tmp_path / "run"
    trainer = trainer_for(text_encoder, output, "--epochs", "2")

    def poison(network):
        with torch.no_grad():
            network.query_embed.weight[0, 0] = float("nan")
        return {}

    with pytest.raises(InputError, match=r"noise \d is not finite"):
        trainer.fit(poison)
    state = torch.load(output / "not_finite_rank0.pth", weights_only=True)
    assert state["clips"]["frames"].shape == (1, 2, 3, 64, 96)
    # checkpoint.pth is that of epoch 0, which `poison` spoiled here; the step that failed wrote nothing.
    assert read_checkpoint(output / "checkpoint.pth")["step"] == 6


@pytest.mark.parametrize(("share", "expected"), [("0", {False}), ("0.5", {False, True}), ("1", {True})])
def test_reference_dropout_leaves_out_the_references_of_whole_batches(text_encoder, tmp_path, share, expected):
    trainer = trainer_for(text_encoder, tmp_path / "run", "--epochs", "2", "--reference_dropout", share)
    alone = set()
    trainer.network.register_forward_pre_hook(lambda _, inputs: alone.add(inputs[2] is None))
    trainer.fit()
    assert alone == expected


@pytest.mark.parametrize(
    "flags",
    [
        ("--amp", "bf16"),
        ("--accumulate", "3"),
        ("--reference_dropout", "0.5"),
        ("--no_aux_loss",),
        ("--clip_max_norm", "0"),
    ],
)
def test_variants_train(text_encoder, tmp_path, flags):
    trainer_for(text_encoder, tmp_path / "run", "--epochs", "1", *flags).fit()
    assert all(np.isfinite(step["loss"]) for step in steps_of(tmp_path / "run"))


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = 0.0
    return model


def test_recomputation_changes_no_gradient(text_encoder):
    gradients = []
    for flags in ((), ("--gradient_checkpointing",)):
        torch.manual_seed(0)
        model, criterion, _ = build_model(parse_settings([*SMALL, *flags, "--text_encoder", str(text_encoder)]))
        without_dropout(model).train()
        clips = Clips.unpadded(torch.randn(1, 2, 3, 64, 96, generator=torch.Generator().manual_seed(1)))
        losses = criterion(model(clips, Tokens.padded([[0, 5, 2]]), clips), [target(2, 64, 96)])
        criterion.total(losses).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    plain, recomputed = gradients
    assert plain.keys() == recomputed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(recomputed[name], gradient, rtol=1e-4, atol=1e-6)


def parallel_run(process, folder, text_encoder, empty):
    """One of two gloo processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=process, world_size=2)
    trainer = trainer_for(text_encoder, folder / "two", "--epochs", "1", dataset=NoiseClips(empty=empty))
    without_dropout(trainer.network)
    trainer.fit()
    dist.destroy_process_group()


@pytest.mark.parametrize("empty", [(), (0,)])
def test_two_processes_are_one_with_the_doubled_batch(text_encoder, tmp_path, empty):
    """Also where all that a process has in a step holds no object."""
    mp.spawn(parallel_run, (tmp_path, text_encoder, empty), nprocs=2)
    one = trainer_for(
        text_encoder, tmp_path / "one", "--epochs", "1", "--batch_size", "2", dataset=NoiseClips(empty=empty)
    )
    without_dropout(one.network)
    one.fit()
    apart, together = (read_checkpoint(tmp_path / name / "checkpoint.pth")["model"] for name in ("two", "one"))
    # As a whole: where a gradient is zero but for rounding, Adam makes a step of either sign from it.
    ours, others = (torch.cat([value.flatten().float() for value in state.values()]) for state in (apart, together))
    assert (ours - others).norm() / others.norm() <= 1e-5
    for mine, theirs in zip(steps_of(tmp_path / "two"), steps_of(tmp_path / "one"), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


def test_resume_refuses_what_it_cannot_go_on_from(text_encoder, tmp_path, checkpoint):
    with pytest.raises(InputError, match="pretrained_weights"):
        trainer_for(text_encoder, tmp_path / "a", "--resume", str(checkpoint))
    trainer_for(text_encoder, tmp_path / "b", "--epochs", "1").fit()
    with pytest.raises(InputError, match="steps an epoch"):
        trainer_for(text_encoder, tmp_path / "c", "--batch_size", "2", "--resume", str(tmp_path / "b/checkpoint.pth"))


def test_too_few_samples_for_a_step(text_encoder, tmp_path):
    with pytest.raises(InputError, match="does not fill one step"):
        trainer_for(text_encoder, tmp_path / "run", "--batch_size", "7")


def test_collate_pads_and_keeps_names():
    samples = [NoiseClips()[(0, i)] for i in range(2)]
    batch = collate(samples)
    assert batch.clips.frames.shape == (2, 2, 3, 64, 96)
    assert batch.names == ["noise 0", "noise 1"]
    assert batch.annotated is None

"""The same training command goes on; another one does not take over what is there."""

from dataclasses import replace

import pytest
import torch
from test_engine import settings_for, trainer_for

from util.checkpoint_file import save_checkpoint
from util.errors import InputError
from util.restart import CHECKPOINT, going_on
from util.run_record import flat

WEIGHTS = {"weight": torch.zeros(1)}


@pytest.fixture
def trained(text_encoder, tmp_path):
    """Settings whose output folder holds a checkpoint of theirs."""
    settings = settings_for(text_encoder, tmp_path, "--pretrained_weights", "weights.pth")
    save_checkpoint(tmp_path / CHECKPOINT, {"model": WEIGHTS, "args": flat(settings)})
    return settings


def resume_of(settings, **run):
    return going_on(replace(settings, run=replace(settings.run, **run))).run.resume


def test_the_same_command_goes_on_from_its_own_checkpoint(trained, tmp_path):
    own = str(tmp_path / CHECKPOINT)
    assert resume_of(trained) == own
    assert resume_of(trained, resume=str(tmp_path.parent / "start.pth")) == own, "it has begun already"
    assert resume_of(trained, max_steps=3, log_every=1) == own
    more = replace(trained, data=replace(trained.data, num_workers=3))
    assert resume_of(more) == own


def test_an_empty_folder_is_a_beginning(trained, tmp_path):
    assert resume_of(trained, output_dir=tmp_path / "new") == ""
    assert resume_of(trained, output_dir=tmp_path / "new", resume="start.pth") == "start.pth"


def test_other_settings_are_refused_unless_resume_says_so(trained, tmp_path):
    other = replace(trained, optimiser=replace(trained.optimiser, lr=0.5))
    with pytest.raises(InputError, match=r"--lr 0\.0001, now 0\.5\).*another --output_dir"):
        going_on(other)
    with pytest.raises(InputError, match="--seed"):
        resume_of(trained, seed=1)
    assert resume_of(other, resume="start.pth") == "start.pth"
    earlier = str(tmp_path / "checkpoint0001.pth")
    assert resume_of(trained, resume=earlier) == earlier, "one of the folder's own is meant as it is"


def test_a_checkpoint_that_says_nothing_of_its_settings_is_not_taken_over(trained, tmp_path):
    save_checkpoint(tmp_path / CHECKPOINT, {"model": WEIGHTS})
    with pytest.raises(InputError, match="no record"):
        going_on(trained)


def test_an_epoch_stopped_in_its_evaluation_ends_with_the_next_run(text_encoder, tmp_path):
    whole, parts, calls = tmp_path / "whole", tmp_path / "parts", []

    def scores(network):
        calls.append(network)
        return {"test_score": 1.0}

    def stopped(network):
        raise SystemExit(130)

    flags = ("--epochs", "2", "--checkpoint_steps", "0", "--batch_size", "3")
    trainer_for(text_encoder, whole, *flags).fit(scores)
    with pytest.raises(SystemExit):
        trainer_for(text_encoder, parts, *flags).fit(stopped)
    calls.clear()
    trainer_for(text_encoder, parts, *flags, "--resume", str(parts / CHECKPOINT)).fit(scores)
    assert len(calls) == 2, "of both epochs"
    for name in ("steps.jsonl", "log.txt"):
        assert (parts / name).read_text() == (whole / name).read_text()
    assert (parts / "checkpoint0000.pth").is_file()

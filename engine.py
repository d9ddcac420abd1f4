"""The training loop: steps, checkpoints, logs. Every draw is seeded by its step, so a resumed run is the same run."""

import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from datasets.batches import BatchPlan
from datasets.clip_dataset import ClipDataset
from datasets.sample import ClipBatch, collate
from datasets.workers import loading_process, lost_workers_explained
from models.channels_last import convolve_channels_last
from models.criterion import Criterion
from models.tf2 import TF2
from util.checkpoint import load_weights
from util.checkpoint_file import read_checkpoint, save_checkpoint
from util.distributed import mean_over_workers, rank, world_size
from util.errors import InputError
from util.interrupts import Held, held_signals, leave, leaving_on_signals
from util.journal import Journal, Progress
from util.optimiser import build_optimiser, build_schedule
from util.restart import CHECKPOINT
from util.run_record import flat
from util.settings import Settings

AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
AfterEpoch = Callable[[TF2], dict[str, float]]
FUSED_ADAMW = ("cuda", "cpu")  # where PyTorch has the optimiser's step in one pass
SEED_STRIDE = 1_000_003  # keeps the seeds of processes and steps apart


class Trainer:
    """Owns a run: network, optimiser, schedule, where it is, and what it has written."""

    def __init__(self, settings: Settings, networks: tuple[TF2, Criterion], dataset: ClipDataset, device: torch.device):
        model, criterion = networks
        self.settings, self.criterion, self.device = settings, criterion.to(device), device
        self.dataset, self.output = dataset, settings.run.output_dir
        self.network = model.to(device)
        if device.type == "cpu":
            convolve_channels_last(model)
        rates = settings.optimiser
        self.plan = BatchPlan(
            length=len(dataset),
            batch_size=rates.batch_size,
            accumulate=rates.accumulate,
            epochs=rates.epochs,
            seed=settings.run.seed,
            rank=rank(),
            world=world_size(),
            epoch_clips=settings.data.epoch_clips,
        )
        if self.plan.steps_per_epoch == 0:
            raise InputError(
                f"an epoch of {settings.data.epoch_clips or len(dataset)} samples does not fill one step of "
                f"{self.plan.clips_per_step} clips: lower --batch_size"
            )
        self.step = settings.run.start_epoch * self.plan.steps_per_epoch
        self.optimiser = build_optimiser(self.network, rates, fused=device.type in FUSED_ADAMW)
        self.schedule = build_schedule(self.optimiser, rates, self.plan.steps_per_epoch, self.step)
        self.scaler = torch.amp.GradScaler(device.type, enabled=rates.amp == "fp16")
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(rates.ema)) if rates.ema else None
        self.sums: dict[str, float] = {}  # of this epoch's losses
        self.bad_samples = 0
        if settings.run.resume:
            self._resume(settings.run.resume)
        self.parallel = self._parallel()

    def _parallel(self) -> nn.Module:
        """The network as the loop calls it; without auxiliary losses some heads get no gradient."""
        if world_size() == 1:
            return self.network
        unused = not self.settings.loss.aux_loss
        return DistributedDataParallel(
            self.network,
            device_ids=[self.device] if self.device.type == "cuda" else None,
            find_unused_parameters=unused,
        )

    # ---- the loop

    def fit(self, after_epoch: AfterEpoch | None = None) -> None:
        """Train from `self.step` to the end; `after_epoch(network)` may evaluate and returns scores to log."""
        run, first = self.settings.run, rank() == 0
        last = min(self.plan.steps, run.max_steps or self.plan.steps)
        loader = DataLoader(
            self.dataset,
            batch_sampler=replace(self.plan, start=self.step),
            num_workers=self.settings.data.num_workers,
            collate_fn=collate,
            worker_init_fn=loading_process,
        )
        progress = Progress(self.plan, last - self.step, run.log_every if first else 0)
        journal = Journal(self.output, first, self.step, self.epoch - self._epoch_due)
        with lost_workers_explained(), journal, held_signals() as held:
            if self._epoch_due:
                self._end_epoch(journal, after_epoch)
            batches = iter(loader) if self.step < last else iter(())
            for step in range(self.step, last):
                with progress.waiting():
                    step_batches = [next(batches) for _ in range(self.plan.accumulate)]
                losses = self._step(step, step_batches)
                self.step = step + 1
                journal.step(step, losses, self.optimiser.param_groups[0]["lr"])
                progress.report(step, losses)
                stop = self._told_to_stop(held)
                if self._epoch_due and not stop:
                    self._end_epoch(journal, after_epoch)
                elif stop or self.step == last or (run.checkpoint_steps and self.step % run.checkpoint_steps == 0):
                    self.save(CHECKPOINT)
                if stop:
                    leave(held.number or signal.SIGTERM)

    @property
    def epoch(self) -> int:
        """The epoch that the next step belongs to, from 0."""
        return self.step // self.plan.steps_per_epoch

    @property
    def _epoch_due(self) -> bool:
        """Whether an epoch's steps are done, but not yet its end: scores, log and checkpoint."""
        return bool(self.sums) and self.step % self.plan.steps_per_epoch == 0

    def _end_epoch(self, journal: Journal, after_epoch: AfterEpoch | None) -> None:
        finished, scores = self.epoch - 1, {}
        if after_epoch:
            self.save(CHECKPOINT)  # it may take hours, and who stops it shall not lose the epoch
            with leaving_on_signals():
                scores = after_epoch(self.evaluated_network)
        journal.epoch(finished, self._epoch_record(finished) | scores)
        self.sums = {}
        self.save(f"checkpoint{finished:04d}.pth", CHECKPOINT)  # the second says that the first is there

    def _told_to_stop(self, held: Held) -> bool:
        """Whether any process got a signal: all stop behind the same step."""
        return bool(mean_over_workers(torch.tensor(float(held.number), device=self.device)) > 0)

    def _step(self, step_of_run: int, batches: list[ClipBatch]) -> dict[str, float]:
        """One optimiser step; losses averaged over batches and workers."""
        self.parallel.train()
        torch.manual_seed(self.settings.run.seed + SEED_STRIDE * (step_of_run * world_size() + rank()))
        self.optimiser.zero_grad(set_to_none=True)
        totals: dict[str, Tensor] = {}
        for number, batch in enumerate(batches):
            self._count_problems(batch)
            with self._last_syncs(number == len(batches) - 1):
                losses = self._losses(batch.to(self.device), batch)
                self.scaler.scale(losses["loss"] / len(batches)).backward()
            for name, value in losses.items():
                totals[name] = totals.get(name, 0) + value.detach() / len(batches)
        self._descend()
        losses = {name: float(mean_over_workers(value)) for name, value in totals.items()}
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        return losses

    def _losses(self, batch: ClipBatch, original: ClipBatch) -> dict[str, Tensor]:
        """Unweighted terms and their weighted sum, `loss`. Raises InputError where one is not finite."""
        rates = self.settings.optimiser
        dtype = AMP_TYPES.get(rates.amp)
        with torch.autocast(self.device.type, dtype) if dtype else nullcontext():
            # A whole batch goes without its references, so that nothing is computed of them.
            alone = rates.reference_dropout > 0 and float(torch.rand(())) < rates.reference_dropout
            output = self.parallel(batch.clips, batch.captions, None if alone else batch.reference, batch.annotated)
        if not all(t.isfinite().all() for t in (output.last.logits, output.last.boxes, output.last.masks)):
            self._stop_not_finite(original, "prediction")
        losses = self.criterion(output, batch.targets)
        losses["loss"] = self.criterion.total(losses)
        if not losses["loss"].isfinite():
            self._stop_not_finite(original, "loss")
        return losses

    def _descend(self) -> None:
        self.scaler.unscale_(self.optimiser)
        limit = self.settings.optimiser.clip_max_norm
        if limit > 0:
            nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.network)

    def _last_syncs(self, last: bool) -> Any:
        """Accumulated gradients are exchanged once a step."""
        return nullcontext() if last or world_size() == 1 else self.parallel.no_sync()

    # ---- what goes wrong

    def _count_problems(self, batch: ClipBatch) -> None:
        for problem in batch.problems:
            self.bad_samples += 1
            print(f"bad sample {self.bad_samples}: {problem}", file=sys.stderr)
        allowed = self.settings.data.max_bad_samples
        if self.bad_samples > allowed:
            raise InputError(
                f"{self.bad_samples} unreadable samples, --max_bad_samples {allowed}; last: {batch.problems[-1]}"
            )

    def _stop_not_finite(self, batch: ClipBatch, what: str) -> None:
        path = self.output / f"not_finite_rank{rank()}.pth"
        save_checkpoint(path, {"clips": asdict(batch.clips), "captions": batch.captions, "names": batch.names})
        raise InputError(
            f"the {what} of {', '.join(batch.names)} is not finite: the batch is in {path}, "
            f"{CHECKPOINT} is the last good one; lower --lr, or look at those samples"
        )

    # ---- checkpoints

    @property
    def evaluated_network(self) -> TF2:
        """The averaged network where there is one, else the network."""
        return self.average.module if self.average is not None else self.network

    def save(self, *names: str) -> None:
        """Write the state that the next step starts from; `epoch` is the last finished one, as in released files."""
        if rank() != 0:
            return
        payload = {
            "model": self.network.state_dict(),
            "optimizer": self.optimiser.state_dict(),
            "lr_scheduler": self.schedule.state_dict(),
            "epoch": self.epoch - 1,
            "step": self.step,
            "steps_per_epoch": self.plan.steps_per_epoch,
            "sums": self.sums,
            "scaler": self.scaler.state_dict(),
            "bad_samples": self.bad_samples,
            "args": flat(self.settings),
        }
        if self.average is not None:
            payload["ema"] = self.average.state_dict()
        for name in names:
            save_checkpoint(self.output / name, payload)

    def _resume(self, path: str) -> None:
        """Go on from a checkpoint. Raises InputError where the step it stands at means other clips now."""
        state = read_checkpoint(path)
        print(load_weights(self.network, state, source=path), file=sys.stderr)
        missing = {"optimizer", "lr_scheduler", "step", "steps_per_epoch"} - state.keys()
        if missing:
            raise InputError(
                f"{path} holds no {', '.join(sorted(missing))}: it cannot be gone on from; "
                "give it as --pretrained_weights to start from its weights"
            )
        if state["steps_per_epoch"] != self.plan.steps_per_epoch:
            raise InputError(
                f"{path} is of a run of {state['steps_per_epoch']} steps an epoch, this one has "
                f"{self.plan.steps_per_epoch}: use the same data, processes and batch, or --pretrained_weights"
            )
        try:
            self._restore(state)
        except Exception as error:  # PyTorch raises whatever a malformed state leads to
            raise InputError(
                f"{path}: what it holds of the optimiser and of the run is damaged ({error!r}); "
                "give an earlier one, or this as --pretrained_weights to start from its weights"
            ) from error

    def _restore(self, state: dict[str, Any]) -> None:
        """Everything but the network's weights."""
        self.optimiser.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["lr_scheduler"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None and "ema" in state:
            self.average.load_state_dict(state["ema"])
        self.sums, self.bad_samples, self.step = dict(state["sums"]), int(state["bad_samples"]), int(state["step"])

    def _epoch_record(self, epoch: int) -> dict[str, Any]:
        steps = self.plan.steps_per_epoch
        means = {f"train_{name}": total / steps for name, total in self.sums.items()}
        parameters = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
        return {"epoch": epoch, "lr": self.optimiser.param_groups[0]["lr"], **means, "n_parameters": parameters}

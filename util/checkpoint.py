"""Weights of a checkpoint into a network: old names brought to today's, loaded strictly or refused with a hint."""

import os
import re
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from util.checkpoint_file import State, read_checkpoint, tied_names, with_model
from util.errors import InputError
from util.files import first_few

# What may differ from the file when finetuning: the class head, for another number of classes.
FINETUNE_REINITIALISED = ("class_embed.",)
# What a file may lack: buffers that the network computes from its own sizes.
COMPUTED_BUFFERS = ("relative_position_index",)
# What old files hold and the networks no longer have.
OLD_BUFFERS = re.compile(r"text_encoder\.embeddings\.position_ids|backbone\..*\.num_batches_tracked")
# One set of box heads under two names.
TIED_BOX_HEADS = ("transformer.decoder.bbox_embed.", "bbox_embed.")
PARALLEL_PREFIX = "module."
BODY = "backbone.0.body."
RESNETS = {6: "resnet50", 23: "resnet101"}
SWINS = {(96, 6): "swin_t_p4w7", (96, 18): "swin_s_p4w7", (128, 18): "swin_b_p4w7", (192, 18): "swin_l_p4w7"}
CLASS_HEADS = {1: "--binary", 65: "--dataset_file ytvos", 78: "--dataset_file davis", 91: "--dataset_file refcoco"}


@dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did; `str()` of it is the line to print.

    `total` counts the network's tensors, `loaded` those from the file; `reinitialised` (class heads when finetuning)
    and `computed` (COMPUTED_BUFFERS) are the rest by name; `dropped` are the file's old names that went unused.
    """

    source: str
    total: int
    loaded: int
    reinitialised: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.source}: {self.loaded} of {self.total} tensors loaded"]
        if self.reinitialised:
            parts.append(f"{len(self.reinitialised)} kept as initialised ({first_few(self.reinitialised)})")
        if self.computed:
            parts.append(f"{len(self.computed)} computed by the network")
        if self.dropped:
            parts.append(f"{len(self.dropped)} old names dropped ({first_few(self.dropped)})")
        return "; ".join(parts)


# ---- names


def released_state_dict(state: State) -> dict[str, Tensor]:
    """Bring the names of released and older files to today's: the only place that knows old names.

    The prefix of a network saved inside DistributedDataParallel goes, old buffers go, and the box heads, which the
    network holds under two names, are there under both.

    Raises:
        InputError: the two names hold different box heads.
    """
    names = {name: value for name, value in _without_prefix(state).items() if not OLD_BUFFERS.fullmatch(name)}
    for here, there in (TIED_BOX_HEADS, TIED_BOX_HEADS[::-1]):
        for name in [name for name in names if name.startswith(here)]:
            twin = there + name.removeprefix(here)
            if not _same(names[name], names.setdefault(twin, names[name])):
                raise InputError(f"{name} and {twin} are one box head but differ; the file is damaged, fetch it again")
    return names


def _same(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.dtype == other.dtype and torch.equal(one, other))


def _without_prefix(state: State) -> dict[str, Tensor]:
    wrapped = all(name.startswith(PARALLEL_PREFIX) for name in state)
    return {name.removeprefix(PARALLEL_PREFIX): value for name, value in state.items()} if wrapped else dict(state)


def _names_for(network: State, state: State) -> dict[str, Tensor]:
    """`state` under today's names; a name the network itself has is not old, and one it has not is not filled in."""
    given = _without_prefix(state)
    released = {name: value for name, value in released_state_dict(given).items() if name in given or name in network}
    return released | {name: value for name, value in given.items() if name in network}


# ---- loading


def load_weights(
    model: nn.Module,
    path_or_state: str | os.PathLike | Mapping[str, Any],
    *,
    source: str = "the given weights",
    finetune: bool = False,
) -> LoadReport:
    """Load a checkpoint (a file, what `read_checkpoint` returned, or a state dict) into `model`, all of it or nothing.

    Every tensor must be there with its shape, and none too many, but for COMPUTED_BUFFERS and, with `finetune`, class
    heads of another size (FINETUNE_REINITIALISED). The caller prints the report. `source` names in messages what was
    read before.

    Raises:
        InputError: names or shapes differ (listed, with the flags that would fit), a weight is no number, or the file
            cannot be read.
    """
    if isinstance(path_or_state, Mapping):
        checkpoint = with_model(dict(path_or_state), source)
    else:
        source, checkpoint = os.fspath(path_or_state), read_checkpoint(path_or_state)
    network = model.state_dict()
    try:
        state = _names_for(network, checkpoint["model"])
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    fits = _compare(network, state, finetune)
    if fits.faults:
        hints = _backbone_hint(network, state, fits, checkpoint) + _class_head_hint(network, state, fits)
        hints = hints or ["give its own checkpoint, or the flags that this one was trained with"]
        raise InputError(
            f"{source}: not the weights of this network: {'; '.join(fits.described(network, state) + hints)}"
        )
    _refuse_untied(network, state, source)
    _refuse_meaningless(network, state, source)
    own = (*fits.reinitialised, *fits.computed)
    model.load_state_dict({name: network[name] if name in own else state[name] for name in network}, strict=True)
    dropped = tuple(name for name in _without_prefix(checkpoint["model"]) if name not in state)
    return LoadReport(source, len(network), len(network) - len(own), fits.reinitialised, fits.computed, dropped)


@dataclass(frozen=True)
class _Fit:
    """Names by how the file and the network differ in them; the first three are faults."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    reinitialised: tuple[str, ...]
    computed: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        return self.missing + self.unexpected + self.reshaped

    def described(self, network: State, state: State) -> list[str]:
        shapes = [f"{name} {list(state[name].shape)} for {list(network[name].shape)}" for name in self.reshaped]
        kinds = (("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", shapes))
        return [f"{len(names)} {kind} ({first_few(names)})" for kind, names in kinds if names]


def _compare(network: State, state: State, finetune: bool) -> _Fit:
    reshaped = [name for name in network if name in state and state[name].shape != network[name].shape]
    absent = [name for name in network if name not in state]
    kept = [name for name in reshaped if finetune and name.startswith(FINETUNE_REINITIALISED)]
    computed = [name for name in absent if name.endswith(COMPUTED_BUFFERS)]
    return _Fit(
        missing=tuple(name for name in absent if name not in computed),
        unexpected=tuple(name for name in state if name not in network),
        reshaped=tuple(name for name in reshaped if name not in kept),
        reinitialised=tuple(kept),
        computed=tuple(computed),
    )


def _refuse_untied(network: State, state: State, source: str) -> None:
    """Of several names for one parameter the last would win silently; so the file must agree with itself."""
    for name, first in tied_names(network).items():
        if name in state and first in state and not _same(state[name], state[first]):
            raise InputError(
                f"{source}: {name} and {first} are one tensor in this network but differ in the file; "
                "give the flags it was trained with (such as --with_box_refine)"
            )


def _refuse_meaningless(network: State, state: State, source: str) -> None:
    """Weights that load but make every mask wrong: NaN, infinite, or whole numbers where fractions belong."""
    given = {name: value for name, value in state.items() if name in network}
    odd = [name for name, value in given.items() if value.is_floating_point() != network[name].is_floating_point()]
    odd += [name for name, value in given.items() if not torch.isfinite(value).all()]
    if odd:
        raise InputError(
            f"{source}: {len(odd)} tensors hold NaN, infinity or another kind of number ({first_few(odd)}): "
            "the file is damaged or its training diverged; give an earlier one"
        )


# ---- hints


def backbone_name(state: State) -> str | None:
    """Which `--backbone` the tensors of a whole network belong to, by names and shapes; None where unknown."""
    body = {name.removeprefix(BODY): value for name, value in state.items() if name.startswith(BODY)}
    patch = body.get("patch_embed.proj.weight")
    if patch is not None:
        name = SWINS.get((patch.shape[0], _count(body, r"layers\.2\.blocks\.(\d+)\.")))
        return f"video_{name}" if name and patch.ndim == 5 else name
    is_bottleneck = "conv1.weight" in body and "layer3.0.conv3.weight" in body
    return RESNETS.get(_count(body, r"layer3\.(\d+)\.")) if is_bottleneck else None


def _count(names: Iterable[str], pattern: str) -> int:
    return len({match[1] for name in names if (match := re.match(pattern, name))})


def _backbone_hint(network: State, state: State, fits: _Fit, checkpoint: Mapping[str, Any]) -> list[str]:
    args = checkpoint.get("args")
    flags = args if isinstance(args, dict) else vars(args) if isinstance(args, Namespace) else {}
    held = backbone_name(state) or flags.get("backbone")
    in_backbone = any(name.startswith("backbone.") for name in fits.faults)
    if not in_backbone or held is None or held == backbone_name(network):
        return []
    return [f"the checkpoint holds the backbone {held}: give --backbone {held}"]


def _class_head_hint(network: State, state: State, fits: _Fit) -> list[str]:
    name = next((name for name in fits.reshaped if name.startswith("class_embed.")), None)
    if name is None:
        return []
    held, wanted = state[name].shape[0], network[name].shape[0]
    flags = CLASS_HEADS.get(held, "the --dataset_file it was trained for") + ("" if held == 1 else " without --binary")
    return [
        f"the checkpoint's class head has {held} outputs, the network's {wanted}: "
        f"give {flags}, or finetune from it with --pretrained_weights"
    ]

"""Checkpoint files in and out: read without running what is in them, written whole."""

import os
import pickletools
import re
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from util.errors import InputError
from util.files import atomic_write, first_few
from util.model_folder import WEIGHTS, ModelConfig, is_model_folder

# The one class beyond torch's own list that released files need: `args`. (The scheduler's Counter is on that list.)
SAFE_CLASSES = (Namespace,)
HARMLESS = ("torch.", "collections.", "argparse.Namespace")
# A legacy file: magic number, protocol, system, the object, its storages' keys; then raw numbers.
LEGACY_PICKLES = 5

NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool)
NUMBERS += (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

State = Mapping[str, Tensor]


# ---- reading


def read_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """Read a `.pth` (zip or legacy pickle), a `.safetensors` file or a model folder to the CPU; nothing in it is run.

    The result always has "model", name -> tensor: from the file's "model" or "state_dict", or the whole file where it
    is a bare state dict. What else the file holds (optimizer, epoch, args, ...) stays beside it. A model folder's
    "args" are its network's make-up.

    Raises:
        InputError: no such file, a folder, empty, cut off, no checkpoint, or a pickle that wants more than tensors
            and plain values.
    """
    path = Path(path)
    if is_model_folder(path):
        return read_checkpoint(path / WEIGHTS) | {"args": ModelConfig.read(path).model}
    _refuse_no_file(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    return with_model(content, str(path))


def _refuse_no_file(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give the path of a .pth or .safetensors file") from error
    if path.is_dir():
        raise InputError(f"{path} is a folder, but no model's; give the path of a .pth or .safetensors file in it")
    if size == 0:
        raise InputError(f"{path} is empty; fetch it again")


def _read_pickle(path: Path) -> object:
    try:
        with torch.serialization.safe_globals(list(SAFE_CLASSES)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on pickle versions: what matters of it becomes the error below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle fails in whatever way the unpickler happens to
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    wanted = re.findall(r"GLOBAL (\S+)", str(error)) or _foreign_names(path)
    if wanted:
        return InputError(
            f"{path} is refused, nothing in it was run: it wants to run {first_few(wanted)}; "
            "get it from a source you trust, or as .safetensors"
        )
    told = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
    reason = (told[1] if told else str(error) or type(error).__name__).splitlines()[0].split(". ")[0]
    return InputError(
        f"{path} is cut off or no checkpoint that can be read safely ({reason}); fetch it again, or as .safetensors"
    )


def _foreign_names(path: Path) -> list[str]:
    """Functions and classes a bare pickle asks for, from its opcodes alone: torch names none in newer protocols."""
    return [name for name in dict.fromkeys(_pickled_names(path)) if not name.startswith(HARMLESS)]


def _pickled_names(path: Path) -> Iterator[str]:
    strings: list[str] = []
    # Not readable, not a pickle, or one cut off: no more names.
    with suppress(Exception), path.open("rb") as file:
        for opcode, argument, _ in chain.from_iterable(pickletools.genops(file) for _ in range(LEGACY_PICKLES)):
            if opcode.name == "GLOBAL":
                yield argument.replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL" and len(strings) > 1:
                yield ".".join(strings[-2:])
            elif isinstance(argument, str):
                strings.append(argument)
            elif opcode.name != "MEMOIZE":  # strings taken from the memo are not followed: such a name stays unknown
                strings.clear()


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is cut off or no safetensors file ({error}); fetch it again") from error
    tied = {name: first for name, first in metadata.items() if first in tensors and name not in tensors}
    tensors |= {name: tensors[first] for name, first in tied.items()}
    rest = {key: value for key, value in metadata.items() if key not in tied}
    return {"model": tensors} | ({"metadata": rest} if rest else {})


def with_model(content: object, source: str) -> dict[str, Any]:
    """`content` with its network under "model", wherever in it that lies; `source` names it in messages.

    Raises:
        InputError: it holds no network, or tensors that are not plain numbers.
    """
    if not isinstance(content, dict):
        raise InputError(f"{source} holds one {type(content).__name__}, no checkpoint; give another file")
    rest = dict(content)
    key = next((key for key in ("model", "state_dict") if isinstance(content.get(key), dict)), None)
    state = content if key is None else rest.pop(key)
    if not state or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise InputError(f"{source} holds no network: neither `model` nor tensors by name; give another file")
    odd = [name for name, value in state.items() if not _is_plain(value)]
    if odd:
        raise InputError(f"{source} holds tensors that are not plain numbers ({first_few(odd)}); give another file")
    return {"model": dict(state)} if key is None else {"model": dict(state), **rest}


def _is_plain(value: Tensor) -> bool:
    """Whether it is a dense tensor whose numbers are all in the file: others claim any size at no cost."""
    if value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in NUMBERS:
        return False
    return value.nbytes <= value.untyped_storage().nbytes()


# ---- writing


def save_checkpoint(path: str | os.PathLike, payload: dict[str, Any]) -> None:
    """Write `payload` to `path`: whole or not at all, on the disk when this returns, equal content as equal bytes.

    A `.pth` holds all of it. A `.safetensors` holds the tensors of payload["model"], each tied one once under its first
    name, and payload["metadata"] (dict[str, str]) where there is one; `read_checkpoint` gives both back.

    Raises:
        InputError: the place cannot be written.
    """
    with atomic_write(path, durable=True) as temporary:
        try:
            if Path(path).suffix == ".safetensors":
                _write_safetensors(temporary, payload["model"], payload.get("metadata", {}))
            else:
                with temporary.open("wb") as file:  # of a path, torch.save would write the name into the file
                    torch.save(_unshared(payload), file)
        except (SafetensorError, RuntimeError) as error:  # how the two writers report a full disk
            if "DataLoader" in str(error):  # what PyTorch raises anywhere where a loader process is killed
                raise
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            reason = str(error).splitlines()[0]
            raise InputError(f"cannot write {os.fspath(path)}: is the disk full? ({reason})") from error


def _unshared(value: Any) -> Any:
    """The same content, of containers met once each and of interned strings: equal content gives equal bytes.

    Pickle writes an object that it has met before as a reference; which ones a program shares depends on where they
    came from, such as a checkpoint that it went on from.
    """
    if type(value) is str:
        return sys.intern(value)
    if type(value) is dict:
        return {_unshared(key): _unshared(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_unshared, value))
    return value


def _write_safetensors(path: Path, state: State, metadata: Mapping[str, str]) -> None:
    tied = tied_names(state)
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items() if name not in tied}
    # A view of a larger tensor is copied: the format refuses parts of a shared storage.
    tensors = {
        name: value if value.untyped_storage().nbytes() == value.nbytes else value.clone()
        for name, value in tensors.items()
    }
    save_file(tensors, path, metadata={**metadata, **tied})


def tied_names(state: State) -> dict[str, str]:
    """name -> the first name of the same tensor, for every name that is not itself the first."""
    firsts: dict[tuple, str] = {}
    aliases = {}
    for name, value in state.items():
        key = (value.data_ptr(), value.dtype, tuple(value.shape), value.stride()) if value.numel() else (name,)
        first = firsts.setdefault(key, name)
        if first != name:
            aliases[name] = first
    return aliases

"""A model folder: a trained network with all that it needs, for `--resume pretrained_weights/NAME`.

    config.json         what the network is made of, the flags it is best used with, its text encoder's folder
    model.safetensors   the weights, in half precision; they are loaded as float32
    text_encoder/       config.json and tokenizer of its RoBERTa
    MODEL_CARD.md       what it was trained on and what it scores

tools/pack_model.py makes one. Loading one runs nothing in it and fetches nothing.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from util.errors import InputError
from util.files import first_few
from util.names import is_safe_name

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "MODEL_CARD.md"
# What a model may decide of InferenceSettings; the rest is the run's own.
INFERENCE = ("short_side", "threshold", "key_candidates", "key_frame_selector")

Plain = bool | int | float | str


@dataclass(frozen=True)
class ModelConfig:
    """What config.json says.

    model         fields of ModelSettings: the network's make-up
    inference     INFERENCE, some or all: how it is best used
    text_encoder  the sub-folder with RoBERTa's config.json and tokenizer
    """

    model: dict[str, Plain]
    inference: dict[str, Plain]
    text_encoder: str = "text_encoder"

    @classmethod
    def read(cls, folder: str | Path) -> "ModelConfig":
        """The config of a model folder. Raises InputError where it is missing or malformed."""
        file = Path(folder) / CONFIG
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            config = cls(content["model"], content["inference"], content["text_encoder"])
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}; give the folder that tools/pack_model.py made") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f'{file} is no model\'s: "model", "inference" and "text_encoder" must be in it') from error
        config._check(file)
        return config

    def _check(self, file: Path) -> None:
        for group in (self.model, self.inference):
            if not isinstance(group, dict) or not all(isinstance(value, Plain) for value in group.values()):
                raise InputError(f'{file}: "model" and "inference" must hold numbers, words, true and false by name')
        name = self.text_encoder
        if not is_safe_name(name):
            raise InputError(f'{file}: "text_encoder" must be the name of a folder beside it, it is {name!r}')

    def write(self, folder: Path) -> None:
        """Write config.json."""
        (folder / CONFIG).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def is_model_folder(path: str | Path | None) -> bool:
    """Whether `path` is a folder with a config.json."""
    return bool(path) and (Path(path) / CONFIG).is_file()


def own_text_encoder(folder: str | Path) -> str:
    """The folder that --text_encoder takes, for the network of a model folder."""
    return str(Path(folder) / ModelConfig.read(folder).text_encoder)


def folder_flags(folder: str | Path, make_up: Collection[str]) -> list[str]:
    """A model folder's config as flags; put before those of the command line, which then win.

    make_up: the names that "model" may hold.
    Raises InputError where config.json names anything else.
    """
    config = ModelConfig.read(folder)
    unknown = [*(config.model.keys() - set(make_up)), *(config.inference.keys() - set(INFERENCE))]
    if unknown:
        raise InputError(
            f"{Path(folder) / CONFIG}: {first_few(sorted(unknown))}: not known here; "
            "if a newer version made the model, update this one"
        )
    values = config.model | config.inference
    values["no_rel_coord"] = not values.pop("rel_coord", True)
    values["binary"] = values.pop("num_classes", 1) == 1
    switches = [f"--{name}" for name, value in values.items() if value is True]
    others = [f"--{name}={value}" for name, value in values.items() if not isinstance(value, bool)]
    return [*switches, *others, f"--text_encoder={own_text_encoder(folder)}"]

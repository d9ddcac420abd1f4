"""Make COCO files of RefCOCO, RefCOCO+ and RefCOCOg from REFER's (spec §5), one image entry a sentence.

    python tools/data/convert_refexp_to_coco.py --data_root refer/data --output data/coco

Reads {refcoco,refcoco+}/refs(unc).p, refcocog/refs(umd).p and each set's instances.json; writes
{set}/instances_{set}_{train,val}.json. Whatever of the three sets is there is converted. A set is read and checked
whole before any of its files is written, and nothing that a pickle asks for is run.
"""

import argparse
import json
import pickle
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, Python looks beside the script only

from datasets.expressions import is_safe_name
from util.errors import InputError, exit_on_input_error
from util.files import atomic_write

REFERENCES = {"refcoco": "refs(unc).p", "refcoco+": "refs(unc).p", "refcocog": "refs(umd).p"}
SPLITS = ("train", "val")

# What reading a pickle raises depends on the byte at which it breaks.
_BROKEN_PICKLE = (
    pickle.UnpicklingError, struct.error, EOFError, ValueError, TypeError, LookupError, AttributeError, OverflowError,
    MemoryError, RecursionError,
)  # fmt: skip

# Opcodes that call or change an object, or fetch one from elsewhere: plain data needs none of them.
ACTIVE_CODES = {
    code[0]
    for code in (
        pickle.REDUCE, pickle.BUILD, pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.PERSID,
        pickle.BINPERSID, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER,
    )
}  # fmt: skip

Entry = dict[str, Any]


class PlainUnpickler(pickle._Unpickler):
    """Reads lists, tuples, dicts, numbers, strings, bytes, booleans and None; everything else is refused.

    In Python, because the one in C sets aside memory for whatever number of objects a file of few bytes claims.
    """

    dispatch = {code: read for code, read in pickle._Unpickler.dispatch.items() if code not in ACTIVE_CODES}  # noqa: RUF012 (nobody changes it)

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse: every class or function of a pickle, and so every call, is looked up here."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and REFER's files hold plain data only")


def load_plain_pickle(path: Path) -> Any:
    """Read a pickle, of Python 2 or 3, that holds plain data. Raises InputError for any other, running nothing."""
    try:
        with path.open("rb") as file:
            # Python 2 wrote text as bytes; latin-1 takes every byte.
            return PlainUnpickler(file, encoding="latin-1").load()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); download it again") from error
    except _BROKEN_PICKLE as error:
        reason = "damaged, or more than plain data" if isinstance(error, KeyError) else error or "cut off"
        raise InputError(f"{path}: refused: {reason}; download it from its authors") from error


def convert(data_root: str | Path, output: str | Path) -> dict[tuple[str, str], int]:
    """Convert every set that is below `data_root`.

    Returns:
        (set, split) → how many sentences were written.

    Raises:
        InputError: no set is there, or one is incomplete or malformed; of that one nothing is written.
    """
    root, output = Path(data_root), Path(output)
    names = [name for name in REFERENCES if (root / name / REFERENCES[name]).exists()]
    if not names:
        expected = ", ".join(f"{name}/{file}" for name, file in REFERENCES.items())
        raise InputError(f"{root}: none of {expected} is there; give REFER's data folder as --data_root")
    for name in REFERENCES:
        if name not in names:
            print(f"{name}: {root / name / REFERENCES[name]} is not there, left out")
    counts = {}
    for name in names:
        splits = {split: content for split, content in convert_set(root / name, name).items() if content["images"]}
        for split, content in splits.items():
            file = output / name / f"instances_{name}_{split}.json"
            with atomic_write(file) as temporary:
                temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
            counts[name, split] = len(content["images"])
            print(f"{name} {split}: {len(content['images'])} sentences -> {file}")
    return counts


def convert_set(folder: Path, name: str) -> dict[str, Entry]:
    """Split → the content of its COCO file. Raises InputError where REFER's files are malformed."""
    references_file = folder / REFERENCES[name]
    instances = Instances(folder / "instances.json")
    references = load_plain_pickle(references_file)
    if not isinstance(references, list) or not references:
        raise InputError(f"{references_file}: must hold a list of references; download it again")
    splits = {split: {"images": [], "annotations": [], "categories": instances.categories} for split in SPLITS}
    for number, reference in enumerate(references):
        _add(splits, name, reference, instances, f"{references_file}: reference {number}")
    return splits


def _add(splits: dict[str, Entry], name: str, reference: Entry, instances: "Instances", where: str) -> None:
    """Append a reference's sentences to its split; testA, testB and test are not asked for."""
    try:
        content = splits.get(reference["split"])
        if content is not None:
            image, annotation = instances.of(reference)
            for sentence in _sentences(reference, where):
                _add_sentence(content, name, sentence, image, annotation)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{where}: {reason}; download the set again") from error


class Instances:
    """REFER's instances.json: COCO's images and annotations by id."""

    def __init__(self, file: Path):
        """Raises InputError where it is missing or malformed."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            self.images = {image["id"]: image for image in content["images"]}
            self.annotations = {annotation["id"]: annotation for annotation in content["annotations"]}
            self.categories = content.get("categories", [])
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror}); download the set again") from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InputError(f"{file}: not COCO's instances ({error!r}); download the set again") from error

    def of(self, reference: Entry) -> tuple[Entry, Entry]:
        """The image and the annotation that a reference names. Raises ValueError or KeyError where they do not fit."""
        image, annotation = self.images.get(reference["image_id"]), self.annotations.get(reference["ann_id"])
        if image is None or annotation is None or annotation["image_id"] != image["id"]:
            names = f"image {reference['image_id']} with annotation {reference['ann_id']}"
            raise ValueError(f"{names} is not in instances.json")
        if not is_safe_name(image["file_name"]):
            raise ValueError(f"{image['file_name']!r} cannot be a file's name")
        return image, annotation


def _sentences(reference: Entry, where: str) -> Iterator[str]:
    """The sentences as they were typed; where nothing was, REFER's cleaned form."""
    for sentence in reference["sentences"]:
        text = sentence["raw"] if sentence["raw"].strip() else sentence["sent"]
        if text.strip():
            yield text
        else:
            print(f"{where}: an empty sentence, left out")


def _add_sentence(content: Entry, name: str, sentence: str, image: Entry, annotation: Entry) -> None:
    """Append an image entry and an annotation; ids count from 1, since COCO's scorer ignores 0."""
    number = len(content["images"]) + 1
    content["images"].append(
        {
            "id": number,
            "original_id": image["id"],
            **{key: image[key] for key in ("file_name", "height", "width")},
            "dataset_name": name,
            "caption": sentence,
        }
    )
    content["annotations"].append(
        {
            "id": number,
            "image_id": number,
            "original_id": annotation["id"],
            "iscrowd": annotation.get("iscrowd", 0),
            **{key: annotation[key] for key in ("segmentation", "area", "bbox", "category_id")},
        }
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data_root",
        type=Path,
        default=Path("data/coco"),
        help="folder that holds refcoco/, refcoco+/ and refcocog/ as REFER distributes them (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, help="where to write (default: --data_root, beside what is there)")
    args = parser.parse_args(arguments)
    convert(args.data_root, args.output or args.data_root)


if __name__ == "__main__":
    exit_on_input_error(main)

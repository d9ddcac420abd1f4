"""Our numbers against the released networks', where their golden folder is; and the tool that compares them."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_state_dict_keys import SMALL_ROBERTA, shapes
from transformers import RobertaConfig

from tools import check_parity
from tools.golden import Case, build_filled, fill, read_cases

SHARED = Path(__file__).parents[2] / "shared"
GOLDEN = SHARED / "golden"
CASES = [entry["name"] for entry in read_cases(GOLDEN)]
needs_golden = pytest.mark.skipif(not CASES, reason="no golden folder beside this checkout")


def missed(rows):
    return [f"{row.array}: {row.error:.1e} {row.note}" for row in rows if row.missed]


@needs_golden
@pytest.mark.parametrize("name", CASES or ["none"])
def test_network(name):
    (entry,) = (entry for entry in read_cases(GOLDEN) if entry["name"] == name)
    rows = list(check_parity.network_case(GOLDEN, Case.read(entry)))
    assert len(rows) > 10
    assert not missed(rows)


@needs_golden
def test_preprocessing():
    rows = list(check_parity.preprocessing_rows(GOLDEN, SHARED / "data"))
    assert len(rows) == 4
    assert not missed(rows)


@needs_golden
def test_propagation():
    rows = list(check_parity.propagation_rows(GOLDEN, SHARED / "data"))
    assert len(rows) == 10
    assert not missed(rows)


def test_filled_values_are_a_function_of_the_name():
    weight = fill("a.weight", (8, 4, 3))
    assert np.array_equal(weight, fill("a.weight", (8, 4, 3)))
    assert not np.array_equal(weight, fill("b.weight", (8, 4, 3)))
    assert np.abs(weight).max() <= np.sqrt(3 / 12)
    assert np.abs(fill("norm.weight", (50,)) - 1).max() <= 0.1
    assert fill("bn.running_var", (50,)).min() >= 1


@pytest.fixture
def own_golden(tmp_path, tmp_path_factory):
    """A golden folder of one small case, made by this network itself."""
    entry = {"name": "own", "backbone": "resnet50", "frames": 1, "sizes": [[64, 64]], "ids": [[0, 9, 2]], "note": "new"}
    case = Case.read(entry)
    (tmp_path / "cases.json").write_text(json.dumps([entry]))
    roberta = tmp_path_factory.mktemp("roberta")
    RobertaConfig(**SMALL_ROBERTA).save_pretrained(roberta)
    (tmp_path / case.key_list).write_text(json.dumps(shapes("resnet50", roberta, "--binary")))
    model, criterion, _ = build_filled(case, tmp_path)
    output = model(case.clips(), case.tokens(), case.reference())
    arrays = check_parity.output_arrays(output) | check_parity.loss_arrays(output, case, criterion)
    np.savez(tmp_path / "own.npz", **{name: tensor.detach().numpy() for name, tensor in arrays.items()})
    return tmp_path


def test_the_tool_passes_misses_and_says_what_cannot_run(own_golden, program):
    assert program(check_parity.main, "--golden", own_golden, "--json", own_golden / "table.json").code == 0
    assert not any(row["missed"] for row in json.loads((own_golden / "table.json").read_text()))

    with np.load(own_golden / "own.npz") as arrays:
        wrong = dict(arrays) | {"pred_masks": arrays["pred_masks"] * 1.001}
    np.savez(own_golden / "own.npz", **wrong)
    outcome = program(check_parity.main, "--golden", own_golden)
    assert outcome.code == 1
    assert [line.split()[1] for line in outcome.out.splitlines() if "MISS" in line] == ["pred_masks"]

    (own_golden / "own.npz").unlink()
    outcome = program(check_parity.main, "--golden", own_golden)
    assert outcome.code == 1
    assert "cannot run" in outcome.out


def test_a_folder_without_cases_is_an_error(tmp_path, program):
    assert program(check_parity.main, "--golden", tmp_path).code == 2

"""The raw file: what is written is read again, a cut line is no harm, and a damaged file is said to be one."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.drift import HOUR_S, HOURS_SPREAD
from mmpredict.errors import FileFormatError, InputError, StorageError
from mmpredict.results.records import Records
from mmpredict.results.saved_rows import Field, read_records
from mmpredict.simulation.run import simulate
from mmpredict.simulation.serving import SwapServing
from mmpredict.validation.cases import case_from_dict, case_to_dict
from mmpredict.validation.raw_runs import Header, append, begin, cut_off, free_path, read_raw
from mmpredict.validation.scenario_cases import scenario_cases
from mmpredict.validation.serving import ServingCase

RECORDED = Path(__file__).parent / "data" / "recorded-scenario.jsonl"
SMALL = '"synthetic:smollm2-135m@q4_0"'
HEADER = Header("bench", "engine 1", 8e9, 0, 2, began_at_s=7200.0)


@pytest.fixture
def case(coefficients: Coefficients) -> ServingCase:
    """A conversation per model: requests that wait for others."""
    return scenario_cases(coefficients, 0, 6)[-3]


@pytest.fixture
def records(case: ServingCase, coefficients: Coefficients) -> Records:
    """One of its runs, as the model says."""
    return simulate(case.plan, case.workload, case.specs, CostModel(coefficients), 8e9)


def test_cases_and_records_survive_json(case: ServingCase, records: Records) -> None:
    again = case_from_dict(json.loads(json.dumps(case_to_dict(case))))
    assert again == case
    records.requests[0].first_token_s = math.nan
    kept = read_records(Field(json.loads(json.dumps(records.to_dict(), allow_nan=False)), "run"))
    assert math.isnan(kept.requests[0].first_token_s)
    assert kept.to_dict() == records.to_dict()


def test_servers_on_demand_are_not_kept(case: ServingCase) -> None:
    plan = replace(
        case.plan, stages=(replace(case.plan.stages[0], instances=_names(case), concurrency=None),), serving=SwapServing()
    )
    with pytest.raises(InputError, match="served by swap"):
        case_to_dict(replace(case, plan=plan))


def test_a_file_is_begun_added_to_and_read(case: ServingCase, records: Records, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "runs.jsonl"
    raw = begin(path, HEADER, [case, case])
    append(path, 1, 0, records)
    append(path, 0, 0, records)
    append(path, 1, 1, records)
    found = read_raw(path)
    assert (found.header, found.cases) == (HEADER, raw.cases)
    assert set(found.runs) == {(1, 0), (0, 0), (1, 1)}
    assert (len(found.of(0)), len(found.of(1))) == (1, 2)
    with pytest.raises(StorageError, match="cannot write"):
        begin(path, HEADER, [case])


def test_a_calibration_is_taken_at_the_age_that_it_had(coefficients: Coefficients) -> None:
    own = coefficients.model_copy(update={"machine_log_spread": HOURS_SPREAD, "measured_at_s": 7200.0 - HOUR_S / 4})
    assert HEADER.known(own).machine_log_spread == pytest.approx(HOURS_SPREAD / 2)
    assert replace(HEADER, began_at_s=None).known(own) == own


def test_a_line_that_was_cut_off_is_left_out_and_taken_away(case: ServingCase, records: Records, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    begin(path, HEADER, [case])
    append(path, 0, 0, records)
    whole = path.read_bytes()
    append(path, 0, 1, records)
    path.write_bytes(path.read_bytes()[:-50])
    found = read_raw(path)
    assert set(found.runs) == {(0, 0)}
    cut_off(path, found)
    assert path.read_bytes() == whole
    append(path, 0, 1, records)
    assert set(read_raw(path).runs) == {(0, 0), (0, 1)}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"schema_version": 1', '"schema_version": 9', "line 1: schema_version is 9"),
        ('"kind": "case"', '"kind": "cake"', "line 2: unknown kind 'cake'"),
        ('"threads": 2', '"threads": 0', "line 2: .*threads is 0"),
        ('"arrival_s": 0.0', '"arrival_s": "soon"', "line 2: .*arrival_s"),
        (f"{SMALL}: {SMALL}", f'{SMALL}: "synthetic:nothing@q4_0"', "line 2: unknown architecture"),
        (f"{SMALL}: {SMALL}", '"other": "synthetic:smollm2-135m@q4_0"', "line 2: .*is not among its models"),
        (f'"model": {SMALL}, "name"', '"model": "synthetic:llama-68m@q8_0", "name"', "line 2: .*no instance of plan"),
        ('"requests": [', '"asked": [', "line 2: requests is missing"),
        ('"status": "ok"', '"status": 1', r"line \d+: records.requests\[0\].status is 1; it must be text"),
        ("{", "[", "line 1: not JSON"),
    ],
)
def test_a_damaged_file_is_said_to_be_one(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    text = RECORDED.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(FileFormatError, match=complaint):
        read_raw(path)


def test_a_file_without_header_or_with_runs_of_no_case_is_no_raw_file(tmp_path: Path) -> None:
    lines = RECORDED.read_text("utf-8").splitlines(keepends=True)
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(lines[1:]), "utf-8")
    with pytest.raises(FileFormatError, match="it has no header"):
        read_raw(path)
    path.write_text(lines[0] + "".join(line for line in lines if '"kind": "run"' in line), "utf-8")
    with pytest.raises(FileFormatError, match="runs of cases"):
        read_raw(path)
    with pytest.raises(InputError, match="cannot read"):
        read_raw(tmp_path / "nowhere.jsonl")


def test_files_are_never_replaced(tmp_path: Path) -> None:
    assert free_path(tmp_path, "runs").name == "runs.jsonl"
    (tmp_path / "runs.jsonl").touch()
    assert free_path(tmp_path, "runs").name == "runs-2.jsonl"
    (tmp_path / "runs-2.jsonl").touch()
    assert free_path(tmp_path, "runs").name == "runs-3.jsonl"


def _names(case: ServingCase) -> tuple[str, ...]:
    return tuple(instance.name for instance in case.plan.instances)

"""Measurement files survive interruptions, and coefficient files are whole or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmpredict.calibrate.measurement import KINDS, Measurement, MeasurementLog, of_kind, read_measurements
from mmpredict.calibrate.store import save_coefficients
from mmpredict.cost.coefficients import SCHEMA_VERSION, Coefficients
from mmpredict.cost.library import coefficients_path, load_coefficients, machine_key
from mmpredict.errors import FileFormatError, InputError, NotCalibratedError, StorageError
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.hardware.profile import HardwareProfile, MemoryPool, Processor, Quantity
from mmpredict.saving import data_directory

HEADER = {"machine": "m", "engine": "e 1.0", "cores": 2, "measured_on": "2026-01-01"}
ROWS = [
    Measurement("prefill", "a", 2, None, {"tokens": 8, "duration_s": 0.1 + 0.2}),
    Measurement("decode", "ä@q8_0", 1, 1000, {"sequences": 2, "depth": 4.5, "steps": 16, "duration_s": 1e-300}),
    Measurement("company", "a", 2, 0, {"set_up": "within", "phase": "decode", "episode": 0, "speed_frac": 0.98}),
]


def written(path: Path, rows: list[Measurement]) -> Path:
    with MeasurementLog(path, HEADER) as log:
        for row in rows:
            log.add(row)
        assert log.rows == rows
    return path


def test_rows_read_back_as_they_were_written(tmp_path: Path) -> None:
    assert read_measurements(written(tmp_path / "new" / "rows.jsonl", ROWS)) == (HEADER, ROWS)


def test_every_row_is_on_disk_before_the_next(tmp_path: Path) -> None:
    with MeasurementLog(tmp_path / "rows.jsonl", HEADER) as log:
        for count, row in enumerate(ROWS, start=1):
            log.add(row)
            assert read_measurements(log.path) == (HEADER, ROWS[:count])


def test_a_last_line_cut_anywhere_is_ignored(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    for cut in range(last, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert read_measurements(path) == (HEADER, ROWS[:-1]), f"cut after {cut} bytes"
    path.write_bytes(whole[:-1])
    assert read_measurements(path) == (HEADER, ROWS), "only the end of the line is missing"


@pytest.mark.parametrize(
    "damage",
    ["{", "", "[]", "7", '{"kind": "prefill"}', '{"kind": "speed", "model": "a", "threads": 1, "spincount": null, "values": {}}'],
)
def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path, damage: str) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS)
    lines = path.read_text("utf-8").splitlines()
    lines[2] = damage
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(FileFormatError, match=r"rows\.jsonl, line 3: not a measurement"):
        read_measurements(path)


def test_an_unknown_kind_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS)
    path.write_text(path.read_text("utf-8").replace("prefill", "speed"), "utf-8")
    with pytest.raises(FileFormatError, match=f"kind 'speed' is none of {', '.join(KINDS)}"):
        read_measurements(path)


@pytest.mark.parametrize("text", ["", "{}\n", '{"header": 3}\n', '{"head', "PK\n", '{"kind": "prefill"}\n'])
def test_a_file_without_a_header_is_no_measurement_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(FileFormatError, match="line 1"):
        read_measurements(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read measurements .*missing\.jsonl"):
        read_measurements(tmp_path / "missing.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cannot read measurements .*binary\.jsonl"):
        read_measurements(tmp_path / "binary.jsonl")


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the directory"):
        MeasurementLog(tmp_path / "file" / "rows.jsonl", HEADER)


def test_rows_of_one_kind() -> None:
    assert of_kind(ROWS, "decode") == ROWS[1:2]
    assert of_kind(ROWS, "load") == []


def profile(name: str, model: str = "Some(R) CPU(TM) @ 3.0 GHz", cores: int = 4) -> HardwareProfile:
    size = Quantity(value=8e9)
    return HardwareProfile(
        name=name,
        pools={"ram": MemoryPool(capacity_bytes=size, usable_bytes=size)},
        processors=(Processor(kind="cpu", model=model, cores=cores),),
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMPREDICT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_stored_coefficients_are_found_again(store: Path, coefficients: Coefficients) -> None:
    machine = profile("bench")
    mine = coefficients.model_copy(update={"machine": machine_key(machine), "engine": "Engine 1.0+x"})
    path = save_coefficients(mine)
    assert data_directory() == store and path.is_relative_to(store)
    assert load_coefficients(machine, "Engine 1.0+x") == mine
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing temporary is left"


def test_saving_again_replaces(store: Path, coefficients: Coefficients) -> None:
    machine = profile(coefficients.machine)
    save_coefficients(coefficients)
    save_coefficients(coefficients.model_copy(update={"measurements": 7}))
    assert load_coefficients(machine, coefficients.engine).measurements == 7


def test_this_machine_is_known_by_its_processor_and_cores() -> None:
    assert machine_key(profile(THIS_MACHINE)) == "some-cpu-3.0-ghz-4-cores"
    assert machine_key(profile(THIS_MACHINE, cores=8)) != machine_key(profile(THIS_MACHINE))
    assert machine_key(profile("bench")) == "bench"


def test_without_calibration_the_remedy_is_told(store: Path) -> None:
    with pytest.raises(NotCalibratedError, match="run: mmpredict calibrate run"):
        load_coefficients(profile(THIS_MACHINE), "engine")
    with pytest.raises(NotCalibratedError, match=r"calibrate on that machine .* and copy the file to") as caught:
        load_coefficients(profile("bench"), "engine")
    assert str(coefficients_path("bench", "engine")) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", f'{{"schema_version": {SCHEMA_VERSION}}}', '{"cores": NaN}'])
def test_damaged_coefficients_are_refused_with_a_remedy(store: Path, coefficients: Coefficients, text: str) -> None:
    path = save_coefficients(coefficients)
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r"is no coefficient file: .*; calibrate again") as caught:
        load_coefficients(profile(coefficients.machine), coefficients.engine)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_coefficients_are_refused(store: Path, coefficients: Coefficients) -> None:
    path = save_coefficients(coefficients)
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match="is no coefficient file"):
        load_coefficients(profile(coefficients.machine), coefficients.engine)


def test_another_schema_version_is_refused(store: Path, coefficients: Coefficients) -> None:
    path = save_coefficients(coefficients)
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "schema_version": SCHEMA_VERSION + 1}))
    message = f"has schema version {SCHEMA_VERSION + 1}, this is {SCHEMA_VERSION}; calibrate again"
    with pytest.raises(FileFormatError, match=message):
        load_coefficients(profile(coefficients.machine), coefficients.engine)


def test_a_place_that_cannot_be_written(tmp_path: Path, coefficients: Coefficients) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the directory"):
        save_coefficients(coefficients, tmp_path / "file" / "c.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(StorageError, match="cannot write"):
        save_coefficients(coefficients, tmp_path / "folder.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.json"]

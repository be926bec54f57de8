"""Fitting prices: what was put in comes out, wrong rows hardly matter, and what was shipped is what the tables give."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmpredict.calibrate.family import Family, Member
from mmpredict.calibrate.price_fit import equations, fit_prices
from mmpredict.calibrate.published import fit_tables, read_tables, save_families
from mmpredict.calibrate.rates_fit import fit_family, measured_spec, terms_of
from mmpredict.calibrate.speed_row import COLUMNS, SpeedRow, read_rows, write_rows
from mmpredict.cost.library import shipped_rates_directory
from mmpredict.cost.rates.datasheet import peaks
from mmpredict.cost.rates.parameters import beliefs
from mmpredict.cost.rates.rates import Rates
from mmpredict.cost.rates.relative import reference_factor
from mmpredict.errors import FileFormatError, InputError, NotCalibratedError
from mmpredict.hardware.library import find_profile
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES

PUBLISHED = Path(__file__).parents[2] / "calibration" / "published"
MODELS = ("llama3.1-8b", "qwen2.5-3b", "qwen3-14b", "gemma3-4b", "qwen3-30b-a3b", "llama3.2-1b")


def row(model: str, n_prompt: int, n_gen: int, depth: int = 0, parallel: int = 1, file_type: str = "Q4_K_M") -> SpeedRow:
    empty = dict.fromkeys(COLUMNS, "")
    whole = {"size_bytes": 0, "n_ubatch": 512, "threads": 0, "stddev": 0.0, "tokens_per_s": 1.0}
    conditions = {"n_prompt": n_prompt, "n_gen": n_gen, "depth": depth, "parallel": parallel}
    where = {"machine": "rtx-3090", "processor": "gpu", "backend": "cuda", "date": "2026-06-01", "source": "invented"}
    return SpeedRow(**{**empty, **whole, **conditions, **where, "model": model, "file_type": file_type})  # type: ignore[arg-type]


def measured(rates: Rates, factor: float = 1.0) -> list[SpeedRow]:
    """Rows as a machine with these prices would have given them."""
    rows = []
    for model in MODELS:
        for file_type in ("Q4_K_M", "Q8_0"):
            for test in ((512, 0, 0), (2048, 0, 0), (0, 128, 0), (0, 128, 4096), (0, 128, 16384)):
                one = row(model, *test, file_type=file_type)
                rows.append(replace(one, tokens_per_s=factor * (one.n_prompt or one.n_gen) / rates.seconds(terms_of(one))))
    return rows


@pytest.fixture(scope="module")
def member() -> Member:
    return Member("rtx-3090", "", peaks(find_profile("rtx-3090"), "gpu", "cuda"))


@pytest.fixture(scope="module")
def truth(member: Member) -> Rates:
    """Prices that differ from what is usual; blocks of threads cost what they do with CUDA."""
    from mmpredict.cost.rates.choice import related_rates

    usual = related_rates(find_profile("rtx-3090"), "gpu", ["vulkan"]).rates
    block = beliefs("gpu", WEIGHT_TYPES, member.peaks.read, member.peaks.compute, "cuda")["vector_block_s"].mean
    block += math.log(reference_factor("vector_block_s", member.peaks))
    moved = {
        "vector_block_s": block - usual.rates["vector_block_s"].log,
        "bandwidth": -0.15,
        "compute": 0.4,
        "operation_s": 0.5,
        "mac_s": -0.6,
        "read_q8_0": 0.1,
    }
    return replace(
        usual,
        rates={name: replace(rate, log=rate.log + moved.get(name, 0.0)) for name, rate in usual.rates.items()},
        backend="cuda",
    )


def test_prices_that_were_put_in_come_out(truth: Rates, member: Member) -> None:
    rows = measured(truth)
    found = fit_family(rows, [member]).members[0]
    assert found.errors["decode"].median < 0.02
    assert found.errors["prompt"].median < 0.03
    for name in ("bandwidth", "compute"):
        assert found.rates[name].log == pytest.approx(truth.rates[name].log, abs=0.12)
    assert found.rows == len(rows)
    assert set(found.models) == set(MODELS)


def test_a_few_wrong_rows_hardly_matter(truth: Rates, member: Member) -> None:
    rows = measured(truth)
    spoilt = [replace(one, tokens_per_s=one.tokens_per_s / 3) if number % 9 == 4 else one for number, one in enumerate(rows)]
    clean, dirty = (fit_family(some, [member]).members[0] for some in (rows, spoilt))
    for one in rows:
        terms = terms_of(one)
        assert dirty.seconds(terms) == pytest.approx(clean.seconds(terms), rel=0.12)


def test_intervals_hold_what_they_promise(truth: Rates, member: Member) -> None:
    noise = np.random.default_rng(7).normal(0.0, 0.08, 1000)
    rows = [replace(one, tokens_per_s=one.tokens_per_s * math.exp(noise[n])) for n, one in enumerate(measured(truth))]
    errors = fit_family(rows, [member]).members[0].errors
    assert 0.65 <= errors["decode"].covered <= 0.95
    assert 0.6 <= errors["prompt"].covered <= 0.95


def test_derivatives_are_those_of_the_logarithm(truth: Rates, member: Member) -> None:
    family = Family("gpu", [member])
    work = [family.terms(terms_of(one), member) for one in measured(truth)[:6]]
    system = equations(work, sorted(family.beliefs))
    logs = np.array([family.beliefs[name].mean for name in system.names])
    slopes = system.slopes(system.parts_s(logs))
    for column in range(0, len(system.names), 7):
        moved = logs.copy()
        moved[column] += 1e-6
        numeric = np.log(system.parts_s(moved).sum(1) / system.parts_s(logs).sum(1)) / 1e-6
        assert slopes[:, column] == pytest.approx(numeric, abs=1e-5)


def test_without_a_row_the_beliefs_stay(member: Member) -> None:
    family = Family("gpu", [member])
    one = row("llama3.1-8b", 0, 128)
    system = equations([family.terms(terms_of(one), member)], sorted(family.beliefs))
    fitted = fit_prices(system, np.array([1.0]), np.array([0.0]), family.beliefs)
    assert fitted.logs == pytest.approx([family.beliefs[name].mean for name in system.names])


def test_relatives_lend_to_each_other(truth: Rates, member: Member) -> None:
    other = Member("rtx-4090", "", peaks(find_profile("rtx-4090"), "gpu", "cuda"))
    few = [replace(one, machine="rtx-4090") for one in measured(truth) if one.model == "llama3.2-1b" and one.n_gen][:2]
    both = fit_family([*measured(truth), *few], [member, other])
    alone = fit_family(few, [other]).members[0]
    assert [rates.machine for rates in both.members] == ["rtx-3090", "rtx-4090"]
    assert both.common.rows == len(few) + len(measured(truth))
    lent = both.members[1].rates["mac_s"].log - truth.rates["mac_s"].log + math.log(other.peaks.compute_flop_per_s / 142e12)
    kept = alone.rates["mac_s"].log - truth.rates["mac_s"].log + math.log(other.peaks.compute_flop_per_s / 142e12)
    assert abs(lent) < abs(kept)  # two runs do not tell what attention costs; those of the relative do


def test_rows_that_cannot_be_used_are_counted(truth: Rates, member: Member) -> None:
    old = replace(row("qwen3.5-9b", 0, 128), date="2026-01-05", tokens_per_s=30.0)
    wrong = replace(row("llama3.1-8b", 0, 128), file_type="Q9_Z", tokens_per_s=30.0)
    found = fit_family([*measured(truth), old, wrong], [member])
    assert sum(found.common.rejected.values()) == 2
    assert any("recurrent" in reason for reason in found.common.rejected)
    with pytest.raises(NotCalibratedError, match="none of 1"):
        fit_family([wrong], [member])


def test_a_file_of_another_size_has_other_types() -> None:
    plain = measured_spec("qwen3.6-35b-a3b", "Q4_K_M", 0)
    dynamic = measured_spec("qwen3.6-35b-a3b", "UD-Q4_K_XL", round(plain.file_bytes * 1.06))
    assert dynamic.file_bytes == pytest.approx(plain.file_bytes * 1.06, rel=0.005)
    dense = {tensor.type.name for tensor in dynamic.tensors if tensor.is_matrix and not tensor.is_expert and tensor.layer == 0}
    assert "q8_0" in dense  # what every token passes is kept in more bits first
    smaller = measured_spec("llama3.1-8b", "Q4_K_M", round(measured_spec("llama3.1-8b", "Q4_K_M", 0).file_bytes * 0.9))
    assert smaller.doubts


@pytest.mark.parametrize(
    ("build", "date", "early"),
    [
        ("7938 (e0c93af2a)", "2026-02-04", True),
        ("9193 (1a68ec937)", "2026-05-18", False),
        ("b1259", "2026-07-10", False),  # another project's numbers
        ("", "2026-01", True),
        ("", "2026", False),
        ("f16d8a29e", "2026-06-01", False),
    ],
)
def test_old_builds_are_known_by_number_or_date(build: str, date: str, early: bool) -> None:
    assert replace(row("llama3.1-8b", 512, 0), build=build, date=date).early is early


def test_prompts_with_vulkan_have_today_s_kernels_since_february_and_recurrent_layers_since_march() -> None:
    prompt = replace(row("llama3.1-8b", 512, 0), backend="vulkan", build="7938 (e0c93af2a)", date="2026-02-04")
    assert not prompt.early and prompt.early_recurrence
    assert replace(prompt, n_prompt=0, n_gen=128).early and replace(prompt, backend="rocm").early
    assert replace(prompt, build="7670 (9c142e3a2)", date="2026-01-09").early


def test_tables_are_read_as_they_are_written(tmp_path: Path) -> None:
    rows = read_rows(PUBLISHED / "raspberry-pi-5.csv")
    copy = tmp_path / "copy.csv"
    copy.write_bytes(write_rows(rows))
    assert read_rows(copy) == rows


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"tokens_per_s": "0"}, "tokens_per_s"),
        ({"tokens_per_s": "fast"}, "line 2"),
        ({"n_gen": "128"}, "n_prompt and n_gen"),
        ({"processor": "npu"}, "processor"),
        ({"depth": "-4"}, "depth"),
    ],
)
def test_a_line_that_is_no_row_is_named(cells: dict[str, str], words: str, tmp_path: Path) -> None:
    good = {**dict.fromkeys(COLUMNS, ""), "processor": "gpu", "n_prompt": "512", "parallel": "1", "tokens_per_s": "10"}
    path = tmp_path / "table.csv"
    path.write_text(",".join(COLUMNS) + "\n" + ",".join((good | cells)[name] for name in COLUMNS) + "\n", "utf-8")
    with pytest.raises(FileFormatError, match=words):
        read_rows(path)
    path.write_text("model,speed\n", "utf-8")
    with pytest.raises(FileFormatError, match="columns"):
        read_rows(path)
    with pytest.raises(InputError):
        read_rows(tmp_path / "missing.csv")


def test_shipped_rates_are_what_the_tables_give(tmp_path: Path) -> None:
    rows = read_tables([PUBLISHED / f"{name}.csv" for name in ("raspberry-pi-5", "rtx-3090", "rtx-4090")])
    paths = save_families(fit_tables(rows), tmp_path)
    assert len(paths) >= 6
    for path in paths:
        name = path.relative_to(tmp_path)
        if name.name != "vulkan-gpu-discrete.json":
            assert path.read_bytes() == (shipped_rates_directory() / name).read_bytes(), name


def test_rows_of_unknown_machines_alone_are_refused() -> None:
    with pytest.raises(NotCalibratedError, match="profile"):
        fit_tables([replace(row("llama3.1-8b", 512, 0), machine="my-toaster")])

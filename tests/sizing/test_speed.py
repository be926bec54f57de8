"""How fast: figures in llama-bench's words, where they come from, and what is said where nothing is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmpredict.calibrate.store import save_coefficients
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.speed import CalibratedSpeed, Duration, PublishedSpeed, SplitSpeed
from mmpredict.models.catalog import catalog_spec
from mmpredict.results.speed import SpeedEstimate
from mmpredict.sizing.estimate import estimate
from mmpredict.sizing.find_machine import find_machine
from mmpredict.sizing.speed import IN_MEMORY, ON_DISK, choice_of


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMPREDICT_DATA", str(tmp_path))
    return tmp_path


def speed_of(model: str, hardware: str, **options: object) -> SpeedEstimate:
    return estimate(model, hardware, speed=True, **options).speeds[0]  # type: ignore[arg-type]


def test_tests_have_the_names_that_llama_bench_gives_them() -> None:
    found = speed_of("qwen2.5:7b", "ms-s1-max", context_tokens=8192, slots=1)
    names = [figure.test for figure in found.figures]
    assert names[:3] == ["pp512", "tg128", "tg128 @ d4096"]
    assert {IN_MEMORY, ON_DISK} <= set(names)
    for figure in found.figures:
        assert 0 < figure.low < figure.value < figure.high
    assert found.figure("tg128").value > found.figure("tg128 @ d4096").value
    assert found.figure("pp512").unit == "t/s"
    assert "-p 512 -n 128 -d 0,4096 -ngl 29 -fa 1" in found.verify
    assert (found.basis, found.backend, found.processor) == ("published", "vulkan", "gpu")
    with pytest.raises(KeyError):
        found.figure("pp7")


def test_a_context_that_is_too_small_for_a_test_leaves_it_out() -> None:
    names = [figure.test for figure in speed_of("qwen2.5:7b", "ms-s1-max", context_tokens=1024, slots=1).figures]
    assert "tg128" in names
    assert "tg128 @ d4096" not in names


def test_several_slots_are_told_together() -> None:
    found = speed_of("qwen2.5:7b", "ms-s1-max", context_tokens=16384, slots=4)
    assert found.figure("tg128 × 4 slots").value > 1.5 * found.figure("tg128").value


def test_another_backend_can_be_asked_for() -> None:
    assert speed_of("qwen2.5:7b", "ms-s1-max", backend="rocm").backend == "rocm"


@pytest.mark.parametrize(
    ("hardware", "basis"),
    [
        ("ms-s1-max", "published"),
        ("ms-s1-max:quiet", "family"),
        ("jetson-orin-nano-super", "published"),
        ("apple-m2-ultra", "family"),
        ("rtx-4090", "family"),  # one model was measured there
        ("raspberry-pi-5", "published"),
        ("browser", "data sheet"),
    ],
)
def test_where_figures_come_from(hardware: str, basis: str) -> None:
    found = speed_of("llama3.2:1b", hardware, context_tokens=2048)
    assert found.basis == basis, found.source
    assert found.source
    assert found.figures


def test_a_slower_power_mode_is_slower() -> None:
    usual, quiet = (speed_of("qwen2.5:7b", name, context_tokens=4096) for name in ("ms-s1-max", "ms-s1-max:quiet"))
    assert quiet.figure("pp512").value < usual.figure("pp512").value


def test_layers_on_two_processors_are_slower_than_on_the_gpu_alone() -> None:
    whole = speed_of("qwen2.5:7b", "browser", context_tokens=2048, gpu_layers=29)
    half = speed_of("qwen2.5:7b", "browser", context_tokens=2048, gpu_layers=14)
    none = speed_of("qwen2.5:7b", "browser", context_tokens=2048, gpu_layers=0)
    assert whole.figure("tg128").value > half.figure("tg128").value > none.figure("tg128").value
    assert any("two processors" in doubt for doubt in half.doubts)
    assert none.processor == "cpu"


def test_a_machine_of_which_too_little_is_known_says_what_to_do() -> None:
    found = speed_of("qwen2.5:0.5b", "this-machine", context_tokens=2048)
    assert not found.figures
    assert "mmpredict calibrate run" in found.missing


def test_an_own_calibration_comes_first(coefficients: Coefficients, monkeypatch: pytest.MonkeyPatch) -> None:
    import mmpredict.sizing.speed as module

    monkeypatch.setattr(module, "_this_machine", lambda: coefficients.machine)
    save_coefficients(coefficients)
    found = speed_of("qwen2.5:0.5b", "this-machine", context_tokens=8192, slots=1)
    assert found.basis == "own"
    assert "calibration of this machine" in found.source
    assert found.figure("tg128").value > found.figure("tg128 @ d4096").value
    assert found.figure(ON_DISK).value > found.figure(IN_MEMORY).value
    assert "-ngl 0 -t" in found.verify


def test_an_embedding_model_has_no_generation() -> None:
    found = speed_of("nomic-embed-text", "ms-s1-max")
    names = [figure.test for figure in found.figures]
    assert names[0].startswith("pp")
    assert not any(name.startswith("tg") for name in names)


def test_flash_attention_that_is_off_is_a_doubt() -> None:
    assert any("flash" in doubt for doubt in speed_of("qwen2.5:7b", "ms-s1-max", flash_attention=False).doubts)


def test_without_asking_there_is_no_speed() -> None:
    found = estimate("qwen2.5:7b", "ms-s1-max")
    assert found.speeds == ()
    assert found.to_dict()["speeds"] == []


def test_durations_add_up_with_their_doubt() -> None:
    whole = Duration(1.0, 0.1) + Duration(3.0, 0.3)
    assert whole.value == 4.0
    assert whole.log_halfwidth == pytest.approx(0.25)
    assert whole.low < 4.0 < whole.high


def test_calibrated_and_published_speed_answer_the_same_questions(coefficients: Coefficients) -> None:
    spec = catalog_spec("qwen2.5-0.5b", "Q8_0")
    own = CalibratedSpeed(spec, coefficients, 2, 512)
    choice = choice_of(find_machine("ms-s1-max"), "ms-s1-max")
    from mmpredict.cost.rates.step_terms import Conditions

    published = PublishedSpeed(spec, choice.rates, Conditions())
    for speed in (own, published, SplitSpeed((own, published))):
        assert speed.prompt(512, served=True).value >= speed.prompt(512).value > 0
        assert speed.decode(4, 100, 10).value > speed.decode(1, 100, 10).value > 0

"""File types: llama.cpp's numbers, and the many ways in which people write their names."""

from __future__ import annotations

import gguf
import pytest

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.quantization.file_types import FILE_TYPES, FILE_TYPES_BY_NUMBER, file_type

NOT_A_TYPE = {"GUESSED"}


@pytest.mark.parametrize("theirs", [kind for kind in gguf.LlamaFileType if kind.name not in NOT_A_TYPE], ids=lambda kind: kind.name)
def test_numbers_agree_with_the_gguf_package(theirs: gguf.LlamaFileType) -> None:
    assert FILE_TYPES_BY_NUMBER[int(theirs)].name == theirs.name.removeprefix("MOSTLY_").removeprefix("ALL_")


@pytest.mark.parametrize("name", FILE_TYPES)
def test_every_name_and_label_is_found_however_it_is_written(name: str) -> None:
    kind = FILE_TYPES[name]
    for spelling in (
        name,
        name.lower(),
        name.replace("_", "-"),
        name.replace("_", ""),
        f" {name} ",
        kind.label,
        f"(guessed) {kind.label}",
    ):
        assert file_type(spelling) is kind


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("q4_K_M", "Q4_K_M"),
        ("Q4_K - Medium", "Q4_K_M"),
        ("Q4_K", "Q4_K_M"),
        ("Q3_K", "Q3_K_M"),
        ("q5_k", "Q5_K_M"),
        ("Q2_K - Medium", "Q2_K"),
        ("IQ3_S mix - 3.66 bpw", "IQ3_M"),
        ("mxfp4", "MXFP4_MOE"),
        ("MXFP4 MoE", "MXFP4_MOE"),
        ("fp16", "F16"),
        ("all F32", "F32"),
        ("q8", "Q8_0"),
    ],
)
def test_aliases(spelling: str, name: str) -> None:
    assert file_type(spelling).name == name


@pytest.mark.parametrize("name", ["UD-Q4_K_XL", "ud-iq2_m", "Q4_K_XL", "Q4_K_L", "Q6_K_L", "Q3_K_XL", "Q8_K_XL", "UD_Q8_K_XL"])
def test_a_publishers_own_mix_is_explained(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' is no file type of llama.cpp: .* give the GGUF file itself"):
        file_type(name)


@pytest.mark.parametrize(("name", "near"), [("Q4_K_N", "Q4_K_M"), ("iq4_xz", "IQ4_XS"), ("q4_2", "Q4_")])
def test_unknown_names_are_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown quantization .*did you mean .*{near}"):
        file_type(name)


@pytest.mark.parametrize("name", ["", "q4", "q5", "int4", "4bit", "q" * 100_000])
def test_other_names_are_refused_in_short(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        file_type(name)
    assert len(str(caught.value)) < 400


def test_ollamas_own_number_of_gpt_oss() -> None:
    assert FILE_TYPES_BY_NUMBER[4].name == "MXFP4_MOE"

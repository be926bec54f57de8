"""Models in GGUF files: what a file must say, and models in several parts."""

from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from gguf_image import ARRAY, BOOL, F32, KEYS, N_EMBD, N_VOCAB, STRING, U8, U32, image, key, tensor, text, u32, u64, with_keys
from narrow import NARROW, narrow_spec

from mmpredict.errors import FileFormatError, InputError
from mmpredict.models.gguf import model as gguf
from mmpredict.models.gguf.model import spec_from_gguf
from mmpredict.models.gguf.weights_file import write_header_only
from mmpredict.models.metadata.keys import Value


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf") / "small.gguf"


def test_spec_of_a_small_file(scratch: Path) -> None:
    scratch.write_bytes(image())
    spec = spec_from_gguf(scratch)
    assert (spec.name, spec.path, spec.source, spec.n_merges, spec.doubts) == ("small", scratch, "GGUF header", 0, ())
    assert spec.file_bytes == scratch.stat().st_size
    shape = spec.shape
    assert (shape.architecture, shape.n_layers, shape.n_embd, shape.n_heads, shape.n_kv_heads) == ("llama", 3, N_EMBD, 4, 4)
    assert (shape.key_dim, shape.value_dim, shape.n_ff, shape.n_vocab) == (N_EMBD // 4, N_EMBD // 4, 192, N_VOCAB)
    assert (shape.context_length, shape.window, shape.experts, shape.recurrent) == (2048, None, None, None)
    assert spec.tied_output


@pytest.mark.parametrize("name", KEYS)
def test_missing_key_is_named(scratch: Path, name: str) -> None:
    scratch.write_bytes(with_keys(without=name))
    with pytest.raises(FileFormatError, match=name):
        spec_from_gguf(scratch)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (U32, u32(0)),
        (U32, u32(2**31)),
        (5, struct.pack("<i", -4)),
        (F32, struct.pack("<f", 4.0)),
        (BOOL, b"\1"),
        (STRING, text("4" * 10**5)),
        (ARRAY, u32(U32) + u64(0)),
        (ARRAY, u32(BOOL) + u64(2) + b"\1\1"),
        (ARRAY, u32(U8) + u64(600) + b"\4" * 600),
    ],
)
def test_implausible_hyperparameters_are_refused(scratch: Path, kind: int, value: bytes) -> None:
    scratch.write_bytes(with_keys(key("llama.attention.head_count", kind, value), without="llama.attention.head_count"))
    with pytest.raises(FileFormatError, match=r"llama\.attention\.head_count") as caught:
        spec_from_gguf(scratch)
    assert len(str(caught.value)) < len(str(scratch)) + 250


def test_more_layers_than_llama_cpp_allows(scratch: Path) -> None:
    scratch.write_bytes(with_keys(key("llama.block_count", U32, u32(513)), without="llama.block_count"))
    with pytest.raises(FileFormatError, match=r"block_count.* 513; expected a whole number from 1 to 512"):
        spec_from_gguf(scratch)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (image(tensors=[], data_bytes=0), "no tensors, only a vocabulary or settings"),
        (with_keys(key("general.type", STRING, text("adapter"))), "an adapter, which is loaded onto a model"),
        (with_keys(key("general.type", STRING, text("imatrix"))), "an importance matrix"),
        (with_keys(key("general.type", U32, u32(3)), without="llama.block_count"), "llama.block_count"),
        (image(tensors=[tensor("token_embd.weight", [N_EMBD])]), "no embedding table"),
        (with_keys(key("general.architecture", STRING, text("a\nb")), without="general.architecture"), r"is 'a\\nb'"),
        (with_keys(key("general.architecture", U32, u32(3)), without="general.architecture"), "is 3"),
        (with_keys(key("llama.attention.head_count", U32, u32(65)), without="llama.attention.head_count"), "key_length"),
    ],
)
def test_files_that_hold_no_whole_model(scratch: Path, content: bytes, complaint: str) -> None:
    scratch.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"cannot be used as a model: .*{complaint}"):
        spec_from_gguf(scratch)


def test_a_projector_is_described_as_what_it_is(tmp_path: Path) -> None:
    keys = {"block_count": 2, "embedding_length": N_EMBD, "attention.head_count": 4, "feed_forward_length": 192, "image_size": 56}
    keys |= {"patch_size": 14, "projection_dim": 128}
    written = [key("general.architecture", STRING, text("clip")), key("general.type", STRING, text("mmproj"))]
    written += [key(f"clip.vision.{name}", U32, u32(number)) for name, number in keys.items()]
    path = tmp_path / "mmproj.gguf"
    path.write_bytes(image(written))
    spec = spec_from_gguf(path)
    assert (spec.shape.architecture, spec.shape.kind, spec.shape.n_layers, spec.shape.context_length) == ("clip", "vision", 2, 16)
    assert "loaded beside a language model (--mmproj)" in spec.doubts[0]


# --- parts ------------------------------------------------------------------------------------------------------------------

SPEC = narrow_spec(NARROW["llama"])
COUNT = 3


def write_parts(directory: Path, stem: str = "big", suffix: str = ".gguf", **changes: dict[int, Value]) -> list[Path]:
    """The narrow llama in three parts; ``count={1: 4}`` changes ``split.count`` of the second."""
    paths = []
    for number in range(COUNT):
        tensors = SPEC.tensors[number::COUNT]
        keys: dict[str, Value] = {"split.no": number, "split.count": COUNT, "split.tensors.count": len(SPEC.tensors)}
        for name, values in changes.items():
            if number in values:
                keys[f"split.{name.replace('_', '.')}"] = values[number]
        path = directory / f"{stem}-{number + 1:05d}-of-{COUNT:05d}{suffix}"
        paths.append(write_header_only(replace(SPEC, tensors=tensors), path, keys))
    return paths


@pytest.mark.parametrize("given", range(COUNT))
def test_any_part_stands_for_the_whole(tmp_path: Path, given: int) -> None:
    paths = write_parts(tmp_path)
    spec = spec_from_gguf(paths[given])
    assert (spec.name, spec.path) == ("big", paths[0])
    assert sorted(spec.tensors, key=lambda one: one.name) == sorted(SPEC.tensors, key=lambda one: one.name)
    assert spec.file_bytes == sum(path.stat().st_size for path in paths)
    assert spec.shape == replace(SPEC.shape, name="big")


def test_parts_with_an_unusual_ending(tmp_path: Path) -> None:
    assert len(spec_from_gguf(write_parts(tmp_path, suffix=".GGUF")[1]).tensors) == len(SPEC.tensors)


def test_a_single_part_is_a_whole_model(tmp_path: Path) -> None:
    path = write_header_only(
        SPEC, tmp_path / "one.gguf", {"split.no": 0, "split.count": 1, "split.tensors.count": len(SPEC.tensors)}
    )
    assert spec_from_gguf(path).name == "one"


def test_missing_parts_are_named(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    paths[2].unlink()
    with pytest.raises(InputError, match=r"is one of 3 parts; missing beside it: big-00003-of-00003\.gguf$") as caught:
        spec_from_gguf(paths[1])
    assert not isinstance(caught.value, FileFormatError)
    paths[0].unlink()
    with pytest.raises(InputError, match=r"missing beside it: big-00001-of-00003\.gguf, big-00003-of-00003\.gguf$"):
        spec_from_gguf(paths[1])


def test_a_renamed_part_says_how_it_should_be_called(tmp_path: Path) -> None:
    path = write_parts(tmp_path)[1].rename(tmp_path / "mine.gguf")
    with pytest.raises(FileFormatError, match=r"is part 2 of 3; call it NAME-00002-of-00003\.gguf"):
        spec_from_gguf(path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"count": {1: 4}}, r"00002-of-00003.gguf does not belong to .*: its key 'split.count' is 4 instead of 3"),
        ({"no": {1: 2}}, "its key 'split.no' is 2 instead of 1"),
        ({"tensors_count": {2: 5}}, "its key 'split.tensors.count' is 5 instead of"),
        ({"tensors_count": {0: 99, 1: 99, 2: 99}}, f"hold {len(SPEC.tensors)} tensors instead of 99"),
        ({"count": {0: "three"}}, "'split.count' is 'three'; expected a whole number"),
        ({"count": {0: 10**6}}, "claims to be one of 1000000 parts; at most 1024"),
    ],
)
def test_parts_that_do_not_belong_together(tmp_path: Path, changes: dict[str, dict[int, Value]], complaint: str) -> None:
    with pytest.raises(FileFormatError, match=complaint):
        spec_from_gguf(write_parts(tmp_path, **changes)[0])


def test_a_part_that_is_there_twice(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    keys: dict[str, Value] = {"split.no": 1, "split.count": COUNT, "split.tensors.count": len(SPEC.tensors)}
    write_header_only(replace(SPEC, tensors=SPEC.tensors[0::COUNT]), paths[1], keys)
    with pytest.raises(FileFormatError, match=r"00002-of-00003.gguf does not belong to .*: tensor 'token_embd.weight' is in two"):
        spec_from_gguf(paths[0])


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    shutil.copy(__file__, paths[2])
    with pytest.raises(FileFormatError, match=r"big-00003-of-00003\.gguf is not a GGUF file"):
        spec_from_gguf(paths[0])
    assert gguf.MAX_PARTS < 10**5, "numbers of parts have five digits"

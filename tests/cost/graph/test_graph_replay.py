"""The replay gives tensors memory as ggml's graph allocator does, and never the same to two that are needed at a time."""

from __future__ import annotations

import pytest
from graph_truth import Answer, answers

from mmpredict.cost.graph.batch import worst_batch
from mmpredict.cost.graph.building import Building, alter, given, make, store
from mmpredict.cost.graph.families import family_of, wants_all_outputs
from mmpredict.cost.graph.replay import replay, replay_split
from mmpredict.cost.graph.tape import Source, Tape, Value, View

SIZE = 1024


def tape_of(*results: Source) -> Tape:
    tape = Tape()
    tape.expand(*results)
    return tape


def host_bytes(*results: Source) -> int:
    return replay(tape_of(*results)).host_bytes


def test_a_chain_of_changes_needs_one_buffer() -> None:
    assert host_bytes(alter(alter(alter(make(SIZE, given(32)))))) == 32 + SIZE


def test_what_is_read_again_is_not_overwritten() -> None:
    x = make(SIZE, given(32))
    assert host_bytes(alter(alter(x), x)) == 32 + 2 * SIZE


def test_what_is_seen_through_a_view_is_not_overwritten() -> None:
    assert host_bytes(alter(View(make(SIZE, given(32))))) == 32 + 2 * SIZE


def test_a_result_is_not_overwritten_and_its_memory_not_given_to_others() -> None:
    x = make(SIZE, given(32))
    x.kept = True
    assert host_bytes(make(SIZE, make(SIZE, alter(x)))) == 32 + 3 * SIZE


def test_memory_is_used_again_after_the_last_reader() -> None:
    x: Source = given(SIZE)
    for _ in range(10):
        x = make(SIZE, x)
    assert host_bytes(x) == 2 * SIZE


def test_an_input_that_nobody_reads_keeps_its_memory() -> None:
    assert host_bytes(given(SIZE), make(SIZE, given(SIZE))) == 3 * SIZE
    assert host_bytes(given(SIZE), make(SIZE, make(SIZE, given(SIZE)))) == 3 * SIZE


def test_a_second_source_of_the_right_size_is_overwritten() -> None:
    wide, narrow = make(SIZE, given(32)), make(SIZE // 4, given(32))
    changed = Value(SIZE, (narrow, wide), in_place=True)
    assert host_bytes(changed) == 64 + SIZE + SIZE // 4


def test_writing_into_the_cache_takes_no_memory_but_keeps_the_order() -> None:
    rows = given(32)
    x = make(SIZE, given(32))
    written = store(View(x), rows)
    tape = tape_of(written)
    assert tape.nodes == [x, written]
    assert replay(tape).host_bytes == 64 + SIZE


def test_sources_come_first_from_left_to_right() -> None:
    left, right = make(SIZE, given(32)), make(SIZE, given(64))
    both = make(SIZE, left, right)
    tape = tape_of(right, both)
    assert tape.nodes == [right, left, both]
    assert [value.bytes for value in tape.inputs] == [64, 32]


def test_a_device_reads_copies_of_what_the_host_has() -> None:
    mask, positions = given(SIZE), given(32)
    rows = Value(SIZE, (given(32),), on_host=True)
    tape = tape_of(make(SIZE, make(SIZE, rows, positions), mask))
    found = replay_split(tape)
    assert found.host_bytes == 2 * 32 + 2 * SIZE
    assert found.device_bytes == 3 * SIZE + 128  # copies of all three, aligned; results in their place and in one more


def graph(answer: Answer, whole: bool = True) -> Tape:
    _, family, _ = family_of(answer.shape)
    batch = worst_batch(answer.shape, answer.options, answer.outputs, wants_all_outputs(answer.shape, family))
    building = Building(answer.shape, batch, family.positions, whole=whole)
    family.build(building)
    return building.tape


class Watcher:
    """Sees to it that no two live tensors share memory, but for one that takes over another's place."""

    def __init__(self, on_device: bool) -> None:
        self.on_device = on_device
        self.live: dict[bool, dict[int, Value]] = {False: {}, True: {}}
        self.placed_bytes = 0

    def end(self, value: Value) -> int:
        """Where a tensor's room ends, that for scratch beside it included."""
        return value.place + value.bytes + (value.scratch if self.on_device and not value.on_host else 0)

    def __call__(self, value: Value, gets: bool) -> None:
        live = self.live[value.on_host]
        if not gets:
            assert live.pop(value.place) is value
            return
        self.placed_bytes += self.end(value) - value.place
        before = live.pop(value.place, None)
        assert before is None or (value.in_place and before.bytes == value.bytes and not before.live and not before.kept)
        for place, other in live.items():
            assert self.end(other) <= value.place or self.end(value) <= place, "two live tensors share memory"
        live[value.place] = value


@pytest.mark.parametrize("answer", answers("known.csv")[::3], ids=lambda answer: answer.label)
def test_no_two_live_tensors_share_memory(answer: Answer) -> None:
    for run in (replay, replay_split):
        tape, watcher = graph(answer), Watcher(run is replay_split)
        found = run(tape, watcher)
        total = found.host_bytes + found.device_bytes
        assert watcher.placed_bytes > total, "memory is used more than once"
        assert total >= max(value.bytes for value in tape.nodes)
        left = [value for live in watcher.live.values() for value in live.values()]
        assert all(value.kept or not value.readers for value in left)

"""Reading an answer: the real server's bytes, however they are cut, and bytes of any kind."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

from arriving import arrived
from fake_server import encode, final_event, token_event
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpredict.live.answer import llama_answer, rejection
from mmpredict.live.failure import MAX_DETAIL_CHARACTERS, FailureReason, RequestFailure

# Recorded from xllamacpp 2026.10.11549 with return_progress and response_fields, 50 prompt tokens, 2 output tokens.
RECORDED = (
    b'data: {"index":0,"content":"","tokens":[0],"stop":false,"id_slot":-1,"tokens_predicted":0,"tokens_evaluated":50,'
    b'"prompt_progress":{"total":50,"cache":0,"processed":0,"time_ms":0}}\n\n'
    b":\n\n"
    b'data: {"index":0,"content":"t5b4f","tokens":[23378],"stop":false,"id_slot":-1,"tokens_predicted":1,"tokens_evaluated":50}\n\n'
    b'data: {"index":0,"content":"t5b4f","tokens":[23378],"stop":false,"id_slot":-1,"tokens_predicted":2,"tokens_evaluated":50}\n\n'
    b'data: {"id_slot":3,"stop":true,"stop_type":"limit","truncated":false,"tokens_predicted":2,"tokens_evaluated":50,'
    b'"timings":{"cache_n":0,"prompt_n":50,"prompt_ms":170.44,"prompt_per_token_ms":3.4088,"prompt_per_second":293.35836658061487,'
    b'"predicted_n":2,"predicted_ms":12.461,"predicted_per_token_ms":12.461,"predicted_per_second":80.25038118931064}}\n\n'
)


@given(st.lists(st.integers(0, len(RECORDED)), max_size=20))
def test_the_cuts_between_chunks_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(RECORDED)]
    chunks = [RECORDED[start:end] for start, end in pairwise(edges)]
    done = arrived(llama_answer(0.0, 2), chunks)
    assert (done.prompt_tokens, done.cached_tokens, done.output_tokens, done.slot) == (50, 0, 2, 3)
    assert (done.prompt_s, done.generation_s) == (0.17044, 0.012461)
    assert len(done.token_times_s) == 2
    assert done.first_token_s == done.token_times_s[0]
    assert done.last_token_s == done.token_times_s[1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "message", "code"]), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150)
@given(st.data())
def test_nothing_but_a_failure_comes_out_of_odd_events(data: st.DataObject) -> None:
    events = [token_event(1, 5), token_event(2, 5), final_event(5, 2, 0.1, 0.1)]
    victim = data.draw(st.sampled_from(events))
    target = data.draw(st.sampled_from([victim, victim.get("timings", victim)]))
    target[data.draw(st.sampled_from([*target, "error"]))] = data.draw(json_values)
    with suppress(RequestFailure):
        arrived(llama_answer(0.0, 2), [encode(event) for event in events])


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"\n", b"data: ", b"error: ", b'{"stop":true}', b"[" * 100_000])))
def test_nothing_but_a_failure_comes_out_of_odd_bytes(chunks: list[bytes]) -> None:
    with suppress(RequestFailure):
        arrived(llama_answer(0.0, 2), chunks)


@given(st.integers(400, 599), st.binary(max_size=50) | json_values.map(lambda value: encode({"error": value})[6:]))
def test_every_rejection_has_a_reason(status: int, body: bytes) -> None:
    failed = rejection(status, body)
    assert failed.detail.isprintable()
    assert len(failed.detail) <= MAX_DETAIL_CHARACTERS


def test_what_ollama_passes_on_of_its_runner() -> None:
    """Recorded from Ollama 0.33 with "truncate": false; the runner's report is text within the report."""
    inner = (
        r"{\"error\":{\"code\":400,\"message\":\"request (6000 tokens) exceeds the available context size (2048 tokens), try "
        r"increasing it\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":6000,\"n_ctx\":2048}}"
    )
    failed = rejection(400, f'{{"error":"{inner}"}}'.encode())
    assert failed.reason is FailureReason.BAD_REQUEST
    assert failed.detail == "request (6000 tokens) exceeds the available context size (2048 tokens), try increasing it"


def test_what_ollama_says_when_a_runner_is_gone() -> None:
    """As 0.33 said when its runner was killed amid an answer, and as its source has it for one that is killed before."""
    for body in (
        b'{"error":"an error was encountered while running the model: unexpected EOF"}',
        b'{"error":"model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check '
        b'ollama server logs for details"}',
    ):
        assert rejection(500, body).reason is FailureReason.SERVER_DIED
    out_of_memory = b'{"error":"an error was encountered while running the model: CUDA error: out of memory"}'
    assert rejection(500, out_of_memory).reason is FailureReason.OUT_OF_MEMORY

"""How a CPU's threads divide the rows of a matrix: in chunks, which do not always come out even.

llama.cpp gives every thread a chunk of rows, then the next one to whoever is ready; a thread that is left with one chunk more
lets the others wait at the barrier that follows. Nine chunks take two threads as long as ten.
"""

from __future__ import annotations

import math

SINGLE_CHUNK, CHUNK = 64, 16
"""Rows of a chunk for one token and for several [1] (``ggml/src/ggml-cpu/ggml-cpu.c``, ``ggml_compute_forward_mul_mat``)."""

LEAST_CHUNKS = 4
"""Chunks per thread below which every thread gets one part of all rows instead [1] (same place)."""

TILED_TYPES = frozenset({"f32", "f16", "bf16", "q8_0", "q5_0"})
"""Types that x86 builds neither copy into a layout of their own nor multiply row by row, where there are several tokens: kernels
(llama.cpp, ``ggml/src/ggml-cpu/llamafile/sgemm.cpp``) take a few rows at a time, so that every row is a stream of its own, whose
begin is waited for: 57 to 79 ns a row on an EPYC, about what memory takes to answer. Their tiles come out even."""

COPIED_TYPES = frozenset({"q4_0", "q4_k", "iq4_nl", "mxfp4"})
"""Types that x86 builds copy into a layout of their own, whose chunks follow from the number of threads and come out even
(``ggml/src/ggml-cpu/repack.cpp``)."""

GROUP = 4
"""Tokens that kernels of these types take together; those that are left over go through the matrix once more each
(``repack.cpp``, ``forward_mul_mat_one_chunk``)."""

SECOND_LEVEL_BYTES = 2e6
"""What a core's own cache holds of a chunk until the next token goes through it [bytes]: the second level of the Xeon with AMX on
which matrices of 2.4 MB and more were seen to be read again, and of 0.9 MB not (``docs/design.md``)."""


def busiest_share(rows: int, tokens: int, threads: int, weight_type: str) -> float:
    """Rows of the busiest thread ÷ those of an even division [1].

    Args:
        rows: of the matrix [1].
        tokens: that are multiplied with it at once [1].
        threads: worker threads [1].
        weight_type: of its weights.
    """
    if threads == 1 or weight_type in COPIED_TYPES or (tokens > 1 and weight_type in TILED_TYPES):
        return 1.0
    chunks = math.ceil(rows / (SINGLE_CHUNK if tokens == 1 else CHUNK))
    if chunks < LEAST_CHUNKS * threads:
        chunks = threads
    size = math.ceil(rows / chunks)
    turns, beyond = divmod(chunks - 1, threads)  # the last chunk may be a smaller one
    own = turns * size + (rows - (chunks - 1) * size if beyond == 0 else size)
    return own * threads / rows


def times_again(rows: int, row_bytes: float, tokens: int, threads: int) -> int:
    """How often a matrix of ``COPIED_TYPES`` is read again, from beyond a core's own cache, for tokens left over from fours [1].

    A single thread's chunk is the whole matrix, several have ``LEAST_CHUNKS`` each.

    Args:
        rows: of the matrix [1].
        row_bytes: of its weights [bytes].
        tokens: that are multiplied with it at once [1].
        threads: worker threads [1].
    """
    chunks = 1 if threads == 1 else LEAST_CHUNKS * threads
    if rows * row_bytes / chunks <= SECOND_LEVEL_BYTES:
        return 0
    return (tokens >= GROUP) + tokens % GROUP - 1

"""Memory of intermediate results, from hyperparameters alone: llama.cpp's graph, built as it builds it, and ggml's allocator."""

from mmpredict.cost.graph.buffer import ComputeBuffer, compute_buffer
from mmpredict.cost.graph.work import work_buffer_bytes

__all__ = ["ComputeBuffer", "compute_buffer", "work_buffer_bytes"]

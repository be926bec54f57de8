"""Predicted memory against what others measured on machines with GPUs: nothing here was fitted to these figures.

Usage: python benchmarks/published_memory.py

Sources: savoirtech/ollama-parallel-performance (GPU memory of Ollama by OLLAMA_NUM_PARALLEL; its cards and library versions),
jfdg01/jetson (buffers that llama.cpp logged on a Jetson Orin Nano), Meta-Llama-3-8B logs in ggml-org/llama.cpp issues.
Only rows in which the whole model was on the GPU: where the memory was full, Ollama offloads fewer layers.
"""

from __future__ import annotations

from statistics import median

from mmpredict.cost.graph import compute_buffer
from mmpredict.cost.memory import instance_memory
from mmpredict.cost.overhead import OLLAMA
from mmpredict.cost.placement import Placement, most_gpu_layers
from mmpredict.models.cache import CacheOptions
from mmpredict.models.resolve import resolve
from mmpredict.units import GIB, MIB

CUDA_CONTEXT_BYTES = 457 * MIB  # what Ollama reserves per GPU; observed 250 to 750 MiB
# (model, NUM_PARALLEL, context of a slot, measured GiB, where)
TOTALS = (
    ("llama3.2:3b", 1, 2048, 2.682, "RTX 1000 Ada 8 GB, Ollama"),
    ("llama3.2:3b", 2, 2048, 2.904, "RTX 1000 Ada 8 GB, Ollama"),
    ("llama3.2:3b", 4, 2048, 3.506, "RTX 1000 Ada 8 GB, Ollama"),
    ("llama3.2:3b", 8, 2048, 4.771, "RTX 1000 Ada 8 GB, Ollama"),
    ("deepseek-r1:7b", 1, 2048, 4.818, "RTX 1000 Ada 8 GB, Ollama"),
    ("deepseek-r1:7b", 2, 2048, 4.928, "RTX 1000 Ada 8 GB, Ollama"),
    ("deepseek-r1:7b", 4, 2048, 5.332, "RTX 1000 Ada 8 GB, Ollama"),
    ("deepseek-r1:7b", 8, 2048, 6.225, "RTX 1000 Ada 8 GB, Ollama"),
    ("llama3.2:3b", 1, 2048, 2.657, "Apple M4, Ollama"),
    ("llama3.2:3b", 2, 2048, 2.876, "Apple M4, Ollama"),
    ("llama3.2:3b", 4, 2048, 3.477, "Apple M4, Ollama"),
    ("llama3.2:3b", 8, 2048, 4.743, "Apple M4, Ollama"),
    ("llama3.2:3b", 16, 2048, 7.274, "Apple M4, Ollama"),
    ("deepseek-r1:1.5b", 1, 2048, 1.656, "Apple M4, Ollama"),
    ("deepseek-r1:1.5b", 4, 2048, 1.820, "Apple M4, Ollama"),
    ("deepseek-r1:1.5b", 8, 2048, 2.164, "Apple M4, Ollama"),
    ("deepseek-r1:1.5b", 16, 2048, 3.008, "Apple M4, Ollama"),
    ("deepseek-r1:1.5b", 32, 2048, 4.695, "Apple M4, Ollama"),
    ("mistral:7b-instruct-v0.2-q4_0", 2, 2048, 4.822, "Apple M4, Ollama"),
    ("mistral:7b-instruct-v0.2-q4_0", 4, 2048, 5.580, "Apple M4, Ollama"),
    ("mistral:7b-instruct-v0.2-q4_0", 8, 2048, 7.096, "Apple M4, Ollama"),
)


def main() -> None:
    """Print predicted and measured GPU memory, with the slope over slots apart: it holds the cache alone."""
    errors, slopes = [], []
    previous: tuple[str, str, float, float] | None = None
    for name, slots, context, measured_gib, where in TOTALS:
        spec = resolve(name)
        options = CacheOptions(context * slots, slots, 512, unified=True, flash_attention=False)
        memory = instance_memory(spec, options, OLLAMA, Placement(most_gpu_layers(spec)), context_bytes=CUDA_CONTEXT_BYTES)
        # Ollama of that time had flash attention off, and room for the logits of a whole batch.
        compute_bytes = compute_buffer(spec.shape, options, outputs=options.ubatch_tokens).device_bytes
        predicted_gib = (memory.device.total - memory.device.compute + compute_bytes) / GIB
        errors.append(abs(predicted_gib / measured_gib - 1))
        line = f"{where:28} {name:30} {slots:3} slots  predicted {predicted_gib:6.3f}  measured {measured_gib:6.3f} GiB  "
        print(f"{line}{100 * (predicted_gib / measured_gib - 1):+6.1f} %")
        if previous and previous[:2] == (where, name):
            slopes.append((predicted_gib - previous[2]) / (measured_gib - previous[3]) - 1)
        previous = (where, name, predicted_gib, measured_gib)
    print(f"total: median {100 * median(errors):.1f} %, largest {100 * max(errors):.1f} %")
    print(f"growth by slots: median {100 * median(map(abs, slopes)):.1f} %, largest {100 * max(map(abs, slopes)):.1f} %")


if __name__ == "__main__":
    main()

"""The single-model predictor of the multi-model execution guide: throughput, latency and memory of one model on one platform.

The guide's interface with its names and units; what is behind it is the cost model and the simulator of this project, with a
company of one that is loaded already, so every figure has an interval and a source, and a model or platform that is not known is
an error instead of a guess.
"""

from __future__ import annotations

from typing import Any

from mmpredict.compat.company import Asked, Company
from mmpredict.compat.model_config import MEGABYTE, MS_PER_S, ModelConfig, check_batch, check_processor
from mmpredict.compat.platform import Platform
from mmpredict.compat.work import ITEMS, OUTPUT_TOKENS, TEXT_TOKENS, Lengths, check_kind, work_of
from mmpredict.models.resolve import resolve

DRAWS = 100


class PerformancePredictor:
    """Predicts one model alone.

    Args:
        text_tokens: of a prompt or a text to embed [tokens].
        output_tokens: generated per request [tokens].
        backend: programming interface of a GPU; by default the one that the platform word names, or that most people run.

    Example:
        >>> PerformancePredictor().predict("bert-base-uncased", "text_embedding", "cuda", batch_size=4)["latency"]
    """

    def __init__(self, text_tokens: int = TEXT_TOKENS, output_tokens: int = OUTPUT_TOKENS, backend: str | None = None) -> None:
        self.lengths = Lengths(text_tokens, output_tokens)
        self.backend = backend

    def predict(
        self,
        model_name: str,
        model_type: str | None = None,
        hardware_platform: str = "cpu",
        batch_size: int = 1,
        processor: str | None = None,
    ) -> dict[str, Any]:
        """Throughput [items/s], latency of a batch [ms] and memory [MB] of one model alone, once it is loaded.

        Args:
            model_name: as ``mmpredict models list`` has it, an Ollama tag, or a file.
            model_type: the guide's word for its kind; checked where it is given.
            hardware_platform: a machine, or one of the guide's words (``cpu``, ``cuda``, ``rocm``, ``mps``, ``openvino``, …).
            batch_size: items processed together [1].
            processor: ``cpu`` or ``gpu`` of the machine; as the platform has it when not given.

        Returns:
            ``throughput``, ``latency``, ``memory``; ``intervals`` of throughput and latency (80 %); ``item``, ``hardware``
            and ``source``.

        Raises:
            InputError: an unknown model, kind, platform, or a batch size that is not possible.
            DoesNotFitError: the model does not fit.
        """
        where = check_processor(processor)
        config = ModelConfig(model_name, model_name, model_type, check_batch(batch_size), where)
        return self.alone(config, Platform(hardware_platform, self.backend))

    def asked(self, config: ModelConfig) -> Asked:
        """A model and its batch.

        Raises:
            InputError: an unknown model or kind, or texts that are too long for it.
        """
        spec = resolve(config.name)
        check_kind(spec.shape, config.kind)
        kind = config.kind or spec.shape.kind.replace("-", "_")
        return Asked(config, spec, work_of(spec, config.batch_size, self.lengths), kind)

    def alone(self, config: ModelConfig, platform: Platform) -> dict[str, Any]:
        """``predict``, on a platform that is there already; limits of its memory do not count."""
        asked = self.asked(config)
        played = Company((asked,), platform.without_memory_limit(), loading=False).play("parallel", DRAWS)
        latency_s = max(row.finish_s for row in played.prediction.records.requests)
        bounds = played.prediction.metrics["makespan_s"]
        return {
            "throughput": config.batch_size / latency_s,
            "latency": MS_PER_S * latency_s,
            "memory": played.memory_bytes / MEGABYTE,
            "intervals": {
                "throughput": (config.batch_size / bounds.high, config.batch_size / bounds.low),
                "latency": (MS_PER_S * bounds.low, MS_PER_S * bounds.high),
            },
            "item": ITEMS[asked.spec.shape.kind],
            "hardware": platform.name,
            "source": "; ".join(played.prediction.provenance),
        }

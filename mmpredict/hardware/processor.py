"""What computes: CPUs, GPUs, NPUs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmpredict.hardware.quantity import Frozen, Quantity, ShortName, Text

Kind = Literal["cpu", "gpu", "npu"]
DataType = Literal["f64", "f32", "f16", "bf16", "f8", "int8", "int4"]
Backend = Literal["cpu", "cuda", "rocm", "vulkan", "metal", "sycl", "opencl", "openvino", "webgpu", "webnn", "wasm"]

ALL_CORES = 100_000  # more than any processor has; bounds a file from elsewhere


class Thermal(Frozen):
    """Temperatures, and constants of a first-order model of them, where a source states any.

    Attributes:
        throttle_c: at which the processor slows down [°C].
        shutdown_c: at which the machine switches off [°C].
        resistance_c_per_w: rise over the surroundings per watt, in the long run [°C/W].
        time_constant_s: of the rise [s].
    """

    throttle_c: Quantity | None = None
    shutdown_c: Quantity | None = None
    resistance_c_per_w: Quantity | None = None
    time_constant_s: Quantity | None = None


class Processor(Frozen):
    """A processor of the machine.

    Attributes:
        kind: ``cpu``, ``gpu`` or ``npu``.
        model: its name.
        cores: of a CPU, the cores that run one worker thread each at full speed, which llama.cpp takes as its default number of
            threads; of a GPU, its shader cores or compute units; 0 where unknown, never of a CPU [1].
        efficiency_cores: slower cores beside them, not counted in ``cores`` [1].
        features: instruction sets that matter to kernels.
        backends: programming interfaces that engines can use.
        architecture: the name that compilers know (``sm_86``, ``gfx1151``).
        pool: memory pool it reads.
        usable_bytes: how much of that pool its driver lets it take, where that is less than what is usable [bytes].
        bandwidth_bytes_per_s: what it reads from its pool when nothing else limits it, by measurement [bytes/s].
        clock_hz: highest clock under full load that is stated [Hz].
        flop_per_s: peak by data type, dense, when known [FLOP/s].
        context_bytes: of its memory, what each process that uses it loses to the runtime's own state [bytes].
        idle_w: power when idle [W].
        peak_w: highest sustained power [W].
        thermal: temperatures, when stated.
    """

    kind: Kind
    model: Text
    cores: int = Field(default=0, ge=0, le=ALL_CORES, strict=True)
    efficiency_cores: int = Field(default=0, ge=0, le=ALL_CORES, strict=True)
    features: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    backends: Annotated[tuple[Backend, ...], Field(max_length=16)] = ()
    architecture: Text = ""
    pool: ShortName = "ram"
    usable_bytes: Quantity | None = None
    bandwidth_bytes_per_s: Quantity | None = None
    clock_hz: Quantity | None = None
    flop_per_s: dict[DataType, Quantity] = Field(default_factory=dict)
    context_bytes: Quantity | None = None
    idle_w: Quantity | None = None
    peak_w: Quantity | None = None
    thermal: Thermal | None = None

    @model_validator(mode="after")
    def _a_cpu_has_cores(self) -> Processor:
        if self.kind == "cpu" and self.cores < 1:
            raise ValueError("cores of a CPU must be 1 or more")
        if self.idle_w and self.peak_w and self.idle_w.value > self.peak_w.value:
            raise ValueError(f"idle_w {self.idle_w.value:g} is more than peak_w {self.peak_w.value:g}")
        return self

"""Invented but plausible numbers of a machine, and models to use them on. No test waits for, or compares with, the clock."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from mmpredict.cost.coefficients import (
    Coefficients,
    ContentionCoefficients,
    Estimate,
    Kernel,
    LoadCoefficients,
    MemoryCoefficients,
    StepCoefficients,
)
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec

# A shell that starts us in the background makes us ignore Ctrl-C, and every process that the tests start and interrupt with us.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "repeatable", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

KNOTS = (1, 2, 4, 8, 32, 128, 512)
# Time per weight of a step of so many tokens, one thread [s]: a staircase, as measured kernels are.
KERNEL_S = {
    "q8_0": (60e-12, 64e-12, 95e-12, 150e-12, 480e-12, 1.8e-9, 7.2e-9),
    "q4_0": (40e-12, 62e-12, 70e-12, 110e-12, 400e-12, 1.5e-9, 6.0e-9),
    "q4_k": (45e-12, 70e-12, 120e-12, 125e-12, 450e-12, 1.7e-9, 6.8e-9),
}


def plausible_kernel(weight_s: tuple[float, ...]) -> Kernel:
    """A kernel with exact bounds."""
    return Kernel(batch_tokens=KNOTS, weight_s=weight_s, weight_low_s=weight_s, weight_high_s=weight_s)


def plausible_steps(speed: float) -> StepCoefficients:
    """Step coefficients of threads that are together ``speed`` times as fast as one."""
    return StepCoefficients(
        layer_s=60e-6,
        prompt_s=1.5e-3,
        logit_s=6e-9,
        sampled_s=1e-4,
        attention_decode_s=2.0e-10 / speed,
        attention_prefill_s=1.2e-10 / speed,
        cell_byte_s=1.5e-10 / speed,
        written_s=2.0e-9 / speed,
        cache_bytes=64e6,
        far_s={"q8_0": 6e-12 / speed, "q4_0": 9e-12 / speed},
        kernels={name: plausible_kernel(tuple(value / speed for value in values)) for name, values in KERNEL_S.items()},
    )


@pytest.fixture(scope="session")
def coefficients() -> Coefficients:
    """A machine of 4 cores, measured with 1, 2 and 4 threads."""
    return Coefficients(
        machine="invented",
        engine="none",
        cores=4,
        measured_on="2026-01-01",
        measurements=100,
        models=("probe",),
        steps={1: plausible_steps(1.0), 2: plausible_steps(1.9), 4: plausible_steps(3.4)},
        yielding_price={"prefill": 1.02, "decode": 1.07},
        request_s=1.2e-3,
        machine_log_spread=0.05,
        model_log_spread={"prefill": 0.06, "decode": 0.08},
        contention=ContentionCoefficients(
            within_efficiency=Estimate(value=0.96, log_spread=0.05),
            yielding_efficiency=Estimate(value=0.9, log_spread=0.05),
            spinning_efficiency={"prefill": Estimate(value=0.7, log_spread=0.35), "decode": Estimate(value=0.4, log_spread=0.35)},
            stacked_layer_s=Estimate(value=0.1, log_spread=0.15),
            stacked_probability=0.4,
        ),
        loading=LoadCoefficients(
            start_s=0.15,
            mapped_byte_s=2e-11,
            private_byte_s=6e-10,
            vocabulary_s=1e-6,
            cold_byte_s=1.5e-9,
            unload_s=0.02,
            unload_byte_s=1e-10,
            log_spread=0.06,
        ),
        memory=MemoryCoefficients(log_spread=0.02),
    )


@pytest.fixture(scope="session")
def make_spec() -> Callable[[str], ModelSpec]:
    """``make_spec("smollm2-135m@q8_0")``: a model of the catalog, called by its short name."""

    def make(name: str) -> ModelSpec:
        architecture, _, matrices = name.partition("@")
        return uniform_spec(architecture, weight_type(matrices))

    return make

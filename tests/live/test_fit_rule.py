"""llama.cpp's own ``--fit`` and ours choose the same context, with a margin that leaves as little memory as the test wants."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mmpredict.cost.admission import llama_fit
from mmpredict.cost.admission.llama_fit import MIN_CONTEXT_TOKENS, Start, fit, projected_on_host
from mmpredict.cost.memory import InstanceMemory
from mmpredict.cost.placement import Placement, in_place_bytes
from mmpredict.models.cache import CacheOptions
from mmpredict.models.resolve import resolve
from mmpredict.units import MIB

pytestmark = pytest.mark.live

MODEL = "synthetic:smollm2-135m@q4_0"  # whose matrices the CPU copies, which --fit overlooks
SERVER = """
import os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port, params.verbosity, params.warmup = sys.argv[1], 0, 5, False
params.n_ctx, params.n_parallel, params.kv_unified = 0, int(sys.argv[2]), sys.argv[3] == "unified"
params.fit_params, params.fit_params_target = True, [int(sys.argv[4])] * len(params.fit_params_target)
params.cache_ram_mib = 0
server = xllamacpp.Server(params)
sys.stdout.flush()
os._exit(0)
"""


def start(path: Path, options: CacheOptions, margin_bytes: int) -> str:
    """What a server logs that keeps this much free."""
    arguments = [str(path), str(options.slots), "unified" if options.unified else "split", str(margin_bytes)]
    ran = subprocess.run([sys.executable, "-c", SERVER, *arguments], capture_output=True, text=True, timeout=120)
    return ran.stdout + ran.stderr


def no_gpu(options: CacheOptions, placement: Placement) -> InstanceMemory:
    raise AssertionError("without a GPU nothing is measured")


@pytest.mark.parametrize(("slots", "unified", "share"), [(4, True, 1.02), (4, True, 0.5), (2, False, 0.1), (2, False, -0.2)])
def test_the_same_context(small_model: Path, monkeypatch: pytest.MonkeyPatch, slots: int, unified: bool, share: float) -> None:
    spec, streams = resolve(MODEL), 1 if unified else slots
    weights = in_place_bytes(spec, Placement())
    options = CacheOptions(spec.shape.context_length * streams, slots, 512, unified)
    least = replace(options, context_tokens=MIN_CONTEXT_TOKENS * streams)
    most_bytes, least_bytes = (projected_on_host(spec, one, weights) for one in (options, least))
    machine_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    margin = int(machine_bytes - least_bytes - share * (most_bytes - least_bytes))
    log = start(small_model, options, margin)
    assert re.findall(r"projected to use (\d+) MiB of host memory", log)[-1] == str(int(most_bytes // MIB))
    shrunk = re.findall(r"context size reduced from (\d+) to (\d+)", log)
    theirs = int(shrunk[-1][1]) if shrunk else options.context_tokens

    monkeypatch.setattr(llama_fit, "MARGIN_BYTES", margin)
    ours = fit(
        Start(spec, options, Placement(), auto_context=True, auto_layers=False, in_place_bytes=weights), machine_bytes, no_gpu
    )
    assert ours.options.context_tokens == theirs
    assert ours.met == (share > 0)

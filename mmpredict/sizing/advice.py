"""How far one can go with what there is, and what would help where it does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from mmpredict.models.cache import CELL_PADDING
from mmpredict.models.spec import ModelSpec
from mmpredict.results.estimate import Advice, Estimate, Remedy
from mmpredict.sizing.models import is_encoder
from mmpredict.sizing.quants import smaller, smaller_as
from mmpredict.sizing.question import Question
from mmpredict.sizing.wish import MAX_SLOTS, GpuLayers, Wish

Answer = Callable[[Question, bool], Estimate]
SMALLER_CACHE = ("q8_0", "q4_0")
MOST_STEPS = 40


def advise(asked: Question, found: Estimate, answer: Answer) -> Advice:
    """Find the largest context that fits, and, where the estimate does not fit, changes that would help.

    Args:
        asked: what was asked.
        found: its estimate.
        answer: estimates another question.
    """
    largest, whole = largest_context(asked, found, answer)
    return Advice(largest, whole, () if found.fits else tuple(_remedies(asked, found, answer, largest)))


def largest_context(asked: Question, found: Estimate, answer: Answer) -> tuple[int | None, bool]:
    """The largest context, in the engine's sense and with layers where they are, and whether it is all that was trained on.

    Returns:
        None and False where not even the smallest fits; for encoders, which have no cache, what they were trained on.
    """
    step = CELL_PADDING * max(1 if one.unified or asked.wish.engine == "ollama" else one.slots for one in found.instances)
    trained = max(spec.shape.context_length for spec in asked.specs)
    shared = asked.wish.engine == "ollama" or found.instances[0].unified
    most = max(step, trained if shared else trained * found.instances[0].slots)
    wish = replace(asked.wish, gpu_layers=_same_layers(asked, found))

    def remains(context: int) -> float:
        tried = answer(replace(asked, wish=replace(wish, context_tokens=context)), False)
        return min(pool.remains_bytes for pool in tried.pools)

    low, high = step, most - most % step or step
    if (at_high := remains(most)) >= 0:
        return most, True
    if (at_low := remains(low)) < 0:
        return None, False
    for _ in range(MOST_STEPS):
        if high - low <= step:
            break
        # Nearly a straight line: where it crosses nothing is nearly the answer, and the next step proves it.
        guess = low + int((high - low) * at_low / (at_low - at_high)) // step * step
        guess = min(max(guess, low + step), high - step)
        left = remains(guess)
        low, at_low, high, at_high = (guess, left, high, at_high) if left >= 0 else (low, at_low, guess, left)
    return low, False


def _same_layers(asked: Question, found: Estimate) -> GpuLayers | None:
    """Layers as they are now, as an option; the wish itself where they differ from model to model."""
    if asked.machine.device is None or any(one.kept_bytes for one in found.instances):
        return asked.wish.gpu_layers
    if all(one.gpu_layers == one.most_gpu_layers for one in found.instances):
        return "all"
    layers = {one.gpu_layers for one in found.instances}
    return layers.pop() if len(layers) == 1 else asked.wish.gpu_layers


def _remedies(asked: Question, found: Estimate, answer: Answer, largest: int | None) -> Iterator[Remedy]:
    """Changes by themselves, the gentlest first; all together where none is enough."""
    single = [*_of_wish(asked, found, answer, largest), *_of_models(asked, found, answer)]
    yield from single
    if not any(remedy.fits for remedy in single):
        yield from _everything(asked, answer)


def _of_wish(asked: Question, found: Estimate, answer: Answer, largest: int | None) -> Iterator[Remedy]:
    wish = asked.wish
    if largest is not None and largest < _context(found, wish):
        yield _tried(f"--ctx {largest}", replace(asked, wish=replace(wish, context_tokens=largest)), answer)
    if not all(is_encoder(spec) for spec in asked.specs) and wish.flash_attention is not False:
        pinned = replace(wish, context_tokens=_context(found, wish))
        for kind in SMALLER_CACHE:
            if kind not in (wish.key_type, wish.value_type):
                yield _tried(f"--kv-type {kind}", replace(asked, wish=replace(pinned, key_type=kind, value_type=kind)), answer)
    if wish.gpu_layers not in (None, "fit", 0) and asked.machine.device is not None and not asked.machine.unified:
        fitted = answer(replace(asked, wish=replace(wish, gpu_layers="fit")), False)
        layers = " and ".join(str(one.gpu_layers) for one in fitted.instances)
        yield _remedy(f"--gpu-layers fit ({layers} layers on the GPU)", fitted)
    if wish.engine != "ollama" and wish.mapped is not False and _repeated(found) and any(one.idle_bytes for one in found.instances):
        shared = replace(asked, wish=replace(wish, context_tokens=_context(found, wish), repacking=False))
        yield _tried("--no-repack, so that instances share mapped weights (prompts are slower)", shared, answer)


def _of_models(asked: Question, found: Estimate, answer: Answer) -> Iterator[Remedy]:
    fixed = replace(asked, wish=replace(asked.wish, context_tokens=_context(found, asked.wish)))
    tried: Remedy | None = None
    for quantization, specs in _smaller(asked):
        tried = _tried(_as(asked, quantization), replace(fixed, specs=specs), answer)
        if tried.fits:
            break
    if tried is not None:
        yield tried
    for count in range(len(asked.specs) - 1, 0, -1):
        fewer = answer(replace(fixed, specs=asked.specs[:count]), False)
        if fewer.fits or count == 1:
            yield _remedy(f"only the first {count} of {len(asked.specs)} models", fewer)
            break


def _everything(asked: Question, answer: Answer) -> Iterator[Remedy]:
    """The least that these models can be made to need."""
    quantization, specs = (list(_smaller(asked)) or [("", asked.specs)])[-1]
    kind = SMALLER_CACHE[-1] if asked.wish.flash_attention is not False else None
    wish = replace(asked.wish, context_tokens=CELL_PADDING, slots=1, key_type=kind, value_type=kind, unified=None)
    options = f"--ctx {CELL_PADDING} --parallel 1{f' --kv-type {kind}' if kind else ''}"
    change = f"{options} and {_as(asked, quantization)}" if quantization else options
    yield _tried(f"all at once: {change}", replace(asked, specs=specs, wish=wish), answer)


def _smaller(asked: Question) -> Iterator[tuple[str, tuple[ModelSpec, ...]]]:
    """All models in one file type after the other, from large to small; a model that is smaller already stays as it is."""
    largest = max(asked.specs, key=lambda spec: spec.file_bytes)
    for quantization, _ in smaller(largest):
        made = {id(spec): smaller_as(spec, quantization) for spec in asked.specs}
        yield quantization, tuple(made[id(spec)] for spec in asked.specs)


def _as(asked: Question, quantization: str) -> str:
    names = dict.fromkeys(spec.name.partition("@")[0] for spec in asked.specs)
    return f"{' and '.join(names) if len(names) < 3 else 'all models'} as {quantization}"


def _context(found: Estimate, wish: Wish) -> int:
    """The context of the estimate in the engine's sense [tokens]."""
    if wish.context_tokens is not None:
        return wish.context_tokens
    return max(one.context_tokens // (min(one.slots, MAX_SLOTS) if wish.engine == "ollama" else 1) for one in found.instances)


def _repeated(found: Estimate) -> bool:
    return len({one.file for one in found.instances}) < len(found.instances)


def _tried(change: str, tried: Question, answer: Answer) -> Remedy:
    return _remedy(change, answer(tried, False))


def _remedy(change: str, then: Estimate) -> Remedy:
    tightest = min(then.pools, key=lambda pool: pool.remains_bytes)
    return Remedy(change, tightest.needed, tightest.usable.value, then.fits)

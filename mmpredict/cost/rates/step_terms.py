"""The terms of a step, from a model and what it is asked to do.

For ``p`` passes through the model, each of ``n`` tokens::

    t = step_s · p + operation_s · operations · p + expert_layer_s · … + recurrent_layer_s · …
      + Σ_types  bytes read (each weight once a pass, of experts those that n tokens touch) · read_type / bandwidth
      + bf16_expert_s · row lengths of experts in BF16              up to 8 tokens
      + vector_block_s · blocks of rows                             up to 8 tokens
      + Σ_types  2 · weights · n · compute_type · batch(n) / compute
      + cache read / bandwidth + mac_s · multiply-accumulates of attention
      + sample_s · vocabulary · sequences           a server only, on its CPU

The sum, rather than the larger of reading and computing, is what the published runs show: neither hides the other completely.
Vulkan has no kernel for single tokens and experts in BF16 (``ggml_vk_use_mul_mat_vec_id``): each of their matrices is multiplied in
tiles, whose few groups all walk along a whole row, so its time goes by the length of the row. More tokens fill the GPU with groups,
and the time goes by bytes again, at a price of its own (``bf16_expert_tiles``). Other backends have next to nothing of both.
CUDA's kernel for few tokens works by blocks of threads, whose start and end take their time whatever they read (``vector_blocks``).
They are counted for all backends; others, which give a row to one warp or several rows to one group, have next to nothing of them.
A long prompt's attention has a second part, which grows with heads, cache width and depth: what a GPU loses when the cache of a
layer outgrows its own caches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmpredict.cost.rates.attention import AttentionLayers, attention_layers, is_cached, state_bytes
from mmpredict.cost.rates.operations import operations
from mmpredict.cost.rates.parameters import batch_powers, compute_powers, read_powers
from mmpredict.cost.rates.term import Term
from mmpredict.cost.rates.vector_blocks import MOST_TOKENS, vector_blocks
from mmpredict.models.spec import ModelSpec

_WIDE_FROM = 4096  # hidden width from which long rows begin to cost more
_FEW = 8  # tokens of a step up to which Vulkan multiplies row by row, where it can (ggml-vulkan, ``mul_mat_vec_max_cols``)
_LONG = 512  # tokens of a batch from which overheads no longer change
_MOVED_BYTES = 8  # an operation reads and writes a 32-bit number per entry of the hidden state
_HEADS, _WIDTH, FAR_DEPTH = 32, 1024, 32768
"""Where the second part of attention has its unit: heads, width of the cache, mean depth [1, 1, tokens]."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How an engine runs a model.

    Attributes:
        ubatch_tokens: physical batch [tokens].
        key_type, value_type: storage of the cache.
        early: whether the build is older than March 2026 (number 8400; of prompts with Vulkan February, 7900), when attention and
            multiplications became faster.
        share: part of the layers that this processor has, where a model is divided; its weights are those of the model given [1].
        served: whether the time is that to the first token of a request to a server, with what it costs besides the model.
        sampled: whether a server samples the tokens of each sequence on its CPU, one sequence after the other; benchmarks do not.
    """

    ubatch_tokens: int = 512
    key_type: str = "f16"
    value_type: str = "f16"
    early: bool = False
    served: bool = False
    sampled: bool = False
    share: float = 1.0


USUAL = Conditions()


def decode_terms(spec: ModelSpec, sequences: int, first: float, steps: float, how: Conditions = USUAL) -> list[Term]:
    """``steps`` steps of equally long sequences, one token of each per step.

    Args:
        spec: the model.
        sequences: decoded together [1].
        first: cells of each sequence before the first step [tokens].
        steps: how many [1].
        how: conditions.
    """
    terms = [*pass_terms(spec, steps, sequences, sequences, how), *sampling_terms(spec, steps * sequences, how)]
    for layers in attention_layers(spec.shape):
        terms += cell_terms(layers, sequences * layers.cells(first, steps), how)
    return terms


def prompt_terms(spec: ModelSpec, tokens: int, depth: float, how: Conditions = USUAL) -> list[Term]:
    """A piece of one prompt, evaluated in physical batches; its last token is sampled.

    Args:
        spec: the model.
        tokens: length of the piece [tokens].
        depth: cells of the sequence before it [tokens].
        how: conditions.
    """
    if not is_cached(spec.shape):
        return ([Term(1.0, {"request_s": 1.0})] if how.served else []) + encode_terms(spec, tokens, 1, how)
    whole, rest = divmod(tokens, how.ubatch_tokens)
    terms = [Term(1.0, {"request_s": 1.0})] if how.served else []
    if whole:
        terms += pass_terms(spec, whole, how.ubatch_tokens, 0 if rest else 1 / whole, how)
    if rest:
        terms += pass_terms(spec, 1, rest, 1, how)
    for layers in attention_layers(spec.shape):
        terms += piece_terms(layers, layers.cells(depth, tokens), tokens, how)
    return terms


def encode_terms(spec: ModelSpec, tokens: int, inputs: int, how: Conditions = USUAL) -> list[Term]:
    """Texts, images or stretches of sound that an encoder takes in together, each seen at once and by itself.

    Args:
        spec: the encoder.
        tokens: of each input, patches or frames of images and sound [tokens].
        inputs: evaluated together [1].
        how: conditions.
    """
    terms = pass_terms(spec, 1, tokens * inputs, 0, how)
    for layers in attention_layers(spec.shape):
        terms.append(encoded_term(layers, tokens, inputs, how))
    return terms


def cross_terms(spec: ModelSpec, sequences: int, seen: int, steps: float, how: Conditions = USUAL) -> list[Term]:
    """What decoder steps of an encoder–decoder cost besides: every token attends to the ``seen`` outputs of the encoder."""
    terms = []
    for layers in attention_layers(spec.shape):
        cells = sequences * seen * steps
        read = layers.cell_bytes(how.key_type, how.value_type)
        terms.append(Term(read * cells, {"bandwidth": -1.0, "cache_read": 1.0}))
        terms.append(Term(layers.cell_macs * cells, {"mac_s": 1.0}))
    return terms


def cell_terms(layers: AttentionLayers, cells: float, how: Conditions = USUAL) -> list[Term]:
    """What decoding tokens cost that see so many ``cells`` of alike layers, all sequences and steps together."""
    early = _early("early_attention", how)
    read = how.share * cells * layers.cell_bytes(how.key_type, how.value_type)
    macs = how.share * cells * layers.cell_macs
    return [
        Term(read, {"bandwidth": -1.0, "cache_read": 1.0, **early}),
        Term(macs, {"mac_s": 1.0, **_latent("latent_mac", layers.latent), **early}),
    ]


def piece_terms(layers: AttentionLayers, cells: float, tokens: float, how: Conditions = USUAL) -> list[Term]:
    """What ``tokens`` consecutive tokens of a prompt cost that see ``cells`` of alike layers, summed over the tokens."""
    early = _early("early_attention", how)
    macs = how.share * layers.cell_macs * cells
    terms = [Term(macs, {"prompt_mac_s": 1.0, **_latent("latent_prompt_mac", layers.latent), **early})]
    if math.isinf(layers.limit):
        far = {
            "far_mac_s": 1.0,
            "far_heads": math.log(layers.heads / _HEADS),
            "far_width": math.log(layers.kv_heads * layers.key_dim / _WIDTH),
            "far_depth": math.log(cells / tokens / FAR_DEPTH),
        }
        terms.append(Term(macs, far | early))
    return terms


def encoded_term(layers: AttentionLayers, tokens: int, inputs: int = 1, how: Conditions = USUAL) -> Term:
    """Attention of an encoder's alike layers, every token of an input to all of it."""
    macs = how.share * inputs * layers.cell_macs * tokens * min(tokens, layers.limit)
    return Term(macs, {"prompt_mac_s": 1.0})


def sampling_terms(spec: ModelSpec, tokens: float, how: Conditions = USUAL) -> list[Term]:
    """What sampling ``tokens`` tokens costs a server; nothing where none samples."""
    return [Term(tokens * spec.shape.n_vocab, {"sample_s": 1.0})] if how.sampled and spec.output_matrix and tokens else []


def pass_terms(spec: ModelSpec, passes: float, tokens: int, sampled: float, how: Conditions = USUAL) -> list[Term]:
    """What passes through the model cost whatever attention sees.

    Args:
        spec: the model.
        passes: how many [1].
        tokens: of each [tokens].
        sampled: of these, those whose logits are taken; below 1 where only one of several passes ends a prompt [tokens].
        how: conditions.
    """
    shape = spec.shape
    layers = range(shape.n_layers - shape.n_draft_layers)
    recurrent = sum(shape.is_recurrent(layer) for layer in layers)
    experts = sum(shape.has_experts(layer) for layer in layers)
    part = passes * how.share
    done = operations(shape)
    moved = part * tokens * done * shape.n_embd * _MOVED_BYTES
    terms = [
        Term(part, {"step_s": 1.0}),
        Term(part * done, _overhead("operation_s", tokens)),
        Term(moved, {"bandwidth": -1.0, "activation_read": 1.0}),
    ]
    if experts:
        terms.append(Term(part * experts, _overhead("expert_layer_s", tokens)))
    if recurrent and shape.recurrent:
        terms.append(Term(part * recurrent, _overhead("recurrent_layer_s", tokens)))
        macs = part * tokens * recurrent * shape.recurrent.inner * shape.recurrent.state
        terms.append(Term(macs, {"recurrent_mac_s": 1.0}))
        terms.append(Term(2 * part * max(1.0, sampled) * state_bytes(shape), {"bandwidth": -1.0, "state_read": 1.0}))
    terms += _weights(spec, passes, tokens, sampled, how)
    if tokens <= MOST_TOKENS:
        terms.append(Term(passes * vector_blocks(spec, tokens > 1, how.early), {"vector_block_s": 1.0}))
    if spec.output_matrix and sampled:
        output = spec.output_matrix
        powers = compute_powers(output.type.name, False) | batch_powers(tokens, False)
        terms.append(Term(passes * min(1.0, sampled) * output.size_bytes, read_powers(output.type.name, False)))
        terms.append(Term(2.0 * passes * sampled * output.weights, powers))
    return terms


def _weights(spec: ModelSpec, passes: float, tokens: int, sampled: float, how: Conditions) -> list[Term]:
    """Reading the matrices of all layers once a pass, and multiplying every token with them, but for those that only sampled tokens
    pass (``ModelSpec.is_final``)."""
    coverage, share, sampled_coverage = (spec.expert_coverage(seen) for seen in (tokens, 1, max(1.0, sampled)))
    width = spec.shape.n_embd
    narrow = {"narrow": math.log(_WIDE_FROM / min(width, _WIDE_FROM))}
    wide = {"wide": math.log(max(width, _WIDE_FROM) / _WIDE_FROM)}
    terms = []
    for group in spec.body_groups:
        name, expert = group.type.name, group.experts
        read = read_powers(name, expert) | narrow
        compute = compute_powers(name, expert) | batch_powers(tokens, expert) | _early("early_compute", how)
        unsupported = expert and name == "bf16"
        if unsupported and tokens > _FEW:
            read["bf16_expert_tiles"] = 1.0
        touched, used, finally_touched = (coverage, share, sampled_coverage) if expert else (1.0, 1.0, 1.0)
        final = group.final_weights / group.weights if sampled < tokens else 0.0
        passed = touched * (1.0 - final) + finally_touched * min(1.0, sampled) * final
        evaluated = tokens * (1.0 - final) + sampled * final
        terms.append(Term(passes * passed * group.size_bytes, read))
        terms.append(Term(2.0 * passes * evaluated * used * group.weights, compute if expert else compute | wide))
        if unsupported and tokens <= _FEW:
            rows = sum(tensor.shape[0] for tensor in spec.tensors if tensor.is_expert and tensor.type.name == name)
            terms.append(Term(passes * rows, {"bf16_expert_s": 1.0}))
    return terms


def _overhead(name: str, tokens: int) -> dict[str, float]:
    """Kernels of long batches start slower than those of single tokens: between both, geometrically by the number of tokens."""
    share = min(1.0, math.log(tokens) / math.log(_LONG))
    return {name: 1.0 - share, f"prompt_{name}": share}


def _early(name: str, how: Conditions) -> dict[str, float]:
    return {name: 1.0} if how.early else {}


def _latent(name: str, latent: bool) -> dict[str, float]:
    return {name: 1.0} if latent else {}

// Asks llama.cpp itself how large the compute buffer of a model is: the truth that mmpredict/cost/graph is tested against.
//
// The model is a GGUF file of which only the header need be there (a sparse file of the right length will do): nothing is loaded,
// nothing is computed. With `device` set, every layer is given to a GPU that does not exist; its buffers have no memory behind them.
//
// Reads lines from standard input:
//   path context slots ubatch batch unified flash key_type value_type outputs embeddings threads device nodes
// (types as ggml numbers; flash 0 or 1; device 0, or the alignment of the device's tensors; nodes 1 to print the graph's nodes)
// and answers each with a line `host_bytes device_bytes work_bytes nodes`, or `error <what>`, then `---`.
//
// Build against a built llama.cpp (see benchmarks/oracle_graph.py, which runs it):
//   g++ -std=c++17 -O1 oracle_graph.cpp -I$L/include -I$L/ggml/include -I$L/src -I$L/ggml/src -L$B -lllama -lggml -lggml-cpu -lggml-base

#include "ggml-backend-impl.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"  // the leaves of a graph
#include "llama-ext.h"
#include "llama.h"

#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

namespace {

// A GPU with nothing behind it.
size_t device_alignment = 128;
void * const somewhere = reinterpret_cast<void *>(0x1000000);

const char * buffer_type_name(ggml_backend_buffer_type_t) { return "Nowhere"; }
size_t buffer_type_alignment(ggml_backend_buffer_type_t) { return device_alignment; }

// As CUDA's: beside its result, flash attention wants copies of keys and values in 16 bits (ggml-cuda/fattn-common.cuh).
size_t buffer_type_size(ggml_backend_buffer_type_t, const ggml_tensor * t) {
    size_t size = ggml_nbytes(t);
    if (t->op == GGML_OP_FLASH_ATTN_EXT) {
        const ggml_tensor * k = t->src[1], * v = t->src[2];
        const bool apart = !v->view_src || (v->view_src != k && v->view_src != k->view_src);
        for (const ggml_tensor * s : { k, apart ? v : nullptr }) {
            if (s && s->type != GGML_TYPE_F16) {
                size = GGML_PAD(size, 128) + ggml_nelements(s) * sizeof(ggml_fp16_t);
            }
        }
    }
    return size;
}

void * buffer_base(ggml_backend_buffer_t) { return somewhere; }
void buffer_fill(ggml_backend_buffer_t, ggml_tensor *, uint8_t, size_t, size_t) {}
void buffer_write(ggml_backend_buffer_t, ggml_tensor *, const void *, size_t, size_t) {}
void buffer_read(ggml_backend_buffer_t, const ggml_tensor *, void *, size_t, size_t) {}
void buffer_clear(ggml_backend_buffer_t, uint8_t) {}

ggml_backend_buffer_t buffer_make(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_i calls = {};
    calls.get_base      = buffer_base;
    calls.memset_tensor = buffer_fill;
    calls.set_tensor    = buffer_write;
    calls.get_tensor    = buffer_read;
    calls.clear         = buffer_clear;
    return ggml_backend_buffer_init(type, calls, nullptr, size);
}

extern ggml_backend_buffer_type nowhere;
const char * name_of(ggml_backend_dev_t) { return "NOWHERE0"; }
const char * name_of_registry(ggml_backend_reg_t) { return "NOWHERE"; }
const char * name_of_backend(ggml_backend_t) { return "NOWHERE0"; }
void backend_free(ggml_backend_t backend) { delete backend; }
ggml_status backend_compute(ggml_backend_t, ggml_cgraph *) { return GGML_STATUS_FAILED; }
void device_memory(ggml_backend_dev_t, size_t * available, size_t * total) { *available = *total = size_t(1) << 42; }
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }
ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t) { return &nowhere; }
bool device_supports(ggml_backend_dev_t, const ggml_tensor *) { return true; }
bool device_reads(ggml_backend_dev_t, ggml_backend_buffer_type_t type) { return type == &nowhere; }

void device_properties(ggml_backend_dev_t device, ggml_backend_dev_props * properties) {
    *properties             = {};
    properties->name        = name_of(device);
    properties->description = name_of(device);
    properties->type        = device_type(device);
    device_memory(device, &properties->memory_free, &properties->memory_total);
}

ggml_backend_t backend_make(ggml_backend_dev_t device, const char *) {
    static ggml_guid guid = { 0x6d, 0x6d };
    auto * backend        = new ggml_backend{ &guid, {}, device, nullptr };
    backend->iface.get_name      = name_of_backend;
    backend->iface.free          = backend_free;
    backend->iface.graph_compute = backend_compute;
    return backend;
}

size_t device_count(ggml_backend_reg_t) { return 1; }
ggml_backend_dev_t device_at(ggml_backend_reg_t, size_t);
void * no_procedure(ggml_backend_reg_t, const char *) { return nullptr; }

ggml_backend_reg registry = { GGML_BACKEND_API_VERSION, { name_of_registry, device_count, device_at, no_procedure }, nullptr };
ggml_backend_device device = {
    { name_of, name_of, device_memory, device_type, device_properties, backend_make, device_buffer_type, nullptr, nullptr,
      device_supports, device_reads, nullptr, nullptr, nullptr, nullptr },
    &registry,
    nullptr,
};
ggml_backend_buffer_type nowhere = {
    { buffer_type_name, buffer_make, nullptr, buffer_type_alignment, nullptr, buffer_type_size, nullptr, nullptr }, &device, nullptr
};
ggml_backend_dev_t device_at(ggml_backend_reg_t, size_t) { return &device; }

struct Question {
    std::string path;
    int context, slots, ubatch, batch, unified, flash, key_type, value_type, outputs, embeddings, threads, device, nodes;
};

bool read(const std::string & line, Question & q) {
    std::istringstream words(line);
    words >> q.path >> q.context >> q.slots >> q.ubatch >> q.batch >> q.unified >> q.flash >> q.key_type >> q.value_type >> q.outputs >>
        q.embeddings >> q.threads >> q.device >> q.nodes;
    return !words.fail();
}

void print_nodes(ggml_cgraph * graph) {
    std::map<const ggml_tensor *, std::string> names;
    for (int i = 0; i < graph->n_leafs; i++) {
        const ggml_tensor * t = graph->leafs[i];
        names[t] = "l" + std::to_string(i);
        printf("l%d %s %d ne=%ld,%ld,%ld,%ld bytes=%zu external=%d input=%d\n", i, t->name, t->type, long(t->ne[0]), long(t->ne[1]),
               long(t->ne[2]), long(t->ne[3]), ggml_nbytes(t), t->buffer || t->data ? 1 : 0, t->flags & GGML_TENSOR_FLAG_INPUT ? 1 : 0);
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        const ggml_tensor * t = graph->nodes[i];
        names[t] = "n" + std::to_string(i);
        printf("n%d %s %s type=%d ne=%ld,%ld,%ld,%ld bytes=%zu output=%d view=%s src=", i, t->name[0] ? t->name : "-", ggml_op_desc(t), t->type,
               long(t->ne[0]), long(t->ne[1]), long(t->ne[2]), long(t->ne[3]), ggml_nbytes(t), t->flags & GGML_TENSOR_FLAG_OUTPUT ? 1 : 0,
               t->view_src ? (names.count(t->view_src) ? names[t->view_src].c_str() : "x") : "-");
        for (int j = 0; j < GGML_MAX_SRC; j++) {
            if (t->src[j]) {
                printf("%s,", names.count(t->src[j]) ? names[t->src[j]].c_str() : "x");
            }
        }
        printf("\n");
    }
}

struct FreeModel { void operator()(llama_model * m) const { llama_model_free(m); } };
struct FreeContext { void operator()(llama_context * c) const { llama_free(c); } };

std::unique_ptr<llama_model, FreeModel> load(const Question & q) {
    static ggml_backend_dev_t none[] = { nullptr }, one[] = { &device, nullptr };
    auto parameters         = llama_model_default_params();
    parameters.no_alloc     = true;
    parameters.load_mode    = LLAMA_LOAD_MODE_NONE;
    parameters.n_gpu_layers = q.device ? 10000 : 0;
    parameters.devices      = q.device ? one : none;
    device_alignment        = q.device ? q.device : device_alignment;
    return std::unique_ptr<llama_model, FreeModel>(llama_model_load_from_file(q.path.c_str(), parameters));
}

void answer(llama_model * model, const Question & q) {
    auto parameters            = llama_context_default_params();
    parameters.n_ctx           = q.context;
    parameters.n_seq_max       = q.slots;
    parameters.n_ubatch        = q.ubatch;
    parameters.n_batch         = q.batch;
    parameters.kv_unified      = q.unified;
    parameters.flash_attn_type = q.flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    parameters.type_k          = ggml_type(q.key_type);
    parameters.type_v          = ggml_type(q.value_type);
    parameters.n_outputs_max   = q.outputs;
    parameters.embeddings      = q.embeddings;
    parameters.swa_full        = false;
    std::unique_ptr<llama_context, FreeContext> context(llama_init_from_model(model, parameters));
    if (!context) {
        printf("error no context\n");
        return;
    }
    size_t host = 0, elsewhere = 0;
    for (const auto & [type, sizes] : llama_get_memory_breakdown(context.get())) {
        (type == &nowhere ? elsewhere : host) += sizes.compute;
    }
    size_t work = 0;
    int nodes   = 0;
    if (!q.device) {
        const int tokens = std::min<int>(llama_n_ctx(context.get()), llama_n_ubatch(context.get()));
        ggml_cgraph * graph = llama_graph_reserve(context.get(), tokens, q.slots, q.outputs ? std::min(tokens, q.outputs) : tokens);
        work  = ggml_graph_plan(graph, q.threads, nullptr).work_size;
        nodes = graph->n_nodes;
        if (q.nodes) {
            print_nodes(graph);
        }
    }
    printf("%zu %zu %zu %d\n", host, elsewhere, work, nodes);
}

void keep_errors(ggml_log_level level, const char * text, void *) {
    if (level == GGML_LOG_LEVEL_ERROR) {
        fputs(text, stderr);
    }
}

}  // namespace

int main() {
    llama_log_set(keep_errors, nullptr);
    llama_backend_init();
    std::unique_ptr<llama_model, FreeModel> model;
    std::string line, loaded;
    while (std::getline(std::cin, line)) {
        Question q;
        if (!read(line, q)) {
            printf("error cannot read this line\n---\n");
            fflush(stdout);
            continue;
        }
        const std::string wanted = q.path + (q.device ? " device" : "");
        if (wanted != loaded) {
            model  = load(q);
            loaded = model ? wanted : "";
        }
        if (model) {
            answer(model.get(), q);
        } else {
            printf("error no model\n");
        }
        printf("---\n");
        fflush(stdout);
    }
}

/* The reference engine: walks a program. */
#include "ep_bytes.h"
#include "ep_engine.h"
#include "ep_kernels.h"
#include "ep_program.h"
#include "ep_wire.h"

#ifndef EP_BUILD
#define EP_BUILD "unknown build"
#endif

static const EpProgram *program;
static EpMemory memory;

const char *ep_engine_name(void)
{
    return "edgeprof reference 1.0, " EP_BUILD;
}

const char *ep_engine_formats(void)
{
    return "program";
}

static const EpProgram *header(const uint8_t *model, uint32_t bytes, const char **why)
{
    const EpProgram *p = (const void *)model;
    if (bytes < sizeof *p || p->magic != EP_PROGRAM_MAGIC) {
        *why = "this is no program: the host packs one from a .tflite file";
    } else if (p->version != EP_PROGRAM_VERSION) {
        *why = "the program is of another version than this agent";
    } else if (p->bytes != bytes || p->core_bytes > bytes || ep_crc32(0, model + 16, bytes - 16) != p->crc) {
        *why = "the program is damaged";
    } else {
        return p;
    }
    return 0;
}

uint32_t ep_engine_arena_needed(const uint8_t *model, uint32_t bytes)
{
    const char *why;
    const EpProgram *p = header(model, bytes, &why);
    return p ? p->arena_bytes : 0;
}

static const uint32_t *first_operator(void)
{
    return (const uint32_t *)(const void *)(memory.program + program->operators_at);
}

static const uint32_t *next_operator(const uint32_t *words)
{
    return words + 1 + (*words >> 8 & 0xffu);
}

EpStatus ep_engine_load(const uint8_t *model, uint32_t bytes, uint8_t *arena, uint32_t arena_bytes, const char **why)
{
    program = header(model, bytes, why);
    if (!program) {
        return EP_REJECTED;
    }
    if (program->arena_bytes > arena_bytes) {
        *why = "the arena does not fit the memory that the model leaves";
        return EP_OUT_OF_MEMORY;
    }
    memory.program = model;
    memory.arena = arena;
    const uint32_t *words = first_operator();
    for (uint32_t i = 0; i < program->operators; i++, words = next_operator(words)) {
        uint32_t code = *words & 0xffu;
        if (!code || code >= EP_OPS) {
            *why = "the program has an operator that this agent does not know";
            return EP_REJECTED;
        }
    }
    return EP_OK;
}

uint32_t ep_engine_arena_used(void)
{
    return program->arena_bytes;
}

uint32_t ep_engine_model_bytes(void)
{
    return program->core_bytes;
}

uint32_t ep_engine_inputs(void)
{
    return program->inputs;
}

uint32_t ep_engine_outputs(void)
{
    return program->outputs;
}

static const char *name_at(uint32_t offset)
{
    return (const char *)memory.program + offset;
}

static void describe(uint32_t index, EpTensor *tensor)
{
    const EpProgramTensor *t = (const EpProgramTensor *)(const void *)(memory.program + program->tensors_at) + index;
    tensor->data = (uint8_t *)(uintptr_t)ep_at(&memory, t->place);
    tensor->bytes = t->bytes;
    tensor->name = name_at(t->name_at);
    tensor->type = name_at(t->type_at);
    tensor->shape = name_at(t->shape_at);
}

void ep_engine_input(uint32_t index, EpTensor *tensor)
{
    describe(index, tensor);
}

void ep_engine_output(uint32_t index, EpTensor *tensor)
{
    describe(program->inputs + index, tensor);
}

uint32_t ep_engine_operators(void)
{
    return program->operators;
}

uint32_t ep_engine_operator(uint32_t index, const char **name, const char **type)
{
    const uint32_t *names = (const uint32_t *)(const void *)(memory.program + program->operator_names_at) + 2 * index;
    const uint32_t *words = first_operator();
    *name = name_at(names[0]);
    *type = name_at(names[1]);
    while (index--) {
        words = next_operator(words);
    }
    return *words >> 16;
}

static void execute(const uint32_t *words)
{
    const void *p = words + 1;
    switch (*words & 0xffu) {
    case EP_OP_CONV:
        ep_conv(&memory, p);
        break;
    case EP_OP_DEPTHWISE:
        ep_depthwise(&memory, p);
        break;
    case EP_OP_AVERAGE_POOL:
        ep_average_pool(&memory, p);
        break;
    case EP_OP_MAX_POOL:
        ep_max_pool(&memory, p);
        break;
    case EP_OP_ADD:
        ep_add(&memory, p);
        break;
    case EP_OP_MUL:
        ep_mul(&memory, p);
        break;
    case EP_OP_SOFTMAX:
        ep_softmax(&memory, p);
        break;
    case EP_OP_TABLE:
        ep_table(&memory, p);
        break;
    case EP_OP_COPY:
        ep_copy(&memory, p);
        break;
    case EP_OP_PAD:
        ep_pad(&memory, p);
        break;
    case EP_OP_MEAN:
        ep_mean(&memory, p);
        break;
    case EP_OP_CONCATENATION:
        ep_concatenation(&memory, p, *words >> 8 & 0xffu);
        break;
    case EP_OP_QUANTIZE:
        ep_quantize(&memory, p);
        break;
    case EP_OP_DEQUANTIZE:
        ep_dequantize(&memory, p);
        break;
    default:
        break;
    }
}

const char *ep_engine_invoke(EpAfterOperator after)
{
    const uint32_t *words = first_operator();
    for (uint32_t i = 0; i < program->operators; i++, words = next_operator(words)) {
        execute(words);
        if (after) {
            after(i);
        }
    }
    return 0;
}

/* An engine for a test of the seam: its "model" is a number of operators, its output the input plus as much. */
#include "ep_engine.h"

static const uint8_t *model;
static uint8_t *data;

const char *ep_engine_name(void)
{
    return "counting";
}

const char *ep_engine_formats(void)
{
    return "count";
}

uint32_t ep_engine_arena_needed(const uint8_t *bytes, uint32_t size)
{
    (void)bytes;
    return size ? 16 : 0;
}

EpStatus ep_engine_load(const uint8_t *bytes, uint32_t size, uint8_t *arena, uint32_t arena_bytes, const char **why)
{
    if (size != 1) {
        *why = "a count has one byte";
        return EP_REJECTED;
    }
    if (arena_bytes < 16) {
        *why = "16 bytes are wanted";
        return EP_OUT_OF_MEMORY;
    }
    model = bytes;
    data = arena;
    return EP_OK;
}

uint32_t ep_engine_arena_used(void)
{
    return 16;
}

uint32_t ep_engine_model_bytes(void)
{
    return 1;
}

uint32_t ep_engine_inputs(void)
{
    return 1;
}

uint32_t ep_engine_outputs(void)
{
    return 1;
}

static void describe(EpTensor *tensor, const char *name)
{
    *tensor = (EpTensor){data, 4, name, "uint8", "4"};
}

void ep_engine_input(uint32_t index, EpTensor *tensor)
{
    (void)index;
    describe(tensor, "in");
}

void ep_engine_output(uint32_t index, EpTensor *tensor)
{
    (void)index;
    describe(tensor, "out");
}

uint32_t ep_engine_operators(void)
{
    return *model;
}

uint32_t ep_engine_operator(uint32_t index, const char **name, const char **type)
{
    *name = "one more";
    *type = "COUNT";
    return index;
}

const char *ep_engine_invoke(EpAfterOperator after)
{
    for (uint32_t i = 0; i < *model; i++) {
        for (int j = 0; j < 4; j++) {
            data[j]++;
        }
        if (after) {
            after(i);
        }
    }
    return 0;
}

/* What executes the model: the seam between the agent and an engine.
 *
 * core/ep_reference.c is ours. Who has another (TFLM, a vendor's) defines these functions over it and builds the agent
 * with ENGINE=their.c; which engine, compiler and flags made a figure travels in ep_engine_name. An engine gets its memory
 * from the agent and allocates nothing.
 */
#ifndef EP_ENGINE_H
#define EP_ENGINE_H

#include <stdint.h>

typedef enum { EP_OK = 0, EP_REJECTED, EP_OUT_OF_MEMORY } EpStatus;

typedef struct EpTensor {
    uint8_t *data;
    uint32_t bytes;
    const char *name, *type, *shape; /* shape as "1,12"; empty where the engine does not know */
} EpTensor;

/* Called after operator `index`; may be NULL. In a long inference the agent feeds the watchdog and says here that it is
 * alive: an engine that never calls it may be silent for as long as the host thinks that an inference can take. */
typedef void (*EpAfterOperator)(uint32_t index);

const char *ep_engine_name(void);    /* for people: "reference 1.0, gcc 12.2.1 -O2 -mcpu=cortex-m4" */
const char *ep_engine_formats(void); /* what it takes: "program", or "tflite" */

/* Take a model that lies at a multiple of 16 and stays there. `why` says what is wrong when the answer is not EP_OK. */
EpStatus ep_engine_load(const uint8_t *model, uint32_t bytes, uint8_t *arena, uint32_t arena_bytes, const char **why);

/* Arena bytes that this model needs, before it is loaded; 0 when it is no model or the engine cannot say. */
uint32_t ep_engine_arena_needed(const uint8_t *model, uint32_t bytes);

/* Of the model that is loaded. */
uint32_t ep_engine_arena_used(void);
uint32_t ep_engine_model_bytes(void); /* what of it would be flashed */
uint32_t ep_engine_inputs(void);
uint32_t ep_engine_outputs(void);
void ep_engine_input(uint32_t index, EpTensor *tensor);
void ep_engine_output(uint32_t index, EpTensor *tensor);
uint32_t ep_engine_operators(void);
/* The operator's place in the model file, its name and its type. */
uint32_t ep_engine_operator(uint32_t index, const char **name, const char **type);

/* One inference; NULL, or why it failed. */
const char *ep_engine_invoke(EpAfterOperator after);

#endif

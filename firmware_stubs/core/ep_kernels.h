/* The reference executor's kernels: int8 in TFLM's arithmetic, bit for bit. */
#ifndef EP_KERNELS_H
#define EP_KERNELS_H

#include <stdint.h>

#include "ep_program.h"

/* Where places are: the arena, and the program. */
typedef struct EpMemory {
    uint8_t *arena;
    const uint8_t *program;
} EpMemory;

static inline const void *ep_at(const EpMemory *memory, uint32_t place)
{
    return place & EP_IN_PROGRAM ? memory->program + (place & ~EP_IN_PROGRAM) : memory->arena + place;
}

static inline void *ep_out(const EpMemory *memory, uint32_t place)
{
    return memory->arena + place;
}

void ep_conv(const EpMemory *memory, const EpConv *p);
void ep_depthwise(const EpMemory *memory, const EpDepthwise *p);
void ep_average_pool(const EpMemory *memory, const EpPool *p);
void ep_max_pool(const EpMemory *memory, const EpPool *p);
void ep_add(const EpMemory *memory, const EpBinary *p);
void ep_mul(const EpMemory *memory, const EpBinary *p);
void ep_softmax(const EpMemory *memory, const EpSoftmax *p);
void ep_table(const EpMemory *memory, const EpTable *p);
void ep_copy(const EpMemory *memory, const EpCopy *p);
void ep_pad(const EpMemory *memory, const EpPad *p);
void ep_mean(const EpMemory *memory, const EpMean *p);
void ep_concatenation(const EpMemory *memory, const uint32_t *words, uint32_t count);
void ep_quantize(const EpMemory *memory, const EpTable *p);
void ep_dequantize(const EpMemory *memory, const EpTable *p);

#endif

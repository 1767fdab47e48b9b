/* A ring between the receive interrupt and the agent, large enough for a whole window: an inference does not look. */
#ifndef EP_RING_H
#define EP_RING_H

#include <stdint.h>

#define EP_RING_BYTES 8192u /* a power of two, at least EP_WINDOW * EP_MAX_FRAME and their byte stuffing */

static volatile uint8_t ep_ring[EP_RING_BYTES];
static volatile uint32_t ep_ring_in, ep_ring_out;

/* A byte that finds no room is lost; the frame's CRC tells, and the host sends it again. */
static inline void ep_ring_put(uint8_t byte)
{
    uint32_t in = ep_ring_in;
    if (in - ep_ring_out < EP_RING_BYTES) {
        ep_ring[in % EP_RING_BYTES] = byte;
        ep_ring_in = in + 1;
    }
}

static inline int ep_ring_get(uint8_t *byte)
{
    uint32_t out = ep_ring_out;
    if (out == ep_ring_in) {
        return 0;
    }
    *byte = ep_ring[out % EP_RING_BYTES];
    ep_ring_out = out + 1;
    return 1;
}

#endif

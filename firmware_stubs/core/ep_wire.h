/* Frames and messages of the protocol, as edgeprof/wire.py declares it: COBS(type, sequence, payload, CRC-32) 0x00. */
#ifndef EP_WIRE_H
#define EP_WIRE_H

#include <stdint.h>

#include "ep_wire_ids.h"

#ifndef EP_MAX_FRAME
#define EP_MAX_FRAME 1024u
#endif
#ifndef EP_WINDOW
#define EP_WINDOW 8u
#endif
#ifndef EP_REPLAY_BYTES
#define EP_REPLAY_BYTES 3072u
#endif

/* ── receiving ── */
typedef enum { EP_FRAME_NONE, EP_FRAME_WHOLE, EP_FRAME_BAD } EpReceived;

typedef struct EpFrame {
    uint8_t type;
    uint16_t sequence;
    const uint8_t *payload;
    uint32_t size;
} EpFrame;

/* Take a byte from the line. A whole frame lies in `frame` until the next byte is taken. */
EpReceived ep_wire_take(uint8_t byte, EpFrame *frame);

uint16_t ep_read16(const uint8_t *from);
uint32_t ep_read32(const uint8_t *from);
uint64_t ep_read64(const uint8_t *from);

/* Find a tagged field behind the fixed part of a payload: its content and size, or NULL. */
const uint8_t *ep_wire_field(const EpFrame *frame, uint32_t fixed, uint8_t tag, uint32_t *size);

/* ── sending: begin, the fixed part, tagged fields, send ── */
void ep_wire_begin(uint8_t type);
void ep_put8(uint32_t value);
void ep_put16(uint32_t value);
void ep_put32(uint32_t value);
void ep_put64(uint64_t value);
void ep_put_bytes(const void *from, uint32_t size);
void ep_put_field(uint8_t tag, const void *from, uint32_t size);
void ep_put_text(uint8_t tag, const char *text);
uint32_t ep_wire_room(void); /* bytes that still fit this frame */
void ep_wire_send(void);

/* The largest frame that both sides take: set, and asked for. */
void ep_wire_limit(uint32_t bytes);
uint32_t ep_wire_frame_bytes(void);

/* Send again what was sent from `sequence` on; 0 when it is no longer here. */
int ep_wire_again(uint16_t sequence);

uint32_t ep_crc32(uint32_t crc, const void *from, uint32_t size); /* as zlib.crc32 */

#endif

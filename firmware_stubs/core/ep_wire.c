#include "ep_wire.h"

#include "ep_bytes.h"
#include "ep_port.h"

/* ── CRC-32, four bits at a time ── */

static const uint32_t crc_of_nibble[16] = {
    0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
    0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
};

uint32_t ep_crc32(uint32_t crc, const void *from, uint32_t size)
{
    const uint8_t *bytes = from;
    crc = ~crc;
    while (size--) {
        crc ^= *bytes++;
        crc = (crc >> 4) ^ crc_of_nibble[crc & 15u];
        crc = (crc >> 4) ^ crc_of_nibble[crc & 15u];
    }
    return ~crc;
}

/* ── receiving: byte stuffing is undone as the bytes come ── */

static struct {
    uint8_t body[EP_MAX_FRAME];
    uint32_t size;
    uint8_t left;    /* bytes to the next length byte */
    uint8_t parted;  /* a zero stands between the block before and the next */
    uint8_t started; /* a length byte has come */
    uint8_t broken;  /* too long: wait for the delimiter */
} in;

static void keep(uint8_t byte)
{
    if (in.size == EP_MAX_FRAME) {
        in.broken = 1;
    } else {
        in.body[in.size++] = byte;
    }
}

static EpReceived finish(EpFrame *frame)
{
    uint32_t size = in.size;
    int whole = !in.left && !in.broken && size >= 7;
    if (!in.started) {
        return EP_FRAME_NONE; /* delimiters in a row */
    }
    if (!whole || ep_crc32(0, in.body, size - 4) != ep_read32(in.body + size - 4)) {
        return EP_FRAME_BAD;
    }
    frame->type = in.body[0];
    frame->sequence = ep_read16(in.body + 1);
    frame->payload = in.body + 3;
    frame->size = size - 7;
    return EP_FRAME_WHOLE;
}

EpReceived ep_wire_take(uint8_t byte, EpFrame *frame)
{
    if (byte == 0) {
        EpReceived received = finish(frame);
        in.size = in.left = in.parted = in.started = in.broken = 0;
        return received;
    }
    in.started = 1;
    if (in.left) {
        in.left--;
        keep(byte);
        return EP_FRAME_NONE;
    }
    if (in.parted) {
        keep(0);
    }
    in.left = (uint8_t)(byte - 1);
    in.parted = byte != 0xff;
    return EP_FRAME_NONE;
}

uint16_t ep_read16(const uint8_t *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

uint32_t ep_read32(const uint8_t *from)
{
    return ep_read16(from) | (uint32_t)ep_read16(from + 2) << 16;
}

uint64_t ep_read64(const uint8_t *from)
{
    return ep_read32(from) | (uint64_t)ep_read32(from + 4) << 32;
}

const uint8_t *ep_wire_field(const EpFrame *frame, uint32_t fixed, uint8_t tag, uint32_t *size)
{
    uint32_t at = fixed;
    while (at + 3 <= frame->size) {
        uint32_t bytes = ep_read16(frame->payload + at + 1);
        if (bytes > frame->size - at - 3) {
            break;
        }
        if (frame->payload[at] == tag) {
            *size = bytes;
            return frame->payload + at + 3;
        }
        at += 3 + bytes;
    }
    *size = 0;
    return 0;
}

/* ── sending ── */

static struct {
    uint8_t body[EP_MAX_FRAME];
    uint32_t size, limit;
    uint16_t sequence;
} out;

/* The frames that were sent last, without their CRC, each behind its size. */
static struct {
    uint8_t bytes[EP_REPLAY_BYTES];
    uint32_t used;
} sent;

void ep_wire_limit(uint32_t bytes)
{
    out.limit = bytes > EP_MAX_FRAME ? EP_MAX_FRAME : bytes < 128 ? 128 : bytes;
}

uint32_t ep_wire_frame_bytes(void)
{
    return out.limit;
}

void ep_wire_begin(uint8_t type)
{
    out.size = 0;
    ep_put8(type);
    ep_put16(out.sequence);
}

void ep_put8(uint32_t value)
{
    if (out.size < EP_MAX_FRAME - 4) {
        out.body[out.size++] = (uint8_t)value;
    }
}

void ep_put16(uint32_t value)
{
    ep_put8(value);
    ep_put8(value >> 8);
}

void ep_put32(uint32_t value)
{
    ep_put16(value);
    ep_put16(value >> 16);
}

void ep_put64(uint64_t value)
{
    ep_put32((uint32_t)value);
    ep_put32((uint32_t)(value >> 32));
}

void ep_put_bytes(const void *from, uint32_t size)
{
    const uint8_t *bytes = from;
    while (size--) {
        ep_put8(*bytes++);
    }
}

uint32_t ep_wire_room(void)
{
    return out.limit - 4 - out.size;
}

void ep_put_field(uint8_t tag, const void *from, uint32_t size)
{
    ep_put8(tag);
    ep_put16(size);
    ep_put_bytes(from, size);
}

/* A text is cut to what fits; the host reads what is there. */
void ep_put_text(uint8_t tag, const char *text)
{
    uint32_t size = 0, room = ep_wire_room();
    while (text[size] && size + 3 < room) {
        size++;
    }
    if (size) {
        ep_put_field(tag, text, size);
    }
}

/* Byte stuffing on the way out: each block is its length plus one, then what has no zero. */
static void stuff(const uint8_t *body, uint32_t size)
{
    uint32_t at = 0;
    for (;;) {
        uint32_t run = 0;
        while (at + run < size && body[at + run] && run < 254) {
            run++;
        }
        ep_port_put((uint8_t)(run + 1));
        for (uint32_t i = 0; i < run; i++) {
            ep_port_put(body[at + i]);
        }
        at += run;
        if (at == size) {
            break;
        }
        if (run < 254) {
            at++; /* the zero that the length byte stands for; when it was the last byte, an empty block follows */
        }
    }
    ep_port_put(0);
}

/* `out.body` holds a frame without its CRC. */
static void transmit(void)
{
    uint32_t crc = ep_crc32(0, out.body, out.size);
    for (int i = 0; i < 4; i++) {
        out.body[out.size++] = (uint8_t)(crc >> (8 * i));
    }
    stuff(out.body, out.size);
}

static void remember(void)
{
    while (sent.used + 2 + out.size > EP_REPLAY_BYTES) {
        uint32_t first = 2u + ep_read16(sent.bytes);
        sent.used -= first;
        ep_move(sent.bytes, sent.bytes + first, sent.used);
    }
    sent.bytes[sent.used++] = (uint8_t)out.size;
    sent.bytes[sent.used++] = (uint8_t)(out.size >> 8);
    ep_move(sent.bytes + sent.used, out.body, out.size);
    sent.used += out.size;
}

void ep_wire_send(void)
{
    remember();
    out.sequence++;
    transmit();
}

int ep_wire_again(uint16_t sequence)
{
    int found = sequence == out.sequence;
    for (uint32_t at = 0; at < sent.used;) {
        uint32_t size = ep_read16(sent.bytes + at);
        found |= ep_read16(sent.bytes + at + 3) == sequence;
        if (found && sequence != out.sequence) {
            ep_move(out.body, sent.bytes + at + 2, size);
            out.size = size;
            transmit();
        }
        at += 2 + size;
    }
    return found;
}

#include "ep_blobs.h"

#include "ep_bytes.h"
#include "ep_port.h"
#include "ep_sha256.h"

/* In the order in which they lie in memory; `size` 0 is no blob. Preloaded ones lie elsewhere and take no room. */
static EpBlob blobs[EP_BLOBS];
static uint32_t now;

static int is_own(const EpBlob *blob)
{
    uint32_t size;
    const uint8_t *memory = ep_port_memory(&size);
    return blob->size && blob->bytes >= memory && blob->bytes < memory + size;
}

static uint32_t rounded(uint32_t size)
{
    return (size + 15u) & ~15u;
}

static void forget(EpBlob *blob)
{
    blob->size = 0;
    blob->whole = 0;
}

/* Move what is left to the front, and tell where it ends. */
static uint32_t close_up(void)
{
    uint32_t size, at = 0, to = 0;
    uint8_t *memory = ep_port_memory(&size);
    for (uint32_t i = 0; i < EP_BLOBS; i++) {
        if (!blobs[i].size) {
            continue;
        }
        EpBlob blob = blobs[i];
        if (is_own(&blob)) {
            ep_move(memory + at, blob.bytes, blob.received);
            blob.bytes = memory + at;
            at += rounded(blob.size);
        }
        forget(&blobs[i]);
        blobs[to++] = blob;
    }
    return at;
}

static EpBlob *oldest(void)
{
    EpBlob *found = 0;
    for (uint32_t i = 0; i < EP_BLOBS; i++) {
        if (blobs[i].size && (!found || blobs[i].used_at < found->used_at)) {
            found = &blobs[i];
        }
    }
    return found;
}

static EpBlob *empty(void)
{
    return blobs[EP_BLOBS - 1].size ? 0 : &blobs[EP_BLOBS - 1];
}

static EpBlob *find(const uint8_t sha256[32])
{
    for (uint32_t i = 0; i < EP_BLOBS; i++) {
        if (blobs[i].size && ep_same(blobs[i].sha256, sha256, 32)) {
            blobs[i].used_at = ++now;
            return &blobs[i];
        }
    }
    return 0;
}

static EpBlob *preloaded(const uint8_t sha256[32])
{
    const uint8_t *bytes;
    uint32_t size;
    for (uint32_t i = 0; (bytes = ep_port_preloaded(i, &size)) != 0; i++) {
        uint8_t digest[32];
        ep_port_watchdog();
        ep_sha256(bytes, size, digest);
        if (ep_same(digest, sha256, 32)) {
            while (!empty()) {
                forget(oldest());
                close_up();
            }
            EpBlob *blob = empty();
            ep_move(blob->sha256, sha256, 32);
            blob->bytes = bytes;
            blob->size = blob->received = size;
            blob->whole = 1;
            blob->used_at = ++now;
            close_up();
            return find(sha256);
        }
    }
    return 0;
}

EpBlob *ep_blob_find(const uint8_t sha256[32])
{
    EpBlob *blob = find(sha256);
    if (!blob) {
        blob = preloaded(sha256);
    }
    return blob && blob->whole ? blob : 0;
}

EpBlob *ep_blob_begin(const uint8_t sha256[32], uint32_t size)
{
    uint32_t all, used;
    uint8_t *memory = ep_port_memory(&all);
    EpBlob *blob = find(sha256);
    if (blob && blob->size == size) {
        return blob;
    }
    if (blob) {
        forget(blob);
    }
    if (!size || size > all) {
        return 0;
    }
    while ((used = close_up()) + rounded(size) > all || !empty()) {
        forget(oldest());
    }
    blob = empty();
    ep_move(blob->sha256, sha256, 32);
    blob->bytes = memory + used;
    blob->size = size;
    blob->received = 0;
    blob->whole = 0;
    blob->used_at = ++now;
    close_up();
    return find(sha256);
}

void ep_blob_append(EpBlob *blob, uint64_t offset, const uint8_t *from, uint32_t size)
{
    if (offset == blob->received && size <= blob->size - blob->received) {
        ep_move((uint8_t *)(uintptr_t)blob->bytes + blob->received, from, size);
        blob->received += size;
    }
}

int ep_blob_check(EpBlob *blob)
{
    uint8_t digest[32];
    ep_sha256(blob->bytes, blob->size, digest);
    if (!ep_same(digest, blob->sha256, 32)) {
        forget(blob);
        close_up();
        return 0;
    }
    blob->whole = 1;
    return 1;
}

int ep_blob_sound(EpBlob *blob)
{
    ep_port_watchdog();
    return !is_own(blob) || ep_blob_check(blob);
}

uint8_t *ep_blob_rest(const EpBlob *model, const EpBlob *inputs, uint32_t wanted, uint32_t *size)
{
    uint32_t all, used;
    uint8_t *memory = ep_port_memory(&all);
    uint8_t keep[2][32];
    ep_move(keep[0], model->sha256, 32);
    ep_move(keep[1], inputs->sha256, 32);
    used = close_up();
    if (used + wanted > all) {
        for (uint32_t i = 0; i < EP_BLOBS; i++) {
            if (!ep_same(blobs[i].sha256, keep[0], 32) && !ep_same(blobs[i].sha256, keep[1], 32)) {
                forget(&blobs[i]);
            }
        }
        used = close_up();
    }
    *size = all - used;
    return memory + used;
}

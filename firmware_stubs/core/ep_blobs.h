/* Models and inputs, named by their SHA-256, in one piece of memory; the arena takes what they leave. */
#ifndef EP_BLOBS_H
#define EP_BLOBS_H

#include <stdint.h>

#define EP_BLOBS 6u

typedef struct EpBlob {
    uint8_t sha256[32];
    const uint8_t *bytes;
    uint32_t size, received;
    uint32_t used_at; /* for which of them goes first */
    uint8_t whole;
} EpBlob;

/* Find a blob that is whole. */
EpBlob *ep_blob_find(const uint8_t sha256[32]);

/* Make room for a blob that comes in chunks; those that were used longest ago go. NULL when it is too large. */
EpBlob *ep_blob_begin(const uint8_t sha256[32], uint32_t size);

/* Append to the blob that comes; only what continues it is taken. */
void ep_blob_append(EpBlob *blob, uint64_t offset, const uint8_t *from, uint32_t size);

/* All bytes are there: is the hash right? A wrong one is forgotten. */
int ep_blob_check(EpBlob *blob);

/* Does a blob that lies in memory, perhaps for long, still have its hash? A wrong one is forgotten. */
int ep_blob_sound(EpBlob *blob);

/* Return the memory that no blob takes, at least `wanted` bytes if all blobs but these two go. */
uint8_t *ep_blob_rest(const EpBlob *model, const EpBlob *inputs, uint32_t wanted, uint32_t *size);

#endif

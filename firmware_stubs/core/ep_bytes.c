#include "ep_bytes.h"

#include <stddef.h>

void ep_move(void *to, const void *from, uint32_t size)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    if (t == f) {
        return;
    }
    if (t < f) {
        if (!(((uintptr_t)t | (uintptr_t)f) & 3u)) {
            for (; size >= 4; size -= 4, t += 4, f += 4) {
                *(uint32_t *)t = *(const uint32_t *)f;
            }
        }
        while (size--) {
            *t++ = *f++;
        }
    } else {
        while (size--) {
            t[size] = f[size];
        }
    }
}

void ep_fill(void *to, uint8_t value, uint32_t size)
{
    uint8_t *t = to;
    while (size--) {
        *t++ = value;
    }
}

int ep_same(const void *a, const void *b, uint32_t size)
{
    const uint8_t *x = a, *y = b;
    while (size--) {
        if (*x++ != *y++) {
            return 0;
        }
    }
    return 1;
}

#ifdef EP_FREESTANDING
/* The compiler may ask for these by name whatever the flags (C99 has no way to tell it not to). */
void *memcpy(void *to, const void *from, size_t size)
{
    ep_move(to, from, (uint32_t)size);
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    ep_move(to, from, (uint32_t)size);
    return to;
}

void *memset(void *to, int value, size_t size)
{
    ep_fill(to, (uint8_t)value, (uint32_t)size);
    return to;
}
#endif

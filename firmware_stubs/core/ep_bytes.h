/* memmove, memset and memcmp for a program without a C library. */
#ifndef EP_BYTES_H
#define EP_BYTES_H

#include <stdint.h>

void ep_move(void *to, const void *from, uint32_t size);
void ep_fill(void *to, uint8_t value, uint32_t size);
int ep_same(const void *a, const void *b, uint32_t size);

#endif

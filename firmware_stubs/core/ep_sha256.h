/* SHA-256 (FIPS 180-4) of bytes that lie in memory. */
#ifndef EP_SHA256_H
#define EP_SHA256_H

#include <stdint.h>

void ep_sha256(const uint8_t *from, uint32_t size, uint8_t digest[32]);

#endif

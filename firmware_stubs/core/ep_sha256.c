#include "ep_sha256.h"

#include "ep_bytes.h"

static const uint32_t k[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u,
};

static uint32_t turned(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

static void block(uint32_t h[8], const uint8_t *from)
{
    uint32_t w[16], v[8];
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
    }
    for (int i = 0; i < 64; i++) {
        uint32_t x;
        if (i < 16) {
            x = (uint32_t)from[4 * i] << 24 | (uint32_t)from[4 * i + 1] << 16 | (uint32_t)from[4 * i + 2] << 8
                | from[4 * i + 3];
        } else {
            uint32_t a = w[(i + 1) & 15], b = w[(i + 14) & 15];
            x = w[i & 15] + w[(i + 9) & 15] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3)
                + (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
        }
        w[i & 15] = x;
        x += v[7] + (turned(v[4], 6) ^ turned(v[4], 11) ^ turned(v[4], 25)) + (v[6] ^ (v[4] & (v[5] ^ v[6]))) + k[i];
        uint32_t y = (turned(v[0], 2) ^ turned(v[0], 13) ^ turned(v[0], 22)) + ((v[0] & v[1]) | (v[2] & (v[0] | v[1])));
        for (int j = 7; j; j--) {
            v[j] = v[j - 1];
        }
        v[4] += x;
        v[0] = x + y;
    }
    for (int i = 0; i < 8; i++) {
        h[i] += v[i];
    }
}

void ep_sha256(const uint8_t *from, uint32_t size, uint8_t digest[32])
{
    uint32_t h[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                     0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
    uint8_t last[64];
    uint32_t left = size;
    for (; left >= 64; left -= 64, from += 64) {
        block(h, from);
    }
    ep_fill(last, 0, 64);
    ep_move(last, from, left);
    last[left] = 0x80;
    if (left >= 56) {
        block(h, last);
        ep_fill(last, 0, 64);
    }
    for (int i = 0; i < 4; i++) {
        last[63 - i] = (uint8_t)(size << 3 >> (8 * i));
    }
    last[59] = (uint8_t)(size >> 29);
    block(h, last);
    for (int i = 0; i < 32; i++) {
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    }
}

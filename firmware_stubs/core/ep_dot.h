/* Sums of products, four output channels at a time: the loop that a network's time goes into.
 *
 * The portable form is the reference; with the DSP instructions (Cortex-M4, M7, M33) two products are one instruction.
 */
#ifndef EP_DOT_H
#define EP_DOT_H

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && !defined(EP_NO_DSP)
#define EP_DSP 1
#else
#define EP_DSP 0
#endif

#if EP_DSP
/* Cores with these instructions read words at any address. */
typedef uint32_t __attribute__((aligned(1), may_alias)) EpWord;

static inline uint32_t ep_word(const void *at)
{
    return *(const EpWord *)at;
}

/* Bytes 0 and 2, or 1 and 3, as two signed halves; with an offset added to both. */
static inline uint32_t ep_even(uint32_t x)
{
    uint32_t r;
    __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(x));
    return r;
}

static inline uint32_t ep_odd(uint32_t x)
{
    uint32_t r;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(x));
    return r;
}

static inline uint32_t ep_even_plus(uint32_t offsets, uint32_t x)
{
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2" : "=r"(r) : "r"(offsets), "r"(x));
    return r;
}

static inline uint32_t ep_odd_plus(uint32_t offsets, uint32_t x)
{
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(r) : "r"(offsets), "r"(x));
    return r;
}

static inline int32_t ep_two(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t r;
    __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(sum));
    return r;
}

static inline int32_t ep_low(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t r;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(sum));
    return r;
}

static inline int32_t ep_high(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t r;
    __asm__("smlatt %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(sum));
    return r;
}
#endif

/* sum += (in[i] + offset) * weights[i] for i < n. */
static inline int32_t ep_dot(const int8_t *in, const int8_t *weights, int32_t n, int32_t offset, int32_t sum)
{
#if EP_DSP
    uint32_t offsets = ((uint32_t)offset & 0xffffu) * 0x10001u;
    for (; n >= 4; n -= 4, in += 4, weights += 4) {
        uint32_t x = ep_word(in), w = ep_word(weights);
        sum = ep_two(ep_even_plus(offsets, x), ep_even(w), sum);
        sum = ep_two(ep_odd_plus(offsets, x), ep_odd(w), sum);
    }
#endif
    for (; n > 0; n--) {
        sum += (*in++ + offset) * *weights++;
    }
    return sum;
}

/* Four rows of weights that stand together, 4 bytes of each in turn; n is a multiple of 4. */
static __attribute__((noinline)) void ep_dot_blocked(const int8_t *in, const int8_t *weights, int32_t n, int32_t offset, int32_t sum[4])
{
    int32_t a = sum[0], b = sum[1], c = sum[2], d = sum[3];
    const int8_t *end = in + n;
#if EP_DSP
    uint32_t offsets = ((uint32_t)offset & 0xffffu) * 0x10001u;
#define EP_STEP                                        \
    do {                                               \
        uint32_t x = ep_word(in), w = ep_word(weights); \
        uint32_t even = ep_even_plus(offsets, x), odd = ep_odd_plus(offsets, x); \
        a = ep_two(even, ep_even(w), a);               \
        a = ep_two(odd, ep_odd(w), a);                 \
        w = ep_word(weights + 4);                      \
        b = ep_two(even, ep_even(w), b);               \
        b = ep_two(odd, ep_odd(w), b);                 \
        w = ep_word(weights + 8);                      \
        c = ep_two(even, ep_even(w), c);               \
        c = ep_two(odd, ep_odd(w), c);                 \
        w = ep_word(weights + 12);                     \
        d = ep_two(even, ep_even(w), d);               \
        d = ep_two(odd, ep_odd(w), d);                 \
        in += 4;                                       \
        weights += 16;                                 \
    } while (0)
    if (n & 4) {
        EP_STEP;
    }
    while (in != end) {
        EP_STEP;
        EP_STEP;
    }
#undef EP_STEP
#else
    while (in != end) {
        int32_t x0 = in[0] + offset, x1 = in[1] + offset, x2 = in[2] + offset, x3 = in[3] + offset;
        a += x0 * weights[0] + x1 * weights[1] + x2 * weights[2] + x3 * weights[3];
        b += x0 * weights[4] + x1 * weights[5] + x2 * weights[6] + x3 * weights[7];
        c += x0 * weights[8] + x1 * weights[9] + x2 * weights[10] + x3 * weights[11];
        d += x0 * weights[12] + x1 * weights[13] + x2 * weights[14] + x3 * weights[15];
        in += 4;
        weights += 16;
    }
#endif
    sum[0] = a;
    sum[1] = b;
    sum[2] = c;
    sum[3] = d;
}

/* Four rows of weights that lie `row` bytes apart; any n. */
static __attribute__((noinline)) void ep_dot_rows(const int8_t *in, const int8_t *weights, int32_t row, int32_t n, int32_t offset,
                               int32_t sum[4])
{
    int32_t a = sum[0], b = sum[1], c = sum[2], d = sum[3];
    const int8_t *second = weights + row, *third = second + row, *fourth = third + row;
#if EP_DSP
    uint32_t offsets = ((uint32_t)offset & 0xffffu) * 0x10001u;
    for (; n >= 4; n -= 4, in += 4, weights += 4, second += 4, third += 4, fourth += 4) {
        uint32_t x = ep_word(in), even = ep_even_plus(offsets, x), odd = ep_odd_plus(offsets, x), w = ep_word(weights);
        a = ep_two(even, ep_even(w), a);
        a = ep_two(odd, ep_odd(w), a);
        w = ep_word(second);
        b = ep_two(even, ep_even(w), b);
        b = ep_two(odd, ep_odd(w), b);
        w = ep_word(third);
        c = ep_two(even, ep_even(w), c);
        c = ep_two(odd, ep_odd(w), c);
        w = ep_word(fourth);
        d = ep_two(even, ep_even(w), d);
        d = ep_two(odd, ep_odd(w), d);
    }
#endif
    for (; n > 0; n--) {
        int32_t x = *in++ + offset;
        a += x * *weights++;
        b += x * *second++;
        c += x * *third++;
        d += x * *fourth++;
    }
    sum[0] = a;
    sum[1] = b;
    sum[2] = c;
    sum[3] = d;
}

#endif

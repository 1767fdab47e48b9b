/* gemmlowp's fixed point, as TFLM uses it, without undefined behaviour. */
#ifndef EP_FIXED_H
#define EP_FIXED_H

#include <stdint.h>

/* a * b / 2^31, rounded to nearest, ties up. Not for a == b == INT32_MIN, which no multiplier is. */
static inline int32_t ep_high_mul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* x / 2^by, rounded to nearest, ties away from zero; 0 <= by <= 31. */
static inline int32_t ep_round_shift(int32_t x, int32_t by)
{
    if (by == 0) {
        return x;
    }
    return (int32_t)(((int64_t)x + (x >> 31) + ((int64_t)1 << (by - 1))) >> by);
}

/* The same in 32 bits; not for INT32_MIN, which no product with a multiplier is. */
static inline int32_t ep_round_shift_word(int32_t x, int32_t by)
{
    if (by == 0) {
        return x;
    }
    x += x >> 31;
    return (x >> by) + (x >> (by - 1) & 1);
}

/* MultiplyByQuantizedMultiplier; a left shift wraps where TFLM's is undefined. */
static inline int32_t ep_scale(int32_t x, int32_t multiplier, int32_t shift)
{
    if (shift > 0) {
        return ep_high_mul((int32_t)((uint32_t)x << shift), multiplier);
    }
    return ep_round_shift_word(ep_high_mul(x, multiplier), -shift);
}

static inline int32_t ep_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

#endif

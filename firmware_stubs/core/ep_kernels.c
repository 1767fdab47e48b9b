/* All operators but the convolutions. */
#include "ep_kernels.h"

#include "ep_bytes.h"
#include "ep_fixed.h"

/* ── pooling ── */

typedef struct Window {
    int32_t top, bottom, left, right;
} Window;

static Window window(const EpPool *p, int32_t oy, int32_t ox)
{
    Window w = {oy * p->stride_h - p->pad_h, 0, ox * p->stride_w - p->pad_w, 0};
    w.bottom = w.top + p->kernel_h < p->in_h ? w.top + p->kernel_h : p->in_h;
    w.right = w.left + p->kernel_w < p->in_w ? w.left + p->kernel_w : p->in_w;
    w.top = w.top > 0 ? w.top : 0;
    w.left = w.left > 0 ? w.left : 0;
    return w;
}

static int32_t average(const EpPool *p, const int8_t *in, Window w)
{
    int32_t sum = 0, count = (w.bottom - w.top) * (w.right - w.left);
    for (int32_t y = w.top; y < w.bottom; y++) {
        const int8_t *at = in + (y * p->in_w + w.left) * p->channels;
        for (int32_t x = w.left; x < w.right; x++, at += p->channels) {
            sum += *at;
        }
    }
    return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

static int32_t largest(const EpPool *p, const int8_t *in, Window w)
{
    int32_t most = -128;
    for (int32_t y = w.top; y < w.bottom; y++) {
        const int8_t *at = in + (y * p->in_w + w.left) * p->channels;
        for (int32_t x = w.left; x < w.right; x++, at += p->channels) {
            most = *at > most ? *at : most;
        }
    }
    return most;
}

static void pool(const EpMemory *memory, const EpPool *p, int32_t (*of)(const EpPool *, const int8_t *, Window))
{
    const int8_t *in = ep_at(memory, p->input);
    int8_t *out = ep_out(memory, p->output);
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * p->channels) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                Window w = window(p, oy, ox);
                for (int32_t c = 0; c < p->channels; c++) {
                    *out++ = (int8_t)ep_clamp(of(p, in + c, w), p->low, p->high);
                }
            }
        }
    }
}

void ep_average_pool(const EpMemory *memory, const EpPool *p)
{
    pool(memory, p, average);
}

void ep_max_pool(const EpMemory *memory, const EpPool *p)
{
    pool(memory, p, largest);
}

/* ── two inputs ── */

static int8_t sum_of(const EpBinary *p, int32_t first, int32_t second)
{
    int32_t a = (first + p->first_offset) * (1 << p->left_shift);
    int32_t b = (second + p->second_offset) * (1 << p->left_shift);
    int32_t sum = ep_scale(a, p->first_scale.multiplier, p->first_scale.shift)
        + ep_scale(b, p->second_scale.multiplier, p->second_scale.shift);
    int32_t out = ep_scale(sum, p->output_scale.multiplier, p->output_scale.shift) + p->output_offset;
    return (int8_t)ep_clamp(out, p->low, p->high);
}

static int8_t product_of(const EpBinary *p, int32_t first, int32_t second)
{
    int32_t product = (first + p->first_offset) * (second + p->second_offset);
    int32_t out = ep_scale(product, p->output_scale.multiplier, p->output_scale.shift) + p->output_offset;
    return (int8_t)ep_clamp(out, p->low, p->high);
}

/* Where a dimension repeats. */
static void broadcast(const EpMemory *memory, const EpBinary *p, int8_t (*of)(const EpBinary *, int32_t, int32_t))
{
    const int8_t *first = ep_at(memory, p->first), *second = ep_at(memory, p->second);
    int8_t *out = ep_out(memory, p->output);
    for (int32_t a = 0; a < p->shape[0]; a++) {
        for (int32_t b = 0; b < p->shape[1]; b++) {
            for (int32_t c = 0; c < p->shape[2]; c++) {
                const int8_t *x = first + a * p->first_strides[0] + b * p->first_strides[1] + c * p->first_strides[2];
                const int8_t *y = second + a * p->second_strides[0] + b * p->second_strides[1] + c * p->second_strides[2];
                for (int32_t d = 0; d < p->shape[3]; d++, x += p->first_strides[3], y += p->second_strides[3]) {
                    *out++ = of(p, *x, *y);
                }
            }
        }
    }
}

void ep_add(const EpMemory *memory, const EpBinary *p)
{
    const int8_t *first = ep_at(memory, p->first), *second = ep_at(memory, p->second);
    int8_t *out = ep_out(memory, p->output);
    for (int32_t i = 0; i < p->flat; i++) {
        out[i] = sum_of(p, first[i], second[i]);
    }
    if (!p->flat) {
        broadcast(memory, p, sum_of);
    }
}

void ep_mul(const EpMemory *memory, const EpBinary *p)
{
    const int8_t *first = ep_at(memory, p->first), *second = ep_at(memory, p->second);
    int8_t *out = ep_out(memory, p->output);
    for (int32_t i = 0; i < p->flat; i++) {
        out[i] = product_of(p, first[i], second[i]);
    }
    if (!p->flat) {
        broadcast(memory, p, product_of);
    }
}

/* ── softmax ── */

/* 1 / x for x in Q12.19, as TFLM's GetReciprocal: the mantissa by Newton's method in Q2.29, and its bits over one. */
static int32_t reciprocal(uint32_t x, int32_t *bits_over_unit)
{
    int32_t headroom = 0;
    while (headroom < 32 && !(x & 0x80000000u >> headroom)) {
        headroom++;
    }
    *bits_over_unit = 12 - headroom;
    int32_t minus_one = (int32_t)((x << headroom) - 0x80000000u); /* Q0.31 */
    int32_t half = (int32_t)(((int64_t)minus_one + INT32_MAX + 1) >> 1);
    int32_t guess = 1515870810 + ep_high_mul(half, -1010580540); /* 48/17 - 32/17 half, in Q2.29 */
    for (int i = 0; i < 3; i++) {
        int32_t rest = (1 << 29) - ep_high_mul(half, guess);
        /* A product of two Q2.29 is Q4.27: brought back to Q2.29, saturating. */
        int64_t more = (int64_t)ep_high_mul(guess, rest) * 4;
        more = more > INT32_MAX ? INT32_MAX : more < INT32_MIN ? INT32_MIN : more;
        guess = (int32_t)((uint32_t)guess + (uint32_t)more);
    }
    int64_t result = (int64_t)guess * 2; /* half of it, read in Q0.31 */
    return (int32_t)(result > INT32_MAX ? INT32_MAX : result < INT32_MIN ? INT32_MIN : result);
}

void ep_softmax(const EpMemory *memory, const EpSoftmax *p)
{
    const int32_t *exponentials = ep_at(memory, p->exponentials);
    const int8_t *in = ep_at(memory, p->input);
    int8_t *out = ep_out(memory, p->output);
    for (int32_t row = 0; row < p->rows; row++, in += p->depth, out += p->depth) {
        int32_t most = -128, bits;
        uint32_t sum = 0;
        for (int32_t i = 0; i < p->depth; i++) {
            most = in[i] > most ? in[i] : most;
        }
        for (int32_t i = 0; i < p->depth; i++) {
            sum += (uint32_t)ep_round_shift(exponentials[most - in[i]], 12);
        }
        int32_t scale = reciprocal(sum, &bits);
        for (int32_t i = 0; i < p->depth; i++) {
            int32_t value = ep_round_shift(ep_high_mul(scale, exponentials[most - in[i]]), bits + 31 - 8) - 128;
            out[i] = (int8_t)ep_clamp(value, -128, 127);
        }
    }
}

/* ── what only moves or looks up ── */

void ep_table(const EpMemory *memory, const EpTable *p)
{
    const int8_t *in = ep_at(memory, p->input), *table = (const int8_t *)ep_at(memory, p->table) + 128;
    int8_t *out = ep_out(memory, p->output);
    for (int32_t i = 0; i < p->size; i++) {
        out[i] = table[in[i]];
    }
}

void ep_dequantize(const EpMemory *memory, const EpTable *p)
{
    const int8_t *in = ep_at(memory, p->input);
    const uint32_t *table = (const uint32_t *)ep_at(memory, p->table) + 128;
    uint32_t *out = ep_out(memory, p->output);
    for (int32_t i = p->size - 1; i >= 0; i--) {
        out[i] = table[in[i]];
    }
}

void ep_copy(const EpMemory *memory, const EpCopy *p)
{
    const uint8_t *in = ep_at(memory, p->input);
    uint8_t *out = ep_out(memory, p->output);
    for (int32_t i = 0; i < p->outer; i++, in += p->input_stride, out += p->output_stride) {
        ep_move(out, in, (uint32_t)p->run);
    }
}

void ep_pad(const EpMemory *memory, const EpPad *p)
{
    const uint8_t *in = ep_at(memory, p->input);
    uint8_t *out = ep_out(memory, p->output);
    int32_t at[5] = {0, 0, 0, 0, 0};
    int32_t all = p->size[0] * p->size[1] * p->size[2] * p->size[3] * p->size[4];
    for (int32_t i = 0; i < all; i++, out += p->element) {
        int32_t from = 0, inside = 1;
        for (int d = 0; d < 5; d++) {
            int32_t place = at[d] - p->before[d];
            inside &= place >= 0 && place < p->shape[d];
            from = from * p->shape[d] + place;
        }
        if (inside) {
            ep_move(out, in + from * p->element, (uint32_t)p->element);
        } else {
            ep_fill(out, (uint8_t)p->value, (uint32_t)p->element);
        }
        for (int d = 4; d >= 0 && ++at[d] == p->size[d]; d--) {
            at[d] = 0;
        }
    }
}

/* The input of each part, and how many bytes of it make a run; they follow one another in the output. */
void ep_concatenation(const EpMemory *memory, const uint32_t *words, uint32_t count)
{
    uint8_t *out = ep_out(memory, words[0]);
    for (uint32_t outer = 0; outer < words[1]; outer++) {
        for (uint32_t i = 2; i + 1 < count; i += 2) {
            uint32_t run = words[i + 1];
            ep_move(out, (const uint8_t *)ep_at(memory, words[i]) + outer * run, run);
            out += run;
        }
    }
}

static int32_t sum_over(const EpMean *p, const int8_t *in)
{
    int32_t sum = 0;
    for (int32_t a = 0; a < p->summed[0]; a++) {
        for (int32_t b = 0; b < p->summed[1]; b++) {
            for (int32_t c = 0; c < p->summed[2]; c++) {
                const int8_t *at = in + a * p->summed_strides[0] + b * p->summed_strides[1] + c * p->summed_strides[2];
                for (int32_t d = 0; d < p->summed[3]; d++, at += p->summed_strides[3]) {
                    sum += *at;
                }
            }
        }
    }
    return sum;
}

void ep_mean(const EpMemory *memory, const EpMean *p)
{
    const int8_t *in = ep_at(memory, p->input);
    int8_t *out = ep_out(memory, p->output);
    for (int32_t a = 0; a < p->kept[0]; a++) {
        for (int32_t b = 0; b < p->kept[1]; b++) {
            for (int32_t c = 0; c < p->kept[2]; c++) {
                const int8_t *at = in + a * p->kept_strides[0] + b * p->kept_strides[1] + c * p->kept_strides[2];
                for (int32_t d = 0; d < p->kept[3]; d++, at += p->kept_strides[3]) {
                    int32_t sum = sum_over(p, at) - p->input_zero_point * p->count;
                    int32_t value = ep_scale(sum, p->scale.multiplier, p->scale.shift) + p->output_zero_point;
                    *out++ = (int8_t)ep_clamp(value, p->low, p->high);
                }
            }
        }
    }
}

/* A float's bits in the order of its value. */
static int32_t ordered(int32_t bits)
{
    return bits ^ (bits >> 31 & 0x7fffffff);
}

/* The code is a step function of the value: the host has worked out, in float32, where the 255 steps are. */
void ep_quantize(const EpMemory *memory, const EpTable *p)
{
    const int32_t *in = ep_at(memory, p->input), *steps = ep_at(memory, p->table);
    int8_t *out = ep_out(memory, p->output);
    for (int32_t i = 0; i < p->size; i++) {
        int32_t value = ordered(in[i]), code = 0;
        for (int32_t half = 128; half; half >>= 1) {
            if (value >= steps[code + half - 1]) {
                code += half;
            }
        }
        out[i] = (int8_t)(code - 128);
    }
}

/* CONV_2D, FULLY_CONNECTED and DEPTHWISE_CONV_2D. */
#include "ep_dot.h"
#include "ep_fixed.h"
#include "ep_kernels.h"

/* The part of a window that lies inside: taps from `first` to before `last` of a kernel that starts at `origin`. */
typedef struct Span {
    int32_t origin, first, last;
} Span;

static Span span(int32_t at, int32_t stride, int32_t pad, int32_t dilation, int32_t taps, int32_t size)
{
    Span s = {at * stride - pad, 0, taps};
    while (s.first < taps && s.origin + s.first * dilation < 0) {
        s.first++;
    }
    while (s.last > s.first && s.origin + (s.last - 1) * dilation >= size) {
        s.last--;
    }
    return s;
}

static int8_t finished(int32_t sum, const EpScale *scale, int32_t offset, int32_t low, int32_t high)
{
    return (int8_t)ep_clamp(ep_scale(sum, scale->multiplier, scale->shift) + offset, low, high);
}

static void finish_four(const int32_t sum[4], const EpScale *scales, int32_t offset, int32_t low, int32_t high,
                        int8_t *out)
{
    for (int32_t i = 0; i < 4; i++) {
        out[i] = finished(sum[i], &scales[i], offset, low, high);
    }
}

/* One output pixel: `in` is the image, the spans say which taps of the kernel count. */
static void conv_pixel(const EpConv *p, const EpMemory *memory, const int8_t *in, Span y, Span x, int8_t *out)
{
    const int8_t *weights = ep_at(memory, p->weights);
    const int32_t *bias = ep_at(memory, p->bias);
    const EpScale *scales = ep_at(memory, p->scales);
    int32_t depth = p->group_in, kernel_row = p->kernel_w * depth, filter = p->kernel_h * kernel_row;
    /* Taps of a row that lie side by side in both image and kernel are one run. */
    int32_t side_by_side = p->dilation_w == 1 && depth == p->in_c;
    int32_t run = side_by_side ? (x.last - x.first) * depth : depth;
    int32_t runs = side_by_side ? 1 : x.last - x.first;
    int32_t in_step = p->dilation_w * p->in_c, row_step = p->dilation_h * p->in_w * p->in_c;
    const int8_t *corner = in + ((y.origin + y.first * p->dilation_h) * p->in_w + x.origin + x.first * p->dilation_w) * p->in_c;
    int32_t first_tap = y.first * kernel_row + x.first * depth, rows = y.last - y.first, channel = 0;
    if (x.last == x.first) {
        rows = 0;
    }
    if (p->blocked) {
        for (; channel + 4 <= p->out_c; channel += 4, weights += 4 * filter) {
            int32_t sum[4] = {bias[channel], bias[channel + 1], bias[channel + 2], bias[channel + 3]};
            const int8_t *row = corner, *w = weights + 4 * first_tap;
            for (int32_t i = 0; i < rows; i++, row += row_step, w += 4 * kernel_row) {
                for (int32_t j = 0; j < runs; j++) {
                    ep_dot_blocked(row + j * in_step, w + 4 * j * depth, run, p->input_offset, sum);
                }
            }
            finish_four(sum, &scales[channel], p->output_offset, p->low, p->high, out + channel);
        }
    }
    if (depth == p->in_c) {
        for (; channel + 4 <= p->out_c; channel += 4, weights += 4 * filter) {
            int32_t sum[4] = {bias[channel], bias[channel + 1], bias[channel + 2], bias[channel + 3]};
            const int8_t *row = corner, *w = weights + first_tap;
            for (int32_t i = 0; i < rows; i++, row += row_step, w += kernel_row) {
                for (int32_t j = 0; j < runs; j++) {
                    ep_dot_rows(row + j * in_step, w + j * depth, filter, run, p->input_offset, sum);
                }
            }
            finish_four(sum, &scales[channel], p->output_offset, p->low, p->high, out + channel);
        }
    }
    int32_t group = 0, left = p->group_out;
    for (; channel < p->out_c; channel++, weights += filter) {
        int32_t sum = bias[channel];
        const int8_t *row = corner + group, *w = weights + first_tap;
        for (int32_t i = 0; i < rows; i++, row += row_step, w += kernel_row) {
            for (int32_t j = 0; j < runs; j++) {
                sum = ep_dot(row + j * in_step, w + j * depth, run, p->input_offset, sum);
            }
        }
        out[channel] = finished(sum, &scales[channel], p->output_offset, p->low, p->high);
        if (--left == 0) {
            left = p->group_out;
            group += depth;
        }
    }
}

void ep_conv(const EpMemory *memory, const EpConv *p)
{
    const int8_t *in = ep_at(memory, p->input);
    int8_t *out = ep_out(memory, p->output);
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            Span y = span(oy, p->stride_h, p->pad_h, p->dilation_h, p->kernel_h, p->in_h);
            for (int32_t ox = 0; ox < p->out_w; ox++, out += p->out_c) {
                Span x = span(ox, p->stride_w, p->pad_w, p->dilation_w, p->kernel_w, p->in_w);
                conv_pixel(p, memory, in, y, x, out);
            }
        }
    }
}

/* ── depthwise ── */

/* Four channels next to each other, one output each. */
static void depthwise_four(const EpDepthwise *p, const int8_t *in, const int8_t *weights, int32_t rows, int32_t columns,
                           int32_t sum[4])
{
    int32_t in_step = p->dilation_w * p->in_c, row_step = p->dilation_h * p->in_w * p->in_c - columns * in_step;
    int32_t kernel_step = (p->kernel_w - columns) * p->in_c, channels = p->in_c;
    int32_t a = sum[0], b = sum[1], c = sum[2], d = sum[3];
#if EP_DSP
    uint32_t offsets = ((uint32_t)p->input_offset & 0xffffu) * 0x10001u;
#else
    int32_t offset = p->input_offset;
#endif
    for (; rows > 0; rows--, in += row_step, weights += kernel_step) {
        for (int32_t i = columns; i > 0; i--, in += in_step, weights += channels) {
#if EP_DSP
            uint32_t x = ep_word(in), w = ep_word(weights);
            uint32_t xe = ep_even_plus(offsets, x), xo = ep_odd_plus(offsets, x), we = ep_even(w), wo = ep_odd(w);
            a = ep_low(xe, we, a);
            b = ep_low(xo, wo, b);
            c = ep_high(xe, we, c);
            d = ep_high(xo, wo, d);
#else
            a += (in[0] + offset) * weights[0];
            b += (in[1] + offset) * weights[1];
            c += (in[2] + offset) * weights[2];
            d += (in[3] + offset) * weights[3];
#endif
        }
    }
    sum[0] = a;
    sum[1] = b;
    sum[2] = c;
    sum[3] = d;
}

static int32_t depthwise_one(const EpDepthwise *p, const int8_t *in, const int8_t *weights, int32_t rows,
                             int32_t columns, int32_t sum)
{
    int32_t in_step = p->dilation_w * p->in_c, row_step = p->dilation_h * p->in_w * p->in_c - columns * in_step;
    int32_t kernel_step = (p->kernel_w - columns) * p->out_c;
    for (; rows > 0; rows--, in += row_step, weights += kernel_step) {
        for (int32_t i = columns; i > 0; i--, in += in_step, weights += p->out_c) {
            sum += (*in + p->input_offset) * *weights;
        }
    }
    return sum;
}

static void depthwise_pixel(const EpDepthwise *p, const EpMemory *memory, const int8_t *in, Span y, Span x, int8_t *out)
{
    const int32_t *bias = ep_at(memory, p->bias);
    const EpScale *scales = ep_at(memory, p->scales);
    const int8_t *corner = in + ((y.origin + y.first * p->dilation_h) * p->in_w + x.origin + x.first * p->dilation_w) * p->in_c;
    const int8_t *weights = (const int8_t *)ep_at(memory, p->weights) + (y.first * p->kernel_w + x.first) * p->out_c;
    int32_t rows = x.last > x.first ? y.last - y.first : 0, columns = x.last - x.first, channel = 0;
    if (p->multiplier == 1) {
        for (; channel + 4 <= p->out_c; channel += 4) {
            int32_t sum[4] = {bias[channel], bias[channel + 1], bias[channel + 2], bias[channel + 3]};
            depthwise_four(p, corner + channel, weights + channel, rows, columns, sum);
            finish_four(sum, &scales[channel], p->output_offset, p->low, p->high, out + channel);
        }
    }
    int32_t source = p->multiplier == 1 ? channel : 0, left = p->multiplier;
    for (; channel < p->out_c; channel++) {
        int32_t sum = depthwise_one(p, corner + source, weights + channel, rows, columns, bias[channel]);
        out[channel] = finished(sum, &scales[channel], p->output_offset, p->low, p->high);
        if (--left == 0) {
            left = p->multiplier;
            source++;
        }
    }
}

void ep_depthwise(const EpMemory *memory, const EpDepthwise *p)
{
    const int8_t *in = ep_at(memory, p->input);
    int8_t *out = ep_out(memory, p->output);
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            Span y = span(oy, p->stride_h, p->pad_h, p->dilation_h, p->kernel_h, p->in_h);
            for (int32_t ox = 0; ox < p->out_w; ox++, out += p->out_c) {
                Span x = span(ox, p->stride_w, p->pad_w, p->dilation_w, p->kernel_w, p->in_w);
                depthwise_pixel(p, memory, in, y, x, out);
            }
        }
    }
}

/* A program: what the host packs from a .tflite file for the reference executor (edgeprof/program/blob.py writes it).
 *
 * Little-endian words. A header, the operators one behind the other, their constants, the tensors that go in and come
 * out, and, behind what would be flashed, the names. All constants start at multiples of 16 bytes. A place is an offset:
 * into the arena, or, with EP_IN_PROGRAM set, into the program.
 */
#ifndef EP_PROGRAM_H
#define EP_PROGRAM_H

#include <stdint.h>

#define EP_PROGRAM_MAGIC 0x47525045u /* "EPRG" */
#define EP_PROGRAM_VERSION 1u
#define EP_IN_PROGRAM 0x80000000u

typedef struct EpProgram {
    uint32_t magic, version;
    uint32_t bytes;      /* all of it */
    uint32_t crc;        /* of what follows this word */
    uint32_t core_bytes; /* without the names */
    uint32_t arena_bytes;
    uint32_t operators, operators_at;
    uint32_t inputs, outputs, tensors_at; /* EpProgramTensor, inputs first */
    uint32_t operator_names_at;           /* two offsets an operator: name, type; behind core_bytes */
} EpProgram;

typedef struct EpProgramTensor {
    uint32_t place, bytes;
    uint32_t name_at, type_at, shape_at; /* behind core_bytes, ended by 0 */
} EpProgramTensor;

/* An operator is a word, `code | words << 8 | position << 16`, and `words` words of parameters. */
enum {
    EP_OP_CONV = 1, /* CONV_2D and FULLY_CONNECTED, which is one of 1 x 1 */
    EP_OP_DEPTHWISE,
    EP_OP_AVERAGE_POOL,
    EP_OP_MAX_POOL,
    EP_OP_ADD,
    EP_OP_MUL,
    EP_OP_SOFTMAX,
    EP_OP_TABLE, /* any unary operator on int8 */
    EP_OP_COPY,
    EP_OP_PAD,
    EP_OP_MEAN,
    EP_OP_CONCATENATION,
    EP_OP_QUANTIZE,   /* float32 to int8, by a table of steps */
    EP_OP_DEQUANTIZE, /* int8 to float32, by a table */
    EP_OPS
};

typedef struct EpScale { /* real = multiplier * 2^(shift - 31) */
    int32_t multiplier, shift;
} EpScale;

typedef struct EpConv {
    uint32_t input, output, weights, bias, scales; /* bias int32 and scales EpScale, one a channel */
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
    int32_t input_offset, output_offset, low, high;
    int32_t group_in, group_out; /* channels of a group: what a weight row reads, what is made of it */
    int32_t blocked;             /* weights of 4 output channels stand together, 4 bytes of each in turn */
} EpConv;

typedef struct EpDepthwise {
    uint32_t input, output, weights, bias, scales;
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
    int32_t input_offset, output_offset, low, high;
    int32_t multiplier; /* output channels an input channel */
} EpDepthwise;

typedef struct EpPool {
    uint32_t input, output;
    int32_t batches, in_h, in_w, channels, out_h, out_w, kernel_h, kernel_w;
    int32_t stride_h, stride_w, pad_h, pad_w, low, high;
} EpPool;

/* Two inputs with strides over four output dimensions: a stride of 0 repeats. */
typedef struct EpBinary {
    uint32_t first, second, output;
    int32_t shape[4], first_strides[4], second_strides[4];
    int32_t first_offset, second_offset, output_offset, low, high;
    EpScale first_scale, second_scale, output_scale; /* MUL uses the last one only */
    int32_t left_shift;                              /* of ADD */
    int32_t flat;                                    /* elements when no dimension repeats, else 0 */
} EpBinary;

typedef struct EpSoftmax {
    uint32_t input, output, exponentials; /* 256 int32 in Q0.31: e^(-d scaled), 0 where it counts for nothing */
    int32_t rows, depth;
} EpSoftmax;

typedef struct EpTable {
    /* TABLE: 256 bytes by input + 128. DEQUANTIZE: 256 float32, the same. QUANTIZE: 255 steps, where the next code begins. */
    uint32_t input, output, table;
    int32_t size;
} EpTable;

/* Copies `outer` runs of `run` bytes; the runs lie so far apart on either side. */
typedef struct EpCopy {
    uint32_t input, output;
    int32_t outer, run, input_stride, output_stride;
} EpCopy;

typedef struct EpPad {
    uint32_t input, output;
    int32_t shape[5], before[5], size[5]; /* input's shape, padding in front, output's shape */
    int32_t value, element;               /* value of a byte, bytes an element */
} EpPad;

/* Dimensions split into those that stay and those that are summed, each as sizes with the strides of the input. */
typedef struct EpMean {
    uint32_t input, output;
    int32_t kept[4], kept_strides[4], summed[4], summed_strides[4];
    int32_t input_zero_point, output_zero_point, count, low, high;
    EpScale scale;
} EpMean;

#endif

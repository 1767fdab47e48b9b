# ruff: noqa: SIM905 (210 names as words on 30 lines, not as 210 lines of quotes)
"""The parts of the TFLite schema that a reader needs, as tables copied from LiteRT's schema_py_generated.py.

A test holds them against the ai-edge-litert wheel.
"""

from __future__ import annotations

from typing import Final, NamedTuple

operator_names: Final = tuple(
    """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH
SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM
ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE
TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK
LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL
FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL
REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND
HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE
ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU
DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE
STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE
STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG
STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT
STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT
STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL
STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE
STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
""".split()
)

type_names: Final = (
    "float32 float16 int32 uint8 int64 string bool int16 complex64 int8 float64 complex128 uint64 resource variant "
    "uint32 uint16 int4 bfloat16 int2 uint4 float8_e4m3fn float8_e5m2"
).split()

enumerations: Final = {
    "activation": ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"),
    "padding": ("SAME", "VALID"),
    "mirror": ("REFLECT", "SYMMETRIC"),
    "type": tuple(type_names),
}


class Option(NamedTuple):
    """One field of a table of options: struct's letter or an enumeration, `graph` for the index of a subgraph."""

    name: str
    slot: int
    kind: str
    many: bool
    default: int


def _options(fields: str) -> tuple[Option, ...]:
    return tuple(_option(*field.split(":")) for field in fields.split())


def _option(name: str, slot: str, kind: str) -> Option:
    kind, _, default = kind.partition("=")
    return Option(name, int(slot), kind.removeprefix("*"), kind.startswith("*"), int(default or 0))


# BuiltinOptions: number of the table in the union, then name:slot:kind=default of its fields.
_builtin_options: Final = {
    1: (
        "padding:0:padding stride_w:1:i stride_h:2:i fused_activation_function:3:activation "
        "dilation_w_factor:4:i=1 dilation_h_factor:5:i=1 quantized_bias_type:6:type"
    ),
    2: (
        "padding:0:padding stride_w:1:i stride_h:2:i depth_multiplier:3:i "
        "fused_activation_function:4:activation dilation_w_factor:5:i=1 dilation_h_factor:6:i=1"
    ),
    3: "num_channels:0:i num_columns_per_channel:1:*i embedding_dim_per_channel:2:*i",
    4: "type:0:b",
    5: (
        "padding:0:padding stride_w:1:i stride_h:2:i filter_width:3:i filter_height:4:i "
        "fused_activation_function:5:activation"
    ),
    6: "rank:0:i fused_activation_function:1:activation asymmetric_quantize_inputs:2:?",
    7: "fused_activation_function:0:activation asymmetric_quantize_inputs:1:?",
    8: (
        "fused_activation_function:0:activation weights_format:1:b keep_num_dims:2:? "
        "asymmetric_quantize_inputs:3:? quantized_bias_type:4:type"
    ),
    9: "beta:0:f",
    10: "axis:0:i fused_activation_function:1:activation",
    11: "fused_activation_function:0:activation pot_scale_int16:1:?=1",
    12: "fused_activation_function:0:activation",
    13: "radius:0:i bias:1:f alpha:2:f beta:3:f",
    14: (
        "fused_activation_function:0:activation cell_clip:1:f proj_clip:2:f kernel_type:3:b "
        "asymmetric_quantize_inputs:4:?"
    ),
    15: "align_corners:2:? half_pixel_centers:3:?",
    16: "subgraph:0:graph",
    17: "new_shape:0:*i",
    18: "ngram_size:0:i max_skip_size:1:i include_all_ngrams:2:?",
    19: "block_size:0:i",
    20: "combiner:0:b",
    21: "fused_activation_function:0:activation",
    23: "axis:0:i batch_dims:1:i",
    27: "keep_dims:0:?",
    28: "fused_activation_function:0:activation pot_scale_int16:1:?=1",
    29: "fused_activation_function:0:activation",
    30: "squeeze_dims:0:*i",
    31: "time_major:0:? fused_activation_function:1:activation asymmetric_quantize_inputs:2:?",
    32: "begin_mask:0:i end_mask:1:i ellipsis_mask:2:i new_axis_mask:3:i shrink_axis_mask:4:i offset:5:?",
    35: "num_splits:0:i",
    37: "in_data_type:0:type out_data_type:1:type",
    40: "output_type:0:type",
    49: (
        "padding:0:padding stride_w:1:i stride_h:2:i fused_activation_function:3:activation quantized_bias_type:4:type"
    ),
    50: "validate_indices:0:?",
    55: "out_type:0:type",
    57: "output_type:0:type",
    58: "min:0:f max:1:f num_bits:2:i narrow_range:3:?",
    59: "values_count:0:i axis:1:i",
    61: "axis:0:i",
    64: "num:0:i axis:1:i",
    69: (
        "fused_activation_function:0:activation cell_clip:1:f proj_clip:2:f merge_outputs:3:? "
        "time_major:4:?=1 asymmetric_quantize_inputs:5:?"
    ),
    70: "time_major:0:? fused_activation_function:1:activation merge_outputs:2:? asymmetric_quantize_inputs:3:?",
    71: (
        "fused_activation_function:0:activation cell_clip:1:f proj_clip:2:f time_major:3:? "
        "asymmetric_quantize_inputs:4:? diagonal_recurrent_tensors:5:?"
    ),
    74: "align_corners:0:? half_pixel_centers:1:?",
    75: "alpha:0:f",
    77: "mode:0:mirror",
    79: "num_splits:0:i",
    80: "idx_out_type:0:type=2",
    87: "seq_dim:0:i batch_dim:1:i",
    92: "then_subgraph_index:0:graph else_subgraph_index:1:graph",
    93: "cond_subgraph_index:0:graph body_subgraph_index:1:graph",
    94: "block_size:0:i",
    101: "adj_x:0:? adj_y:1:? asymmetric_quantize_inputs:2:?",
    102: "exclusive:0:? reverse:1:?",
    103: "init_subgraph_index:0:graph",
    106: (
        "padding:0:padding stride_d:1:i stride_w:2:i stride_h:3:i fused_activation_function:4:activation "
        "dilation_d_factor:5:i=1 dilation_w_factor:6:i=1 dilation_h_factor:7:i=1"
    ),
    107: "table_id:0:i key_dtype:1:type value_dtype:2:type",
    111: "container:0:s shared_name:1:s",
    114: "seed:0:q seed2:1:q",
    115: "boundaries:0:*f",
    116: "approximate:0:?",
}

# BuiltinOptions2, the same.
_builtin_options_2: Final = {
    1: "dimension:0:q",
    2: "broadcast_dimensions:0:*q",
    3: "start_indices:0:*q limit_indices:1:*q strides:2:*q",
    4: (
        "window_strides:0:*q padding:1:*q lhs_dilation:2:*q rhs_dilation:3:*q window_reversal:4:*? "
        "input_batch_dimension:5:q input_feature_dimension:6:q input_spatial_dimensions:7:*q "
        "kernel_input_feature_dimension:8:q kernel_output_feature_dimension:9:q "
        "kernel_spatial_dimensions:10:*q output_batch_dimension:11:q output_feature_dimension:12:q "
        "output_spatial_dimensions:13:*q feature_group_count:14:q batch_group_count:15:q"
    ),
    5: "call_target_name:0:s has_side_effect:1:? api_version:3:i",
    6: "dimensions:0:*q body_subgraph_index:1:graph",
    7: (
        "indices_are_sorted:0:? update_window_dims:1:*q inserted_window_dims:2:*q "
        "scatter_dims_to_operand_dims:3:*q index_vector_dim:4:q unique_indices:5:? "
        "update_computation_subgraph_index:6:graph"
    ),
    8: "comparison_direction:0:I compare_type:1:I",
    9: "slice_sizes:0:*q",
    10: "edge_padding_low:0:*q edge_padding_high:1:*q interior_padding:2:*q",
    11: "iota_dimension:0:q",
    12: (
        "lhs_batching_dimensions:0:*q rhs_batching_dimensions:1:*q lhs_contracting_dimensions:2:*q "
        "rhs_contracting_dimensions:3:*q"
    ),
    13: (
        "window_dimensions:0:*q window_strides:1:*q base_dilations:2:*q window_dilations:3:*q padding:4:*q "
        "body_subgraph_index:5:graph"
    ),
    14: "dimension:0:q is_stable:1:? comparator_subgraph_index:2:graph",
    15: "cond_subgraph_index:0:graph body_subgraph_index:1:graph",
    16: (
        "offset_dims:0:*q collapsed_slice_dims:1:*q start_index_map:2:*q index_vector_dim:3:q "
        "slice_sizes:4:*q indices_are_sorted:5:?"
    ),
    17: "permutation:0:*q",
    19: "algorithm:0:b",
    20: "reduce_function:0:i",
    21: "name:0:s decomposition_subgraph_index:1:graph version:4:i",
    23: "branch_subgraph_indices:0:*graph",
}

builtin_options: Final = {number: _options(fields) for number, fields in _builtin_options.items()}
builtin_options_2: Final = {number: _options(fields) for number, fields in _builtin_options_2.items()}

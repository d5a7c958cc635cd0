/* ops.h - the operators, as functions that append nodes to a graph.
 *
 * Shapes are [n, h, w, c] as in graph/graph.h.  Each function checks its inputs, asks the model for its
 * weights by canonical name, and returns the output tensor (the null tensor after an error).  All kernels accumulate
 * in fp32, whatever the storage. */
#ifndef VKA_OPS_OPS_H
#define VKA_OPS_OPS_H

#include "graph/graph.h"
#include "ops/frame_windows.h"

enum vka_act {
    VKA_ACT_NONE,
    VKA_ACT_SILU,       /* x * sigmoid(x) */
    VKA_ACT_GELU,       /* x * Phi(x), exact (erf) */
    VKA_ACT_QUICK_GELU, /* x * sigmoid(1.702 x) */
    VKA_ACT_GEGLU       /* outputs in two halves (a, g) of the weight's rows: a * GELU(g); halves c */
};

/* Matrix product y = act(x W^T + bias + sample_bias) + add, row by row.
 * Weights: "<at>.weight" [N, K] or [N, K, 1, 1], "<at>.bias" [N] if it is there. */
struct vka_linear_args {
    vka_scope at;
    vka_scope stack[2];     /* more weights of the same K, their outputs behind the first's (merged q, k, v); path[0] = 0: none */
    uint32_t stacked;       /* 0, 1 or 2 */
    uint32_t heads_out;     /* > 0: the N of each weight is `heads_out` slots of vka_pitch(N / heads_out), pads zero */
    uint32_t heads_in;      /* > 0: x's channels are in such slots of K / heads_in each */
    bool no_bias;           /* do not look for biases */
    vka_tensor x2;          /* channels behind x's: K = x.c + x2.c (concatenation by addressing) */
    vka_scope x2_at;        /* x2's columns are those of a weight [N, x2.c] of its own; path[0] = 0: of at's.  Of one layer, not
                               stacked */
    vka_tensor norm;        /* scale and shift of vka_group_norm, applied to x (and x2) on load */
    enum vka_act act_in;    /* on load, after norm: VKA_ACT_NONE or VKA_ACT_SILU */
    enum vka_act act;
    vka_tensor sample_bias; /* f32 [1 or n, 1, 1, N], added before act */
    vka_tensor positions;   /* of vka_weight_rows, f32 [1, 1, L >= frames, K]: its row number `frame` is added to x.  Since
                               (x + p) W = x W + p W, the products p W are made once and added as a bias of the frame;
                               not together with sample_bias */
    uint32_t first_position; /* row number first_position + frame */
    vka_tensor *position_products; /* not NULL: made for all rows of the table, kept there, and taken from there by layers of
                                      the same weights and table */
    vka_tensor add;         /* [n, h, w, N], added last; may be written in place by the plan */
    bool out_f32;           /* output in fp32, whatever the storage */
};
vka_tensor vka_linear(vka_build *b, vka_tensor x, const struct vka_linear_args *a);

/* Linear layers "<at[i]>.weight", ".bias" of one x, their outputs side by side in one tensor: f32 [n, h, w, C].  Layer i has
 * sides[i].n of its channels from sides[i].channel on, a multiple of 8. At most VKA_LINEAR_SIDES. */
enum { VKA_LINEAR_SIDES = 32 };
struct vka_linear_side {
    uint32_t channel, n;
};
vka_tensor vka_linear_side_by_side(vka_build *b, vka_tensor x, const vka_scope *at, uint32_t count, enum vka_act act_in,
                                   struct vka_linear_side *sides);

/* Convolution, weights "<at>.weight" [N, C, k, k], "<at>.bias".  Output (h + pad[0] + pad[1] - k) / stride + 1 rows;
 * with `upsample_h/w` > 0 the input is first enlarged to that size by nearest neighbour, by addressing:
 * source row = floor(row * h / upsample_h).  With `shortcut` a 1x1 convolution "<shortcut>.weight" [N, x2.c + x3.c(, 1, 1)],
 * "<shortcut>.bias" of x2 | x3 (x3 may be none), pictures of the output's size, is added within the same sum; only
 * for kernel 3, stride 1, without enlargement. */
struct vka_conv_args {
    vka_scope at;
    uint32_t kernel, stride; /* 1 or 3; 1 or 2 */
    uint32_t pad[4];         /* top, bottom, left, right */
    uint32_t upsample_h, upsample_w;
    vka_scope shortcut; /* path[0] = 0: none */
    vka_tensor x2, x3;  /* what the shortcut takes; of x's type */
    enum vka_act act;
    vka_tensor sample_bias;
    uint32_t bias_channel; /* of sample_bias the channels from here on; a multiple of 8 */
    vka_tensor add;
    bool out_f32;
};
vka_tensor vka_conv(vka_build *b, vka_tensor x, const struct vka_conv_args *a);

/* Group normalisation (Wu and He, 2018), as scale and shift per channel: returns f32 [n, 1, 1, 2 * vka_pitch(C)], first
 * all scales (gamma * rstd), then all shifts (beta - mean * scale), C = x.c + x2.c; zero in the pads.
 * Statistics per sample over h, w and the channels of a group; with `joint` over all frames of a branch too.
 * Weights "<at>.weight", "<at>.bias" [C]. */
vka_tensor vka_group_norm(vka_build *b, vka_tensor x, vka_tensor x2, vka_scope at, uint32_t groups, float eps, bool joint);
/* act(x * scale + shift) of x and x2 side by side: [n, h, w, x.c + x2.c]. */
vka_tensor vka_norm_apply(vka_build *b, vka_tensor x, vka_tensor x2, vka_tensor norm, enum vka_act act);

/* Layer normalisation over c; weights "<at>.weight", "<at>.bias" [c]. */
vka_tensor vka_layer_norm(vka_build *b, vka_tensor x, vka_scope at, float eps);

/* softmax(q k^T * scale) v per head; q, k, v are channel ranges of tensors, `heads` slots of vka_pitch(head_dim)
 * elements each, beginning at the given channel.  Output [n, h, w, heads * vka_pitch(head_dim)], pads zero. */
enum vka_attention_kind {
    VKA_ATTENTION_SPATIAL,  /* tokens are the pixels of a sample; k and v may have others than q */
    VKA_ATTENTION_CROSS,    /* k, v: [prompts, 1, T, ...] GLOBAL; sample s takes prompt index[s]; or SAMPLE: its own */
    VKA_ATTENTION_TEMPORAL  /* tokens are the frames of a branch, at each pixel; read in place */
};
struct vka_attention_args {
    enum vka_attention_kind kind;
    vka_tensor q, k, v;
    uint32_t q_channel, k_channel, v_channel;
    uint32_t heads, head_dim;
    float scale;      /* 0: 1 / sqrt(head_dim) */
    bool causal;      /* token t sees tokens 0 .. t */
    vka_tensor index; /* VKA_ATTENTION_CROSS: i32, SAMPLE domain [n, 1, 1, 1] */
    struct vka_frame_phase phase; /* VKA_ATTENTION_TEMPORAL with a length: in these windows; other frames' outputs are not written */
    vka_scope label;
};
vka_tensor vka_attention(vka_build *b, const struct vka_attention_args *a);

/* Sinusoidal timestep embedding (Vaswani et al. 2017; as DDPM): t f32 GLOBAL [1,1,1,1] -> f32 GLOBAL [1,1,1,dim];
 * half = dim/2, f_i = exp(-ln(10000) i / (half - shift)); [cos, sin] when `flip`, else [sin, cos]. */
vka_tensor vka_timestep_embedding(vka_build *b, vka_tensor t, uint32_t dim, bool flip_sin_to_cos, float shift);

/* Rows of "<token>.weight" [V, D] at ids (i32 [n, 1, T, 1]) plus rows 0.. of "<position>.weight" [L, D]. */
vka_tensor vka_token_embedding(vka_build *b, vka_tensor ids, vka_scope token, vka_scope position);

/* Rows as tokens: [n, 1, T, c], first rows of x, behind them all rows of y.  What is not of the domain SAMPLE is a table, f32
 * [1, 1, R, c] (vka_weight_table), that every sample gets. */
struct vka_rows_args {
    vka_tensor x, y;      /* x a table or of the storage's type; y of the storage's, or none */
    uint32_t take;        /* rows of x; 0: all */
    uint32_t split;       /* > 1: each row of x is so many rows, of c / split channels (a multiple of 8) */
    vka_tensor positions; /* a table of at least T rows that is added; none */
    vka_tensor like;      /* where x is a table and y none: a tensor whose domain the output has */
    vka_scope label;
};
vka_tensor vka_rows(vka_build *b, const struct vka_rows_args *a);

/* out = sum over i of coefficient[first + i] * x[i]; 1 to 6 tensors of one shape, f32, in double-checked fp32; coefficients
 * f32 GLOBAL [1,1,1,m].  Guidance, sampler updates and input scaling are this one operator. `branch[i]` shifts x[i]
 * by that many branches (an x may hold more samples than the output: GLOBAL domain tensors [N, h, w, c] are allowed). */
struct vka_combine_args {
    vka_tensor x[6];
    uint32_t skip[6]; /* x[i] starts at this sample */
    uint32_t count;
    vka_tensor coefficients;
    uint32_t first;
    vka_scope label;
    bool to_samples; /* output in the domain SAMPLE even where every x is GLOBAL; an x with fewer samples repeats */
};
vka_tensor vka_combine(vka_build *b, const struct vka_combine_args *a);

/* guided * (phi * sd(positive) / sd(guided) + 1 - phi), sd over pixels and channels of each sample: guidance with the spread
 * of its absence (Lin et al. 2023, 3.4).  f32 tensors of one shape; phi, 0 .. 1, is element `first` of an f32 GLOBAL
 * [1,1,1,m]. */
vka_tensor vka_rescale(vka_build *b, vka_tensor guided, vka_tensor positive, vka_tensor phi, uint32_t first);
/* x + w (y - x), w being channel `channel` of `weights` (f32 SAMPLE [n, 1, 1, m]) for each sample; in fp32, and where w is 0 or
 * 1 exactly x or y.  May be written over y. */
vka_tensor vka_blend(vka_build *b, vka_tensor x, vka_tensor y, vka_tensor weights, uint32_t channel, vka_scope label);
/* The running mean of windows of frames: x + s (y - x), x being the mean of the phases before, y phase number `phase`, s the
 * frame's vka_frame_windows_share(); where that is 0 or 1 exactly x or y, whatever the other holds.  May be written over y. */
vka_tensor vka_merge_windows(vka_build *b, vka_tensor x, vka_tensor y, const struct vka_frame_windows *w, uint32_t phase,
                             vka_scope label);
/* x + w y, likewise; where w is 0 exactly x, whatever y holds.  May be written over x. */
vka_tensor vka_add_scaled(vka_build *b, vka_tensor x, vka_tensor y, vka_tensor weights, uint32_t channel, vka_scope label);
/* x + (w factor) y. */
vka_tensor vka_add_scaled_by(vka_build *b, vka_tensor x, vka_tensor y, vka_tensor weights, uint32_t channel, float factor,
                             vka_scope label);
/* x + m (y - x), m being an f32 SAMPLE [n, h, w, 1] for each pixel, likewise: where it is 0 or 1 exactly x or y.  May be written
 * over y. */
vka_tensor vka_mask_blend(vka_build *b, vka_tensor x, vka_tensor y, vka_tensor mask, vka_scope label);
/* x with channels first .. first + count - 1 (multiples of 4) times w, likewise.  May be written over x. */
vka_tensor vka_scale_channels(vka_build *b, vka_tensor x, uint32_t first, uint32_t count, vka_tensor weights, uint32_t channel,
                              vka_scope label);

/* sum + w_0 x[from_0] + w_1 x[from_1] .., rounded term by term: what several windows predict for each sample's frame, by weight.
 * sum f32 SAMPLE [n, h, w, c]; x f32 GLOBAL [m, h, w, c]; table f32 SAMPLE [n, 1, 1, 2 terms]: pairs of a sample of x and its
 * weight, the sample below 0 where there is none.  May be written over sum. */
vka_tensor vka_merge(vka_build *b, vka_tensor sum, vka_tensor x, vka_tensor table);

/* The discrete Fourier transform along one axis (the inverse one with its 1 / length): x f32 SAMPLE [n, h, w, 2 m], m a multiple
 * of 4, the real parts of m complex numbers and behind them the imaginary parts -> the same.  `table` f32 GLOBAL
 * [1, 1, 1, 2 length] of vka_dft_table().  `filter`: none, or f32 SAMPLE [n, h, w, any], whose channel 0 multiplies what
 * comes out. */
enum vka_dft_axis { VKA_DFT_FRAMES, VKA_DFT_ROWS, VKA_DFT_COLUMNS };
vka_tensor vka_dft(vka_build *b, vka_tensor x, enum vka_dft_axis axis, bool inverse, vka_tensor table, vka_tensor filter);
/* cos and sin of 2 pi j / length in turn, j = 0 .. length - 1, made in double: out[2 length]. */
void vka_dft_table(uint32_t length, float *out);

/* x's row index[s] for each sample s, as it is: x GLOBAL [m, h, w, c] -> SAMPLE [n, h, w, c]; index i32 SAMPLE [n, 1, 1, 1], none
 * where m is 1. */
vka_tensor vka_spread(vka_build *b, vka_tensor x, vka_tensor index, vka_scope label);

/* LoRAs that are not merged, since their weight is another for each sample: a layer that they touch becomes
 * y = act(x W^T + bias + sum over k of w_k (x D_k^T) U_k^T) + add, in vka_linear and vka_conv.  The factors are found under the
 * prefix "lora.": "<layer>.down.weight", all D one behind the other, each with `width` rows, and "<layer>.up.weight", all U side by
 * side; "<layer>.up_I_P.weight" is that of part I of P stacked layers: `width` columns for each part, zero but for its own.
 * A layer of something GLOBAL (text, time) becomes one of each sample.  build->low_rank points to one of these while a network is
 * built. */
enum { VKA_LOW_RANKS = 8 };
struct vka_low_rank {
    void *user;
    /* How many rows the D of each LoRA have at a layer, multiples of 8, 0 for none; the same for layers that are stacked.  False
     * where no LoRA touches the layer. */
    bool (*widths)(void *user, const char *layer, uint32_t width[VKA_LOW_RANKS]);
    vka_tensor table; /* f32 SAMPLE [n, 1, 1, m]: w_k is channel `first` + k */
    uint32_t first;
    vka_tensor index; /* the sample's row of what is GLOBAL and has more than one */
};
/* Whether a layer is touched. */
bool vka_low_rank_touches(const vka_build *b, vka_scope layer);

/* round((clamp(x, -1, 1) + 1) * 127.5) of channels 0..2, halves to even as torch: [n, h, w, >=3] -> U8X4 [n, h, w, 1], byte 3 = 255.
 * NaN and infinity become 0 with byte 3 = 0, so that the reader can tell. */
vka_tensor vka_picture(vka_build *b, vka_tensor x);

/* The way back: pictures U8X4 SAMPLE [n, H, W, 1] -> [n, H, W, channels] in storage type, byte k over 255 being channel k of 3 or
 * 4; with `swap` red and blue change places. */
vka_tensor vka_hint(vka_build *b, vka_tensor x, uint32_t channels, bool swap);

/* A weight of its own: "<s>.<name>" converted to f32, [1, 1, rows, columns] (rank 1: rows = 1); leading dimensions of size
 * 1 are dropped.  `rows`: with c = vka_pitch(columns), zero behind each row, as the rows of a product need it.  `again`: so,
 * `rows` rows, number r being the model's row r mod `every`, zero where that is not among the first `length`. */
vka_tensor vka_weight_table(vka_build *b, vka_scope s, const char *name);
vka_tensor vka_weight_rows(vka_build *b, vka_scope s, const char *name);
vka_tensor vka_weight_rows_again(vka_build *b, vka_scope s, const char *name, uint32_t length, uint32_t every, uint32_t rows);

/* ---- packing ------------------------------------------------------------------------------------- */

/* Makes the bytes of a weight tensor: `dst` has room for vka_tensor_bytes(info).  Called once per weight at load. */
vka_status vka_pack_weight(const struct vka_tensor_info *info, void *dst, vka_error *err);

#endif

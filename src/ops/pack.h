/* pack.h - packed weights: how a model's tensors become the bytes that kernels read.
 *
 * A matrix W [N, K] is stored as panels [n_packed / panel][k_packed / group][panel][group]: element (k, n) lies at
 * (n / panel) * k_packed * panel + k / group * group * panel + n % panel * group + k % group.  `group` is 1 for the portable
 * kernels, whose invocations take neighbouring columns, and 8 for matrix kernels, which take 16 bytes of a column's k at
 * once.  Rows and columns that no source fills are zero. */
#ifndef VKA_OPS_PACK_H
#define VKA_OPS_PACK_H

#include "graph/graph.h"

enum vka_pack_kind {
    VKA_PACK_TABLE,  /* source 0 as f32; p[0]: its columns, which may be fewer than the tensor's c: then zeros.  p[2] > 0: row r is
                        the source's r mod p[2], or zero where that is not below p[1] */
    VKA_PACK_MATRIX, /* dtype f32 or f16; p is a struct vka_pack_matrix */
    VKA_PACK_BIAS    /* f32 [n_packed]; p is a struct vka_pack_matrix */
};

/* Columns: source i's row r goes to column `base(i) + slot(r)`, where slot spreads the rows over `heads_out` slots of
 * vka_pitch(rows / heads_out) columns (0: no slots), and base is what the sources before it take.  With `geglu` rows r
 * and r + N / 2 alternate in runs of `geglu`: 1 puts them side by side, half of the columns all gates behind all values. Rows: the K of a source are `taps` x channels (stored
 * [channels][taps], packed [taps][vka_pitch(channels)]); channels are c1 of a first and c2 of a second input, each
 * padded by itself; `heads_in` slots as above replace c1.  With e1 > 0 there are two sources of the same rows, added up
 * in one product: the second's K are e1 + e2 channels, behind all taps of the first, each part padded by itself; they
 * share columns and their biases are summed. */
struct vka_pack_matrix {
    uint32_t panel, group, n_packed, k_packed; /* k_packed is a multiple of group */
    uint32_t taps, c1, c2;
    uint32_t e1, e2;
    uint32_t heads_in, heads_out, geglu;
    uint32_t rows;    /* of each source; 0: as many as it has, one source behind the other, each from a multiple of 8 on */
    uint32_t present; /* bias: bit i is set when source i has one; recipe.source holds only those */
};

/* Columns that one source takes. */
uint32_t vka_pack_columns(const struct vka_pack_matrix *m);

#endif

/* pack.h - packed weights: how a model's tensors become the bytes that kernels read.
 *
 * A matrix W [N, K] is stored as panels [n_packed / panel][k_packed][panel]: element (k, n) lies at
 * (n / panel) * k_packed * panel + k * panel + n % panel.  Rows and columns that no source fills are zero. */
#ifndef VKA_OPS_PACK_H
#define VKA_OPS_PACK_H

#include "graph/graph.h"

enum vka_pack_kind {
    VKA_PACK_TABLE,  /* source 0 as f32, as it is */
    VKA_PACK_MATRIX, /* dtype f32 or f16; p is a struct vka_pack_matrix */
    VKA_PACK_BIAS    /* f32 [n_packed]; p is a struct vka_pack_matrix */
};

/* Columns: source i's row r goes to column `base(i) + slot(r)`, where slot spreads the rows over `heads_out` slots of
 * vka_pitch(rows / heads_out) columns (0: no slots), and base is what the sources before it take.  With `geglu` rows r
 * and r + N / 2 lie side by side, at 2 r and 2 r + 1. Rows: the K of a source are `taps` x channels (stored
 * [channels][taps], packed [taps][vka_pitch(channels)]); channels are c1 of a first and c2 of a second input, each
 * padded by itself; `heads_in` slots as above replace c1. */
struct vka_pack_matrix {
    uint32_t panel, n_packed, k_packed;
    uint32_t taps, c1, c2;
    uint32_t heads_in, heads_out, geglu;
    uint32_t rows;    /* of each source */
    uint32_t present; /* bias: bit i is set when source i has one; recipe.source holds only those */
};

/* Columns that one source takes. */
uint32_t vka_pack_columns(const struct vka_pack_matrix *m);

#endif

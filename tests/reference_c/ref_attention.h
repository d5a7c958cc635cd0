/* ref_attention.h - softmax attention in double precision: the specification of the operator. One head of one batch. */
#ifndef VKA_REF_ATTENTION_H
#define VKA_REF_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

/* out[i] = sum over j of softmax_j(q[i] . k[j] * scale) v[j], i < queries, j < tokens, `d` numbers each; token i
 * begins at element i * stride of its tensor. causal: j <= i. */
void ref_attention(const double *q, uint64_t q_stride, const double *k, uint64_t k_stride, const double *v,
                   uint64_t v_stride, double *out, uint64_t out_stride, uint32_t queries, uint32_t tokens, uint32_t d,
                   double scale, bool causal);

#endif

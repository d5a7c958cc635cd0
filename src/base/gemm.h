/* gemm.h - a product of fp32 matrices on the CPU, for weights that are made while a model is loaded.
 *
 * Every element of the result is one sum in the order of k, each product rounded before it is added (no fused
 * multiply-add): how a product is cut in rows or columns, and which processor makes it, changes no bit. */
#ifndef VKA_BASE_GEMM_H
#define VKA_BASE_GEMM_H

#include <stddef.h>

enum { VKA_GEMM_PANEL = 16 }; /* columns of B that lie together */

/* Floats that B [k, n] takes in panels: [n / 16, rounded up][k][16], columns behind n zero. */
size_t vka_gemm_panels(size_t k, size_t n);
/* Writes row `row` of B [k, n] to its panels. */
void vka_gemm_panel_row(float *panels, size_t k, size_t n, size_t row, const float *values);
/* C[i][j] += scale * sum over l of A[i][l] B[l][j]; A is [m, k], C [m, n], rows `lda` and `ldc` floats apart. */
void vka_gemm_add(float *c, size_t ldc, const float *a, size_t lda, const float *panels, size_t m, size_t k, size_t n,
                  float scale);

#endif

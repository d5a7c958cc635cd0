/* gemm.c - see gemm.h.
 *
 * A panel of B (k rows of 16 floats, 8 KiB at rank 128) stays in the first cache while all rows of A go over it, four at
 * a time: eight accumulators of eight floats.  On x86 the same loop is compiled a second time for AVX, which gives the
 * same bits: without fused multiply-add a wider register is only faster. */
#include "base/gemm.h"

#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

enum { PANEL = VKA_GEMM_PANEL, ROWS = 4 };

size_t vka_gemm_panels(size_t k, size_t n)
{
    return (n + PANEL - 1) / PANEL * PANEL * k;
}

void vka_gemm_panel_row(float *panels, size_t k, size_t n, size_t row, const float *values)
{
    for (size_t j = 0; j < n; j += PANEL) {
        float *to = panels + j * k + row * PANEL;
        size_t here = n - j < PANEL ? n - j : PANEL;
        memcpy(to, values + j, here * sizeof *to);
        memset(to + here, 0, (PANEL - here) * sizeof *to);
    }
}

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
typedef float eight __attribute__((vector_size(32)));
typedef float four __attribute__((vector_size(16)));
#else
#define INLINE static inline
#endif

/* Adds a tile's sums to `here` columns of a row. */
INLINE void add_row(float *c, const float *sums, size_t here, float scale)
{
    for (size_t j = 0; j < here; j++)
        c[j] += scale * sums[j];
}

/* A product by vectors of one type, PARTS of them being a panel's width.  Sums and loops are written so that compilers
 * unroll them and keep the sums in registers. */
#define DEFINE_PRODUCT(NAME, VECTOR, PARTS, ATTRIBUTE)                                                                 \
    INLINE void NAME##_four(float *c, size_t ldc, const float *a, size_t lda, const float *panel, size_t k,            \
                            size_t here, float scale)                                                                  \
    {                                                                                                                  \
        VECTOR s[ROWS][PARTS];                                                                                         \
        memset(s, 0, sizeof s);                                                                                        \
        for (size_t l = 0; l < k; l++)                                                                                 \
            for (int p = 0; p < (PARTS); p++) {                                                                        \
                VECTOR b;                                                                                              \
                memcpy(&b, panel + l * PANEL + (size_t)p * (PANEL / (PARTS)), sizeof b);                               \
                for (int r = 0; r < ROWS; r++)                                                                         \
                    s[r][p] += a[(size_t)r * lda + l] * b;                                                             \
            }                                                                                                          \
        float sums[ROWS][PANEL];                                                                                       \
        memcpy(sums, s, sizeof sums);                                                                                  \
        for (int r = 0; r < ROWS; r++)                                                                                 \
            add_row(c + (size_t)r * ldc, sums[r], here, scale);                                                        \
    }                                                                                                                  \
    INLINE void NAME##_one(float *c, const float *a, const float *panel, size_t k, size_t here, float scale)           \
    {                                                                                                                  \
        VECTOR s[PARTS];                                                                                               \
        memset(s, 0, sizeof s);                                                                                        \
        for (size_t l = 0; l < k; l++)                                                                                 \
            for (int p = 0; p < (PARTS); p++) {                                                                        \
                VECTOR b;                                                                                              \
                memcpy(&b, panel + l * PANEL + (size_t)p * (PANEL / (PARTS)), sizeof b);                               \
                s[p] += a[l] * b;                                                                                      \
            }                                                                                                          \
        float sums[PANEL];                                                                                             \
        memcpy(sums, s, sizeof sums);                                                                                  \
        add_row(c, sums, here, scale);                                                                                 \
    }                                                                                                                  \
    ATTRIBUTE static void NAME(float *c, size_t ldc, const float *a, size_t lda, const float *panels, size_t m,        \
                               size_t k, size_t n, float scale)                                                        \
    {                                                                                                                  \
        for (size_t j = 0; j < n; j += PANEL) {                                                                        \
            size_t here = n - j < PANEL ? n - j : PANEL, i = 0;                                                        \
            for (; i + ROWS <= m; i += ROWS)                                                                           \
                NAME##_four(c + i * ldc + j, ldc, a + i * lda, lda, panels + j * k, k, here, scale);                   \
            for (; i < m; i++)                                                                                         \
                NAME##_one(c + i * ldc + j, a + i * lda, panels + j * k, k, here, scale);                              \
        }                                                                                                              \
    }

#if defined(__GNUC__)
DEFINE_PRODUCT(product_plain, four, 4, )
#else
DEFINE_PRODUCT(product_plain, float, 16, )
#endif
#if defined(__GNUC__) && defined(__x86_64__)
DEFINE_PRODUCT(product_avx, eight, 2, __attribute__((target("avx"))))
#endif

void vka_gemm_add(float *c, size_t ldc, const float *a, size_t lda, const float *panels, size_t m, size_t k, size_t n,
                  float scale)
{
#if defined(__GNUC__) && defined(__x86_64__)
    if (__builtin_cpu_supports("avx")) {
        product_avx(c, ldc, a, lda, panels, m, k, n, scale);
        return;
    }
#endif
    product_plain(c, ldc, a, lda, panels, m, k, n, scale);
}

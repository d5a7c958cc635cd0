/* data.c - see data.h. */
#include "data.h"

#include "base/half.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { POOL = 1048573 /* prime */, CHUNK = 8 << 20 /* bytes written at once */ };

vka_status bench_pool_open(struct bench_pool *p, vka_error *err)
{
    *p = (struct bench_pool){malloc(POOL * sizeof(float)), malloc(POOL * sizeof(uint16_t)), POOL};
    if (!p->f32 || !p->f16) {
        bench_pool_close(p);
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    uint64_t s = 0x9e3779b97f4a7c15u;
    for (uint32_t i = 0; i < POOL; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
        p->f16[i] = vka_float_to_half((float)(uint32_t)(s >> 40) / 8388608.0f - 1.0f);
        p->f32[i] = vka_half_to_float(p->f16[i]);
    }
    return VKA_OK;
}

void bench_pool_close(struct bench_pool *p)
{
    free(p->f32);
    free(p->f16);
    *p = (struct bench_pool){0};
}

static uint32_t start_of(const struct bench_pool *pool, const struct bench_fill *fill, uint64_t element)
{
    return (uint32_t)((element + (uint64_t)fill->salt * 104729) % pool->size);
}

static float rounded(const struct vka_tensor_info *info, float v)
{
    return info->dtype == VKA_F16 ? vka_half_to_float(vka_float_to_half(v)) : v;
}

uint32_t bench_block_rows(const struct vka_tensor_info *stats, uint32_t rows, uint32_t index)
{
    uint64_t first = (uint64_t)index * stats->block;
    return first >= rows ? 0 : rows - first < stats->block ? (uint32_t)(rows - first) : stats->block;
}

/* One value, from the pool's `u`. */
static float value_of(const struct bench_fill *fill, const struct vka_tensor_info *info, uint32_t sample,
                      uint32_t pixel, uint32_t c, float u)
{
    uint32_t half = info->c / 2, channel = c < half ? c : c - half;
    switch (fill->kind) {
    case BENCH_FILL_UNIFORM:
        break;
    case BENCH_FILL_NORM:
        return channel < fill->normed ? rounded(info, (c < half ? 1.0f : 0.0f) + 0.5f * u) : 0.0f;
    case BENCH_FILL_STATS:
        if (channel >= fill->normed)
            return 0;
        return c < half ? 0.5f * u : (float)bench_block_rows(info, fill->rows, pixel) * (0.3f + 0.2f * u);
    case BENCH_FILL_BRANCH:
        return (float)(sample / fill->limit);
    case BENCH_FILL_TOKEN:
        return (float)((uint32_t)((u + 1.0f) * 1048576.0f) % fill->limit);
    case BENCH_FILL_STEP:
        return 501;
    }
    return u;
}

void bench_data_row(const struct bench_pool *pool, const struct bench_fill *fill, const struct vka_tensor_info *info,
                    uint32_t sample, uint32_t pixel, uint32_t first, uint32_t count, double *out)
{
    uint64_t element = ((uint64_t)sample * info->h * info->w + pixel) * info->pitch + first;
    uint32_t at = start_of(pool, fill, element);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t c = first + i;
        float u = pool->f32[at];
        at = at + 1 == pool->size ? 0 : at + 1;
        bool pad = c >= info->c || (fill->slot && c % fill->slot >= fill->valid);
        out[i] = pad ? 0.0 : (double)value_of(fill, info, sample, pixel, c, u);
    }
}

/* Elements element .. element + count - 1 of a tensor that is all pool: no pads, no slots. */
static void copy_pool(const struct bench_pool *pool, const struct bench_fill *fill, enum vka_dtype type,
                      uint64_t element, size_t count, void *out)
{
    uint32_t at = start_of(pool, fill, element);
    size_t size = vka_dtype_bytes(type);
    const char *from = type == VKA_F16 ? (const char *)pool->f16 : (const char *)pool->f32;
    for (size_t done = 0; done < count; at = 0) {
        size_t n = pool->size - at < count - done ? pool->size - at : count - done;
        memcpy((char *)out + done * size, from + at * size, n * size);
        done += n;
    }
}

static void store_row(const struct vka_tensor_info *info, const double *row, uint32_t count, void *out)
{
    for (uint32_t i = 0; i < count; i++)
        if (info->dtype == VKA_F16)
            ((uint16_t *)out)[i] = vka_float_to_half((float)row[i]);
        else if (info->dtype == VKA_I32)
            ((int32_t *)out)[i] = (int32_t)row[i];
        else
            ((float *)out)[i] = (float)row[i];
}

vka_status bench_upload(vka_gpu *gpu, const struct bench_pool *pool, const struct bench_fill *fill,
                        const struct vka_tensor_info *info, vka_block *block, uint64_t offset, vka_error *err)
{
    size_t row = info->pitch, size = vka_dtype_bytes(info->dtype);
    uint64_t rows = (uint64_t)info->n * info->h * info->w, most = CHUNK / (row * size);
    most = most ? most : 1;
    bool plain = fill->kind == BENCH_FILL_UNIFORM && info->c == info->pitch && !fill->slot &&
                 (info->dtype == VKA_F16 || info->dtype == VKA_F32);
    char *chunk = malloc(most * row * size);
    double *one = malloc(row * sizeof *one);
    vka_status s = chunk && one ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of host memory");
    for (uint64_t r = 0; s == VKA_OK && r < rows; r += most) {
        uint64_t n = rows - r < most ? rows - r : most;
        if (plain)
            copy_pool(pool, fill, info->dtype, r * row, (size_t)n * row, chunk);
        for (uint64_t k = 0; !plain && k < n; k++) {
            uint32_t pixels = info->h * info->w;
            bench_data_row(pool, fill, info, (uint32_t)((r + k) / pixels), (uint32_t)((r + k) % pixels), 0, info->pitch,
                           one);
            store_row(info, one, info->pitch, chunk + k * row * size);
        }
        s = vka_block_write(gpu, block, offset + r * row * size, chunk, n * row * size, err);
    }
    free(chunk);
    free(one);
    return s;
}

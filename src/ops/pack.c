/* pack.c - packing weights.  See pack.h for the layout.
 *
 * A matrix is converted some rows at a time (one panel's worth, or fewer where rows are long), so that the room needed
 * beside the packed bytes stays within a few megabytes whatever the size of the model. */
#include "ops/pack.h"

#include "base/half.h"
#include "base/machine.h"
#include "base/thread.h"
#include "ops/ops.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_FLOATS = 1 << 20 };

static uint32_t slot(uint32_t i, uint32_t total, uint32_t heads)
{
    if (!heads)
        return i;
    uint32_t width = total / heads;
    return i / width * vka_pitch(width) + i % width;
}

uint32_t vka_pack_columns(const struct vka_pack_matrix *m)
{
    return m->heads_out ? m->heads_out * vka_pitch(m->rows / m->heads_out) : m->rows;
}

/* Rows of source `i`. */
static uint32_t rows_of(const struct vka_weight_recipe *recipe, const struct vka_pack_matrix *m, uint32_t i)
{
    return m->rows ? m->rows : (uint32_t)recipe->source[i].dims[0];
}

/* The first column of source `i`. */
static uint32_t first_column(const struct vka_weight_recipe *recipe, const struct vka_pack_matrix *m, uint32_t i)
{
    uint32_t first = 0;
    if (m->e1 || m->rows)
        return m->e1 ? 0 : i * vka_pack_columns(m);
    for (uint32_t k = 0; k < i; k++)
        first += vka_pitch(rows_of(recipe, m, k));
    return first;
}

/* Column of row `r` of a source, whose columns begin at `first`. */
static uint32_t column(const struct vka_pack_matrix *m, uint32_t first, uint32_t r)
{
    if (m->geglu) {
        uint32_t c = r % (m->rows / 2);
        return c / m->geglu * 2 * m->geglu + c % m->geglu + (r < m->rows / 2 ? 0 : m->geglu);
    }
    return first + slot(r, m->rows, m->heads_out);
}

/* Elements of a row of source `i`. */
static uint32_t row_length(const struct vka_pack_matrix *m, uint32_t i)
{
    return m->e1 && i ? m->e1 + m->e2 : (m->c1 + m->c2) * m->taps;
}

/* Packed row of element `k` of a row of source `i`. */
static uint32_t packed_row(const struct vka_pack_matrix *m, uint32_t i, uint32_t k)
{
    if (m->e1 && i)
        return m->taps * vka_pitch(m->c1) + (k < m->e1 ? k : vka_pitch(m->e1) + k - m->e1);
    uint32_t c = k / m->taps, tap = k % m->taps;
    if (m->heads_in)
        return slot(c, m->c1, m->heads_in);
    if (c >= m->c1)
        return vka_pitch(m->c1) + c - m->c1;
    return tap * vka_pitch(m->c1) + c;
}

/* Element (k, n) lies at place(n) + below(k). */
static uint64_t place(const struct vka_pack_matrix *m, uint32_t n)
{
    return (uint64_t)(n / m->panel) * m->k_packed * m->panel + (uint64_t)(n % m->panel) * m->group;
}

static uint64_t below(const struct vka_pack_matrix *m, uint32_t k)
{
    return (uint64_t)(k / m->group) * m->group * m->panel + k % m->group;
}

/* What is converted at a time: some ks of some rows, in the first cache. */
enum { TILE_ROWS = 64, TILE_KS = 72, TILE = TILE_KS * (TILE_ROWS + 1) };

/* The first row behind those from `first` on whose columns lie side by side. */
static uint32_t run_end(const uint64_t *at, uint32_t first, uint32_t rows)
{
    uint32_t r = first + 1;
    while (r < rows && at[r] == at[r - 1] + 1)
        r++;
    return r;
}

/* Columns lie side by side: the tile is turned over, so that whole runs of them are written.  Its pitch is odd, so that its
 * columns do not share one place in the cache. */
static void scatter_runs(void *dst, bool f16, const float *src, const uint64_t *at, const uint64_t *down, uint32_t rows, uint32_t k)
{
    float tile[TILE];
    uint16_t halves[TILE];
    uint32_t pitch = rows | 1;
    for (uint32_t first = 0; first < k; first += TILE_KS) {
        uint32_t n = vka_min_u32(TILE_KS, k - first);
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t i = 0; i < n; i++)
                tile[i * pitch + r] = src[(size_t)r * k + first + i];
        for (uint32_t i = 0; pitch > rows && i < n; i++)
            tile[i * pitch + rows] = 0;
        if (f16)
            vka_floats_to_halves(halves, tile, (size_t)n * pitch);
        for (uint32_t r = 0, end; r < rows; r = end) {
            end = run_end(at, r, rows);
            for (uint32_t i = 0; i < n; i++)
                if (f16)
                    memcpy((uint16_t *)dst + down[first + i] + at[r], halves + i * pitch + r, (end - r) * sizeof *halves);
                else
                    memcpy((float *)dst + down[first + i] + at[r], tile + i * pitch + r, (end - r) * sizeof *tile);
        }
    }
}

/* Columns lie apart, some ks of one side by side. */
static void scatter_groups(void *dst, bool f16, const float *src, const uint64_t *at, const uint64_t *down, uint32_t rows, uint32_t k,
                           uint32_t taps)
{
    uint16_t halves[TILE_KS];
    for (uint32_t first = 0; first < k; first += TILE_KS) {
        uint32_t n = vka_min_u32(TILE_KS, k - first);
        for (uint32_t r = 0; r < rows; r++) {
            const float *row = src + (size_t)r * k + first;
            uint16_t *to16 = (uint16_t *)dst + at[r];
            float *to32 = (float *)dst + at[r];
            if (f16)
                vka_floats_to_halves(halves, row, n);
            for (uint32_t t = 0; t < taps; t++)
                for (uint32_t i = t; i < n; i += taps)
                    if (f16)
                        to16[down[first + i]] = halves[i];
                    else
                        to32[down[first + i]] = row[i];
        }
    }
}

/* Rows first .. end - 1 of a source of a matrix: what one thread packs.  Threads write different columns. */
struct share {
    const struct vka_tensor_info *info;
    const struct vka_pack_matrix *m;
    void *dst;
    const uint64_t *down; /* of the source's ks */
    float *chunk;         /* [most][k] */
    uint64_t at[TILE_ROWS];
    uint32_t source, column, k, first, end, most;
};

static void pack_rows(void *arg)
{
    struct share *p = arg;
    const struct vka_weight_recipe *recipe = p->info->recipe;
    bool f16 = p->info->dtype == VKA_F16;
    for (uint32_t r = p->first; r < p->end; r += p->most) {
        uint32_t rows = vka_min_u32(p->most, p->end - r);
        recipe->from->to_f32(recipe->from->user, &recipe->source[p->source], (uint64_t)r * p->k, (uint64_t)rows * p->k, p->chunk);
        for (uint32_t j = 0; j < rows; j++)
            p->at[j] = place(p->m, column(p->m, p->column, r + j));
        if (p->m->group == 1)
            scatter_runs(p->dst, f16, p->chunk, p->at, p->down, rows, p->k);
        else
            scatter_groups(p->dst, f16, p->chunk, p->at, p->down, rows, p->k, p->m->taps);
    }
}

enum { MOST_THREADS = 8, WORTH_A_THREAD = 1 << 18 /* elements */ };

/* Threads for a source of `rows` rows of `k`: numbers that are made of others' (recipe.source.changes) want one. */
static uint32_t threads_for(const struct vka_weight_data *w, uint32_t rows, uint32_t k, uint32_t most)
{
    uint64_t n = (uint64_t)rows * k / WORTH_A_THREAD;
    n = n < vka_div_up(rows, most) ? n : vka_div_up(rows, most);
    n = n < vka_machine_cores() ? n : vka_machine_cores();
    return w->changes || n < 1 ? 1 : n < MOST_THREADS ? (uint32_t)n : MOST_THREADS;
}

/* One source, its rows cut in even shares of whole tiles. */
static void pack_source(const struct share *all, uint32_t threads, float *chunks)
{
    struct share shares[MOST_THREADS];
    vka_thread *workers[MOST_THREADS] = {NULL};
    uint32_t tiles = vka_div_up(all->end, all->most), next = 0;
    for (uint32_t t = 0; t < threads; t++) {
        shares[t] = *all;
        shares[t].first = next * all->most;
        next += (tiles - next) / (threads - t);
        shares[t].end = vka_min_u32(next * all->most, all->end);
        shares[t].chunk = chunks + (size_t)t * all->most * all->k;
        workers[t] = t + 1 < threads ? vka_thread_start(pack_rows, &shares[t]) : NULL;
        if (!workers[t]) /* the last share, or no thread to be had */
            pack_rows(&shares[t]);
    }
    for (uint32_t t = 0; t < threads; t++)
        vka_thread_join(&workers[t]);
}

static vka_status pack_matrix(const struct vka_tensor_info *info, void *dst, vka_error *err)
{
    const struct vka_weight_recipe *recipe = info->recipe;
    struct vka_pack_matrix m;
    memcpy(&m, recipe->p, sizeof m);
    memset(dst, 0, vka_tensor_bytes(info));
    uint32_t longest = vka_max_u32(row_length(&m, 0), row_length(&m, 1)), threads = 1;
    /* as many rows as a tile has, so that their runs of columns do not straddle panels */
    uint32_t most = vka_max_u32(1, vka_min_u32(vka_min_u32(m.panel, TILE_ROWS), CHUNK_FLOATS / longest));
    for (uint32_t i = 0; i < recipe->sources; i++)
        threads = vka_max_u32(threads, threads_for(&recipe->source[i], rows_of(recipe, &m, i), row_length(&m, i), most));
    float *chunks = malloc((size_t)threads * most * longest * sizeof *chunks);
    uint64_t *down = malloc((size_t)longest * sizeof *down);
    vka_status s = VKA_OK;
    if (!chunks || !down)
        s = vka_fail(err, VKA_E_MEMORY, "out of host memory packing '%s'", info->name);
    for (uint32_t i = 0; s == VKA_OK && i < recipe->sources; i++) {
        struct share all = {.info = info, .m = &m, .dst = dst, .down = down, .source = i, .most = most};
        all.k = row_length(&m, i);
        all.end = rows_of(recipe, &m, i);
        all.column = first_column(recipe, &m, i);
        for (uint32_t j = 0; j < all.k; j++)
            down[j] = below(&m, packed_row(&m, i, j));
        pack_source(&all, threads_for(&recipe->source[i], all.end, all.k, most), chunks);
    }
    free(chunks);
    free(down);
    return s;
}

static vka_status pack_bias(const struct vka_tensor_info *info, float *dst, vka_error *err)
{
    const struct vka_weight_recipe *recipe = info->recipe;
    struct vka_pack_matrix m;
    memcpy(&m, recipe->p, sizeof m);
    memset(dst, 0, vka_tensor_bytes(info));
    uint32_t most = 1;
    for (uint32_t i = 0; i < recipe->sources; i++)
        most = vka_max_u32(most, rows_of(recipe, &m, i));
    float *rows = malloc(most * sizeof *rows);
    if (!rows)
        return vka_fail(err, VKA_E_MEMORY, "out of host memory packing '%s'", info->name);
    uint32_t have = 0;
    for (uint32_t i = 0; i < 32 && m.present >> i; i++) {
        if (!(m.present >> i & 1))
            continue;
        uint32_t all = rows_of(recipe, &m, have), first = first_column(recipe, &m, i);
        recipe->from->to_f32(recipe->from->user, &recipe->source[have++], 0, all, rows);
        for (uint32_t r = 0; r < all; r++)
            dst[column(&m, first, r)] += rows[r];
    }
    free(rows);
    return VKA_OK;
}

static void pack_table(const struct vka_tensor_info *info, float *dst)
{
    const struct vka_weight_recipe *recipe = info->recipe;
    uint64_t rows = (uint64_t)info->n * info->h * info->w, columns = recipe->p[0], length = recipe->p[1], every = recipe->p[2];
    if (columns == info->c && !every) {
        recipe->from->to_f32(recipe->from->user, &recipe->source[0], 0, rows * columns, dst);
        return;
    }
    memset(dst, 0, vka_tensor_bytes(info));
    for (uint64_t r = 0; r < rows; r++)
        if (!every || r % every < length)
            recipe->from->to_f32(recipe->from->user, &recipe->source[0], (every ? r % every : r) * columns, columns, dst + r * info->c);
}

vka_status vka_pack_weight(const struct vka_tensor_info *info, void *dst, vka_error *err)
{
    const struct vka_weight_recipe *recipe = info->recipe;
    switch ((enum vka_pack_kind)recipe->kind) {
    case VKA_PACK_TABLE:
        pack_table(info, dst);
        return VKA_OK;
    case VKA_PACK_MATRIX:
        return pack_matrix(info, dst, err);
    case VKA_PACK_BIAS:
        return pack_bias(info, dst, err);
    }
    return vka_fail(err, VKA_E_INTERNAL, "'%s' has an unknown recipe", info->name);
}

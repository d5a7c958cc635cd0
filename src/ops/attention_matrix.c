/* attention_matrix.c - attention on cooperative matrices (shaders/attention_khr.comp): which shapes it takes, and the layout.
 *
 * Bits depend on the fragment and on `step`, which are functions of the kernel table and of the number of tokens; rows, block,
 * team, teams and transposed only decide who computes what, and where it waits meanwhile. */
#include "ops/attention.h"

#include <string.h>

enum {
    MOST_SLOT = 160,  /* channels of the largest head whose sums stay in one subgroup's registers */
    SUBGROUPS = 4,    /* of a workgroup */
    NARROW = 80,      /* channels of a head with which a subgroup holds 32 queries, else 16 */
    LONG_ROW = 96,    /* tokens from which a step of 32 keys wastes little in the last one */
    MOST_BLOCK = 64,
    FETCH = 12,       /* 16-byte vectors of K and V that an invocation may hold while they are under way */
    AMD = 0x1002,
    MESA_SOFTWARE = 0x10005 /* lavapipe: what is unrolled takes LLVM minutes */
};

static uint32_t least_multiple(uint32_t x, uint32_t a, uint32_t b)
{
    uint32_t m = x;
    while (m % a || m % b)
        m++;
    return m;
}

/* As the constants of shaders/attention_khr.comp. */
uint32_t vka_attention_shared(const struct vka_kernel_table *t, uint32_t slot, const struct vka_attention_tile *l)
{
    uint32_t m = t->matrix.m, n = t->matrix.n, k = t->matrix.k;
    uint32_t deep = (uint32_t)vka_round_up(slot, k), wide = (uint32_t)vka_round_up(slot, n);
    uint32_t staged_k = l->block * (deep / 8 | 1);
    uint32_t staged_v = l->transposed ? wide * (l->block / 8 | 1) : l->block * (wide / 8 | 1);
    uint32_t room = vka_max_u32(m * (l->step / 4 | 1), l->rows * m * (l->step / 8 | 1)) + 3 * (l->rows * m / 4);
    return 16 * l->teams * (staged_k + staged_v + l->team * room);
}

/* Vectors of K and V in an invocation's registers. */
static uint32_t fetched(const struct vka_kernel_table *t, uint32_t slot, const struct vka_attention_tile *l)
{
    uint32_t crew = l->team * t->subgroup_size, pair = l->transposed ? 2 : 1;
    return vka_div_up(l->block * slot / 8, crew) + pair * vka_div_up(l->block / pair * slot / 8, crew);
}

/* The tile with at most `rows` fragments of queries in each of at most `subgroups`; false when it does not fit the device. */
static bool lay_out(const struct vka_kernel_table *t, const struct vka_attention_shape *s, uint32_t rows, uint32_t subgroups,
                    uint32_t block, struct vka_attention_tile *l)
{
    uint32_t unit = least_multiple(8, t->matrix.n, t->matrix.k);
    if (t->subgroup_size == 0 || t->shared_bytes == 0)
        return false;
    l->step = least_multiple(s->tokens >= LONG_ROW && t->vendor != MESA_SOFTWARE ? 32 : 16, unit, unit);
    l->transposed = t->vendor == AMD;
    l->rows = vka_min_u32(t->vendor == MESA_SOFTWARE ? 1 : rows, vka_div_up(s->queries, t->matrix.m));
    subgroups = vka_min_u32(subgroups, t->max_invocations / t->subgroup_size);
    l->team = vka_min_u32(subgroups, vka_div_up(s->queries, l->rows * t->matrix.m));
    l->teams = l->team ? subgroups / l->team : 0;
    uint32_t whole = (uint32_t)vka_round_up(s->tokens, l->step);
    l->block = vka_min_u32((uint32_t)vka_round_up(block, l->step), whole);
    for (;;) {
        bool fits = l->teams > 0 && vka_attention_shared(t, s->slot, l) <= t->shared_bytes;
        if (fits && (fetched(t, s->slot, l) <= FETCH || l->block == l->step))
            return true;
        if (l->block > l->step)
            l->block -= l->step;
        else if (l->teams > 1)
            l->teams--;
        else if (l->team > 1)
            l->team--;
        else
            return false;
    }
}

bool vka_attention_matrix(const struct vka_kernel_table *t, enum vka_dtype storage,
                          const struct vka_attention_shape *s, struct vka_attention_tile *tile)
{
    if (t->path < VKA_PATH_KHR || storage != VKA_F16 || s->slot > MOST_SLOT || t->matrix.m % 4 || t->matrix.n % 8 ||
        t->matrix.k % 8 || !vka_shader_built(VKA_SHADER_ATTENTION_KHR))
        return false;
    uint32_t rows = vka_max_u32(1, (s->slot <= NARROW ? 32 : 16) / t->matrix.m);
    return lay_out(t, s, rows, SUBGROUPS, MOST_BLOCK, tile);
}

uint32_t vka_attention_tiles(const struct vka_kernel_table *t, const struct vka_attention_shape *s,
                             struct vka_attention_tile *tiles, uint32_t most)
{
    uint32_t count = 0;
    if (most == 0 || !vka_attention_matrix(t, VKA_F16, s, &tiles[0]))
        return 0;
    count = 1;
    for (uint32_t rows = 1; rows <= 4; rows *= 2)
        for (uint32_t subgroups = 2; subgroups <= 8; subgroups *= 2)
            for (uint32_t block = 32; block <= MOST_BLOCK; block *= 2)
                for (uint32_t transposed = 0; transposed < 2; transposed++) {
                    struct vka_attention_tile l;
                    if (count == most || !lay_out(t, s, rows, subgroups, block, &l))
                        continue;
                    l.transposed = transposed;
                    bool fresh = vka_attention_shared(t, s->slot, &l) <= t->shared_bytes;
                    for (uint32_t i = 0; i < count; i++)
                        fresh = fresh && memcmp(&tiles[i], &l, sizeof l) != 0;
                    if (fresh)
                        tiles[count++] = l;
                }
    return count;
}

void vka_attention_launch_matrix(struct vka_recorder *r, const struct vka_attention_tile *l,
                                 const struct vka_attention_push *push)
{
    const struct vka_kernel_table *t = r->table;
    const uint32_t constants[13] = {l->teams * l->team * t->subgroup_size,
                                    t->subgroup_size,
                                    t->matrix.m,
                                    t->matrix.n,
                                    t->matrix.k,
                                    push->slot / 2,
                                    l->rows,
                                    l->step,
                                    l->block,
                                    l->team,
                                    l->teams,
                                    l->transposed,
                                    t->vendor == MESA_SOFTWARE};
    vka_launch_pinned(r, VKA_SHADER_ATTENTION_KHR, t->subgroup_size, constants, 13, push, sizeof *push,
                      vka_div_up(push->problems, l->teams), vka_div_up(push->queries, l->team * l->rows * t->matrix.m));
}

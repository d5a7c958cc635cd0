/* attention_matrix.c - attention on cooperative matrices: which shapes it takes, and the layout.
 *
 * Heads of up to 160 channels run on shaders/attention_khr.comp. Bits depend on the fragment and on `step`, which are
 * functions of the kernel table, the head and the number of tokens; rows, block, team, teams, transposed and ahead only
 * decide who computes what, and where it waits meanwhile. Larger heads run on shaders/attention_wide_khr.comp.
 *
 * What may be expected (arithmetic from data sheets; nothing here was measured). A tile of 16 queries x 16 keys takes
 * d/8 products of 16x16x16, d the head padded to the fragment; 256 exp2; three (with a spare column) or four further
 * operations on each score; in bytes of shared memory 64 d / r for K and V, r the fragments of queries of a subgroup,
 * and 1024 for the weights on their way from accumulator to operand:
 *
 *     head (padded)  r   bytes / product   exp2 / product
 *      40 (48)       2         427               43
 *      64            2         384               32
 *      64            1         640               32
 *      80            1         614               26
 *     160            1         563               13
 *
 * Clocks of a product on one compute unit, and what else it takes in that time for heads of 40, 80, 160:
 *
 *     RDNA3    16    exp2 and the other operations share the pipe: +4.7, +3.2, +1.6; memory beside it, at 128 bytes a
 *                    clock and operands read twice: 6, 9, 9
 *     RDNA4     8    +4.7, +3.2, +1.6; memory 3.3, 4.8, 4.4
 *     Ada      16    in other pipes exp2 2.7, 1.6, 0.8 and memory 3.3, 4.8, 4.4: hidden
 *     Hopper   3.2   (2 with wgmma) the same figures: memory is the bound
 *     Xe2       4    (two of 8x16x16) memory 6 to 9, since weights pass as fp32 first
 *
 * So at best, of the rate of the products alone: RDNA3 77, 83, 91 %; RDNA4 63, 71, 83 %; Ada nearly all; Hopper 97, 67,
 * 73 % (60, 42, 45 % of wgmma's); Xe2 half. A head of 40 spends a sixth of its products on padding. */
#include "ops/attention.h"

#include <string.h>

enum {
    MOST_SLOT = 160,   /* channels of the largest head whose sums stay in one subgroup's registers */
    SHORT_ROW = 32,    /* tokens up to which nothing is fetched ahead */
    LONG_ROW = 96,     /* tokens from which a step of 32 keys wastes little in the last one, */
    LONG_STEP = 80,    /* and channels up to which its scores still find registers */
    FEW_SUBGROUPS = 4, /* of a workgroup at least, where problems have few queries */
    BLOCK = 32,        /* keys in shared memory */
    FETCHED = 10,      /* 16-byte vectors of K and V that an invocation may hold while they are under way, */
    FEW_FETCHED = 6,   /* beside a head of more than LONG_STEP channels, */
    LEAST_FETCHED = 4, /* on RDNA3, whose operands are large */
    WIDE_PARTS = 4,    /* subgroups of a wide launch, */
    WIDE_BLOCK = 64,   /* its keys folded at once, */
    WIDE_CHUNK = 64,   /* channels of Q and K and */
    WIDE_TURN = 16,    /* keys of V in shared memory at a time */
    AMD = 0x1002,
    NVIDIA = 0x10de,
    MESA_SOFTWARE = 0x10005
};

static uint32_t least_multiple(uint32_t x, uint32_t a, uint32_t b)
{
    uint32_t m = x;
    while (m % a || m % b)
        m++;
    return m;
}

/* As the constants of shaders/attention_wide_khr.comp. */
static uint32_t shared_wide(const struct vka_kernel_table *t, uint32_t slot, const struct vka_attention_tile *l)
{
    uint32_t n = t->matrix.n, turn = vka_max_u32(WIDE_TURN, t->matrix.k), queries = l->rows * t->matrix.m;
    uint32_t columns = vka_div_up(vka_div_up(slot, n), l->team) * l->team * n;
    uint32_t v = l->transposed ? columns * (turn / 8 | 1) : turn * (columns / 8 | 1);
    uint32_t staged = vka_max_u32((l->step + queries) * (WIDE_CHUNK / 8 | 1), v);
    return 16 * (staged + queries * (l->step / 4 | 1) + queries * (l->step / 8 | 1) + queries / 4) +
           4 * l->team * t->subgroup_size;
}

/* Intel's matrices have accumulators in fp32 alone; nobody has looked at those of vendors not named here. */
static bool no_half_sums(const struct vka_kernel_table *t)
{
    return t->vendor != AMD && t->vendor != NVIDIA && t->vendor != MESA_SOFTWARE;
}

/* As the constants of shaders/attention_khr.comp. */
uint32_t vka_attention_shared(const struct vka_kernel_table *t, uint32_t slot, const struct vka_attention_tile *l)
{
    if (l->wide)
        return shared_wide(t, slot, l);
    uint32_t m = t->matrix.m, n = t->matrix.n, k = t->matrix.k;
    uint32_t deep = (uint32_t)vka_round_up(slot, k), wide = (uint32_t)vka_round_up(slot, n);
    uint32_t staged_k = l->block * (deep / 8 | 1);
    uint32_t staged_v = l->transposed ? wide * (l->block / 8 | (l->block > 16)) : l->block * (wide / 8 | 1);
    uint32_t staged = l->ahead ? staged_k + staged_v : vka_max_u32(staged_k, staged_v);
    uint32_t e = m * (l->step / 4 | 1), p = l->rows * m * (l->step / 8 | 1);
    uint32_t room = (no_half_sums(t) ? e + p : vka_max_u32(e, p)) + 3 * (l->rows * m / 4);
    return 16 * l->teams * (staged + l->team * room);
}

/* Vectors of K and V in an invocation's registers. */
static uint32_t fetched(const struct vka_kernel_table *t, uint32_t slot, const struct vka_attention_tile *l)
{
    uint32_t crew = l->team * t->subgroup_size, pair = l->transposed ? 2 : 1;
    return vka_div_up(l->block * slot / 8, crew) + pair * vka_div_up(l->block / pair * slot / 8, crew);
}

/* Queries of a subgroup: the more, the less often K and V are read, as long as registers last. On RDNA3 operands take
 * twice the registers that they take elsewhere (each half of a subgroup has its own copy). */
static uint32_t most_queries(const struct vka_kernel_table *t, uint32_t slot)
{
    return slot <= (t->vendor == NVIDIA ? 64 : 48) ? 32 : 16;
}

/* Subgroups of a problem: the more, the less often K and V are staged, and the fewer registers each needs for that; but
 * two workgroups hide each other's barriers. By the registers that the compilers of RADV and NVK take. */
static uint32_t most_subgroups(const struct vka_kernel_table *t)
{
    return t->vendor == AMD ? 8 : 4;
}

/* Makes l->team, teams and block small enough for the device, whatever the rest is; false when nothing fits. */
static bool fit(const struct vka_kernel_table *t, const struct vka_attention_shape *s, struct vka_attention_tile *l)
{
    const uint32_t held = s->slot <= LONG_STEP ? FETCHED : t->vendor == AMD ? LEAST_FETCHED : FEW_FETCHED;
    l->ahead = s->tokens > SHORT_ROW;
    while (l->ahead && l->block > l->step && fetched(t, s->slot, l) > held)
        l->block -= l->step;
    l->ahead = l->ahead && fetched(t, s->slot, l) <= held;
    for (;;) {
        if (!l->ahead)
            l->block = l->step;
        if (vka_attention_shared(t, s->slot, l) <= t->shared_bytes &&
            l->team * l->teams * t->subgroup_size <= t->max_invocations)
            return true;
        if (l->teams > 1)
            l->teams--;
        else if (l->block > l->step)
            l->block -= l->step;
        else if (l->team > 1)
            l->team--;
        else if (l->ahead)
            l->ahead = 0;
        else
            return false;
    }
}

static uint32_t choose_step(const struct vka_kernel_table *t, const struct vka_attention_shape *s)
{
    uint32_t unit = least_multiple(8, t->matrix.n, t->matrix.k);
    bool longer = s->tokens >= LONG_ROW && s->slot <= LONG_STEP && t->vendor != MESA_SOFTWARE;
    return least_multiple(longer ? 32 : 16, unit, unit);
}

/* The tile with at most `rows` fragments of queries in each of at most `subgroups` of a problem. */
static bool lay_out(const struct vka_kernel_table *t, const struct vka_attention_shape *s, uint32_t rows,
                    uint32_t subgroups, uint32_t block, struct vka_attention_tile *l)
{
    *l = (struct vka_attention_tile){.step = choose_step(t, s), .transposed = t->vendor == AMD};
    l->rows = vka_min_u32(rows, vka_div_up(s->queries, t->matrix.m));
    l->team = vka_min_u32(subgroups, vka_div_up(s->queries, l->rows * t->matrix.m));
    l->teams = vka_max_u32(1, FEW_SUBGROUPS / l->team);
    l->block = vka_min_u32((uint32_t)vka_round_up(block, l->step), (uint32_t)vka_round_up(s->tokens, l->step));
    if (t->vendor == MESA_SOFTWARE) {
        l->rows = 1; /* LLVM takes minutes for what is unrolled: the least of it, and two pipelines a head */
        l->team = l->teams = 2;
        l->block = 2 * l->step;
    }
    return fit(t, s, l);
}

static bool lay_out_wide(const struct vka_kernel_table *t, struct vka_attention_tile *l)
{
    *l = (struct vka_attention_tile){.wide = true, .step = WIDE_BLOCK, .team = WIDE_PARTS, .teams = 1};
    l->rows = vka_max_u32(1, (t->vendor == NVIDIA ? 32 : 16) / t->matrix.m);
    l->transposed = t->vendor == AMD;
    if (WIDE_BLOCK % (l->team * t->matrix.n) || WIDE_CHUNK % t->matrix.k ||
        l->team * t->subgroup_size > t->max_invocations)
        return false;
    while (l->rows > 1 && (l->rows * t->matrix.m > l->team * t->subgroup_size ||
                           shared_wide(t, VKA_ATTENTION_MAX_HEAD, l) > t->shared_bytes))
        l->rows--;
    if (shared_wide(t, VKA_ATTENTION_MAX_HEAD, l) > t->shared_bytes)
        l->transposed = 0;
    return l->rows * t->matrix.m <= l->team * t->subgroup_size &&
           shared_wide(t, VKA_ATTENTION_MAX_HEAD, l) <= t->shared_bytes;
}

bool vka_attention_matrix(const struct vka_kernel_table *t, enum vka_dtype storage, const struct vka_attention_shape *s,
                          struct vka_attention_tile *tile)
{
    if (t->path < VKA_PATH_KHR || storage != VKA_F16 || t->subgroup_size == 0 || t->matrix.m % 4 || t->matrix.n % 8 ||
        t->matrix.k % 8 || !vka_shader_built(VKA_SHADER_ATTENTION_KHR))
        return false;
    if (s->slot > MOST_SLOT)
        return lay_out_wide(t, tile);
    return lay_out(t, s, vka_max_u32(1, most_queries(t, s->slot) / t->matrix.m), most_subgroups(t), BLOCK, tile);
}

uint32_t vka_attention_tiles(const struct vka_kernel_table *t, const struct vka_attention_shape *s,
                             struct vka_attention_tile *tiles, uint32_t most)
{
    uint32_t count = 0;
    if (most == 0 || !vka_attention_matrix(t, VKA_F16, s, &tiles[0]))
        return 0;
    count = 1;
    for (uint32_t rows = tiles[0].wide ? 5 : 1; rows <= 4; rows *= 2)
        for (uint32_t subgroups = 2; subgroups <= 8; subgroups *= 2)
            for (uint32_t block = 32; block <= 2 * BLOCK; block *= 2)
                for (uint32_t transposed = 0; transposed < 2; transposed++) {
                    struct vka_attention_tile l;
                    if (count == most || !lay_out(t, s, rows, subgroups, block, &l))
                        continue;
                    l.transposed = transposed;
                    bool fresh = fit(t, s, &l);
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
    if (l->wide) {
        const uint32_t constants[10] = {l->team * t->subgroup_size,
                                        t->subgroup_size,
                                        t->matrix.m,
                                        t->matrix.n,
                                        t->matrix.k,
                                        push->slot / 2,
                                        l->rows,
                                        l->step,
                                        l->team,
                                        l->transposed};
        vka_launch_pinned(r, VKA_SHADER_ATTENTION_WIDE_KHR, t->subgroup_size, constants, 10, push, sizeof *push,
                          push->problems, vka_div_up(push->queries, l->rows * t->matrix.m));
        return;
    }
    const uint32_t constants[14] = {l->teams * l->team * t->subgroup_size,
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
                                    l->ahead,
                                    t->cpu || t->vendor == MESA_SOFTWARE};
    vka_launch_pinned(r, no_half_sums(t) ? VKA_SHADER_ATTENTION_KHR_SUMS_F32 : VKA_SHADER_ATTENTION_KHR,
                      t->subgroup_size, constants, 14, push, sizeof *push, vka_div_up(push->problems, l->teams),
                      vka_div_up(push->queries, l->team * l->rows * t->matrix.m));
}

/* lora_travel.c - LoRAs that are not merged: the halves of their products as tensors of a table.  See lora.h.
 *
 * Nothing is copied but Tucker's middles, multiplied into their downs: a row of a factor is put together when it is packed. */
#include "weights/lora_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIBLINGS = 3, NEAR = 8 }; /* to_q, to_k, to_v; how far apart they are at most where all names are in order */

struct layer {
    const char *name;
    const vka_weights *table;
    const vka_weight *base;
    const struct vka_lora_module *module[VKA_LORA_TRAVELLERS]; /* NULL: this LoRA leaves the layer alone */
    float *down[VKA_LORA_TRAVELLERS];                          /* [rank][in * taps] with a middle multiplied in, or NULL */
    uint32_t width[VKA_LORA_TRAVELLERS], all;
};

struct factor {
    struct vka_lora_changes how;
    const struct layer *layer;
    float *const *row; /* the travel's room for one */
    uint64_t columns;
    uint32_t part; /* ups: the first column is part * all */
};

struct vka_lora_travel {
    vka_arena arena;
    struct layer *layers; /* sorted by name once the table is made */
    size_t count, capacity;
    size_t files;
    vka_weights *table;
    float *row; /* one of any factor */
};

vka_lora_travel *vka_lora_travel_create(void)
{
    return vka_calloc(1, sizeof(vka_lora_travel));
}

void vka_lora_travel_destroy(vka_lora_travel *t)
{
    if (!t)
        return;
    vka_weights_free(t->table);
    vka_arena_free(&t->arena);
    free(t->layers);
    free(t->row);
    free(t);
}

size_t vka_lora_travel_count(const vka_lora_travel *t)
{
    return t->files;
}

static uint64_t first(const vka_weight *w)
{
    return w->rank ? w->dims[0] : 1;
}

static uint64_t rest(const vka_weight *w)
{
    return first(w) ? vka_weight_count(w) / first(w) : 0;
}

static uint32_t rank_of(const struct vka_lora_module *m)
{
    return (uint32_t)first(m->t[VKA_LORA_MID] ? m->t[VKA_LORA_MID] : m->t[VKA_LORA_DOWN]);
}

/* ---- numbers ---- */

/* Row `r` of a layer's downs. */
static void down_row(const struct factor *f, uint64_t r, float *out)
{
    const struct layer *l = f->layer;
    memset(out, 0, (size_t)f->columns * sizeof *out);
    for (uint32_t k = 0; k < VKA_LORA_TRAVELLERS; r -= l->width[k++])
        if (r < l->width[k]) {
            const struct vka_lora_module *m = l->module[k];
            if (!m || r >= rank_of(m))
                return;
            if (l->down[k])
                memcpy(out, l->down[k] + r * f->columns, (size_t)f->columns * sizeof *out);
            else
                vka_weight_to_f32(m->t[VKA_LORA_DOWN], r * f->columns, f->columns, out);
            return;
        }
}

static void up_row(const struct factor *f, uint64_t r, float *out)
{
    const struct layer *l = f->layer;
    memset(out, 0, (size_t)f->columns * sizeof *out);
    out += (size_t)f->part * l->all;
    for (uint32_t k = 0; k < VKA_LORA_TRAVELLERS; out += l->width[k++]) {
        const struct vka_lora_module *m = l->module[k];
        uint32_t rank = m ? rank_of(m) : 0;
        if (rank)
            vka_weight_to_f32(m->t[VKA_LORA_UP], r * rank, rank, out);
        for (uint32_t i = 0; i < rank; i++)
            out[i] = (float)(m->scale * (double)out[i]);
    }
}

static void rows(const struct factor *f, void (*row)(const struct factor *, uint64_t, float *), uint64_t from, uint64_t count,
                 float *out)
{
    while (count) {
        uint64_t r = from / f->columns, skip = from % f->columns, here = f->columns - skip < count ? f->columns - skip : count;
        float *to = here == f->columns ? out : *f->row;
        row(f, r, to);
        if (to != out)
            memcpy(out, to + skip, (size_t)here * sizeof *out);
        from += here;
        count -= here;
        out += here;
    }
}

static void down_numbers(const void *self, uint64_t from, uint64_t count, float *out)
{
    rows(self, down_row, from, count, out);
}

static void up_numbers(const void *self, uint64_t from, uint64_t count, float *out)
{
    rows(self, up_row, from, count, out);
}

/* ---- adding a file ---- */

static vka_status no_memory(vka_error *err)
{
    return vka_fail(err, VKA_E_MEMORY, "out of memory for LoRAs over the frames");
}

/* Why a module cannot travel, or NULL. */
static const char *obstacle(const struct vka_lora_module *m)
{
    static const char *const names[VKA_LORA_KINDS] = {"a LoRA", "LoHa", "LoKr", "GLoRA", "a whole difference", "IA3"};
    if (m->kind != VKA_LORA_KIND_LORA)
        return m->norm ? "a norm's difference" : names[m->kind];
    if (m->t[VKA_LORA_DORA] || m->t[VKA_LORA_MAGNITUDE])
        return "DoRA";
    return m->t[VKA_LORA_UP_BIAS] || m->t[VKA_LORA_DIFF_B] ? "a LoRA with a bias" : NULL;
}

static struct layer *layer_of(vka_lora_travel *t, const vka_weights *table, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->layers[i].name, name) == 0)
            return &t->layers[i];
    struct layer *all = vka_grow(t->layers, &t->capacity, t->count + 1, sizeof *all);
    t->layers = all ? all : t->layers;
    char *copy = all ? vka_arena_strdup(&t->arena, name) : NULL;
    if (!copy)
        return NULL;
    t->layers[t->count] = (struct layer){.name = copy, .table = table, .base = vka_weights_findf(table, "%s.weight", name)};
    return &t->layers[t->count++];
}

/* down' [r, in * taps] = sum over q of middle [r, q, taps] down [q, in]. */
static float *multiply_middle(vka_lora_travel *t, const struct vka_lora_module *m)
{
    const vka_weight *mid = m->t[VKA_LORA_MID], *down = m->t[VKA_LORA_DOWN];
    size_t ranks = (size_t)first(mid), inner = (size_t)first(down), in = (size_t)rest(down), taps = (size_t)rest(mid) / inner;
    float *out = vka_arena_alloc(&t->arena, ranks * in * taps * sizeof *out);
    float *a = malloc(ranks * inner * taps * sizeof *a), *b = malloc(inner * in * sizeof *b);
    if (out && a && b) {
        vka_weight_to_f32(mid, 0, ranks * inner * taps, a);
        vka_weight_to_f32(down, 0, inner * in, b);
        for (size_t r = 0; r < ranks; r++)
            for (size_t c = 0; c < in; c++)
                for (size_t tap = 0; tap < taps; tap++) {
                    double sum = 0;
                    for (size_t q = 0; q < inner; q++)
                        sum += (double)a[(r * inner + q) * taps + tap] * (double)b[q * in + c];
                    out[(r * in + c) * taps + tap] = (float)sum;
                }
    } else
        out = NULL;
    free(a);
    free(b);
    return out;
}

static vka_status add_module(vka_lora_travel *t, const vka_lora *l, const struct vka_lora_module *m, const vka_weights *table,
                             const char *name, vka_error *err)
{
    if (m->fault) {
        if (err && err->status == VKA_OK)
            *err = *m->fault;
        return m->fault->status;
    }
    const char *what = obstacle(m);
    if (what) {
        vka_fail(err, VKA_E_INPUT, "the weight of '%.160s' cannot differ from frame to frame: '%.120s' is %s", l->path, m->name,
                 what);
        vka_error_why(err, "that takes products of two matrices");
        return VKA_E_INPUT;
    }
    struct layer *layer = layer_of(t, table, name);
    if (!layer || !layer->base)
        return no_memory(err);
    vka_status s = vka_lora_check(l, m, layer->base, err);
    if (s == VKA_OK && layer->module[t->files])
        s = vka_fail(err, VKA_E_INPUT, "'%.200s' is damaged: '%.160s' is there twice, under two names", l->path, m->name);
    if (s == VKA_OK && !vka_lora_is_finite(m))
        s = vka_fail(err, VKA_E_INPUT, "'%.200s' is damaged: '%.160s' holds NaN or infinity", l->path, m->name);
    if (s != VKA_OK)
        return s;
    layer->module[t->files] = m;
    if (m->t[VKA_LORA_MID] && !(layer->down[t->files] = multiply_middle(t, m)))
        return no_memory(err);
    return VKA_OK;
}

vka_status vka_lora_travel_add(vka_lora_travel *t, const vka_lora *l, const struct vka_lora_tables *tables, vka_lora_fit *fit,
                               vka_error *err)
{
    vka_weights *table[2] = {tables->unet, tables->motion};
    struct vka_lora_names names[2] = {{0}, {0}};
    vka_status s = VKA_OK;
    *fit = (vka_lora_fit){0};
    if (t->files == VKA_LORA_TRAVELLERS)
        return vka_fail(err, VKA_E_USAGE, "weights over the frames for more than %d LoRAs", VKA_LORA_TRAVELLERS);
    for (int k = 0; s == VKA_OK && k < 2; k++)
        if (table[k] && !vka_lora_names_build(&names[k], table[k], (enum vka_lora_table)k))
            s = no_memory(err);
    for (size_t i = 0; s == VKA_OK && i < l->count; i++) {
        const struct vka_lora_module *m = &l->modules[i];
        int k = strstr(m->plain, "motion_modules") ? VKA_LORA_OF_MOTION : VKA_LORA_OF_UNET;
        bool ours = m->side != VKA_LORA_TEXT && m->side != VKA_LORA_OTHER && table[k];
        const char *name = ours ? vka_lora_names_find(&names[k], m->plain) : NULL;
        if (name) {
            s = add_module(t, l, m, table[k], name, err);
            fit->applied++;
        } else
            fit->elsewhere++;
    }
    for (int k = 0; k < 2; k++)
        vka_lora_names_free(&names[k]);
    if (s == VKA_OK && !fit->applied)
        s = vka_fail(err, VKA_E_INPUT, "the LoRA '%.200s' changes nothing whose weight could differ from frame to frame", l->path);
    t->files += s == VKA_OK;
    return s;
}

/* ---- the table ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct layer *)a)->name, ((const struct layer *)b)->name);
}

static const char *const sibling[SIBLINGS] = {"to_q", "to_k", "to_v"};

/* Which of the three a layer is; SIBLINGS: none.  *parent: bytes of the name before it. */
static int sibling_of(const char *name, size_t *parent)
{
    const char *dot = strrchr(name, '.');
    int i = 0;
    *parent = dot ? (size_t)(dot + 1 - name) : 0;
    while (i < SIBLINGS && strcmp(name + *parent, sibling[i]) != 0)
        i++;
    return i;
}

/* Ranks of a layer; of three that are stacked the same, and all of them there. */
static bool make_widths(vka_lora_travel *t)
{
    for (size_t i = 0, all = t->count; i < all; i++) { /* layer_of may move them */
        size_t parent;
        char name[256];
        const vka_weights *table = t->layers[i].table;
        if (sibling_of(t->layers[i].name, &parent) == SIBLINGS)
            continue;
        for (int k = 0; k < SIBLINGS; k++) {
            snprintf(name, sizeof name, "%.*s%s", (int)parent, t->layers[i].name, sibling[k]);
            if (vka_weights_findf(table, "%s.weight", name) && !layer_of(t, table, name))
                return false;
        }
    }
    qsort(t->layers, t->count, sizeof *t->layers, by_name);
    for (size_t i = 0; i < t->count; i++) {
        struct layer *l = &t->layers[i];
        size_t parent, other;
        bool stacked = sibling_of(l->name, &parent) < SIBLINGS;
        for (size_t j = i < NEAR ? 0 : i - NEAR; j < t->count && j <= i + NEAR; j++) {
            const struct layer *o = &t->layers[j];
            bool together = stacked && sibling_of(o->name, &other) < SIBLINGS && other == parent &&
                            !strncmp(l->name, o->name, parent);
            if (j != i && !together)
                continue;
            for (size_t k = 0; k < t->files; k++)
                if (o->module[k])
                    l->width[k] = vka_max_u32(l->width[k], (uint32_t)vka_round_up(rank_of(o->module[k]), 8));
        }
        for (size_t k = 0; k < t->files; k++)
            l->all += l->width[k];
    }
    return true;
}

static bool add_factor(vka_lora_travel *t, const struct layer *l, const char *suffix, bool up, uint32_t part, uint32_t parts,
                       uint64_t *longest)
{
    struct factor *f = vka_arena_alloc(&t->arena, sizeof *f);
    char name[256];
    snprintf(name, sizeof name, "%s.%s.weight", l->name, suffix);
    if (!f)
        return false;
    *f = (struct factor){.how = {up ? up_numbers : down_numbers}, .layer = l, .row = &t->row, .part = part};
    f->columns = up ? (uint64_t)parts * l->all : rest(l->base);
    *longest = f->columns > *longest ? f->columns : *longest;
    vka_weight w = *l->base;
    w.dtype = VKA_WEIGHT_F32;
    w.data = NULL;
    w.bytes = 0;
    w.scales = NULL;
    w.scale_run = 0;
    w.changes = f;
    if (up) {
        w.rank = 2;
        w.dims[1] = f->columns;
    } else
        w.dims[0] = l->all;
    return vka_weights_add(t->table, name, &w);
}

vka_weights *vka_lora_travel_table(vka_lora_travel *t, vka_error *err)
{
    uint64_t longest = 1;
    size_t parent;
    if (t->table)
        return t->table;
    bool good = make_widths(t) && (t->table = vka_weights_new("LoRAs over the frames"));
    for (size_t i = 0; good && i < t->count; i++) {
        const struct layer *l = &t->layers[i];
        good = add_factor(t, l, "down", false, 0, 1, &longest) && add_factor(t, l, "up", true, 0, 1, &longest);
        for (uint32_t parts = 2; parts <= SIBLINGS && sibling_of(l->name, &parent) < SIBLINGS; parts++)
            for (uint32_t part = 0; good && part < parts; part++) {
                char suffix[16];
                snprintf(suffix, sizeof suffix, "up_%u_%u", part, parts);
                good = add_factor(t, l, suffix, true, part, parts, &longest);
            }
    }
    good = good && (t->row = malloc((size_t)longest * sizeof *t->row)) && vka_weights_finish(t->table, err) == VKA_OK;
    if (!good) {
        no_memory(err);
        vka_weights_free(t->table);
        t->table = NULL;
        return NULL;
    }
    return t->table;
}

bool vka_lora_travel_widths(void *travel, const char *layer, uint32_t width[VKA_LORA_TRAVELLERS])
{
    const vka_lora_travel *t = travel;
    const struct layer key = {.name = layer},
                       *l = t->count ? bsearch(&key, t->layers, t->count, sizeof *t->layers, by_name) : NULL;
    if (!l)
        return false;
    memcpy(width, l->width, sizeof l->width);
    return true;
}

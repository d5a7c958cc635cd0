/* lora.c - reads a LoRA file: groups its tensors to modules, tells each module's family, rank and scale.  See lora.h.
 *
 * What does not depend on the model is checked here (halves that are missing, ranks, alphas), the rest by vka_lora_check
 * when the layer is known.  All sizes come from the file, so nothing is taken that the file does not pay for. */
#include "weights/lora_int.h"

#include "weights/config.h"
#include "weights/dtype.h"
#include "weights/file.h"
#include "weights/inspect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- grouping ---- */

struct found {
    const char *plain; /* vka_lora_key.module */
    enum vka_lora_side side;
    enum vka_lora_role role, mark;
    size_t length;
    const vka_weight *t;
};

static int by_module(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    int order = strcmp(x->plain, y->plain);
    if (order == 0)
        order = (x->side > y->side) - (x->side < y->side);
    return order ? order : strcmp(x->t->name, y->t->name);
}

static vka_status no_memory(const vka_lora *l, vka_error *err)
{
    return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", l->path);
}

static vka_status damaged(const vka_lora *l, const char *module, const char *what, vka_error *err)
{
    return vka_fail(err, VKA_E_INPUT, "'%.200s' is damaged: '%.160s' %s", l->path, module, what);
}

/* A tensor's first dimension, and the product of the others; 1 where it has none. */
static uint64_t rows(const vka_weight *w)
{
    return w->rank ? w->dims[0] : 1;
}
static uint64_t rest(const vka_weight *w)
{
    return rows(w) ? vka_weight_count(w) / rows(w) : 0;
}
static uint64_t second(const vka_weight *w)
{
    return w->rank > 1 ? w->dims[1] : 1;
}

/* The family, from what is there; false with a sentence when a half is missing. */
static vka_status judge(const vka_lora *l, struct vka_lora_module *m, vka_error *err)
{
    const vka_weight *const *t = m->t;
    bool hada = t[VKA_LORA_HADA], kron = t[VKA_LORA_KRON],
         glora = t[VKA_LORA_A1] || t[VKA_LORA_A2] || t[VKA_LORA_B1] || t[VKA_LORA_B2];
    bool lora = t[VKA_LORA_DOWN] || t[VKA_LORA_UP], add = t[VKA_LORA_DIFF] || t[VKA_LORA_DIFF_B], factor = t[VKA_LORA_FACTOR];
    if (hada + kron + glora + lora + (add && !lora) + factor > 1)
        return damaged(l, m->name, "mixes several LoRA families", err);
    m->norm = t[VKA_LORA_NORM];
    if (lora) {
        m->kind = VKA_LORA_KIND_LORA;
        if (!t[VKA_LORA_DOWN] || !t[VKA_LORA_UP])
            return damaged(l, m->name, t[VKA_LORA_UP] ? "has an up but no down" : "has a down but no up", err);
        return VKA_OK;
    }
    if (hada) {
        m->kind = VKA_LORA_KIND_LOHA;
        if (!t[VKA_LORA_W1A] || !t[VKA_LORA_W1B] || !t[VKA_LORA_W2A] || !t[VKA_LORA_W2B])
            return damaged(l, m->name, "lacks one of LoHa's four matrices", err);
        if (!t[VKA_LORA_T1] != !t[VKA_LORA_T2])
            return damaged(l, m->name, "has one of LoHa's two middles", err);
        return VKA_OK;
    }
    if (kron) {
        m->kind = VKA_LORA_KIND_LOKR;
        bool one = t[VKA_LORA_W1] || (t[VKA_LORA_W1A] && t[VKA_LORA_W1B]),
             two = t[VKA_LORA_W2] || (t[VKA_LORA_W2A] && t[VKA_LORA_W2B]);
        return one && two ? VKA_OK : damaged(l, m->name, "lacks one of LoKr's two factors", err);
    }
    if (glora) {
        m->kind = VKA_LORA_KIND_GLORA;
        return t[VKA_LORA_A1] && t[VKA_LORA_A2] && t[VKA_LORA_B1] && t[VKA_LORA_B2]
                   ? VKA_OK
                   : damaged(l, m->name, "lacks one of GLoRA's four matrices", err);
    }
    m->kind = factor ? VKA_LORA_KIND_IA3 : VKA_LORA_KIND_ADD;
    if (factor && !t[VKA_LORA_ON_INPUT])
        return damaged(l, m->name, "does not say whether it is for the input", err);
    return add || factor ? VKA_OK : damaged(l, m->name, "has nothing but an alpha or a magnitude", err);
}

/* GLoRA was written two ways round: today a1 [in, r], a2 [r, in], b1 [out, r], b2 [r, in]; in LyCORIS 1 a1 and b1 are the
 * [r, in].  The products are the same, so the old way is turned into the new one. */
static void turn_glora(struct vka_lora_module *m)
{
    const vka_weight **t = m->t;
    if (t[VKA_LORA_BM])
        return;
    uint64_t now = rows(t[VKA_LORA_A2]), old = rows(t[VKA_LORA_A1]);
    bool is_now = rest(t[VKA_LORA_A1]) == now && rest(t[VKA_LORA_B1]) == now && rows(t[VKA_LORA_B2]) == now;
    bool is_old = rest(t[VKA_LORA_A2]) == old && rest(t[VKA_LORA_B2]) == old && rows(t[VKA_LORA_B1]) == old;
    if (!is_old || (is_now && now <= old)) /* of a square layer the smaller one is the rank */
        return;
    const vka_weight *a = t[VKA_LORA_A1], *b = t[VKA_LORA_B1];
    t[VKA_LORA_A1] = t[VKA_LORA_A2];
    t[VKA_LORA_A2] = a;
    t[VKA_LORA_B1] = t[VKA_LORA_B2];
    t[VKA_LORA_B2] = b;
}

static uint64_t rank_of(const struct vka_lora_module *m)
{
    const vka_weight *const *t = m->t;
    switch (m->kind) {
    case VKA_LORA_KIND_LORA:
        return rows(t[VKA_LORA_DOWN]);
    case VKA_LORA_KIND_LOHA:
        return rows(t[VKA_LORA_W1B]);
    case VKA_LORA_KIND_LOKR:
        return t[VKA_LORA_W1] ? t[VKA_LORA_W2] ? 0 : rows(t[VKA_LORA_W2B]) : rows(t[VKA_LORA_W1B]);
    case VKA_LORA_KIND_GLORA:
        return rows(t[VKA_LORA_A2]);
    default:
        return 0;
    }
}

/* ---- alpha ---- */

static const json_t *config_get(const vka_lora *l, const struct vka_lora_module *m, const char *key)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", m->side == VKA_LORA_TEXT ? "text_encoder" : "unet", key);
    const json_t *v = json_object_get(l->config, name);
    return v ? v : json_object_get(l->config, key);
}

/* PEFT's patterns are ends of names. */
static const json_t *pattern_get(const json_t *patterns, const char *name)
{
    const char *key;
    json_t *value;
    size_t n = strlen(name);
    json_object_foreach((json_t *)(uintptr_t)patterns, key, value)
    {
        const char *k = *key == '^' ? key + 1 : key;
        size_t length = strlen(k);
        if (length && n >= length && strcmp(name + n - length, k) == 0 && (n == length || name[n - length - 1] == '.'))
            return value;
    }
    return NULL;
}

/* Whether what is in the file's metadata says that scales are alpha over the root of the rank.  LyCORIS corrects the alphas that
 * it writes, but for GLoRA's. */
static bool says_rs(const vka_lora *l, const struct vka_lora_module *m)
{
    if (l->config && json_is_true(config_get(l, m, "use_rslora")))
        return true;
    const char *args = vka_safetensors_metadata(l->st, "ss_network_args"),
               *module = vka_safetensors_metadata(l->st, "ss_network_module");
    json_t *o = args ? json_loads(args, 0, NULL) : NULL;
    const json_t *v = json_object_get(o, "rs_lora");
    const char *text = json_string_value(v);
    bool rs = json_is_true(v) || (text && (!strcmp(text, "True") || !strcmp(text, "true") || !strcmp(text, "1")));
    json_decref(o);
    return rs && (m->kind == VKA_LORA_KIND_GLORA || !module || !strstr(module, "lycoris"));
}

static vka_status find_scale(const vka_lora *l, struct vka_lora_module *m, vka_error *err)
{
    const vka_weight *a = m->t[VKA_LORA_ALPHA];
    m->rank = rank_of(m);
    m->scale = 1;
    if (a) {
        float alpha;
        if (vka_weight_count(a) != 1)
            return damaged(l, m->name, "has an alpha that is not one number", err);
        vka_weight_to_f32(a, 0, 1, &alpha);
        if (!isfinite(alpha))
            return damaged(l, m->name, "has an alpha that is no number", err);
        m->alpha = (double)alpha;
        m->has_alpha = alpha != 0; /* trainers write 0 for "as the rank" */
    } else if (l->config) {
        const json_t *v = pattern_get(config_get(l, m, "alpha_pattern"), m->name);
        if (!v)
            v = config_get(l, m, m->kind == VKA_LORA_KIND_LORA ? "lora_alpha" : "alpha");
        if (json_is_number(v) && isfinite(json_number_value(v))) {
            m->alpha = json_number_value(v);
            m->has_alpha = m->alpha != 0;
        }
    }
    uint64_t rank = m->rank;
    if (!rank && m->kind == VKA_LORA_KIND_LOKR && !a) { /* both factors whole: PEFT divides all the same */
        const json_t *r = config_get(l, m, "r");
        rank = json_is_integer(r) && json_integer_value(r) > 0 ? (uint64_t)json_integer_value(r) : 0;
    }
    if (rank && m->has_alpha)
        m->scale = m->alpha / (says_rs(l, m) ? sqrt((double)rank) : (double)rank);
    else if (rank && !m->has_alpha && says_rs(l, m))
        m->scale = sqrt((double)rank);
    return VKA_OK;
}

static vka_status check_numbers(const vka_lora *l, const struct vka_lora_module *m, vka_error *err)
{
    for (int i = 0; i < VKA_LORA_HADA; i++) {
        const vka_weight *t = m->t[i];
        bool any = i == VKA_LORA_ON_INPUT || i == VKA_LORA_ALPHA;
        if (t && (!vka_weight_count(t) || (!any && !vka_dtype_is_float(t->dtype))))
            return damaged(l, t->name, "holds no floating-point numbers", err);
        if (t && (t->rank == 3 || t->rank > 4))
            return damaged(l, t->name, "has a shape of no LoRA", err);
    }
    return VKA_OK;
}

static vka_status check_ranks(const vka_lora *l, const struct vka_lora_module *m, vka_error *err)
{
    static const struct {
        enum vka_lora_kind kind;
        enum vka_lora_role left, right;
    } pairs[] = {{VKA_LORA_KIND_LORA, VKA_LORA_UP, VKA_LORA_DOWN}, {VKA_LORA_KIND_LOHA, VKA_LORA_W1A, VKA_LORA_W1B},
                 {VKA_LORA_KIND_LOHA, VKA_LORA_W2A, VKA_LORA_W2B}, {VKA_LORA_KIND_LOKR, VKA_LORA_W1A, VKA_LORA_W1B},
                 {VKA_LORA_KIND_LOKR, VKA_LORA_W2A, VKA_LORA_W2B}, {VKA_LORA_KIND_GLORA, VKA_LORA_A1, VKA_LORA_A2},
                 {VKA_LORA_KIND_GLORA, VKA_LORA_B1, VKA_LORA_B2}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const vka_weight *a = m->t[pairs[i].left], *b = m->t[pairs[i].right];
        if (m->kind != pairs[i].kind || !a || !b)
            continue;
        bool middle = m->t[VKA_LORA_MID] || (m->t[VKA_LORA_T2] && pairs[i].right != VKA_LORA_W1B) ||
                      (m->t[VKA_LORA_T1] && m->kind == VKA_LORA_KIND_LOHA) ||
                      (m->t[VKA_LORA_BM] && pairs[i].left == VKA_LORA_B1);
        if (middle) /* whose shape is checked with the layer's */
            continue;
        if (second(a) != rows(b) || rest(a) != rows(b)) {
            if (second(b) == rows(a) && rest(b) == rows(a) && rows(a) < rest(a) && rest(b) < rows(b))
                return damaged(l, m->name, "has its up and its down swapped", err);
            char x[96], y[96];
            vka_weight_shape_text(a, x, sizeof x);
            vka_weight_shape_text(b, y, sizeof y);
            vka_fail(err, VKA_E_INPUT, "'%.200s' is damaged: the ranks of '%.160s' differ", l->path, m->name);
            vka_error_why(err, "%s and %s have no product", x, y);
            return VKA_E_INPUT;
        }
    }
    return VKA_OK;
}

/* ---- the whole file ---- */

static vka_status group(vka_lora *l, vka_error *err)
{
    const vka_safetensors *st = l->st;
    struct found *all = vka_calloc(st->count + 1, sizeof *all);
    struct vka_lora_key *key = vka_calloc(1, sizeof *key);
    size_t n = 0;
    vka_status s = all && key ? VKA_OK : no_memory(l, err);
    for (size_t i = 0; s == VKA_OK && i < st->count; i++) {
        const vka_weight *t = &st->tensors[i];
        if (!vka_lora_parse(key, t->name)) {
            l->info.stranger = l->info.strangers++ ? l->info.stranger : t->name;
            continue;
        }
        char *plain = vka_arena_strdup(&l->arena, key->module);
        if (!plain)
            s = no_memory(l, err);
        all[n++] = (struct found){plain, key->side, key->role, key->mark, key->length, t};
    }
    free(key);
    if (s == VKA_OK && n)
        qsort(all, n, sizeof *all, by_module);
    l->modules = s == VKA_OK ? vka_calloc(n + 1, sizeof *l->modules) : NULL;
    if (s == VKA_OK && !l->modules)
        s = no_memory(l, err);
    for (size_t i = 0; s == VKA_OK && i < n; i++) {
        struct vka_lora_module *m = l->count ? &l->modules[l->count - 1] : NULL;
        if (!m || strcmp(m->plain, all[i].plain) != 0 || m->side != all[i].side) {
            m = &l->modules[l->count++];
            m->plain = all[i].plain;
            m->side = all[i].side;
            char *name = vka_arena_alloc(&l->arena, all[i].length + 1);
            if (!name) {
                l->count--;
                s = no_memory(l, err);
                break;
            }
            memcpy(name, all[i].t->name, all[i].length);
            m->name = name;
        }
        if (m->t[all[i].role]) {
            vka_fail(err, VKA_E_INPUT, "'%.200s' is damaged: it has two tensors for one place", l->path);
            vka_error_why(err, "'%.160s' and '%.160s'", m->t[all[i].role]->name, all[i].t->name);
            s = VKA_E_INPUT;
        }
        m->t[all[i].role] = all[i].t;
        if (all[i].mark != VKA_LORA_ROLES)
            m->t[all[i].mark] = all[i].t;
    }
    free(all);
    return s;
}

/* ".weight" alone is an IA3 factor only beside ".on_input": other such modules are no part of a LoRA, nor are lonely alphas. */
static void drop_strangers(vka_lora *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++) {
        struct vka_lora_module *m = &l->modules[i];
        if (m->t[VKA_LORA_FACTOR] && !m->t[VKA_LORA_ON_INPUT]) {
            l->info.stranger = l->info.strangers++ ? l->info.stranger : m->t[VKA_LORA_FACTOR]->name;
            m->t[VKA_LORA_FACTOR] = NULL;
        }
        bool any = false;
        for (int r = 0; r < VKA_LORA_ROLES; r++)
            any = any || (m->t[r] && r != VKA_LORA_ALPHA && r != VKA_LORA_ON_INPUT);
        if (any)
            l->modules[n++] = *m;
    }
    l->count = n;
}

static const char *algorithm_of(const struct vka_lora_module *m)
{
    static const char *const names[VKA_LORA_KINDS] = {"lora", "loha", "lokr", "glora", "full", "ia3"};
    if (m->t[VKA_LORA_DORA] || m->t[VKA_LORA_MAGNITUDE])
        return "dora";
    if (m->kind == VKA_LORA_KIND_LORA &&
        (m->t[VKA_LORA_MID] || (m->t[VKA_LORA_DOWN]->rank == 4 && m->t[VKA_LORA_DOWN]->dims[2] > 1)))
        return "locon";
    return m->norm ? "norm" : names[m->kind];
}

static void describe(vka_lora *l)
{
    vka_lora_info *f = &l->info;
    bool locon = false;
    f->modules = l->count;
    f->tensors = l->st->count;
    for (size_t i = 0; i < l->count; i++) {
        const struct vka_lora_module *m = &l->modules[i];
        if (m->fault)
            continue;
        const char *a = algorithm_of(m);
        bool motion = strstr(m->plain, "motion_modules") != NULL;
        f->motion += motion;
        f->text += m->side == VKA_LORA_TEXT;
        locon = locon || !strcmp(a, "locon");
        if (!strcmp(a, "norm") && f->algorithm)
            a = f->algorithm; /* beside others they go without saying */
        if (!strcmp(a, "locon"))
            a = "lora";
        if (!f->algorithm || !strcmp(f->algorithm, "norm"))
            f->algorithm = a;
        else if (strcmp(f->algorithm, a) != 0)
            f->algorithm = "mixed";
        if (m->rank) {
            uint32_t r = m->rank > UINT32_MAX ? UINT32_MAX : (uint32_t)m->rank;
            f->rank_low = f->rank_low ? vka_min_u32(f->rank_low, r) : r;
            f->rank_high = vka_max_u32(f->rank_high, r);
        }
        if (m->has_alpha) {
            f->alpha_low = f->alpha_low != 0 && f->alpha_low < m->alpha ? f->alpha_low : m->alpha;
            f->alpha_high = f->alpha_high != 0 && f->alpha_high > m->alpha ? f->alpha_high : m->alpha;
        }
        const vka_weight *down = m->t[VKA_LORA_DOWN];
        f->second_text = f->second_text || m->side == VKA_LORA_OTHER;
        if (down && !motion && strstr(m->plain, "attn2") && strstr(m->plain, "to_k"))
            f->text_width = rest(down);
    }
    if (locon && f->algorithm && !strcmp(f->algorithm, "lora"))
        f->algorithm = "locon";
    if (f->second_text)
        f->text_width = 2048;
    if (!f->algorithm)
        f->algorithm = "lora"; /* every module has a fault */
    const char *name = l->count ? l->modules[0].name : "";
    bool peft = l->count && l->modules[0].t[VKA_LORA_DOWN] && strstr(l->modules[0].t[VKA_LORA_DOWN]->name, ".lora_A.");
    f->dialect = !strncmp(name, "lora_", 5) || !strncmp(name, "lycoris_", 8) ? "kohya"
                 : peft || !strncmp(name, "base_model.", 11)                 ? "peft"
                 : strstr(name, "temporal_transformer")                      ? "animatediff"
                                                                             : "diffusers";
}

static vka_status not_a_lora(const vka_lora *l, vka_error *err)
{
    static const char *const hints[VKA_FILE_KINDS] = {[VKA_FILE_CHECKPOINT] = "--model",
                                                      [VKA_FILE_MOTION] = "--motion",
                                                      [VKA_FILE_VAE] = "--vae",
                                                      [VKA_FILE_EMBEDDING] = "--embedding",
                                                      [VKA_FILE_IP_ADAPTER] = "--ip-adapter"};
    vka_classification c;
    for (size_t i = 0; i < l->st->count; i++)
        if (strstr(l->st->tensors[i].name, ".oft_"))
            return vka_fail(err, VKA_E_INPUT, "'%s' is an orthogonal adapter (OFT or BOFT), which cannot be applied",
                            l->path);
    vka_classify(&c, l->st);
    if (c.kind != VKA_FILE_UNKNOWN && c.kind != VKA_FILE_LORA && c.kind != VKA_FILE_MOTION_LORA) {
        vka_fail(err, VKA_E_INPUT, "'%s' is %s, not a LoRA", l->path, vka_file_kind_phrase(c.kind));
        if (hints[c.kind])
            vka_error_hint(err, "give it with %s", hints[c.kind]);
        return VKA_E_INPUT;
    }
    vka_fail(err, VKA_E_INPUT, "'%s' is not a LoRA", l->path);
    vka_error_why(err, "none of its %zu tensors has a LoRA's name", l->st->count);
    return VKA_E_INPUT;
}

static vka_status read_modules(vka_lora *l, vka_error *err)
{
    vka_status s = group(l, err);
    if (s == VKA_OK)
        drop_strangers(l);
    for (size_t i = 0; s == VKA_OK && i < l->count; i++) {
        struct vka_lora_module *m = &l->modules[i];
        vka_error e = {0};
        if (judge(l, m, &e) == VKA_OK && check_numbers(l, m, &e) == VKA_OK) {
            if (m->kind == VKA_LORA_KIND_GLORA)
                turn_glora(m);
            if (check_ranks(l, m, &e) == VKA_OK)
                find_scale(l, m, &e);
        }
        if (e.status == VKA_OK)
            continue;
        vka_error *fault = vka_arena_alloc(&l->arena, sizeof *fault);
        if (!fault)
            return no_memory(l, err);
        *fault = e;
        m->fault = fault;
    }
    if (s == VKA_OK && !l->count)
        s = not_a_lora(l, err);
    if (s == VKA_OK)
        describe(l);
    return s;
}

/* PEFT's config: in the metadata, as diffusers writes it, or beside the file. */
static vka_status read_config(vka_lora *l, vka_error *err)
{
    static const char *const keys[] = {"lora_adapter_metadata", "adapter_config"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = vka_safetensors_metadata(l->st, keys[i]);
        l->config = text && !l->config ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : l->config;
    }
    const char *base = vka_path_base(l->path);
    if (l->config || l->st != &l->own || strncmp(base, "adapter_model", 13) != 0)
        return VKA_OK;
    char *path = vka_asprintf("%.*sadapter_config.json", (int)(base - l->path), l->path);
    if (!path)
        return no_memory(l, err);
    vka_status s = VKA_OK;
    if (vka_path_exists(path) && !(l->config = vka_json_load(path, err)))
        s = VKA_E_INPUT;
    free(path);
    return s;
}

static vka_lora *begin(const char *path, vka_error *err)
{
    vka_lora *l = vka_calloc(1, sizeof *l);
    if (l && (l->path = vka_strdup(path)))
        return l;
    free(l);
    vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", path);
    return NULL;
}

static vka_status finish(vka_lora **out, vka_lora *l, vka_status s, vka_error *err)
{
    if (s == VKA_OK)
        s = read_config(l, err);
    if (s == VKA_OK)
        s = read_modules(l, err);
    if (s == VKA_OK)
        *out = l;
    else
        vka_lora_close(l);
    return s;
}

vka_status vka_lora_open(vka_lora **out, const char *path, vka_error *err)
{
    static const char *const names[] = {"adapter_model.safetensors", "pytorch_lora_weights.safetensors", "adapter_model.bin",
                                        "pytorch_lora_weights.bin"};
    char *inner = NULL;
    *out = NULL;
    for (size_t i = 0; vka_path_is_dir(path) && i < sizeof names / sizeof *names; i++) {
        inner = vka_path_join(path, names[i]);
        if (!inner)
            return vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", path);
        if (vka_path_exists(inner))
            break;
        free(inner);
        inner = NULL;
    }
    if (vka_path_is_dir(path) && !inner)
        return vka_fail(err, VKA_E_INPUT, "the folder '%s' holds no LoRA: it has no %s or %s", path, names[0], names[1]);
    vka_lora *l = begin(inner ? inner : path, err);
    free(inner);
    if (!l)
        return VKA_E_MEMORY;
    vka_status s = vka_model_file_open(&l->own, l->path, err);
    if (s != VKA_OK)
        l->own = (vka_safetensors){0};
    l->st = &l->own;
    return finish(out, l, s, err);
}

vka_status vka_lora_open_parsed(vka_lora **out, const vka_safetensors *st, vka_error *err)
{
    *out = NULL;
    vka_lora *l = begin(st->path ? st->path : "", err);
    if (!l)
        return VKA_E_MEMORY;
    l->st = st;
    return finish(out, l, VKA_OK, err);
}

void vka_lora_close(vka_lora *l)
{
    if (!l)
        return;
    if (l->st == &l->own)
        vka_safetensors_close(&l->own);
    json_decref(l->config);
    vka_arena_free(&l->arena);
    free(l->modules);
    free(l->path);
    free(l);
}

const char *vka_lora_file(const vka_lora *l)
{
    return l->path;
}
const vka_lora_info *vka_lora_describe(const vka_lora *l)
{
    return &l->info;
}
bool vka_lora_is_motion(const vka_lora *l)
{
    return l->info.motion * 2 > l->info.modules;
}

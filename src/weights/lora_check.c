/* lora_check.c - whether a LoRA's module fits the layer that it names.  See lora_int.h.
 *
 * A layer's weight is [out, in] or [out, in, kh, kw]: rows = out, columns = in * taps, taps = kh * kw, a norm's [rows].
 * Sizes are compared by count where dialects differ in trailing ones only. */
#include "weights/lora_int.h"

#include "weights/dtype.h"

#include <math.h>

struct shape {
    uint64_t rows, in, taps;
};

static struct shape shape_of(const vka_weight *base)
{
    struct shape s = {1, 1, 1};
    s.rows = base->rank ? base->dims[0] : 1;
    s.in = base->rank > 1 ? base->dims[1] : 1;
    for (uint32_t i = 2; i < base->rank; i++)
        s.taps *= base->dims[i];
    return s;
}

static uint64_t first(const vka_weight *w)
{
    return w->rank ? w->dims[0] : 1;
}
static uint64_t second(const vka_weight *w)
{
    return w->rank > 1 ? w->dims[1] : 1;
}
static uint64_t rest(const vka_weight *w)
{
    return first(w) ? vka_weight_count(w) / first(w) : 0;
}

static bool is(const vka_weight *w, uint64_t rows, uint64_t columns)
{
    return first(w) == rows && rest(w) == columns;
}

/* left [rows, r] x middle [r, q, taps] x right [q, in], or without a middle left [rows, r] x right [r, in * taps]. */
static bool pair_fits(const vka_weight *left, const vka_weight *mid, const vka_weight *right, struct shape s)
{
    if (!mid)
        return is(left, s.rows, first(right)) && is(right, first(right), s.in * s.taps);
    return is(left, s.rows, first(mid)) && is(right, second(mid), s.in) && rest(mid) == second(mid) * s.taps;
}

/* The Tucker form of LoHa and LoKr: left is [r, rows]. */
static bool turned_fits(const vka_weight *left, const vka_weight *mid, const vka_weight *right, struct shape s)
{
    if (!mid)
        return pair_fits(left, NULL, right, s);
    return is(left, first(mid), s.rows) && is(right, second(mid), s.in) && rest(mid) == second(mid) * s.taps;
}

static bool kron_fits(const vka_weight *const *t, struct shape s)
{
    uint64_t a, b, c, d;
    if (t[VKA_LORA_W1]) {
        a = first(t[VKA_LORA_W1]);
        b = rest(t[VKA_LORA_W1]);
    } else {
        a = first(t[VKA_LORA_W1A]);
        b = rest(t[VKA_LORA_W1B]);
    }
    if (!a || !b || s.rows % a || s.in % b)
        return false;
    c = s.rows / a;
    d = s.in / b;
    if (t[VKA_LORA_W2])
        return is(t[VKA_LORA_W2], c, d * s.taps);
    return turned_fits(t[VKA_LORA_W2A], t[VKA_LORA_T2], t[VKA_LORA_W2B], (struct shape){c, d, s.taps});
}

static bool weight_fits(const struct vka_lora_module *m, struct shape s)
{
    const vka_weight *const *t = m->t;
    switch (m->kind) {
    case VKA_LORA_KIND_LORA:
        return pair_fits(t[VKA_LORA_UP], t[VKA_LORA_MID], t[VKA_LORA_DOWN], s);
    case VKA_LORA_KIND_LOHA:
        return turned_fits(t[VKA_LORA_W1A], t[VKA_LORA_T1], t[VKA_LORA_W1B], s) &&
               turned_fits(t[VKA_LORA_W2A], t[VKA_LORA_T2], t[VKA_LORA_W2B], s);
    case VKA_LORA_KIND_LOKR:
        return kron_fits(t, s);
    case VKA_LORA_KIND_GLORA:
        return is(t[VKA_LORA_A1], s.in, first(t[VKA_LORA_A2])) && is(t[VKA_LORA_A2], first(t[VKA_LORA_A2]), s.in) &&
               pair_fits(t[VKA_LORA_B1], t[VKA_LORA_BM], t[VKA_LORA_B2], s);
    case VKA_LORA_KIND_ADD:
        return !t[VKA_LORA_DIFF] || vka_weight_count(t[VKA_LORA_DIFF]) == s.rows * s.in * s.taps;
    case VKA_LORA_KIND_IA3: {
        float on_input = 0;
        vka_weight_to_f32(t[VKA_LORA_ON_INPUT], 0, 1, &on_input);
        return vka_weight_count(t[VKA_LORA_FACTOR]) == (on_input != 0 ? s.in : s.rows);
    }
    case VKA_LORA_KINDS:
        break;
    }
    return false;
}

vka_status vka_lora_check(const vka_lora *l, const struct vka_lora_module *m, const vka_weight *base, vka_error *err)
{
    static const enum vka_lora_role telling[] = {VKA_LORA_DOWN, VKA_LORA_W1B,  VKA_LORA_W1,
                                                 VKA_LORA_B2,   VKA_LORA_DIFF, VKA_LORA_FACTOR};
    struct shape s = shape_of(base);
    const vka_weight *dora = m->t[VKA_LORA_DORA], *size = m->t[VKA_LORA_MAGNITUDE];
    bool fits = weight_fits(m, s) && (!dora || vka_weight_count(dora) == s.rows || vka_weight_count(dora) == s.in) &&
                (!size || vka_weight_count(size) == s.rows);
    if (fits)
        return VKA_OK;
    const vka_weight *up = m->t[VKA_LORA_UP], *down = m->t[VKA_LORA_DOWN];
    if (m->kind == VKA_LORA_KIND_LORA && !m->t[VKA_LORA_MID] && is(up, first(up), s.in * s.taps) &&
        is(down, s.rows, first(up)))
        return vka_fail(err, VKA_E_INPUT, "'%.200s' is damaged: '%.160s' has its up and its down swapped", vka_lora_file(l),
                        m->name);
    char there[96], here[96] = "";
    vka_weight_shape_text(base, there, sizeof there);
    for (size_t i = 0; !here[0] && i < sizeof telling / sizeof *telling; i++)
        if (m->t[telling[i]])
            vka_weight_shape_text(m->t[telling[i]], here, sizeof here);
    vka_fail(err, VKA_E_INPUT, "the LoRA '%.200s' does not fit the model: '%.160s' is for a layer of another shape",
             vka_lora_file(l), m->name);
    uint64_t width = l->info.text_width;
    if (width >= 1024)
        vka_error_why(err, "the layer is %s and the LoRA has %s; it was made for a model whose text is %llu wide, as %s's",
                      there, here, (unsigned long long)width,
                      width == 2048   ? "SDXL"
                      : width == 1024 ? "Stable Diffusion 2"
                                      : "no known model");
    else
        vka_error_why(err, "the layer is %s and the LoRA has %s", there, here);
    return VKA_E_INPUT;
}

bool vka_lora_is_finite(const struct vka_lora_module *m)
{
    float some[1024];
    for (int r = 0; r < VKA_LORA_HADA; r++)
        for (size_t i = 0, n = m->t[r] ? (size_t)vka_weight_count(m->t[r]) : 0; i < n; i += 1024) {
            size_t here = n - i < 1024 ? n - i : 1024;
            vka_weight_to_f32(m->t[r], i, here, some);
            float sum = 0; /* 0 * x is NaN for what is no number */
            for (size_t k = 0; k < here; k++)
                sum += 0 * some[k];
            if (sum != 0 || isnan(sum))
                return false;
        }
    return true;
}

size_t vka_lora_tensors(const struct vka_lora_module *m)
{
    size_t n = 0;
    for (int r = 0; r < VKA_LORA_HADA; r++)
        n += m->t[r] != NULL;
    return n;
}

/* hints.c - see hints.h. */
#include "nets/hints.h"

#include "ops/hints.h"

/* Candidates of edges join where they touch, tile by tile of 16 x 16: a chain of them is followed through this many tiles. */
enum { GROWTHS = 24 };

struct vka_hint_params vka_hint_defaults(enum vka_hint_kind kind)
{
    return (struct vka_hint_params){
        .kind = kind, .low = 100, .high = 200, .sigma = kind == VKA_HINT_LINEART ? 6.0f : 0.0f, .factor = 8};
}

static vka_tensor canny(vka_build *b, const struct vka_hint_params *p, vka_tensor colors)
{
    if (p->sigma > 0)
        colors = vka_hint_gauss(b, colors, p->sigma);
    vka_tensor edges = vka_hint_canny(b, colors, p->low, p->high);
    for (int i = 0; i < GROWTHS; i++)
        edges = vka_hint_grow(b, edges);
    return vka_hint_show_edges(b, edges);
}

vka_tensor vka_net_hint(vka_build *b, const struct vka_hint_params *p, vka_tensor picture)
{
    vka_tensor colors = vka_hint_open(b, picture), scales[3];
    const struct vka_tensor_info *i = vka_info(b->graph, picture);
    const uint32_t h = i->h, w = i->w;
    switch (p->kind) {
    case VKA_HINT_CANNY:
        return canny(b, p, colors);
    case VKA_HINT_LINEART: /* a little smoothing takes grain away */
        return vka_hint_show_lines(b, vka_hint_gauss(b, colors, 0.7f), vka_hint_gauss(b, colors, p->sigma));
    case VKA_HINT_SOFT_EDGE:
        for (int k = 0; k < 3; k++)
            scales[k] = vka_hint_gauss(b, colors, (float)(1 << k));
        return vka_hint_show_soft(b, scales);
    case VKA_HINT_TILE:
        return vka_hint_show_means(b, vka_hint_mean(b, colors, p->factor), h, w, p->factor);
    case VKA_HINT_INVERT:
        return vka_hint_show_inverse(b, colors);
    case VKA_HINT_KINDS:
        break;
    }
    vka_build_fail(b, VKA_E_INTERNAL, "there is no such hint");
    return (vka_tensor){0};
}

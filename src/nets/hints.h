/* hints.h - what ControlNets want to see, made of a picture: graphs without weights. */
#ifndef VKA_NETS_HINTS_H
#define VKA_NETS_HINTS_H

#include "graph/graph.h"

enum vka_hint_kind {
    VKA_HINT_CANNY,     /* edges, white on black (Canny 1986, as OpenCV's of a colour picture without smoothing before) */
    VKA_HINT_LINEART,   /* how much darker a pixel is than what surrounds it, white on black: a difference of Gaussians */
    VKA_HINT_SOFT_EDGE, /* gradients over three scales, white on black */
    VKA_HINT_TILE,      /* the picture without its details: means of squares, read between their centres */
    VKA_HINT_INVERT,    /* 255 minus the picture: black lines on white to white ones on black */
    VKA_HINT_KINDS
};

struct vka_hint_params {
    enum vka_hint_kind kind;
    uint32_t low, high; /* canny: thresholds in OpenCV's meaning, low <= high */
    float sigma;        /* canny: a Gaussian filter before it, 0: none, at most 6; lineart: of what surrounds a pixel */
    uint32_t factor;    /* tile: side of the squares, 1 .. 64 */
};
/* What ControlNets were trained with, or near to it: canny 100 and 200 without smoothing, lineart 6 pixels, tile 8. */
struct vka_hint_params vka_hint_defaults(enum vka_hint_kind kind);

/* picture U8X4 GLOBAL [1, h, w, 1] -> the same shape. */
vka_tensor vka_net_hint(vka_build *b, const struct vka_hint_params *p, vka_tensor picture);

#endif

/* hints.h - what ControlNets want to see, made of a picture, as operators.
 *
 * All tensors are GLOBAL and whole in every plan: pictures U8X4 [1, h, w, 1]; colours f32 [1, h, 1, 4 w], (r, g, b, 0) of
 * 0 .. 255 for each of w pixels in a row; edges I32 [1, h, w, 1], 0 none, 1 perhaps, 2 certain. */
#ifndef VKA_OPS_HINTS_H
#define VKA_OPS_HINTS_H

#include "graph/graph.h"

vka_tensor vka_hint_open(vka_build *b, vka_tensor picture);
/* A Gaussian filter with 0 < sigma <= 6 pixels, cut off at 3 sigma. */
vka_tensor vka_hint_gauss(vka_build *b, vka_tensor colors, float sigma);
/* Candidates of edges: |dx| + |dy| of a 3 x 3 Sobel filter above `low` and a maximum across the edge; above `high` certain.
 * OpenCV's meaning of both. */
vka_tensor vka_hint_canny(vka_build *b, vka_tensor colors, uint32_t low, uint32_t high);
/* Candidates that touch a certain edge, directly or through others in the same tile of 16 x 16, become one. */
vka_tensor vka_hint_grow(vka_build *b, vka_tensor edges);
/* Means of squares of `factor` pixels. */
vka_tensor vka_hint_mean(vka_build *b, vka_tensor colors, uint32_t factor);

/* Pictures, see shaders/hint_show.comp. */
vka_tensor vka_hint_show_edges(vka_build *b, vka_tensor edges);
/* Lines that are darker than what surrounds them: `smooth` is the blurred picture. */
vka_tensor vka_hint_show_lines(vka_build *b, vka_tensor colors, vka_tensor smooth);
/* Gradients of three blurred pictures, sigma 1, 2 and 4. */
vka_tensor vka_hint_show_soft(vka_build *b, const vka_tensor colors[3]);
/* Means of squares of `factor` pixels, as a picture of height x width again. */
vka_tensor vka_hint_show_means(vka_build *b, vka_tensor means, uint32_t height, uint32_t width, uint32_t factor);
vka_tensor vka_hint_show_inverse(vka_build *b, vka_tensor colors);

#endif

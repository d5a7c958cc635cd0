/* ref_flow.h - optical flow and frames between two: the specification of the operators of src/ops/flow.h, in double.
 *
 * Planes are [2, h, w]; a state is [2, h, w, 8]: flow u, v, its leading copy, and the dual variables (px, py) of u and of v; a
 * linearised match is [2, h, w, 4].  Sample s looks from picture s to picture 1 - s. */
#ifndef VKA_REF_FLOW_H
#define VKA_REF_FLOW_H

#include <stdint.h>

struct ref_size {
    uint32_t h, w;
};

/* Bytes (r, g, b, any) [2, h, w, 4] to brightness 0 .. 1. */
void ref_flow_luma(const uint8_t *bytes, struct ref_size s, double *plane);
/* Half the size, halves rounded up: every second pixel after the filter (1, 4, 6, 4, 1) / 16 in both axes. */
void ref_flow_reduce(const double *plane, struct ref_size s, double *half);
/* A state of twice the size: flow and duals read between pixels, flow doubled; `from` NULL: zero. */
void ref_flow_expand(const double *from, struct ref_size small, struct ref_size s, double *state);
/* The median of 3 x 3 of the flow, and the brightness match linearised around it: (Ix, Iy, c, edge). */
void ref_flow_match(const double *plane, const double *state, struct ref_size s, double *match, double *out);
/* Whole pixels around the flow whose patch matches better. */
void ref_flow_search(const double *plane, const double *state, struct ref_size s, double *out);
/* One step of the primal-dual method. */
void ref_flow_relax(const double *match, const double *state, struct ref_size s, double lambda, double *out);
void ref_flow_fill(const uint8_t *bytes, const double *state, struct ref_size s, const double *coarse, struct ref_size cs,
                   uint32_t factor, double *out);
/* For each pixel of the frames at (i + 1) / n, i < n - 1, the motion that passes through it: paths [n - 1, h, w, 4] (u, v, share of
 * pixels around that are confirmed, 0).  state: as of ref_flow_fill. */
void ref_between_choose(const uint8_t *bytes, const double *state, struct ref_size s, const double *coarse, struct ref_size cs,
                        uint32_t factor, uint32_t n, double *paths);
/* The vector median over (2 reach + 1) squared pixels of [n, h, w, 4]: of the first two numbers. */
void ref_flow_usual(const double *motion, struct ref_size s, uint32_t n, int reach, double *out);
/* These frames: [n - 1, h, w, 4] as real numbers in bytes' scale, before rounding. */
void ref_between(const uint8_t *bytes, const double *state, struct ref_size s, const double *paths, uint32_t n, double *out);

#endif

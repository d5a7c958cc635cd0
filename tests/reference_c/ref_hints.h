/* ref_hints.h - hints for ControlNets: the specification of src/nets/hints.c, in double.  Pictures [h, w, 3] of bytes. */
#ifndef VKA_REF_HINTS_H
#define VKA_REF_HINTS_H

#include <stdint.h>

/* A picture for tests: shapes, slopes and grain, in whole numbers.  The same as in tests/reference/make_hints.py. */
void ref_hint_picture(uint32_t h, uint32_t w, uint8_t *rgb);
/* Values 0 .. 255 before they are rounded. */
void ref_hint_lineart(const uint8_t *rgb, uint32_t h, uint32_t w, double sigma, double *out);
void ref_hint_soft_edge(const uint8_t *rgb, uint32_t h, uint32_t w, double *out);
void ref_hint_tile(const uint8_t *rgb, uint32_t h, uint32_t w, uint32_t factor, double *out);
/* Canny's edges, 0 or 255; every chain followed to its end. */
void ref_hint_canny(const uint8_t *rgb, uint32_t h, uint32_t w, int low, int high, uint8_t *out);

#endif

/* redraw.h - writes the random-weight models of the golden tests.
 *
 * Weights are not committed: a text (weights.txt) names every tensor with its shape, mean, amplitude
 * and key, and its elements are drawn by the rule of tests/reference/draw.py, bit for bit. */
#ifndef VKA_TESTS_REDRAW_H
#define VKA_TESTS_REDRAW_H

#include "base/error.h"

/* Reads SET/weights.txt; writes the model files below OUT (created), with the configs that lie in SET
 * and the tokenizer files of TOKENIZER.  Lines:
 *   copy PATH               SET/PATH is copied to OUT/PATH
 *   tokenizer PATH          vocab.json, merges.txt and the two configs go to OUT/PATH
 *   file PATH               the tensor lines that follow belong to the safetensors file OUT/PATH
 *   DTYPE NAME SHAPE MEAN AMPLITUDE KEY          F16 or F32; 32x4x3x3; KEY 16 hexadecimal digits
 *   pe DTYPE NAME 1xLxC     sinusoidal positions: sin(p 10000^(-2i/C)) at 2i, cos at 2i + 1
 *   part PATH OF PREFIX L [NAMES]   OUT/PATH is the motion module OF without names that begin with PREFIX ("-": with all), its
 *                           tables L long (0: none); NAMES "diffusers": in that naming, other than "original": with NAMES in front */
vka_status vka_test_redraw(const char *set, const char *tokenizer, const char *out, vka_error *err);
/* Removes a folder with all that is in it; 0, or -1 where something stayed. */
int vka_test_remove(const char *folder);

#endif

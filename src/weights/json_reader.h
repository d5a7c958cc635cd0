/* json_reader.h - typed reads from a JSON object that keep the first error.  Internal to the weights room. */
#ifndef VKA_WEIGHTS_JSON_READER_H
#define VKA_WEIGHTS_JSON_READER_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct vka_json_reader {
    const json_t *object;
    const char *path; /* for messages */
    vka_error *err;
    vka_status status; /* of the first failure */
} vka_json_reader;

/* Whether jansson failed for want of memory, not because of the text. */
bool vka_json_no_memory(const json_error_t *e);
/* NULL when the key is absent or null. */
const json_t *vka_json_get(const vka_json_reader *r, const char *key);
/* "'PATH': KEY TEXT" as the error. */
void vka_json_refuse(vka_json_reader *r, const char *key, const char *text);
/* Each leaves *value alone when the key is absent or null, and fails outside of [low, high]. */
void vka_json_uint(vka_json_reader *r, const char *key, uint32_t *value, uint32_t low, uint32_t high);
void vka_json_real(vka_json_reader *r, const char *key, double low, double high, double *value);
void vka_json_float(vka_json_reader *r, const char *key, double low, double high, float *value);
void vka_json_bool(vka_json_reader *r, const char *key, bool *value);
void vka_json_text(vka_json_reader *r, const char *key, char *value, size_t cap);
/* One number for all, or a list of exactly `count`. */
void vka_json_uints(vka_json_reader *r, const char *key, uint32_t *values, uint32_t count, uint32_t low, uint32_t high);
/* Fails unless the key is absent, null, false, or (with `allowed`) that string. */
void vka_json_must_be(vka_json_reader *r, const char *key, const char *allowed);
/* Fails unless the key is absent, null or this number. */
void vka_json_must_be_number(vka_json_reader *r, const char *key, double value);

#endif

/* report.h - parts of JSON reports. */
#ifndef VKA_RENDER_REPORT_H
#define VKA_RENDER_REPORT_H

#include "gpu/gpu.h"
#include "ops/table.h"
#include "render/setup.h"

json_t *vka_report_device(const vka_gpu_info *info, enum vka_path path);
json_t *vka_report_memory(uint64_t budget, uint64_t planned, uint64_t peak);
/* {"schema": 1, "command": name} */
json_t *vka_report_begin(const char *command);
/* Put a new value into an object, or behind an array; where memory is short *whole becomes false and stays so, and the
 * value is let go of.  So a report is put together to its end and looked at once. */
void vka_report_put(bool *whole, json_t *object, const char *key, json_t *value);
void vka_report_add(bool *whole, json_t *array, json_t *value);
/* A path as a text; bytes that are not UTF-8, which JSON cannot hold, become '?'. */
json_t *vka_report_path(const char *path);
/* The text for the caller; takes the reference. */
char *vka_report_end(json_t *report);

#endif

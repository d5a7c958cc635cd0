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
/* The text for the caller; takes the reference. */
char *vka_report_end(json_t *report);

#endif

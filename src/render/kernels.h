/* kernels.h - what is learnt about a device's kernels and kept: whether its matrix path is right and worth taking, and the tiles
 * that a tuner chose.  One small file per device and driver in the cache folder, beside the pipeline cache. */
#ifndef VKA_RENDER_KERNELS_H
#define VKA_RENDER_KERNELS_H

#include "gpu/gpu.h"
#include "ops/table.h"

/* Runs a small network (convolution, linear layers, attention) on the table's path and on the portable one, and one product of
 * 3.4 GFLOP for time.  *right: the results agree as far as fp16 allows; seconds[0] of the path, seconds[1] of the portable one. */
vka_status vka_kernels_probe(vka_gpu *gpu, const struct vka_kernel_table *table, bool *right, double seconds[2],
                             vka_error *err);

/* Settles the table of a device that is open.  A GPU is probed once per driver and build, which tells table->flops; a matrix path
 * that it took unasked (`forced` false) and that is wrong or slower than the portable one gives way to the next lower.  Then tuned
 * tiles are read in. */
vka_status vka_kernels_settle(vka_gpu *gpu, struct vka_kernel_table *table, bool forced, const vka_log *log, vka_error *err);

/* Keeps table->tuned for later runs on this device, driver and build. */
vka_status vka_kernels_keep_tuned(const vka_gpu_info *info, const struct vka_kernel_table *table, vka_error *err);

#endif

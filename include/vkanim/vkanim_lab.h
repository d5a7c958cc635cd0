/* vkanim_lab.h - single networks, for tests and benchmarks.  No promise of stability. */
#ifndef VKANIM_LAB_H
#define VKANIM_LAB_H

#include <vkanim/vkanim.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs one network alone: `net` is "text", "unet", "vae-decode", "vae-encode" or "vision"; `in` and `out` are safetensors
 * files with the tensors that the manual page lists ("text" takes the job's prompt and no `in`). */
VKA_API vka_status vka_net(vka_context *cx, const vka_job *job, const char *net, const char *in, const char *out,
                           char **report, vka_error *err);

#ifdef __cplusplus
}
#endif
#endif

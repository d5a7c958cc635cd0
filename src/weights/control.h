/* control.h - ControlNets and SparseCtrl encoders: their names, their sizes, whether they fit a UNet.
 *
 * Files: SD1.5 ControlNets as one file with LDM names (below "control_model." or bare; also inside of a whole training checkpoint),
 * in diffusers' naming as a file or a folder; SparseCtrl as published or in diffusers' naming.  Table names are diffusers':
 * conv_in, time_embedding, down_blocks, mid_block as in a UNet; motion_modules in the down blocks as in motion.h (one attention
 * each); controlnet_cond_embedding.{conv_in, blocks.N, conv_out}, or controlnet_cond_embedding alone;
 * controlnet_down_blocks.N and controlnet_mid_block. */
#ifndef VKA_WEIGHTS_CONTROL_H
#define VKA_WEIGHTS_CONTROL_H

#include "base/arch.h"
#include "base/error.h"
#include "weights/config.h"
#include "weights/names.h"
#include "weights/safetensors.h"
#include "weights/table.h"

/* "controlnet", "sparsectrl-rgb", "sparsectrl-scribble". */
const char *vka_control_kind_name(enum vka_control_kind kind);

typedef struct vka_control vka_control;
/* A file (weights/file.h), or a folder with config.json and diffusion_pytorch_model.safetensors or .bin.  VKA_E_INPUT with a
 * sentence when it is something else, or a control that is not supported (of SDXL, a Control-LoRA, a T2I-Adapter, 6 channels ...). */
vka_status vka_control_open(vka_control **out, const char *path, vka_error *err);
void vka_control_close(vka_control *c); /* NULL is fine */
/* The weights file itself, for its hash. */
const char *vka_control_file(const vka_control *c);
vka_weights *vka_control_weights(vka_control *c);
const vka_control_info *vka_control_describe(const vka_control *c);
/* VKA_E_INPUT and a sentence when it was not made for such a UNet.  What tensors do not tell (heads, groups, epsilons) a control
 * without config.json takes from the UNet, whose copy it was trained as. */
vka_status vka_control_fit(vka_control *c, const vka_unet_config *unet, vka_error *err);

/* The same steps over a parsed file, for inspection and fuzzing: renames into `w` (finished by the callee), reads the sizes and
 * checks that all is there.  `json` is config.json, or NULL; `config_path` for messages about it. */
vka_status vka_control_read(vka_weights *w, vka_control_info *info, const vka_safetensors *st, const json_t *json,
                            const char *config_path, vka_error *err);
/* Why a control is not supported, as the end of a sentence ("is a Control-LoRA, ..."); NULL: no reason is known. */
const char *vka_control_refusal(const vka_safetensors *st);

#endif

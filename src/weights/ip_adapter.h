/* ip_adapter.h - IP-Adapters (Ye et al. 2023): keys and values of cross-attention for pictures, and what makes tokens of a picture.
 *
 * A file, as h94/IP-Adapter publishes them and diffusers reads them, has two parts: "image_proj." and "ip_adapter.".  In the second,
 * "N.to_k_ip.weight" and "N.to_v_ip.weight" [C, width] belong to the n-th cross-attention of the UNet, N = 2 n + 1, counted in
 * diffusers' order: down blocks, up blocks, then the middle block.
 *
 * Two tables come of it: the projection under the file's own names (without "image_proj."), and the pairs under diffusers' names of
 * their layers: "<block>.attentions.A.transformer_blocks.T.attn2.{to_k_ip,to_v_ip}.weight". */
#ifndef VKA_WEIGHTS_IP_ADAPTER_H
#define VKA_WEIGHTS_IP_ADAPTER_H

#include "base/arch.h"
#include "base/error.h"
#include "weights/safetensors.h"
#include "weights/table.h"

typedef struct vka_ip_adapter vka_ip_adapter;
/* A file (weights/file.h).  VKA_E_INPUT with a sentence when it is something else, or one that is not supported: FaceID (it wants a
 * face recogniser), SDXL's. */
vka_status vka_ip_adapter_open(vka_ip_adapter **out, const char *path, vka_error *err);
void vka_ip_adapter_close(vka_ip_adapter *a); /* NULL is fine */
/* The file, for its hash and for messages. */
const char *vka_ip_adapter_file(const vka_ip_adapter *a);
const vka_ip_info *vka_ip_adapter_describe(const vka_ip_adapter *a);
/* "plain", "plus", "full". */
const char *vka_ip_kind_name(enum vka_ip_kind kind);
vka_weights *vka_ip_adapter_projection(vka_ip_adapter *a);
/* Names the pairs as the layers of `unet`; once.  VKA_E_INPUT when they do not fit it. */
vka_status vka_ip_adapter_fit(vka_ip_adapter *a, const vka_unet_config *unet, vka_error *err);
/* NULL before that. */
vka_weights *vka_ip_adapter_pairs(vka_ip_adapter *a);

/* The first step over a parsed file, for inspection and fuzzing: the projection goes into `w` (finished by the callee), its sizes into
 * *info, and all shapes are checked.  *family: "sd15", "sdxl", or NULL; SDXL's are read here too. */
vka_status vka_ip_adapter_read(vka_weights *w, vka_ip_info *info, const char **family, const vka_safetensors *st, const char *path,
                               vka_error *err);

#endif

/* model.h - a model: where the UNet, the VAE, the text encoder, the tokenizer and the scheduler come from.
 *
 * A path may be
 *   - a diffusers folder (unet/, vae/, text_encoder/, tokenizer/, scheduler/; any may be absent until asked for),
 *   - one such part's own folder (config.json and weights), e.g. for --vae,
 *   - a single file (.safetensors, .ckpt ...: weights/file.h) with LDM names (a "checkpoint"; any of its parts may be absent), or one part's file.
 * Parts are opened when first asked for.  Names in the tables are diffusers', whatever the file says. */
#ifndef VKA_WEIGHTS_MODEL_H
#define VKA_WEIGHTS_MODEL_H

#include "base/error.h"
#include "weights/config.h"
#include "weights/safetensors.h"
#include "weights/table.h"

#include <jansson.h>

enum vka_part { VKA_PART_UNET, VKA_PART_VAE, VKA_PART_TEXT, VKA_PARTS };
/* "UNet", "VAE", "text encoder". */
const char *vka_part_title(enum vka_part part);

typedef struct vka_model vka_model;

/* VKA_E_INPUT with a sentence when the path is missing, or is something else (a LoRA, a motion module, ...). */
vka_status vka_model_open(vka_model **out, const char *path, vka_error *err);
/* The same over a single file that is parsed already and that the caller keeps open for as long as the model. */
vka_status vka_model_open_parsed(vka_model **out, const vka_safetensors *st, vka_error *err);
void vka_model_close(vka_model *m); /* NULL is fine; every table and config of it goes too */
const char *vka_model_path(const vka_model *m);
/* "sd15", "sd15-inpaint", "sd15-pix2pix", "sd2", "sdxl", or NULL when it is not known (yet). */
const char *vka_model_family(const vka_model *m);

/* The part's tensors; opened on the first call.  NULL with VKA_E_INPUT and the part's name when it is absent, damaged
 * or lacks tensors that its config asks for (the first few are named).  Owned by the model. */
vka_weights *vka_model_weights(vka_model *m, enum vka_part part, vka_error *err);
/* Their configs, the same way (opening the part). */
const vka_unet_config *vka_model_unet(vka_model *m, vka_error *err);
const vka_vae_config *vka_model_vae(vka_model *m, vka_error *err);
const vka_text_config *vka_model_text(vka_model *m, vka_error *err);
/* Never absent: SD's values where the model does not say. */
const vka_scheduler_config *vka_model_scheduler(vka_model *m, vka_error *err);
/* config.json of a part as it is, or NULL for single files.  Opens the part. */
const json_t *vka_model_json(vka_model *m, enum vka_part part);
/* True when the part is there, without opening it. */
bool vka_model_has(const vka_model *m, enum vka_part part);

/* The folder with vocab.json and merges.txt, or NULL. */
const char *vka_model_tokenizer(const vka_model *m);

/* Files opened so far, for hashes: NULL after the last. */
const char *vka_model_file(const vka_model *m, size_t i);
/* Tensors of a single file that belong to no part that is known (ignorable ones left out): NULL after the last. */
const char *vka_model_stranger(const vka_model *m, size_t i);

#endif

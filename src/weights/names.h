/* names.h - tables of renames: each dialect of tensor names to diffusers'.  Internal to the weights room.
 *
 * Every function takes a name without its part's prefix and writes the diffusers name into out[VKA_NAME_CAP]. */
#ifndef VKA_WEIGHTS_NAMES_H
#define VKA_WEIGHTS_NAMES_H

#include "weights/safetensors.h"

#include <stdbool.h>
#include <stdint.h>

#define VKA_NAME_CAP 1024 /* names in files have at most 512 bytes; no rename adds more than 100 */

enum vka_name_fate {
    VKA_NAME_KEEP,   /* `out` is set */
    VKA_NAME_IGNORE, /* known, and of no use to anybody */
    VKA_NAME_STRANGE /* not known; `out` is the name itself */
};

/* The number at `s` followed by '.', and what comes behind; NULL when there is none or it is over 999. */
const char *vka_name_index_at(const char *s, uint32_t *value);
/* What follows `prefix` in `name`, or NULL. */
const char *vka_name_after(const char *name, const char *prefix);

/* How the numbered blocks of an LDM UNet fall into levels: learnt from the names that are present. */
enum { VKA_LDM_BLOCKS = 96, VKA_LDM_SUBS = 4, VKA_LDM_MID = 8 };
typedef struct vka_ldm_entry {
    uint8_t kind;       /* private to names.c; 0: absent */
    uint8_t level, pos; /* block and position in it, in diffusers' counting */
} vka_ldm_entry;
typedef struct vka_ldm_map {
    vka_ldm_entry input[VKA_LDM_BLOCKS][VKA_LDM_SUBS], output[VKA_LDM_BLOCKS][VKA_LDM_SUBS];
    vka_ldm_entry middle[VKA_LDM_MID];
    uint32_t decoder_levels; /* of the VAE: decoder.up.* counts from the other end */
} vka_ldm_map;

/* `prefix` is the part's, e.g. "model.diffusion_model."; "" is allowed. */
void vka_ldm_map_unet(vka_ldm_map *map, const vka_safetensors *st, const char *prefix);
void vka_ldm_map_vae(vka_ldm_map *map, const vka_safetensors *st, const char *prefix);

enum vka_name_fate vka_rename_unet(char *out, const char *name, const vka_ldm_map *map);
/* Also renames diffusers' older attention names (query, key, value, proj_attn).  Its to_q, to_k, to_v, to_out.0 may
 * still be stored as 1x1 convolutions. */
enum vka_name_fate vka_rename_vae(char *out, const char *name, const vka_ldm_map *map);
enum vka_name_fate vka_rename_text(char *out, const char *name);
/* The UNet's name, "model.diffusion_model." included, of an averaged weight whose name lost its dots
 * ("model_ema.diffusion_modeltime_embed0weight"); false when it is none. */
bool vka_rename_average(char *out, const char *name);
/* Training leftovers and such beside the parts of a single file. */
bool vka_name_is_ignorable(const char *name);

/* The motion module's names, with any wrapper in front ("module.", "unet." ...).  VKA_NAME_IGNORE: not a motion tensor.
 * *attention: number of the attention block whose positional table this is, or -1. */
enum vka_name_fate vka_rename_motion(char *out, const char *name, int *attention);

/* A ControlNet's names.  The prefix of its names in a file ("control_model." or the like), "" where they are bare. */
typedef struct vka_control_names {
    vka_ldm_map unet;
    uint32_t hint_last; /* of input_hint_block.N */
} vka_control_names;
const char *vka_control_prefix(const vka_safetensors *st);
void vka_control_map(vka_control_names *map, const vka_safetensors *st, const char *prefix);
enum vka_name_fate vka_rename_control(char *out, const char *name, const vka_control_names *map);

#endif

/* lora.h - LoRAs of every dialect: what a file holds, what it is for, and how it changes a model's tensors.
 *
 * A file is a list of modules: the tensors that change one layer, whatever the names are that its writer gave them
 * (kohya's, diffusers' processors, PEFT's, AnimateDiff's, A1111's).  Which layer is meant is looked up among the model's
 * own names, each in the forms that are in use; nothing is guessed.
 *
 * A mix is several files with weights, over the tables of one model.  A tensor that it changes reads as
 *     W' = W + sum over the files, in the order given, of weight * delta(W)
 * in fp32, W being what the model's file says: deltas do not see each other.  delta is
 *     LoRA, LoCon      scale * up down, with a middle for convolutions in Tucker's form; DoRA on top of any:
 *                      (W + delta) * magnitude / |W + delta| - W, the norm by output row or input channel
 *     LoHa             scale * (a1 b1) . (a2 b2), element by element
 *     LoKr             scale * kron(w1, w2), each whole or as a product
 *     GLoRA            scale * (W a1 a2 + b1 b2)
 *     full, norm       the difference itself
 *     IA3              W * factor, by output or input channel
 * and scale = alpha / rank (alpha / sqrt(rank) where a config says so; 1 without alpha).
 *
 * Each element is the same sum however the tensor is cut in rows, so packing by panels, streaming and threads change no
 * bit.  A weight of 0 leaves the tensor as it is, bit by bit. */
#ifndef VKA_WEIGHTS_LORA_H
#define VKA_WEIGHTS_LORA_H

#include "base/error.h"
#include "weights/safetensors.h"
#include "weights/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vka_lora vka_lora;

typedef struct vka_lora_info {
    const char *algorithm; /* "lora", "locon", "loha", "lokr", "glora", "full", "norm", "ia3", "dora" or "mixed" */
    const char *dialect;   /* "kohya", "diffusers", "peft", "animatediff" */
    size_t tensors;               /* in the file */
    size_t modules, motion, text; /* layers changed; of them in motion modules and in text encoders */
    uint32_t rank_low, rank_high; /* 0: no ranks */
    double alpha_low, alpha_high; /* where the file says; else 0 */
    size_t strangers;             /* tensors that no rule knows */
    const char *stranger;         /* the first of them */
    bool second_text;             /* it has layers of a second text encoder: SDXL */
    uint64_t text_width;          /* of cross-attention keys: 768 in SD1.5, 2048 in SDXL; 0: not known */
} vka_lora_info;

/* A file of any format that is read, or a folder with adapter_model.safetensors.  VKA_E_INPUT with a sentence when it is no
 * LoRA, or has two tensors for one place.  A module that contradicts itself (a half without the other, ranks that differ, an
 * alpha that is no number) is refused when its layer is there. */
vka_status vka_lora_open(vka_lora **out, const char *path, vka_error *err);
/* The same over a parsed file that the caller keeps open. */
vka_status vka_lora_open_parsed(vka_lora **out, const vka_safetensors *st, vka_error *err);
void vka_lora_close(vka_lora *l); /* NULL is fine */
/* The weights file itself, for its hash and for messages. */
const char *vka_lora_file(const vka_lora *l);
const vka_lora_info *vka_lora_describe(const vka_lora *l);
/* Most of it is for motion modules. */
bool vka_lora_is_motion(const vka_lora *l);

/* Calls note() with a sentence for each thing worth knowing: algorithm, ranks, what trainers wrote about it. */
void vka_lora_notes(const vka_lora *l, void (*note)(void *user, const char *text), void *user);

/* ---- mixing ---- */

/* The tables that a mix may change; NULL: not open, and what is meant for it is left alone. */
struct vka_lora_tables {
    vka_weights *unet, *motion, *text;
};

/* What became of a file in a mix. */
typedef struct vka_lora_fit {
    size_t applied, elsewhere; /* modules: in the tables; for a part that is not open */
    size_t unknown;            /* tensors of the file that belong to no layer, or to no LoRA form that is known */
    char names[200];           /* what the first of them are for, as in the file */
} vka_lora_fit;

typedef struct vka_lora_mix vka_lora_mix;

vka_lora_mix *vka_lora_mix_create(void); /* NULL: memory */
/* The tables, which must still be there, become what they were; NULL is fine. */
void vka_lora_mix_destroy(vka_lora_mix *m);
/* Adds a file, which must stay open, with its weights for everything else and for the text encoder; the tables' tensors
 * that it changes are marked (vka_weight.changes) and must be read through vka_lora_numbers.  VKA_E_INPUT when a tensor
 * does not fit its layer, or when nothing of the file belongs to the model. */
vka_status vka_lora_mix_add(vka_lora_mix *m, const vka_lora *l, const struct vka_lora_tables *t, double weight,
                            double text_weight, vka_lora_fit *fit, vka_error *err);
/* Other weights for the file that was added as number `i`; what was read before must be read again. */
void vka_lora_mix_weigh(vka_lora_mix *m, size_t i, double weight, double text_weight);

/* Elements [first, first + count) of a tensor with changes, merged.  Not for two threads at once over one mix. */
void vka_lora_numbers(const void *changes, uint64_t first, uint64_t count, float *out);

/* ---- travelling ----
 *
 * LoRAs whose weight is another in every frame are not merged; a network multiplies by their two halves.  For each layer that
 * one touches there are, in a table of their own,
 *     "<layer>.down.weight" [W, K..]    the downs of all LoRAs one behind the other, each from a multiple of 8 on, W rows in all
 *     "<layer>.up.weight" [N, W]        the ups side by side, times alpha / rank
 *     "<layer>.up_I_P.weight" [N, P W]  the same in columns I W .. of P W, I < P, P 2 or 3, of to_q, to_k and to_v
 * with zeros in between.  Layers to_q, to_k and to_v of one attention have the same W. */
typedef struct vka_lora_travel vka_lora_travel;
enum { VKA_LORA_TRAVELLERS = 8 };

vka_lora_travel *vka_lora_travel_create(void); /* NULL: memory */
void vka_lora_travel_destroy(vka_lora_travel *t); /* NULL is fine */
size_t vka_lora_travel_count(const vka_lora_travel *t);
/* Adds a file, which must stay open, like the tables, of which `text` is not looked at.  VKA_E_INPUT as vka_lora_mix_add, and for
 * what is no product of two matrices: LoHa, LoKr, GLoRA, DoRA, IA3, differences. */
vka_status vka_lora_travel_add(vka_lora_travel *t, const vka_lora *l, const struct vka_lora_tables *tables, vka_lora_fit *fit,
                               vka_error *err);
/* The table, when all are added; `t` keeps it.  NULL with an error when memory is short. */
vka_weights *vka_lora_travel_table(vka_lora_travel *t, vka_error *err);
/* Rows of each LoRA's down at a layer, multiples of 8, 0 for none, the sum being W; false where there are none.  `travel` is a
 * vka_lora_travel whose table has been made. */
bool vka_lora_travel_widths(void *travel, const char *layer, uint32_t width[VKA_LORA_TRAVELLERS]);

#endif

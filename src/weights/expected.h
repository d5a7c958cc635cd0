/* expected.h - the names that a part of given sizes must have.  Internal to the weights room. */
#ifndef VKA_WEIGHTS_EXPECTED_H
#define VKA_WEIGHTS_EXPECTED_H

#include "weights/config.h"
#include "weights/table.h"

/* Each adds what the table lacks.  Shortcut convolutions are wanted where the channels change. */
void vka_unet_missing(vka_missing *m, const vka_weights *w, const vka_unet_config *c);
/* The down blocks, the middle and what is before them. */
void vka_encoder_missing(vka_missing *m, const vka_weights *w, const vka_unet_config *c);
/* Only the sides (encoder, decoder) that the config says are there. */
void vka_vae_missing(vka_missing *m, const vka_weights *w, const vka_vae_config *c);
void vka_text_missing(vka_missing *m, const vka_weights *w, const vka_text_config *c);

#endif

/* networks.h - networks without files: tables of names and shapes as a model file of given sizes would have them.
 *
 * Graphs, plans and recordings ask a weight for its shape only.  A test that runs a network hands in numbers. */
#ifndef BENCH_NETWORKS_H
#define BENCH_NETWORKS_H

#include "base/arch.h"
#include "weights/table.h"

/* Stable Diffusion 1.5 and AnimateDiff v2, as published. */
vka_unet_config networks_sd15_unet(void);
vka_vae_config networks_sd15_vae(void);
vka_text_config networks_sd15_text(void);
vka_motion_info networks_v2_motion(const vka_unet_config *c);
/* The same topologies with `channels` at full resolution, doubled once, and `levels` levels of `layers` ResNets. */
vka_unet_config networks_small_unet(uint32_t channels, uint32_t levels, uint32_t layers);
vka_vae_config networks_small_vae(uint32_t channels, uint32_t levels);
vka_text_config networks_small_text(uint32_t hidden, uint32_t layers);

/* Halves that every tensor of a table takes its numbers from, each from a place of its own; `count` is at least the
 * size of the largest tensor. */
struct networks_numbers {
    const uint16_t *halves;
    size_t count;
};

/* Tables under diffusers' names (transformers' for the text encoder); `numbers` NULL: shapes only.  The numbers are
 * borrowed. NULL when memory is short or the numbers do not suffice; vka_weights_free them. */
vka_weights *networks_unet_table(const vka_unet_config *c, const struct networks_numbers *numbers);
vka_weights *networks_motion_table(const vka_motion_info *m, const vka_unet_config *c,
                                   const struct networks_numbers *numbers);
vka_weights *networks_vae_table(const vka_vae_config *c, const struct networks_numbers *numbers);
vka_weights *networks_text_table(const vka_text_config *c, const struct networks_numbers *numbers);

#endif

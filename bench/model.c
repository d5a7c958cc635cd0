/* model.c - see model.h.  The sizes of the miniature are those of models/miniature (a test compares them). */
#include "model.h"

#include "networks.h"

#include "base/half.h"

#include <stdlib.h>
#include <string.h>

/* Larger than the largest tensor of SD1.5, the token embedding. */
enum { NUMBERS = 49408 * 768 + 4096 };

static vka_unet_config miniature_unet(void)
{
    vka_unet_config c = networks_sd15_unet();
    c.levels = 3;
    c.cross_attention_dim = 128;
    c.time_embed_dim = 256;
    for (uint32_t l = 0; l < VKA_MAX_LEVELS; l++) {
        c.channels[l] = l < 3 ? (l ? 96 : 64) : 0;
        c.layers[l] = l < 3;
        c.heads[l] = l < 3 ? 8 : 0;
        c.depth[l] = l < 2;
        c.up_depth[l] = l == 1 || l == 2;
    }
    return c;
}

static vka_vae_config miniature_vae(void)
{
    static const uint32_t channels[] = {16, 32, 48, 64};
    vka_vae_config c = networks_sd15_vae();
    memcpy(c.channels, channels, sizeof channels);
    c.layers = 1;
    c.norm_num_groups = 4;
    c.scaling_factor = 0.28903f;
    return c;
}

static vka_text_config miniature_text(void)
{
    vka_text_config c = networks_sd15_text();
    c.hidden = 128;
    c.layers = 2;
    c.heads = 4;
    c.intermediate = 512;
    c.vocab = 887;
    return c;
}

/* Uniform in (-0.035, 0.035); Knuth's MMIX generator. */
static uint16_t *draw_numbers(void)
{
    uint16_t *n = malloc(NUMBERS * sizeof *n);
    uint64_t s = 1;
    for (size_t i = 0; n && i < NUMBERS; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        n[i] = vka_float_to_half(((float)(uint32_t)(s >> 40) / 8388608.0f - 1.0f) * 0.035f);
    }
    return n;
}

vka_status bench_model_open(struct bench_model *m, const char *name, bool numbers, vka_error *err)
{
    *m = (struct bench_model){0};
    if (strcmp(name, "sd15") == 0)
        *m = (struct bench_model){.name = "sd15",
                                  .unet = networks_sd15_unet(),
                                  .vae = networks_sd15_vae(),
                                  .text = networks_sd15_text(),
                                  .vae_f16 = true};
    else if (strcmp(name, "miniature") == 0)
        *m = (struct bench_model){
            .name = "miniature", .unet = miniature_unet(), .vae = miniature_vae(), .text = miniature_text()};
    else
        return vka_fail(err, VKA_E_USAGE, "--model does not know '%.100s'", name);
    m->motion = networks_v2_motion(&m->unet);
    m->factor = 1u << (m->vae.levels - 1);
    m->numbers = numbers ? draw_numbers() : NULL;
    struct networks_numbers n = {m->numbers, NUMBERS};
    const struct networks_numbers *from = numbers ? &n : NULL;
    if (!numbers || m->numbers) {
        m->unet_table = networks_unet_table(&m->unet, from);
        m->motion_table = networks_motion_table(&m->motion, &m->unet, from);
        m->vae_table = networks_vae_table(&m->vae, from);
        m->text_table = networks_text_table(&m->text, from);
    }
    if (m->unet_table && m->motion_table && m->vae_table && m->text_table)
        return VKA_OK;
    bench_model_close(m);
    return vka_fail(err, VKA_E_MEMORY, "out of memory making a model's tables");
}

void bench_model_close(struct bench_model *m)
{
    vka_weights_free(m->unet_table);
    vka_weights_free(m->motion_table);
    vka_weights_free(m->vae_table);
    vka_weights_free(m->text_table);
    free(m->numbers);
    *m = (struct bench_model){0};
}

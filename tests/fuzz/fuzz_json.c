/* fuzz_json.c - JSON and every config that is read from it.  Any text gives an answer; an accepted config is in range
 * and divides evenly, so that nobody after it divides by zero or counts for ever. */
#include "weights/weights.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(vka_status s, const vka_error *err)
{
    if (s != err->status || (s != VKA_OK && s != VKA_E_INPUT) || (s != VKA_OK && !err->what[0]))
        abort();
}

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void check_unet(const json_t *j)
{
    vka_unet_config c;
    vka_error err = {0};
    vka_status s = vka_unet_config_from_json(&c, j, NULL, "input", &err);
    check_error(s, &err);
    if (s != VKA_OK)
        return;
    must(c.levels >= 1 && c.levels <= VKA_MAX_LEVELS && c.in_channels && c.out_channels && c.time_embed_dim);
    must(c.norm_num_groups && c.cross_attention_dim && c.mid_resnets <= 2 && c.norm_eps > 0);
    for (uint32_t l = 0; l < c.levels; l++) {
        must(c.channels[l] && c.channels[l] <= 65536 && c.layers[l] && c.layers[l] <= 64 && c.heads[l]);
        must(c.channels[l] % c.norm_num_groups == 0 && c.depth[l] <= 64 && c.up_depth[l] <= 64);
        must(!c.depth[l] || c.channels[l] % c.heads[l] == 0);
    }
    must(!c.mid_depth || c.channels[c.levels - 1] % c.mid_heads == 0);
}

static void check_others(const json_t *j)
{
    vka_vae_config v;
    vka_text_config t;
    vka_scheduler_config sc;
    vka_error err = {0};
    vka_status s = vka_vae_config_from_json(&v, j, NULL, "input", &err);
    check_error(s, &err);
    if (s == VKA_OK) {
        must(v.levels >= 1 && v.levels <= VKA_MAX_LEVELS && v.layers && v.latent_channels && v.scaling_factor > 0);
        for (uint32_t l = 0; l < v.levels; l++)
            must(v.channels[l] && v.channels[l] % v.norm_num_groups == 0);
    }
    err = (vka_error){0};
    s = vka_text_config_from_json(&t, j, NULL, "input", &err);
    check_error(s, &err);
    if (s == VKA_OK)
        must(t.hidden && t.heads && t.hidden % t.heads == 0 && t.layers && t.vocab && t.max_positions && t.eps > 0);
    err = (vka_error){0};
    s = vka_scheduler_config_from_json(&sc, j, "input", &err);
    check_error(s, &err);
    if (s == VKA_OK)
        must(sc.num_train_timesteps > 0 && sc.steps_offset >= 0 && sc.beta_start >= 0 && sc.beta_end <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vka_error err = {0};
    json_t *j = vka_json_parse((const char *)data, size, "input", &err);
    check_error(j ? VKA_OK : VKA_E_INPUT, &err);
    if (!j)
        return 0;
    check_unet(j);
    check_others(j);
    json_decref(j);
    return 0;
}

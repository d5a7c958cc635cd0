/* names_average.c - the names that averaged (EMA) weights had before their dots were taken out; see names.h.
 *
 * LDM's trainer keeps the average of "diffusion_model.input_blocks.1.0.in_layers.0.weight" as
 * "model_ema.diffusion_modelinput_blocks10in_layers0weight".  The words of a UNet's names tell where the dots were: each
 * place takes the longest word that fits.  Numbers stand between words, one each, but for the rows of blocks, whose second
 * number has one digit. */
#include "weights/names.h"

#include <stdio.h>
#include <string.h>

/* Appends "." and n bytes; false when there is no room. */
static bool put(char *out, size_t *at, const char *s, size_t n)
{
    if (*at + n + 2 > VKA_NAME_CAP)
        return false;
    out[(*at)++] = '.';
    memcpy(out + *at, s, n);
    *at += n;
    out[*at] = '\0';
    return true;
}

bool vka_rename_average(char *out, const char *name)
{
    static const char *const words[] = {"transformer_blocks",
                                        "skip_connection",
                                        "output_blocks",
                                        "input_blocks",
                                        "middle_block",
                                        "out_layers",
                                        "emb_layers",
                                        "time_embed",
                                        "label_emb",
                                        "in_layers",
                                        "proj_out",
                                        "proj_in",
                                        "weight",
                                        "to_out",
                                        "attn1",
                                        "attn2",
                                        "norm1",
                                        "norm2",
                                        "norm3",
                                        "to_q",
                                        "to_k",
                                        "to_v",
                                        "norm",
                                        "conv",
                                        "proj",
                                        "bias",
                                        "net",
                                        "out",
                                        "ff",
                                        "op"};
    const char *s = vka_name_after(name, "model_ema.diffusion_model");
    size_t at = (size_t)snprintf(out, VKA_NAME_CAP, "model.diffusion_model");
    bool row = false, ok = s && *s && *s != '.';
    while (ok && *s) {
        size_t n = strspn(s, "0123456789");
        if (n) {
            size_t first = row && n > 1 ? n - 1 : n;
            ok = put(out, &at, s, first) && (first == n || put(out, &at, s + first, 1));
            row = false;
        } else {
            size_t i = 0;
            while (i < sizeof words / sizeof *words && !vka_name_after(s, words[i]))
                i++;
            if ((ok = i < sizeof words / sizeof *words)) {
                n = strlen(words[i]);
                ok = put(out, &at, s, n);
                row = strcmp(words[i], "input_blocks") == 0 || strcmp(words[i], "output_blocks") == 0 ||
                      strcmp(words[i], "label_emb") == 0;
            }
        }
        s += n;
    }
    return ok;
}

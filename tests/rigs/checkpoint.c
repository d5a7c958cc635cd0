/* checkpoint.c - files with the names and shapes of Stable Diffusion 1.5 and AnimateDiff v2 in a folder: sd15.safetensors,
 * motion.safetensors, lora.safetensors (rank 128, for every matrix of the UNet's transformers, in kohya's names), and
 * embeds.safetensors in place of a tokenizer.  Their numbers are holes that read as zero, so that 4 GB
 * take a few hundred kilobytes on disk: enough for plans and graphs.  With --numbers all but the text encoder's are random
 * numbers that keep activations near 1, so that the networks run: 3 GB, and always the same.
 *
 *     checkpoint [--numbers] FOLDER */
#include "../unit/weights_build.h"

#include "base/half.h"
#include "base/rng.h"
#include "weights/safetensors.h"

#include <math.h>

enum { CHOICES = 4096, AT_ONCE = 1 << 16, RANK = 128 };

static const unsigned vae_channels[] = {128, 256, 512, 512};

/* Uniform in mean +- range: matrices with a variance of 1 over their rows' length, norms around 1, small biases. */
static void scale_of(const vka_weight *w, double *mean, double *range)
{
    double length = 1;
    for (uint32_t i = 1; i < w->rank; i++)
        length *= (double)w->dims[i];
    size_t n = strlen(w->name);
    *mean = 0;
    if (w->rank == 1 && n > 7 && strcmp(w->name + n - 7, ".weight") == 0)
        *mean = 1, *range = 0.2;
    else if (w->rank == 1)
        *range = 0.1;
    else
        *range = w->rank == 3 ? 1 : sqrt(3 / length); /* 3: embeddings, tables of positions */
}

/* Puts numbers where the file has holes. */
static bool fill(const char *name, const char *without)
{
    vka_safetensors st = {0};
    vka_error err = {0};
    static uint16_t choice[CHOICES], block[AT_ONCE];
    const char *path = in_folder(name);
    if (vka_safetensors_open(&st, path, &err) != VKA_OK) {
        fprintf(stderr, "checkpoint: %s\n", err.what);
        return false;
    }
    FILE *f = fopen(path, "r+b");
    uint64_t random = 0x9e3779b97f4a7c15u;
    bool good = f != NULL;
    for (size_t i = 0; good && i < st.count; i++) {
        const vka_weight *w = &st.tensors[i];
        double mean = 0, range = 0;
        if (strncmp(w->name, without, strlen(without)) == 0)
            continue;
        scale_of(w, &mean, &range);
        for (uint32_t k = 0; k < CHOICES; k++)
            choice[k] = vka_float_to_half((float)(mean + range * (2.0 * k + 1 - CHOICES) / CHOICES));
        good = fseeko(f, (off_t)((const char *)w->data - (const char *)st.map.data), SEEK_SET) == 0;
        for (uint64_t at = 0, count = w->bytes / 2; good && at < count; at += AT_ONCE) {
            size_t n = count - at < AT_ONCE ? (size_t)(count - at) : AT_ONCE;
            for (size_t k = 0; k < n; k++) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                block[k] = choice[random >> 52];
            }
            good = fwrite(block, 2, n, f) == n;
        }
    }
    good = f && fclose(f) == 0 && good;
    vka_safetensors_close(&st);
    if (!good)
        fprintf(stderr, "checkpoint: cannot write '%s'\n", path);
    return good;
}

/* A LoRA for the matrices of the model's transformers. */
static bool build_lora(build *b, const char *model)
{
    vka_safetensors st = {0};
    vka_error err = {0};
    if (vka_safetensors_open(&st, in_folder(model), &err) != VKA_OK) {
        fprintf(stderr, "checkpoint: %s\n", err.what);
        return false;
    }
    for (size_t i = 0; i < st.count; i++) {
        static const char part[] = "model.diffusion_model.", end[] = ".weight";
        const vka_weight *w = &st.tensors[i];
        char layer[200], name[300];
        size_t n = strlen(w->name);
        if (strncmp(w->name, part, sizeof part - 1) != 0 || !strstr(w->name, "transformer_blocks") || w->rank != 2 || n >= sizeof layer)
            continue;
        snprintf(layer, sizeof layer, "%.*s", (int)(n - (sizeof part - 1) - (sizeof end - 1)), w->name + sizeof part - 1);
        for (char *c = layer; *c; c++)
            *c = *c == '.' ? '_' : *c;
        snprintf(name, sizeof name, "lora_unet_%s.lora_down.weight", layer);
        build_add(b, name, 2, RANK, (unsigned)w->dims[1]);
        snprintf(name, sizeof name, "lora_unet_%s.lora_up.weight", layer);
        build_add(b, name, 2, (unsigned)w->dims[0], RANK);
    }
    vka_safetensors_close(&st);
    return true;
}

int main(int argc, char **argv)
{
    static const ldm_shape sd15 = {.levels = 4,
                                   .channels = {320, 640, 1280, 1280},
                                   .layers = 2,
                                   .attends = {1, 1, 1, 0},
                                   .in = 4,
                                   .text = 768,
                                   .time = 1280};
    static const motion_shape v2 = {
        .levels = 4, .channels = {320, 640, 1280, 1280}, .layers = 2, .pe = 32, .mid = true};
    bool numbers = argc == 3 && strcmp(argv[1], "--numbers") == 0;
    if (argc != (numbers ? 3 : 2) || strlen(argv[argc - 1]) >= sizeof folder) {
        fprintf(stderr, "usage: checkpoint [--numbers] FOLDER\n");
        return 2;
    }
    snprintf(folder, sizeof folder, "%s", argv[argc - 1]);
    (void)make_folder, (void)remove_folder; /* the folder is the caller's */
    build model = {0}, motion = {0}, embeds = {0}, lora = {0};
    build_ldm_unet(&model, &sd15);
    build_ldm_vae(&model, "first_stage_model.", vae_channels, 4, 2);
    build_text_model(&model, "cond_stage_model.transformer.text_model.", 12, 768, 49408);
    build_write(&model, "sd15.safetensors");
    build_motion(&motion, &v2);
    build_write(&motion, "motion.safetensors");
    build_add(&embeds, "cond", 3, 1, 77, 768);
    build_add(&embeds, "uncond", 3, 1, 77, 768);
    build_write(&embeds, "embeds.safetensors");
    if (!build_lora(&lora, "sd15.safetensors"))
        return 1;
    build_write(&lora, "lora.safetensors");
    return !numbers || (fill("sd15.safetensors", "cond_stage_model.") && fill("motion.safetensors", "/") &&
                        fill("lora.safetensors", "/") && fill("embeds.safetensors", "/"))
               ? 0
               : 1;
}

/* checkpoint.c - files with the names and shapes of Stable Diffusion 1.5 and AnimateDiff v2 in a folder: sd15.safetensors,
 * motion.safetensors, and embeds.safetensors in place of a tokenizer.  Their numbers are holes that read as zero, so that 4 GB
 * take a few hundred kilobytes on disk: enough for plans and graphs.
 *
 *     checkpoint FOLDER */
#include "../unit/weights_build.h"

static const unsigned vae_channels[] = {128, 256, 512, 512};

int main(int argc, char **argv)
{
    static const ldm_shape sd15 = {.levels = 4,
                                   .channels = {320, 640, 1280, 1280},
                                   .layers = 2,
                                   .attends = {1, 1, 1, 0},
                                   .in = 4,
                                   .text = 768,
                                   .time = 1280};
    static const motion_shape v2 = {.levels = 4, .channels = {320, 640, 1280, 1280}, .layers = 2, .pe = 32, .mid = true};
    if (argc != 2 || strlen(argv[1]) >= sizeof folder) {
        fprintf(stderr, "usage: checkpoint FOLDER\n");
        return 2;
    }
    snprintf(folder, sizeof folder, "%s", argv[1]);
    (void)make_folder, (void)remove_folder; /* the folder is the caller's */
    build model = {0}, motion = {0}, embeds = {0};
    build_ldm_unet(&model, &sd15);
    build_ldm_vae(&model, "first_stage_model.", vae_channels, 4, 2);
    build_text_model(&model, "cond_stage_model.transformer.text_model.", 12, 768, 49408);
    build_write(&model, "sd15.safetensors");
    build_motion(&motion, &v2);
    build_write(&motion, "motion.safetensors");
    build_add(&embeds, "cond", 3, 1, 77, 768);
    build_add(&embeds, "uncond", 3, 1, 77, 768);
    build_write(&embeds, "embeds.safetensors");
    return 0;
}

/* setup_ip.h - the image prompts of a job: `--ip-adapter PATH[,KEY=VALUE]...` and `--vision PATH`.
 *
 *     image=FILE[;FILE]...   what it is shown; a folder or numbered files (media/pictures.h) are so many pictures
 *     frames=N[;N]...        key frames, one for each picture, counted from 0, negative from the end; a frame takes the picture of the
 *                            nearest key at or before it, frames before the first key its.  Without: pictures spread evenly
 *     weight=VALUES          over the frames (sample/values.h, with ';' or ','); 1
 *     start=, end=           shares of the steps between which it works; 0 and 1 */
#ifndef VKA_RENDER_SETUP_IP_H
#define VKA_RENDER_SETUP_IP_H

#include "render/setup.h"
#include "render/spec.h"

struct vka_setup_ip {
    struct vka_spec spec; /* as given */
    char *path;           /* where it was found */
    vka_ip_adapter *file;
    double start, end;
    int64_t *keys; /* frames=; NULL: none given */
    uint32_t key_count;
    uint32_t pictures;
    float *patches; /* [pictures], as the image encoder takes them (vka_vision_unfold); NULL where no clip is made */
};

/* Opens the adapters and, for a clip or where `vision` is asked for, the image encoder, and reads the pictures.  After the UNet and the
 * clip's length.  VKA_E_USAGE, VKA_E_INPUT with a sentence. */
vka_status vka_setup_ips(struct vka_setup *s, bool clip, bool vision, vka_error *err);
void vka_setup_ips_close(struct vka_setup *s);
/* For a clip of `frames`: the number of each frame's picture, and its weight; malloc'ed, NULL after an error. */
vka_status vka_setup_ip_frames(const struct vka_setup *s, size_t i, uint32_t frames, int32_t **picture, float **weight, vka_error *err);
/* The option's text with every path absolute, malloc'ed; NULL when memory is short. */
char *vka_setup_ip_text(const struct vka_setup *s, size_t i);
/* Names of the files that it is shown, for what identifies a job: of folders and patterns what they say.  malloc'ed each and the list,
 * ended by NULL; NULL when memory is short. */
char **vka_setup_ip_images(const struct vka_setup_ip *ip);

/* A picture [h,w,3] as the image encoder takes it (setup_ip_picture.c): the short side scaled to the encoder's with Pillow's bicubic
 * kernel, the middle cut out, CLIP's norm: what transformers' CLIPImageProcessor does. */
vka_status vka_setup_ip_prepare(const vka_vision_config *c, const uint8_t *rgb, uint32_t width, uint32_t height, float *patches,
                                vka_error *err);
/* Reads `count` pictures (0: as many as there are, at most `most`) of what image= says: *patches [*count][...], malloc'ed. */
vka_status vka_setup_ip_read(const vka_vision_config *c, const char *image, uint32_t most, uint32_t *count, float **patches,
                             vka_error *err);

#endif

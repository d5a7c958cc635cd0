/* setup_control.h - what --control says: PATH[,KEY=VALUE]...
 *
 *     source=FILE|FOLDER|PATTERN   pictures of its hints; without it those of --init-video or --init
 *     source=previous              the frame before (TemporalNet), see previous.h
 *     weight=VALUES                sample/values.h, over the frames; 1 without it
 *     start=SHARE, end=SHARE       the steps in which it counts, shares of all: 0 and 1 without them
 *     mode=balanced|prompt|control A1111's control modes: the factors of the outputs, and the branch without the prompt
 *     process=NAME                 what makes the hint from a picture: none without it
 *     frames=N;N;...               SparseCtrl: the frames of the pictures in their order, negative from the end
 *     encode=mean|sample           SparseCtrl of latents: what the VAE's encoder gives, or drawn from it
 *
 * A comma separates only where a key and '=' follow it, so that values and paths may have commas. */
#ifndef VKA_RENDER_SETUP_CONTROL_H
#define VKA_RENDER_SETUP_CONTROL_H

#include "weights/control.h"

enum vka_control_mode {
    VKA_CONTROL_BALANCED,
    VKA_CONTROL_PROMPT, /* outputs fade towards the first: 0.825^(last - i) */
    VKA_CONTROL_CONTROL /* likewise, and nothing in the branch without the prompt */
};
enum vka_control_process {
    VKA_PROCESS_NONE,
    VKA_PROCESS_CANNY,
    VKA_PROCESS_LINEART,
    VKA_PROCESS_SOFT_EDGE,
    VKA_PROCESS_TILE,
    VKA_PROCESS_INVERT,
    VKA_PROCESSES
};

struct vka_control_spec {
    char *path;                     /* as given */
    char *source, *weight, *frames; /* NULL: not given */
    bool previous;                  /* source=previous; `source` is NULL then */
    double start, end;
    enum vka_control_mode mode;
    enum vka_control_process process;
    bool sample; /* encode=sample */
};

/* VKA_E_USAGE with a sentence for what is none of the above.  Free it in every case. */
vka_status vka_control_spec_parse(struct vka_control_spec *spec, const char *text, vka_error *err);
void vka_control_spec_free(struct vka_control_spec *spec);
/* Which of `frames` frames the `pictures` pictures of SparseCtrl are for, [pictures] each once: those of `list` ("0;8;-1"); NULL:
 * spread from the first to the last.  VKA_E_USAGE for a frame beyond the end or named twice, and where there are fewer pictures
 * than frames are named; *count tells how many there are. */
vka_status vka_control_frames(const char *list, uint32_t frames, uint32_t pictures, uint32_t *out, uint32_t *count, vka_error *err);
/* The factor of output i of `outputs`. */
float vka_control_layer(enum vka_control_mode mode, uint32_t i, uint32_t outputs);

/* A control of a job. */
struct vka_setup_control {
    struct vka_control_spec spec;
    char *path; /* where it was found */
    vka_control *file;
};

#endif

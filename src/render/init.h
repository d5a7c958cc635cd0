/* init.h - pictures that a clip begins from: --init, --init-last, --keyframe, --init-video, --mask.
 *
 * Keys are frames with a picture of their own: frame 0 of --init, the last of --init-last, N of --keyframe N=IMAGE.  A clip
 * with keys starts, before noise is added, from
 *
 *     latent_i = sum over keys k of w_ik picture_k + (1 - sum of w_ik) noise2        w_ik = max(0, 1 - |i - k|^power / scale)
 *
 * the w_ik of a frame scaled to a sum of 1 where it is more; at a key its own is 1 and the others are 0.  With one key at frame
 * 0, or a second one at the end, this is the rule of A1111's AnimateDiff extension (its "latent power" and "latent scale").
 * noise2 is the second draw of the clip's generators, right behind the first noise.
 *
 * With --init-video every frame has its picture and there is no noise2; keys then stand in place of the video's pictures.
 *
 * Held is a picture where the model's output is replaced by the one that predicts it (vka_sampler_hold_mix): the keys; or, with
 * a mask, what is black in it, in every frame, of its own picture or the nearest key's.  Steps 0 .. vka_init_held - 1 do so.
 *
 * Latents are means of the VAE's posterior in the sampler's scale, [channels, h, w] a frame; pictures are [height, width, 3]. */
#ifndef VKA_RENDER_INIT_H
#define VKA_RENDER_INIT_H

#include "render/job.h"
#include "render/stages.h"

#include "media/pictures.h"

struct vka_init_key {
    uint32_t frame;
    char *path;
    double power, scale; /* how its picture fades */
    uint8_t *rgb;        /* [height][width][3] */
};

struct vka_init {
    bool any;                         /* there is a picture; all below is zero otherwise */
    uint32_t frames, width, height;   /* of the clip, pixels */
    uint32_t channels, h, w;          /* of its latents */
    uint32_t key_count;
    struct vka_init_key *key; /* by frame, each frame once */
    vka_pictures *video;      /* NULL: there is none */
    double hold;              /* share of the steps */
    uint32_t mask_frames;     /* 0: no mask; 1: one for all frames; or frames */
    float *mask;              /* [mask_frames][h][w], 1: may change, 0: is kept */
    float *encoded;           /* keys only: [key_count] latents */
    float *latents;           /* [frames] of the clip at work, once they are known */
    bool ready;               /* pictures are encoded */
};

/* Whether a job names pictures to begin from. */
bool vka_init_asked(const vka_job *job);
/* Steps at the beginning that a strength leaves out: diffusers' rule, of N steps the last min(N, floor(N strength)) are run. */
uint32_t vka_init_first_step(uint32_t steps, double strength);

/* Reads the options and all pictures but the video's, which are counted and decoded once, so that what is wrong is told before
 * anything is rendered.  width, height: of the clip; factor: pixels of a latent pixel.  VKA_E_USAGE, VKA_E_INPUT, VKA_E_MEMORY;
 * close in every case. */
vka_status vka_init_open(struct vka_init *in, const vka_job *job, uint32_t frames, uint32_t width, uint32_t height, uint32_t factor,
                         uint32_t channels, vka_error *err);
/* Host memory that it takes at most. */
uint64_t vka_init_bytes(const struct vka_init *in);
/* Pictures that will be encoded. */
uint32_t vka_init_pictures(const struct vka_init *in);
/* Encodes them, by a started stage of VKA_VAE_ENCODE and one frame; `done` (may be NULL) is called behind each.  Nothing where that
 * has been done. */
vka_status vka_init_encode(struct vka_init *in, struct vka_vae_stage *encoder, void (*done)(void *user, uint32_t count), void *user,
                           const vka_ticker *ticker, vka_error *err);

/* Whether the start needs noise2. */
static inline bool vka_init_wants_noise(const struct vka_init *in) { return in->any && !in->video; }
/* The start of a clip into in->latents; noise2 [frames][channels,h,w] unit noise, or NULL where none is wanted. */
vka_status vka_init_clip(struct vka_init *in, const float *noise2, vka_error *err);
/* x [frames][channels,h,w] of unit noise becomes image * latents + noise * x (vka_sampler_start_mix), rounded from double. */
void vka_init_start(const struct vka_init *in, double image, double noise, float *x);

/* Whether anything is held at all, and in how many of the steps that are run: round(hold * steps). */
bool vka_init_holds(const struct vka_init *in);
uint32_t vka_init_held(const struct vka_init *in, uint32_t steps);
/* What is held of a frame, [channels,h,w]; after vka_init_clip. */
const float *vka_init_target(const struct vka_init *in, uint32_t frame);
/* How much of it, out [h,w]: 1 where the picture is kept, 0 where the model is free. */
void vka_init_keep(const struct vka_init *in, uint32_t frame, float *out);
void vka_init_close(struct vka_init *in); /* a zeroed one is fine */

/* ---- the rule, on numbers alone -------------------------------------------------------------------------------- */

/* Weights of the keys' pictures in a frame, out[key_count]. */
void vka_init_weights(const struct vka_init_key *key, uint32_t key_count, uint32_t frame, double *out);
/* The key that a frame is nearest to, of two the earlier one. */
uint32_t vka_init_nearest(const struct vka_init_key *key, uint32_t key_count, uint32_t frame);
/* "N=IMAGE": N is a whole number, from the end where it is negative (-1: the last); *image points into `text`.  VKA_E_USAGE. */
vka_status vka_init_parse_key(const char *text, uint32_t frames, uint32_t *frame, const char **image, vka_error *err);

#endif

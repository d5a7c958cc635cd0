/* schedule.h - what the samplers of this room share: timesteps and noise levels of a render. */
#ifndef VKA_SAMPLE_SCHEDULE_H
#define VKA_SAMPLE_SCHEDULE_H

#include "sample/sample.h"

/* The forms in which diffusers' schedulers take leading, linspace and trailing. */
enum vka_grid {
    VKA_GRID_WHOLE,    /* linspace rounded to even */
    VKA_GRID_FRACTION, /* linspace keeps its fractions, as fp32 values */
    VKA_GRID_OPEN      /* linspace and leading: whole values of one more step, without the lowest */
};

/* out[params->steps]: the timesteps in the order they are run (descending), for leading, linspace or trailing. */
void vka_timesteps(const vka_sampler_params *params, vka_schedule_id spacing, enum vka_grid grid, double *out);

/* The noise level sqrt((1 - a) / a) of a whole timestep, as the fp32 number that diffusers holds. */
double vka_sigma_of(const float *alphas, uint32_t t);
/* Of any timestep: linear interpolation in sigma between whole ones (diffusers' interpolation_type "linear"), clamped
 * at both ends, rounded to fp32 as diffusers stores it.  It may still differ by one unit in the last place: torch's
 * fp32 square root is not correctly rounded. */
double vka_sigma_at(const float *alphas, uint32_t count, double t);
/* k-diffusion's two: log-linear interpolation in the table of `count` levels; `sigma` is clamped to its range. */
double vka_sigma_log_at(const float *alphas, uint32_t count, double t);
double vka_sigma_time(const float *alphas, uint32_t count, double sigma);
/* out[n]: the noise levels of a schedule that is none of diffusers', descending, without the 0 at the end.  `alphas` as of
 * vka_alphas_cumprod, `count` of them. */
void vka_sigmas(vka_schedule_id schedule, const float *alphas, uint32_t count, uint32_t n, double *out);

#endif

/* schedule.h - what the samplers of this room share: timesteps of a render. */
#ifndef VKA_SAMPLE_SCHEDULE_H
#define VKA_SAMPLE_SCHEDULE_H

#include "sample/sample.h"

/* out[params->steps]: the timesteps in the order they are run (descending), for a spacing that is not
 * AUTO.  `fractional` keeps fractions of linspace, as fp32 values; otherwise they are rounded to even. */
void vka_timesteps(const vka_sampler_params *params, vka_schedule_id spacing, bool fractional, double *out);

#endif

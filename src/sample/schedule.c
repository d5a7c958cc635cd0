/* schedule.c - names of samplers, schedules, betas and predictions; the cumulative products of a noise
 * schedule; the timesteps of diffusers' spacings.  Timesteps come out in the order they are run: descending.
 *
 * The arithmetic follows torch's and numpy's to the rounding (see each function), because alphas near 1
 * lose digits in 1 - alpha: one unit in the last place of alphas_cumprod[1] is 4e-5 of that difference. */
#include "sample/schedule.h"

#include <math.h>
#include <string.h>

typedef struct name_entry {
    const char *name;
    int id; /* -1: known, not built */
} name_entry;

static const name_entry samplers[] = {
    {"ddim", VKA_SAMPLER_DDIM},
    {"euler", VKA_SAMPLER_EULER},
    {"euler-a", VKA_SAMPLER_EULER_A},
    {"heun", VKA_SAMPLER_HEUN},
    {"lms", VKA_SAMPLER_LMS},
    {"dpm2", VKA_SAMPLER_DPM2},
    {"dpm2-a", VKA_SAMPLER_DPM2_A},
    {"dpmpp-2m", VKA_SAMPLER_DPMPP_2M},
    {"dpmpp-2m-sde", VKA_SAMPLER_DPMPP_2M_SDE},
    {"dpmpp-2s-a", VKA_SAMPLER_DPMPP_2S_A},
    {"dpmpp-sde", VKA_SAMPLER_DPMPP_SDE},
    {"dpmpp-3m-sde", VKA_SAMPLER_DPMPP_3M_SDE},
    {"unipc", VKA_SAMPLER_UNIPC},
    {"pndm", VKA_SAMPLER_PNDM},
    {"deis", VKA_SAMPLER_DEIS},
    {"lcm", VKA_SAMPLER_LCM},
    {"tcd", VKA_SAMPLER_TCD},
    {"ddpm", VKA_SAMPLER_DDPM},
    {NULL, -1},
};
static const name_entry schedules[] = {
    {"auto", VKA_SCHEDULE_AUTO},
    {"leading", VKA_SCHEDULE_LEADING},
    {"linspace", VKA_SCHEDULE_LINSPACE},
    {"trailing", VKA_SCHEDULE_TRAILING},
    {"karras", VKA_SCHEDULE_KARRAS},
    {"exponential", VKA_SCHEDULE_EXPONENTIAL},
    {"sgm-uniform", VKA_SCHEDULE_SGM_UNIFORM},
    {"simple", VKA_SCHEDULE_SIMPLE},
    {"normal", VKA_SCHEDULE_NORMAL},
    {"ddim-uniform", VKA_SCHEDULE_DDIM_UNIFORM},
    {"beta", VKA_SCHEDULE_BETA},
    {"kl-optimal", VKA_SCHEDULE_KL_OPTIMAL},
    {"ays", VKA_SCHEDULE_AYS},
    {NULL, -1},
};
static const name_entry betas[] = {
    {"linear", VKA_BETA_LINEAR},
    {"scaled_linear", VKA_BETA_SCALED_LINEAR},
    {"squaredcos_cap_v2", VKA_BETA_COSINE},
    {NULL, -1},
};
static const name_entry predictions[] = {
    {"epsilon", VKA_PREDICT_EPSILON},
    {"v_prediction", VKA_PREDICT_V},
    {"sample", VKA_PREDICT_SAMPLE},
    {NULL, -1},
};

static vka_status find(const name_entry *table, const char *what, const char *name, int *id, vka_error *err)
{
    const name_entry *e = table;
    while (e->name && strcmp(e->name, name) != 0)
        e++;
    if (e->name && e->id >= 0) {
        *id = e->id;
        return VKA_OK;
    }
    if (e->name)
        vka_fail(err, VKA_E_USAGE, "%s '%s' is not built into this version", what, name);
    else
        vka_fail(err, VKA_E_USAGE, "unknown %s '%s'", what, name);
    char list[200] = "";
    size_t used = 0;
    for (e = table; e->name; e++) {
        size_t length = strlen(e->name);
        if (e->id < 0 || used + length + 2 > sizeof list)
            continue;
        if (used)
            list[used++] = ' ';
        memcpy(list + used, e->name, length + 1);
        used += length;
    }
    vka_error_hint(err, "choose one of: %s", list);
    return VKA_E_USAGE;
}

static const char *name_of(const name_entry *table, int id)
{
    while (table->name && table->id != id)
        table++;
    return table->name ? table->name : "?";
}

static const char *list_at(const name_entry *table, size_t count, uint32_t i, bool *built)
{
    if (i >= count)
        return NULL;
    *built = table[i].id >= 0;
    return table[i].name;
}

vka_status vka_sampler_from_name(const char *name, vka_sampler_id *out, vka_error *err)
{
    int id = 0;
    vka_status status = find(samplers, "sampler", name, &id, err);
    if (status == VKA_OK)
        *out = (vka_sampler_id)id;
    return status;
}

vka_status vka_schedule_from_name(const char *name, vka_schedule_id *out, vka_error *err)
{
    int id = 0;
    vka_status status = find(schedules, "schedule", name, &id, err);
    if (status == VKA_OK)
        *out = (vka_schedule_id)id;
    return status;
}

vka_status vka_beta_from_name(const char *name, vka_beta_kind *out, vka_error *err)
{
    int id = 0;
    vka_status status = find(betas, "beta schedule", name, &id, err);
    if (status == VKA_OK)
        *out = (vka_beta_kind)id;
    return status;
}

vka_status vka_prediction_from_name(const char *name, vka_prediction *out, vka_error *err)
{
    int id = 0;
    vka_status status = find(predictions, "prediction type", name, &id, err);
    if (status == VKA_OK)
        *out = (vka_prediction)id;
    return status;
}

const char *vka_sampler_name(vka_sampler_id id)
{
    return name_of(samplers, (int)id);
}

const char *vka_schedule_name(vka_schedule_id id)
{
    return name_of(schedules, (int)id);
}

const char *vka_beta_name(vka_beta_kind kind)
{
    return name_of(betas, (int)kind);
}

const char *vka_sampler_list(uint32_t i, bool *built)
{
    return list_at(samplers, sizeof samplers / sizeof *samplers - 1, i, built);
}

const char *vka_schedule_list(uint32_t i, bool *built)
{
    return list_at(schedules, sizeof schedules / sizeof *schedules - 1, i, built);
}

/* torch.linspace in fp32: the first half counts up from the start, the second down from the end, each
 * value one fused multiply-add. */
static float linspace_at(float start, float end, uint32_t count, uint32_t i)
{
    float step = (end - start) / (float)(count - 1);
    return i < count / 2 ? fmaf(step, (float)i, start) : fmaf(-step, (float)(count - i - 1), end);
}

/* Nichol and Dhariwal 2021, formula (17); at most 0.999 of a level is noise. */
static float cosine_beta(uint32_t count, uint32_t i)
{
    double a = ((double)i / (double)count + 0.008) / 1.008, b = ((double)(i + 1) / (double)count + 0.008) / 1.008;
    double x = cos(a * 1.5707963267948966), y = cos(b * 1.5707963267948966), beta = 1.0 - y * y / (x * x);
    return (float)(beta < 0.999 ? beta : 0.999);
}

/* Moves and stretches the square roots so that the first stays and the last becomes 0; in fp32 and by way of the betas,
 * as diffusers does it. */
static void end_in_noise(float *cumulative, uint32_t count)
{
    float first = sqrtf(cumulative[0]), last = sqrtf(cumulative[count - 1]), before = 1.0f;
    double product = 1.0;
    for (uint32_t i = 0; i < count; i++) {
        float root = (sqrtf(cumulative[i]) - last) * (first / (first - last)), squared = root * root;
        float beta = 1.0f - squared / before;
        before = squared;
        product *= (double)(1.0f - beta);
        cumulative[i] = (float)product;
    }
    cumulative[count - 1] = 0x1p-24f;
}

void vka_alphas_cumprod(const vka_sampler_params *params, float *out)
{
    bool scaled = params->beta == VKA_BETA_SCALED_LINEAR;
    float start = (float)(scaled ? sqrt(params->beta_start) : params->beta_start);
    float end = (float)(scaled ? sqrt(params->beta_end) : params->beta_end);
    double product = 1.0;
    for (uint32_t i = 0; i < params->train_steps; i++) {
        float beta = params->beta == VKA_BETA_COSINE ? cosine_beta(params->train_steps, i)
                                                     : linspace_at(start, end, params->train_steps, i);
        if (scaled)
            beta *= beta;
        float alpha = 1.0f - beta;
        product *= (double)alpha;
        out[i] = (float)product;
    }
    if (params->zero_snr)
        end_in_noise(out, params->train_steps);
}

/* All three in double with numpy's rounding: halves go to even, an arange is start + i * (second - first).
 * Where that arange would hold one value too many by a rounding error (61 trailing steps of 1000, for
 * example, whose last timestep would be -1), the count asked for wins. */
void vka_timesteps(const vka_sampler_params *params, vka_schedule_id spacing, enum vka_grid grid, double *out)
{
    uint32_t n = params->steps, open = grid == VKA_GRID_OPEN, points = n + open;
    double train = (double)params->train_steps;
    for (uint32_t k = 0; k < n; k++) { /* k counts the steps as they are run, i up the time axis */
        uint32_t i = points - 1 - k;
        double t;
        if (spacing == VKA_SCHEDULE_LINSPACE) {
            t = i == 0 ? 0.0 : i == points - 1 ? train - 1.0 : (double)i * ((train - 1.0) / (double)(points - 1));
            t = grid == VKA_GRID_FRACTION ? (double)(float)t : nearbyint(t);
        } else if (spacing == VKA_SCHEDULE_LEADING) {
            t = (double)i * (double)(params->train_steps / points) + (double)params->steps_offset;
        } else {
            double ratio = train / (double)n, delta = (train - ratio) - train;
            t = nearbyint(train + (double)k * delta) - 1.0;
        }
        out[k] = t;
    }
}

/* infotext_names.c - what samplers and schedules are called in A1111's web UI, and here. */
#include "render/infotext.h"
#include "render/library.h"

#include <string.h>
#include <vkanim/vkanim.h>

static const struct {
    const char *ours, *theirs;
} samplers[] = {
    {"ddim", "DDIM"},
    {"euler", "Euler"},
    {"euler-a", "Euler a"},
    {"heun", "Heun"},
    {"lms", "LMS"},
    {"dpm2", "DPM2"},
    {"dpm2-a", "DPM2 a"},
    {"dpmpp-2m", "DPM++ 2M"},
    {"dpmpp-2m-sde", "DPM++ 2M SDE"},
    {"dpmpp-2s-a", "DPM++ 2S a"},
    {"dpmpp-sde", "DPM++ SDE"},
    {"dpmpp-3m-sde", "DPM++ 3M SDE"},
    {"unipc", "UniPC"},
    {"pndm", "PLMS"},
    {"deis", "DEIS"},
    {"lcm", "LCM"},
    {"tcd", "TCD"},
    {"ddpm", "DDPM"},
};

/* Uniform is the web UI's word for equal spaces in time with both ends, linspace here.  Leading and trailing have no name
 * there: these are ours. */
static const struct {
    const char *ours, *theirs;
} schedules[] = {
    {"linspace", "Uniform"},      {"karras", "Karras"},         {"exponential", "Exponential"},
    {"sgm-uniform", "SGM Uniform"}, {"simple", "Simple"},         {"normal", "Normal"},
    {"ddim-uniform", "DDIM"},     {"beta", "Beta"},             {"kl-optimal", "KL Optimal"},
    {"ays", "Align Your Steps"},  {"leading", "Leading"},       {"trailing", "Trailing"},
    {"auto", "Automatic"},
};

const char *vka_infotext_sampler(const char *name)
{
    for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++)
        if (strcmp(samplers[i].ours, name) == 0)
            return samplers[i].theirs;
    return NULL;
}

const char *vka_infotext_schedule(const char *name)
{
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++)
        if (strcmp(schedules[i].ours, name) == 0)
            return schedules[i].theirs;
    return NULL;
}

static const char *sampler_of(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++)
        if (vka_library_same(samplers[i].theirs, strlen(samplers[i].theirs), name, n, true))
            return samplers[i].ours;
    return NULL;
}

const char *vka_infotext_sampler_from(const char *name, const char **schedule)
{
    static const struct {
        const char *end, *schedule;
    } ends[] = {{" Karras", "karras"}, {" Exponential", "exponential"}};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) { /* before version 1.9 one name said both */
        size_t m = strlen(ends[i].end);
        const char *ours = n > m && vka_library_same(name + n - m, m, ends[i].end, m, true) ? sampler_of(name, n - m) : NULL;
        if (ours) {
            *schedule = ends[i].schedule;
            return ours;
        }
    }
    return sampler_of(name, n);
}

const char *vka_infotext_schedule_from(const char *name)
{
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++)
        if (vka_library_same(schedules[i].theirs, strlen(schedules[i].theirs), name, strlen(name), true))
            return schedules[i].ours;
    return NULL;
}

const char *vka_option_webui_name(const char *option, const char *value)
{
    if (!option || !value)
        return NULL;
    return strcmp(option, "sampler") == 0    ? vka_infotext_sampler(value)
           : strcmp(option, "schedule") == 0 ? vka_infotext_schedule(value)
                                             : NULL;
}

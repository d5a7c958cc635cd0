/* nearest.c - see nearest.h.
 *
 * A clip fits if any plan of it does.  The smallest plan answers that nearly always, and is quickly made; where it takes
 * more of the host's memory than it may, the planner is asked for the fastest that fits, as it is for a render. */
#include "render/nearest.h"

#include "render/room.h"
#include "render/work.h"

#include <stdio.h>

static const uint64_t MIB = 1048576;

/* The same work for another clip; of what it holds only the stages are its own. */
static bool begin(struct vka_work *t, const struct vka_work *w, uint32_t width, uint32_t height, uint32_t frames)
{
    vka_error err = {0};
    *t = vka_work_alike(w);
    return vka_setup_resize(&t->setup, width, height, frames, &err) == VKA_OK && vka_work_build(t, &err) == VKA_OK;
}

static bool plan_least(struct vka_work *t)
{
    vka_error err = {0};
    const struct vka_knobs least = vka_knobs_least();
    return vka_work_ask(t, &(struct vka_ask){.knobs = &least, .any_state = true}, &err) == VKA_OK;
}

static bool plan_within(struct vka_work *t, uint64_t budget)
{
    vka_error err = {0};
    t->budget = budget;
    return vka_work_plan(t, budget, &err) == VKA_OK && vka_work_fits(t);
}

/* Whether a clip fits, and what its smallest plan takes. */
static bool clip_fits(const struct vka_work *w, uint32_t width, uint32_t height, uint32_t frames, uint64_t *planned)
{
    struct vka_work t;
    bool good = begin(&t, w, width, height, frames) && plan_least(&t);
    if (good && !vka_work_fits(&t))
        good = t.planned <= t.budget && plan_within(&t, t.budget);
    *planned = t.planned;
    vka_work_end_stages(&t);
    return good;
}

/* ---- candidates ------------------------------------------------------------------------------------------- */

struct candidates {
    const struct vka_work *w;
    uint32_t step; /* pictures: what both sides are multiples of; 0: candidate k is one of k frames */
};

static uint32_t short_side(uint32_t side, uint32_t of, uint32_t longer, uint32_t step)
{
    uint64_t n = ((uint64_t)side * of + (uint64_t)longer * step / 2) / ((uint64_t)longer * step) * step;
    n = n < step ? step : n;
    return n > of ? of : (uint32_t)n;
}

/* Candidate k as a clip. */
static void clip_of(const struct candidates *c, uint32_t k, uint32_t *width, uint32_t *height, uint32_t *frames)
{
    const struct vka_setup *s = &c->w->setup;
    *width = s->width;
    *height = s->height;
    *frames = c->step ? s->frames : k;
    if (!c->step)
        return;
    if (s->width >= s->height) {
        *width = k * c->step;
        *height = short_side(*width, s->height, s->width, c->step);
    } else {
        *height = k * c->step;
        *width = short_side(*height, s->width, s->height, c->step);
    }
}

static bool fits(const struct candidates *c, uint32_t k, uint64_t *planned)
{
    uint32_t width, height, frames;
    clip_of(c, k, &width, &height, &frames);
    return clip_fits(c->w, width, height, frames, planned);
}

/* The largest of first .. last that fits, 0 for none: what fits is taken to be those up to some number. */
static uint32_t largest(const struct candidates *c, uint32_t first, uint32_t last, uint64_t *planned)
{
    uint32_t good = first, bad = last + 1;
    uint64_t bytes;
    if (first > last || !fits(c, first, planned))
        return 0;
    while (bad - good > 1) {
        uint32_t k = good + (bad - good) / 2;
        if (fits(c, k, &bytes)) {
            good = k;
            *planned = bytes;
        } else
            bad = k;
    }
    return good;
}

static bool in_windows(const struct vka_work *w, uint32_t frames)
{
    vka_error err = {0};
    struct vka_setup s = w->setup;
    return vka_setup_resize(&s, s.width, s.height, frames, &err) == VKA_OK && s.windows.length;
}

/* A clip in windows needs less of the device than a shorter one in one piece may: two ranges. */
static void find_frames(const struct vka_work *w, struct vka_nearest *out)
{
    const struct candidates c = {.w = w};
    uint32_t last = w->setup.frames - 1, piece = 0, windows = last + 1;
    while (windows - piece > 1) {
        uint32_t k = piece + (windows - piece) / 2;
        if (in_windows(w, k))
            windows = k;
        else
            piece = k;
    }
    out->frames = largest(&c, windows, last, &out->frames_planned);
    if (!out->frames)
        out->frames = largest(&c, 1, piece, &out->frames_planned);
}

/* Multiples of 64, for which these networks are made, where the picture is large enough for them to be many. */
static void find_size(const struct vka_work *w, struct vka_nearest *out)
{
    const struct vka_setup *s = &w->setup;
    uint32_t longer = vka_max_u32(s->width, s->height), k = 0;
    struct candidates c = {w, 64};
    if (longer >= 256 && 64 % s->factor == 0)
        k = largest(&c, 1, (longer - 1) / c.step, &out->size_planned);
    if (!k) {
        c.step = s->factor;
        k = largest(&c, 1, (longer - 1) / c.step, &out->size_planned);
    }
    uint32_t frames;
    if (k)
        clip_of(&c, k, &out->width, &out->height, &frames);
}

static uint64_t whole_mib(uint64_t bytes)
{
    return vka_round_up(bytes, MIB);
}

static void find_budget(const struct vka_work *w, struct vka_nearest *out)
{
    struct vka_work t;
    const struct vka_setup *s = &w->setup;
    uint64_t most = vka_room_most(w->job, w->info.usable ? &w->info : NULL), found = 0, planned = 0;
    bool good = begin(&t, w, s->width, s->height, s->frames) && plan_least(&t);
    uint64_t least = good ? t.planned : 0;
    if (good && t.host_planned <= t.host_budget) {
        found = whole_mib(least);
        planned = least;
    } else if (good && plan_within(&t, UINT64_MAX)) { /* the host's memory is short: more has to be on the device */
        uint64_t low = least > w->budget ? least : w->budget;
        found = whole_mib(t.planned);
        planned = t.planned;
        while (found > low && found - low > MIB + found / 64) {
            uint64_t middle = whole_mib(low + (found - low) / 2);
            if (plan_within(&t, middle)) {
                found = middle;
                planned = t.planned;
            } else
                low = middle;
        }
    }
    vka_work_end_stages(&t);
    if (found > w->budget && found <= most) {
        out->budget = found;
        out->budget_planned = planned;
    }
}

void vka_nearest_find(const struct vka_work *w, struct vka_nearest *out)
{
    const struct vka_job *j = w->job;
    *out = (struct vka_nearest){0};
    find_budget(w, out);
    if (w->begun || j->noise || j->step_noise) /* files of this very clip */
        return;
    if (w->setup.frames > 1 && !vka_prompts_travels(&w->prompts)) /* whose keys, or rows, are of so many frames */
        find_frames(w, out);
    if (w->setup.width > w->setup.factor || w->setup.height > w->setup.factor)
        find_size(w, out);
}

void vka_nearest_hint(const struct vka_work *w, const struct vka_nearest *n, char *out, size_t size)
{
    char options[3][64];
    int count = 0;
    bool machine = vka_job_has(w->job, "device-memory") && !vka_job_has(w->job, "vram");
    if (n->budget)
        snprintf(options[count++], sizeof *options, "--%s %lluM", machine ? "device-memory" : "vram",
                 (unsigned long long)(n->budget / MIB));
    if (n->frames)
        snprintf(options[count++], sizeof *options, "--frames %u", n->frames);
    if (n->width)
        snprintf(options[count++], sizeof *options, "--width %u --height %u", n->width, n->height);
    switch (count) {
    case 3:
        snprintf(out, size, "%s, %s, or %s", options[0], options[1], options[2]);
        break;
    case 2:
        snprintf(out, size, "%s, or %s", options[0], options[1]);
        break;
    case 1:
        snprintf(out, size, "%s", options[0]);
        break;
    default:
        snprintf(out, size, "a smaller model, or a device with more memory");
    }
}

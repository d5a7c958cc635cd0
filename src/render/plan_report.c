/* plan_report.c - `plan`: a work that never runs, and what is to be known of it: what lives where, the peak, how long it takes,
 * and what other plans would cost. */
#include "render/report.h"
#include "render/work.h"

#include <stdlib.h>
#include <string.h>

static json_t *integer(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* ---- a plan ----------------------------------------------------------------------------------------------- */

static json_t *knobs(const struct vka_work *w)
{
    const struct vka_plan *p = w->unet.unet.plan;
    uint32_t most_samples = 1, most_pixels = 1, cut = 0;
    for (uint32_t i = 0; i < p->segment_count; i++) {
        const struct vka_segment *s = &p->segments[i];
        cut += s->parts > 1;
        if (s->axis == VKA_AXIS_SAMPLE)
            most_samples = vka_max_u32(most_samples, s->parts);
        if (vka_along_pixels(s))
            most_pixels = vka_max_u32(most_pixels, s->parts);
    }
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:b, s:I, s:s, s:I, s:s, s:i}", "guidance",
                     w->branches == 1 ? "off"
                     : p->passes == 1 ? "together"
                                      : "apart",
                     "segments", (int)p->segment_count, "segments_cut", (int)cut, "frame_parts", (int)most_samples,
                     "row_parts", (int)most_pixels, "peak_node", p->graph->nodes[p->peak_node].label, "weights",
                     p->unit_count ? "streamed" : "resident", "prefetch", (int)p->prefetch, "streamed_bytes_per_step",
                     (json_int_t)p->stream_bytes, "skips", p->parking_count ? "host" : "device",
                     "parked_bytes_per_step", (json_int_t)p->parked_bytes, "clip_state",
                     w->unet.parked ? "host" : "device", "windows_at_once", (int)w->unet.together);
}

/* What of a stage lives where; the first five are device memory and add up to what the stage needs. */
static json_t *where(const struct vka_netrun *n, uint64_t need, uint64_t io_bytes, uint64_t host_state)
{
    const struct vka_plan *p = n->plan;
    if (!p)
        return json_null();
    uint64_t resident = 0, ring = 0, arena = 0, skips = 0, io = vka_block_footprint(io_bytes);
    for (uint32_t i = 0; i < p->weight_block_count; i++)
        *(p->unit_count && i == p->ring_block ? &ring : &resident) += vka_block_footprint(p->weight_blocks[i]);
    for (uint32_t i = 0; i < p->arena_block_count; i++)
        arena += vka_block_footprint(p->arena_blocks[i]);
    for (uint32_t i = 0; i < p->parking_count; i++)
        skips += p->host_blocks[p->parkings[i].host_block];
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "weights_bytes", (json_int_t)resident, "ring_bytes",
                     (json_int_t)ring, "activations_bytes", (json_int_t)arena, "clip_bytes", (json_int_t)io,
                     "arguments_bytes", (json_int_t)(need - resident - ring - arena - io), "host_weights_bytes",
                     (json_int_t)(p->host_bytes - skips), "host_skips_bytes", (json_int_t)skips, "host_clip_bytes",
                     (json_int_t)host_state);
}

static json_t *where_all(const struct vka_work *w)
{
    json_t *o = json_object();
    for (int i = 0; i < VKA_STAGES; i++) {
        struct vka_stage_view v;
        bool there = vka_work_view(w, (enum vka_stage_index)i, &v);
        if (o && (there || i == VKA_AT_TEXT))
            json_object_set_new(o, v.key, there ? where(v.run, w->need[i], v.io_bytes, v.host_state) : json_null());
    }
    return o;
}

/* Device memory of each stage. */
static json_t *needs(const struct vka_work *w)
{
    json_t *o = json_object();
    for (int i = 0; i < VKA_STAGES; i++) {
        struct vka_stage_view v;
        char key[32];
        if (!vka_work_view(w, (enum vka_stage_index)i, &v) && i != VKA_AT_TEXT)
            continue;
        snprintf(key, sizeof key, "%s_bytes", v.key);
        if (o)
            json_object_set_new(o, key, json_integer((json_int_t)w->need[i]));
    }
    return o;
}

static json_t *peak(const struct vka_work *w)
{
    struct vka_stage_view v;
    vka_work_view(w, vka_work_peak(w), &v);
    return json_pack("{s:s, s:I, s:s}", "stage", v.name, "bytes", (json_int_t)w->planned, "node",
                     v.run->plan->graph->nodes[v.run->plan->peak_node].label);
}

static json_t *operators(const struct vka_traffic *lines, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 1; list && i < count; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:i, s:f, s:f}", "name", lines[i].op, "dispatches",
                                        (int)lines[i].dispatches, "flop", lines[i].flop, "bytes", lines[i].bytes));
    return list;
}

static json_t *clip(const struct vka_setup *s)
{
    json_t *o = json_pack("{s:i, s:i, s:i, s:i, s:i}", "width", (int)s->width, "height", (int)s->height, "frames",
                          (int)s->frames, "steps", (int)vka_sampler_steps(s->sampler), "count", (int)s->count);
    if (s->windows.length)
        json_object_set_new(o, "window_frames", json_integer(s->windows.length));
    return o;
}

/* ---- time ------------------------------------------------------------------------------------------------- */

static vka_status step_seconds(const struct vka_work *w, const struct vka_rates *rates, double *seconds, vka_error *err)
{
    const vka_sampler *s = w->setup.sampler;
    vka_status st = vka_unet_stage_seconds(&w->unet, rates, seconds, err);
    *seconds *= (double)vka_sampler_evals(s) / vka_sampler_steps(s);
    if (w->setup.by_frame) /* a step is of one frame */
        *seconds /= w->setup.frames;
    return st;
}

static vka_status estimate(const struct vka_work *w, const struct vka_rates *rates, const struct vka_traffic *sum,
                           double *step, json_t **out, vka_error *err)
{
    const struct vka_setup *s = &w->setup;
    double text = 0, frame = 0;
    vka_status st = w->job->embeds ? VKA_OK : vka_netrun_seconds(&w->text.run, rates, &text, err);
    if (st == VKA_OK)
        st = vka_netrun_seconds(&w->vae.run, rates, &frame, err);
    if (st == VKA_OK)
        st = step_seconds(w, rates, step, err);
    if (st != VKA_OK)
        return st;
    double second = 0, decode = frame * (s->by_frame ? 2 * s->frames - 1 : s->frames) * s->count;
    uint32_t others = s->hires.sampler ? vka_sampler_steps(s->hires.sampler) : 0;
    if (others && (st = vka_unet_stage_seconds(&w->hires, rates, &second, err)) != VKA_OK)
        return st;
    if (others)
        second *= vka_sampler_evals(s->hires.sampler);
    double steps = (*step * (vka_work_steps(w) - others) + second) * s->count;
    *out = json_pack("{s:f, s:f, s:i, s:f, s:f, s:f, s:f}", "flop_per_step", sum->flop, "bytes_per_step", sum->bytes,
                     "dispatches_per_step", (int)sum->dispatches, "s_per_it", *step, "text_s", text, "decode_s", decode,
                     "total_s", text + steps + decode);
    return VKA_OK;
}

/* ---- other plans ------------------------------------------------------------------------------------------ */

struct alternative {
    const char *name;
    bool limits; /* plan by `knobs`, else without limits */
    struct vka_knobs knobs;
    bool park, any_state;
    bool guided; /* only with guidance */
};

static bool is_possible(const struct vka_work *w, const struct alternative *a)
{
    bool windows = w->unet.windowed;
    return (!a->guided || w->branches > 1) && (!a->park || !windows);
}

/* Each turns one knob of the plan that would be made without limits; the last turns all.  The work's own plan is lost. */
static vka_status alternatives(struct vka_work *w, const struct vka_rates *rates, json_t *report, vka_error *err)
{
    const struct vka_knobs none = vka_knobs_free();
    struct alternative list[] = {{.name = "full-speed"},
                                 {.name = "guidance-apart", .limits = true, .knobs = none, .guided = true},
                                 {.name = "cut-finest", .limits = true, .knobs = none},
                                 {.name = "weights-streamed", .limits = true, .knobs = none},
                                 {.name = "skips-in-host-memory", .limits = true, .knobs = none},
                                 {.name = "clip-state-in-host-memory", .park = true},
                                 {.name = "smallest", .limits = true, .knobs = vka_knobs_least(), .any_state = true}};
    list[1].knobs.branches_per_pass = 1;
    list[2].knobs.arena_limit = 0;
    list[3].knobs.weight_limit = 0;
    list[3].knobs.prefetch = w->table.transfer_queue;
    list[4].knobs.park = true;
    json_t *out = json_array();
    vka_status st = out ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (size_t i = 0; st == VKA_OK && i < sizeof list / sizeof *list; i++) {
        const struct alternative *a = &list[i];
        struct vka_ask ask = {
            .room = {UINT64_MAX, UINT64_MAX}, .knobs = a->limits ? &a->knobs : NULL, .any_state = a->any_state};
        vka_error why = {0};
        double seconds = 0;
        if (!is_possible(w, a))
            continue;
        w->unet.p.park = a->park;
        vka_status planned = vka_work_ask(w, &ask, &why);
        w->unet.p.park = false;
        if (planned != VKA_OK) /* uncut or together it may be beyond what kernels can count */
            continue;
        st = step_seconds(w, rates, &seconds, err);
        json_t *row = knobs(w);
        if (!strcmp(a->name, "smallest")) {
            json_t *smallest = json_copy(row);
            json_object_set_new(smallest, "planned_bytes", integer(w->planned));
            json_object_set_new(report, "smallest", smallest);
        }
        json_object_set_new(row, "name", json_string(a->name));
        json_object_set_new(row, "planned_bytes", integer(w->planned));
        json_object_set_new(row, "host_bytes", integer(w->host_planned));
        json_object_set_new(row, "s_per_it", json_real(seconds));
        json_object_set_new(row, "fits", json_boolean(vka_work_fits(w)));
        json_array_append_new(out, row);
    }
    json_object_set_new(report, "alternatives", out);
    return st;
}

static json_t *nearest(const struct vka_nearest *n)
{
    json_t *list = json_array();
    if (n->frames)
        json_array_append_new(
            list, json_pack("{s:i, s:I}", "frames", (int)n->frames, "planned_bytes", (json_int_t)n->frames_planned));
    if (n->width)
        json_array_append_new(list, json_pack("{s:i, s:i, s:I}", "width", (int)n->width, "height", (int)n->height,
                                              "planned_bytes", (json_int_t)n->size_planned));
    if (n->budget)
        json_array_append_new(list, json_pack("{s:I, s:I}", "budget_bytes", (json_int_t)n->budget, "planned_bytes",
                                              (json_int_t)n->budget_planned));
    return list;
}

/* ---- the report ------------------------------------------------------------------------------------------- */

/* The work is planned within its budget.  VKA_OK with the report set, whether it fits or not. */
static vka_status tell(struct vka_work *w, const vka_gpu_info *info, char **report, vka_error *err)
{
    const struct vka_rates rates = vka_exec_rates(info, w->table.flops);
    const struct vka_plan *p = w->unet.unet.plan;
    struct vka_traffic lines[VKA_TRAFFIC_LINES];
    uint32_t line_count = 0;
    double step = 0;
    json_t *r = vka_report_begin("plan"), *time = NULL;
    vka_status st = vka_unet_stage_traffic(&w->unet, lines, &line_count, err);
    if (st == VKA_OK)
        st = estimate(w, &rates, &lines[0], &step, &time, err);
    if (st == VKA_OK) {
        bool fits = vka_work_fits(w);
        json_object_set_new(r, "fits", json_boolean(fits));
        json_object_set_new(r, "clip", clip(&w->setup));
        json_object_set_new(r, "settings", vka_setup_settings_json(&w->setup, 0, w->f16));
        json_object_set_new(r, "memory",
                            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "budget_bytes", (json_int_t)w->budget,
                                      "planned_bytes", (json_int_t)w->planned, "weights_bytes",
                                      (json_int_t)p->weight_bytes, "activations_bytes", (json_int_t)p->arena_bytes,
                                      "host_bytes", (json_int_t)w->host_planned, "host_budget_bytes",
                                      (json_int_t)(w->host_budget > INT64_MAX ? INT64_MAX : w->host_budget)));
        json_object_set_new(r, "stages", needs(w));
        json_object_set_new(r, "where", where_all(w));
        json_object_set_new(r, "peak", peak(w));
        json_object_set_new(r, "plan", knobs(w));
        json_object_set_new(r, "estimate", time);
        if (!fits)
            json_object_set_new(r, "nearest", nearest(&w->nearest));
        json_object_set_new(r, "operators", operators(lines, line_count));
        st = alternatives(w, &rates, r, err);
    }
    if (st == VKA_OK) {
        *report = vka_report_end(r);
        return *report ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    json_decref(r);
    return st;
}

vka_status vka_plan(vka_context *cx, const vka_job *asked, char **report, vka_error *err)
{
    struct vka_work w = {0};
    struct vka_job *own;
    *report = NULL;
    if (vka_job_travel(asked, &own, err) != VKA_OK)
        return err ? err->status : VKA_E_USAGE;
    const struct vka_job *job = own ? own : asked;
    vka_gpu_info info = {0};
    bool device = !vka_job_has(job, "device-memory");
    vka_context_begin(cx);
    vka_status st = vka_work_open(&w, cx, job, err);
    vka_gpu *gpu = NULL;
    if (st == VKA_OK && device) {
        st = vka_context_open_gpu(cx, job->device, &gpu, err);
        if (st == VKA_OK)
            info = *vka_gpu_describe(gpu);
    }
    if (st == VKA_OK)
        st = vka_work_device(&w, device ? &info : NULL, gpu, err);
    cx->gpu = NULL;
    vka_gpu_destroy(&gpu);
    if (st == VKA_OK)
        st = vka_work_build(&w, err);
    if (st == VKA_OK)
        st = vka_work_plan(&w, w.budget, err);
    bool fits = st != VKA_OK || vka_work_fits(&w);
    vka_error why = {0};
    if (!fits)
        vka_work_does_not_fit(&w, &why);
    if (st == VKA_OK)
        st = tell(&w, device ? &info : NULL, report, err);
    if (st == VKA_OK && !fits) {
        if (err && err->status == VKA_OK)
            *err = why;
        st = VKA_E_MEMORY;
    }
    vka_work_close(&w);
    vka_job_destroy(&own);
    return st;
}

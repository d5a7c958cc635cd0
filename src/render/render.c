/* render.c - a job from parameters to files: text, noise, steps, frames, writers.  See vkanim.h.
 *
 * Nothing is taken from the device before every stage is planned within the budget.  Clips of --count share the models;
 * all of them are sampled first and decoded afterwards, so that UNet and VAE are loaded once; each is written as soon
 * as it is decoded.
 *
 * What is done is kept in the job folder (state.h): the sampler after steps, the latents of sampled clips, decoded
 * frames, written outputs.  Nothing here knows how often a job was stopped: whatever lies in the folder is not done
 * again.  Frames go from the VAE to the folder and from there to the writers, so memory holds one at a time.
 *
 * A device that is lost, or has less memory than it said, is opened once more, with a smaller plan: see begin_again. */
#include "render/run.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* ---- what earlier runs have done ------------------------------------------------------------------------ */

static vka_status wrong_checkpoint(vka_error *err)
{
    return vka_fail(err, VKA_E_INPUT, "a checkpoint in the job's folder is not of this job");
}

static bool fits_clip(const struct vka_run *r, const struct vka_run_clip *c, const vka_checkpoint *at)
{
    const struct vka_setup *s = &r->w.setup;
    bool second = at->pass < r->w.passes && vka_work_pass(&r->w, at->pass)->hires && at->eval; /* before that it is the first's result */
    return at->seed == c->seed && at->frames == s->frames && at->channels == s->unet->in_channels &&
           at->height == (second ? s->hires.height : s->height) / s->factor &&
           at->width == (second ? s->hires.width : s->width) / s->factor &&
           at->pass < r->w.passes && at->eval <= vka_sampler_evals(vka_work_pass(&r->w, at->pass)->sampler) &&
           at->step <= vka_sampler_steps(vka_work_pass(&r->w, at->pass)->sampler) && at->timings <= vka_work_steps(&r->w);
}

/* Files in a record as an earlier run named them, from where it was. */
static bool name_files(const struct vka_run *r, json_t *record)
{
    bool whole = true;
    const char *from = json_string_value(json_object_get(r->state->facts, "folder"));
    size_t i, f;
    json_t *output, *file;
    json_array_foreach(json_object_get(record, "outputs"), i, output)
        json_array_foreach(json_object_get(output, "files"), f, file)
    {
        const char *path = json_string_value(json_object_get(file, "path"));
        char *full = path && from && *path != '/' ? vka_path_join(from, path) : NULL;
        if (full)
            vka_report_put(&whole, file, "path", json_string(full));
        whole = whole && (full || !path || !from || *path == '/');
        free(full);
    }
    return whole;
}

static void take_timings(struct vka_run_clip *c, const vka_checkpoint *at)
{
    memcpy(c->step_s, at->step_s, at->timings * sizeof *c->step_s);
    c->steps_done = at->timings;
}

/* The newest checkpoint in the folder, for the clip that it is of. */
static vka_status take_newest(struct vka_run *r, vka_error *err)
{
    vka_checkpoint at;
    vka_status st = vka_state_newest(r->state, &at, err);
    if (st == VKA_OK && at.slots) {
        struct vka_run_clip *c = at.clip < r->count ? &r->clips[at.clip] : NULL;
        if (!c || !fits_clip(r, c, &at) || at.slots != vka_sampler_lasting(vka_work_pass(&r->w, at.pass)->sampler))
            st = wrong_checkpoint(err);
        else if (!c->sampled && !c->written && (!c->from.slots || at.pass > c->from.pass || (at.pass == c->from.pass && at.eval > c->from.eval))) {
            take_timings(c, &at);
            vka_checkpoint_free(&c->from);
            c->from = at;
            at = (vka_checkpoint){0};
        }
    }
    vka_checkpoint_free(&at);
    return st;
}

/* Which clips are written, sampled or on the way; their timings. */
static vka_status take_stock(struct vka_run *r, vka_error *err)
{
    vka_checkpoint at;
    vka_status st = VKA_OK;
    uint32_t steps = vka_work_steps(&r->w);
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++) {
        struct vka_run_clip *c = &r->clips[k];
        c->record = vka_state_json(r->state, "outputs-%u.json", k);
        if (!name_files(r, c->record)) {
            st = vka_fail(err, VKA_E_MEMORY, "out of memory");
            break;
        }
        c->written = c->record && vka_run_keeps(r);
        for (size_t i = 0; i < vka_run_outputs(r); i++)
            c->written = c->written && vka_run_output_is(c, i, "written");
        const json_t *timings = json_object_get(c->record, "steps_s");
        for (size_t i = 0; c->written && i < json_array_size(timings) && i < steps; i++)
            c->step_s[c->steps_done++] = json_number_value(json_array_get(timings, i));
        if (c->written || !vka_run_keeps(r) || !vka_state_latents(r->state, k, &at))
            continue;
        if (!fits_clip(r, c, &at))
            st = wrong_checkpoint(err);
        else {
            take_timings(c, &at);
            c->sampled = at.eval > 0;
            if (!at.eval) { /* between the passes of --hires */
                c->from = at;
                at = (vka_checkpoint){0};
            }
        }
        vka_checkpoint_free(&at);
    }
    return st == VKA_OK && vka_run_keeps(r) ? take_newest(r, err) : st;
}

/* ---- the second try ------------------------------------------------------------------------------------- */

/* Adds to an error that is set. */
static void add_why(vka_error *err, const char *also, const char *more)
{
    size_t n = strlen(err->why);
    snprintf(err->why + n, sizeof err->why - n, "%s%s%.200s", n ? "; " : "", also, more);
}

/* A device that hung may do so for the next one too, and waits for the work of the first. */
static bool may_try_again(const struct vka_run *r, vka_status st)
{
    return !r->retries && r->gpu && !vka_gpu_is_abandoned(r->gpu) && !vka_context_cancelled(r->cx) &&
           (st == VKA_E_LOST || (st == VKA_E_MEMORY && vka_gpu_was_short(r->gpu)));
}

static bool same_kernels(const struct vka_work *w, const vka_gpu_info *info, const struct vka_kernel_table *table,
                         bool f16)
{
    return strcmp(w->info.name, info->name) == 0 && strcmp(w->info.driver, info->driver) == 0 &&
           w->info.driver_version == info->driver_version &&
           memcmp(w->info.driver_uuid, info->driver_uuid, sizeof info->driver_uuid) == 0 && w->table.id == table->id &&
           w->table.path == table->path && w->table.matrix.m == table->matrix.m &&
           w->table.matrix.n == table->matrix.n && w->table.matrix.k == table->matrix.k && w->f16 == f16;
}

/* Every stage within three quarters of the largest plan so far, the one that failed within three quarters of its own too,
 * and all within what the device has now; the smallest plan where that is more. */
static vka_status plan_smaller(struct vka_run *r, uint64_t planned, uint64_t had, vka_error *err)
{
    struct vka_work *w = &r->w;
    uint64_t room = planned / 4 * 3, own = had / 4 * 3;
    room = w->budget < room ? w->budget : room;
    own = room < own ? room : own;
    vka_status st = vka_work_plan(w, room, err);
    if (st == VKA_OK && w->need[r->at] > own)
        st = vka_work_plan_stage(w, r->at, own, err);
    return st == VKA_OK && !vka_work_fits(w) ? vka_work_does_not_fit(w, err) : st;
}

static void tell_again(const struct vka_run *r, uint64_t had, const vka_error *e)
{
    const struct vka_run_clip *c = &r->clips[r->cx->now.clip < r->count ? r->cx->now.clip : 0];
    char from[64] = "its beginning";
    if ((r->at == VKA_AT_UNET || r->at == VKA_AT_HIRES) && c->from.slots)
        snprintf(from, sizeof from, "step %u", c->from.step + 1);
    if (r->at == VKA_AT_VAE)
        snprintf(from, sizeof from, "frame %u", c->spool.count);
    if (r->at == VKA_AT_BETWEEN)
        snprintf(from, sizeof from, "the frames behind frame %u", c->between.count);
    vka_logf(&r->cx->log, VKA_LOG_WARN,
             "%s%s%s%s: the render goes on from %s with %s plan and shorter dispatches (%.1f MiB after %.1f)", e->what,
             e->why[0] ? " (" : "", e->why, e->why[0] ? ")" : "", from,
             r->w.need[r->at] < had ? "a smaller" : "the same, smallest", (double)r->w.need[r->at] / 1048576,
             (double)had / 1048576);
}

/* After `e`: opens the device anew and plans smaller; what is done stays done, the clip at work goes on from its last
 * whole step.  False, with `e` telling more, when that cannot be. */
static bool begin_again(struct vka_run *r, vka_error *e)
{
    struct vka_work *w = &r->w;
    const vka_gpu_info info = w->info;
    const struct vka_kernel_table table = w->table;
    const uint64_t budget = w->budget, planned = w->planned, had = w->need[r->at];
    const bool f16 = w->f16;
    uint64_t peak;
    vka_error why = {0};
    vka_status st = VKA_OK;
    r->retries++;
    vka_gpu_device_bytes(r->gpu, &peak);
    r->peak = peak > r->peak ? peak : r->peak;
    r->planned = planned;
    vka_work_end_stages(w);
    r->cx->gpu = NULL;
    vka_gpu_destroy(&r->gpu);
    r->cx->cautious = true;
    if (!vka_run_keeps(r) && r->at < VKA_AT_VAE) /* a trace begins its clip again */
        vka_tensor_file_free(&r->trace);
    else if ((r->at == VKA_AT_UNET || r->at == VKA_AT_HIRES) && !r->clips[r->cx->now.clip].from.slots &&
             r->state->folder) /* lost between two slots */
        st = take_newest(r, &why);
    if (st == VKA_OK)
        st = vka_context_open_gpu(r->cx, r->job->device, &r->gpu, &why);
    if (st == VKA_OK)
        st = vka_work_device(w, vka_gpu_describe(r->gpu), r->gpu, &why);
    if (st == VKA_OK && !same_kernels(w, &info, &table, f16))
        st = vka_fail(&why, VKA_E_DEVICE, "the device that is there now is '%.80s', which gives other bits",
                      w->info.name);
    if (st == VKA_OK)
        st = vka_work_build(w, &why);
    if (st == VKA_OK)
        st = plan_smaller(r, planned, had, &why);
    w->budget = budget;
    if (st != VKA_OK) {
        add_why(e, "a second try could not begin: ", why.what);
        return false;
    }
    vka_gpu_reset_peak(r->gpu);
    tell_again(r, had, e);
    return true;
}

/* ---- the work ------------------------------------------------------------------------------------------- */

static vka_status work(struct vka_run *r, vka_error *err)
{
    bool sampled = true;
    vka_status st = VKA_OK;
    for (uint32_t k = 0; k < r->count; k++)
        sampled = sampled && (r->clips[k].sampled || r->clips[k].written);
    if (!sampled)
        st = vka_run_sample(r, err);
    if (st == VKA_OK)
        st = vka_run_finish(r, err);
    vka_vae_stage_end(&r->w.vae);
    vka_between_stage_end(&r->w.between);
    return st;
}

static vka_status work_until_done(struct vka_run *r, vka_error *err)
{
    vka_status st = work(r, err);
    if (!may_try_again(r, st) || !begin_again(r, err))
        return st;
    vka_error_clear(err);
    st = work(r, err);
    if (st == VKA_E_LOST)
        add_why(err, "it was lost for the second time in this render", "");
    return st;
}

static void report_outputs(struct vka_run *r, bool *whole)
{
    size_t i, f;
    json_t *output, *file;
    for (uint32_t k = 0; k < r->count; k++)
        json_array_foreach(json_object_get(r->clips[k].record, "outputs"), i, output)
            json_array_foreach(json_object_get(output, "files"), f, file)
                vka_report_add(whole, r->outputs, json_incref(file));
}

static double steps_seconds(const struct vka_run *r)
{
    double sum = 0;
    for (uint32_t k = 0; k < r->count; k++)
        for (uint32_t i = 0; i < r->clips[k].steps_done; i++)
            sum += r->clips[k].step_s[i];
    return sum;
}

static char *make_report(struct vka_run *r, double total, vka_error *err)
{
    json_t *models = vka_setup_models_json(&r->w.setup, true, err), *steps = json_array();
    if (!models) {
        json_decref(steps);
        return NULL;
    }
    double sum = steps_seconds(r);
    bool whole = true;
    uint32_t done = 0;
    for (uint32_t k = 0; k < r->count; k++) {
        for (uint32_t i = 0; i < r->clips[k].steps_done; i++)
            vka_report_add(&whole, steps, json_real(r->clips[k].step_s[i]));
        done += r->clips[k].steps_done;
    }
    if (done > 1) { /* the first step makes what the others only use */
        sum -= json_real_value(json_array_get(steps, 0));
        done--;
    }
    report_outputs(r, &whole);
    uint64_t peak, planned = r->w.planned > r->planned ? r->w.planned : r->planned;
    vka_gpu_device_bytes(r->gpu, &peak);
    json_t *o = vka_report_begin(r->state->resumed ? "resume" : "render");
    vka_report_put(&whole, o, "outputs", json_incref(r->outputs));
    vka_report_put(&whole, o, "settings", vka_setup_settings_json(&r->w.setup, 0, r->w.f16));
    vka_report_put(&whole, o, "models", models);
    vka_report_put(&whole, o, "device", vka_report_device(&r->w.info, r->w.table.path));
    json_t *timing =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "load_s", r->load_s, "text_s", r->text_s, "s_per_it",
                  done ? sum / done : 0.0, "decode_s", r->decode_s, "encode_s", r->encode_s, "total_s", total);
    if (vka_work_between(&r->w))
        vka_report_put(&whole, timing, "between_s", json_real(r->between_s));
    vka_report_put(&whole, timing, "steps_s", steps);
    vka_report_put(&whole, o, "timing", timing);
    vka_report_put(&whole, o, "memory", vka_report_memory(r->w.budget, planned, peak > r->peak ? peak : r->peak));
    vka_report_put(&whole, o, "kernel_table", json_integer(r->w.table.id));
    vka_report_put(&whole, o, "retries", json_integer(r->retries));
    char *text = whole ? vka_report_end(o) : NULL;
    if (!whole)
        json_decref(o);
    if (!text)
        vka_fail(err, VKA_E_MEMORY, "out of memory");
    return text;
}

/* The last line of a failure says how to go on, where there is something to go on with. */
static void tell_resume(const struct vka_run *r, vka_status st, vka_error *err)
{
    if (!err || r->hopeless || !r->state->folder || !(st == VKA_E_STOPPED || r->state->worth))
        return;
    char *jobs = vka_jobs_dir(), *usual = jobs ? vka_path_join(jobs, r->state->id) : NULL;
    const char *name = usual && strcmp(usual, r->state->folder) == 0 ? r->state->id : r->state->folder;
    size_t n = strlen(err->hint);
    snprintf(err->hint + n, sizeof err->hint - n, "%svkanim resume %s", n ? "; then " : "", name);
    free(usual);
    free(jobs);
}

/* Everything up to the first use of the device. */
static vka_status prepare(struct vka_run *r, vka_error *err)
{
    struct vka_work *w = &r->w;
    vka_status st = vka_work_open(w, r->cx, r->job, err);
    if (st != VKA_OK)
        return st;
    w->begun = r->state->resumed;
    r->count = w->setup.count;
    r->cx->now.clips = r->count;
    r->clips = vka_calloc(r->count, sizeof *r->clips);
    bool good = r->clips != NULL;
    for (uint32_t k = 0; good && k < r->count; k++) {
        r->clips[k].seed = vka_setup_seed(&w->setup, k);
        r->clips[k].subseed = vka_setup_subseed(&w->setup, k);
        r->clips[k].step_s = vka_calloc(vka_work_steps(w), sizeof *r->clips[k].step_s);
        good = r->clips[k].step_s != NULL;
    }
    st = good ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK && r->state->resumed)
        st = vka_resume_check_files(r->state, w, err);
    if (st == VKA_OK && r->state->resumed)
        st = take_stock(r, err);
    if (st == VKA_OK)
        st = vka_run_check_inputs(r, err);
    if (st == VKA_OK)
        st = vka_run_check_outputs(r, err);
    if (st == VKA_OK && r->job->save_hints && !r->job->overwrite && !r->state->resumed &&
        vka_controls_would_overwrite(&w->controls, r->job->save_hints)) {
        st = vka_fail(err, VKA_E_OUTPUT, "there are hints in '%.300s' already", r->job->save_hints);
        vka_error_hint(err, "--overwrite to replace them");
    }
    if (st == VKA_OK)
        st = vka_context_open_gpu(r->cx, r->job->device, &r->gpu, err);
    if (st == VKA_OK)
        st = vka_work_device(w, vka_gpu_describe(r->gpu), r->gpu, err);
    if (st == VKA_OK && r->state->resumed)
        st = vka_resume_check_device(r->state, w, err);
    if (st == VKA_OK)
        st = vka_work_build(w, err);
    if (st == VKA_OK)
        st = vka_work_plan(w, w->budget, err);
    if (st == VKA_OK && !vka_work_fits(w))
        st = vka_work_does_not_fit(w, err);
    if (st == VKA_OK)
        st = vka_controls_process(&w->controls, NULL, &w->table, w->budget, NULL, err);
    return st;
}

vka_status vka_render_in(vka_context *cx, const struct vka_job *job, struct vka_state *state, char **report,
                         vka_error *err)
{
    struct vka_state none = {.log = &cx->log};
    struct vka_run r = {.cx = cx, .job = job, .state = state ? state : &none, .outputs = json_array()};
    vka_error e = {0};
    double began = vka_now();
    *report = NULL;
    vka_context_begin(cx);
    vka_context_stage(cx, "load", 1);
    vka_status st = prepare(&r, &e);
    r.load_s = vka_now() - began;
    if (st == VKA_OK) {
        vka_setup_hash_begin(&r.w.setup);
        vka_gpu_reset_peak(r.gpu);
        if (!state) {
            vka_state_create(r.state, &cx->log);
            vka_resume_describe(r.state, &r.w);
        }
        st = work_until_done(&r, &e);
        if (st == VKA_OK)
            vka_setup_report_unused(&r.w.setup, &cx->log);
        if (st == VKA_OK && job->trace)
            st = vka_tensor_file_write(&r.trace, job->trace, &e);
        if (st == VKA_OK) {
            vka_logf(&cx->log, VKA_LOG_INFO,
                     "stages: load %.2f s, text %.2f s, steps %.2f s, decode %.2f s, encode %.2f s", r.load_s, r.text_s,
                     steps_seconds(&r), r.decode_s, r.encode_s);
            *report = make_report(&r, vka_now() - began, &e);
            st = *report ? VKA_OK : e.status != VKA_OK ? e.status : VKA_E_MEMORY;
        }
        if (st == VKA_E_MEMORY && e.status == VKA_OK) /* a library that had none says nothing */
            vka_fail(&e, st, "out of memory");
        if (st != VKA_OK)
            tell_resume(&r, st, &e);
        vka_state_close(r.state,
                        st == VKA_OK || r.hopeless || !(r.state->resumed || r.state->worth || st == VKA_E_STOPPED));
    } else if (st == VKA_E_STOPPED)
        tell_resume(&r, st, &e);
    for (uint32_t k = 0; r.clips && k < r.count; k++) {
        vka_disk_close(&r.clips[k].spool.file);
        vka_disk_close(&r.clips[k].between.file);
        vka_checkpoint_free(&r.clips[k].from);
        free(r.clips[k].latents);
        free(r.clips[k].step_s);
        json_decref(r.clips[k].record);
    }
    free(r.clips);
    free(r.picture);
    vka_previews_end(&r.previews);
    json_decref(r.outputs);
    vka_tensor_file_free(&r.trace);
    vka_work_close(&r.w);
    cx->gpu = NULL;
    vka_gpu_destroy(&r.gpu);
    if (err && err->status == VKA_OK)
        *err = e;
    return st;
}

vka_status vka_render(vka_context *cx, const vka_job *job, char **report, vka_error *err)
{
    struct vka_job *own;
    *report = NULL;
    vka_status st = vka_job_travel(job, &own, err);
    if (st == VKA_OK)
        st = vka_render_in(cx, own ? own : job, NULL, report, err);
    vka_job_destroy(&own);
    return st;
}

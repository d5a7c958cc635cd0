/* frames.c - from latents to files: the VAE frame by frame into the clip's spool, frames between into another one, the
 * writers out of both.
 *
 * A spool (spool.h) is a file in the job folder, or without a name where there is none; memory holds one frame at a
 * time, or those between two, however long the clip.  An output is entered in the clip's record before it is begun and
 * when it has its name. */
#include "render/run.h"

#include "base/clock.h"
#include "media/media.h"
#include "render/infotext.h"

#include <stdlib.h>
#include <string.h>

static const double most_fps = 1000;

/* ---- outputs -------------------------------------------------------------------------------------------- */

/* The name of an output for a clip's number: as given for one clip; with --count "-NUMBER" before the extension, the pattern's
 * number, or behind a folder's name. */
static char *output_name(const struct vka_job *job, size_t i, uint64_t seed, uint32_t count)
{
    unsigned long long s = seed;
    if (!job->output.count)
        return vka_asprintf("vkanim-%llu.webp", s);
    const char *name = job->output.items[i];
    if (count == 1)
        return vka_strdup(name);
    const char *percent = strchr(vka_path_base(name), '%'), *dot = vka_path_extension(name);
    size_t n = strlen(name);
    if (percent)
        return vka_asprintf("%.*s%llu-%s", (int)(percent - name), name, s, percent);
    if (*dot)
        return vka_asprintf("%.*s-%llu%s", (int)(dot - name), name, s, dot);
    while (n > 1 && name[n - 1] == '/')
        n--;
    return vka_asprintf("%.*s-%llu/", (int)n, name, s);
}

size_t vka_run_outputs(const struct vka_run *r)
{
    return r->job->output.count ? r->job->output.count : 1;
}

bool vka_run_output_is(const struct vka_run_clip *c, size_t i, const char *state)
{
    const char *is =
        json_string_value(json_object_get(json_array_get(json_object_get(c->record, "outputs"), i), "state"));
    return is && strcmp(is, state) == 0;
}

/* The frames of a file when it is played forwards.  On the way back there is nothing between the last and the first. */
static struct vka_between_order order_of(const struct vka_run *r)
{
    return (struct vka_between_order){.frames = r->w.setup.frames,
                                      .each = (uint32_t)r->job->interpolate,
                                      .closed = r->w.setup.loop != VKA_LOOP_OFF && !r->job->ping_pong};
}

/* Frames of a file: those that are rendered and those between, with --ping-pong the ones between the last and the first once
 * more. */
static uint32_t file_frames(const struct vka_run *r)
{
    const struct vka_between_order order = order_of(r);
    uint32_t n = vka_between_count(&order);
    return r->job->ping_pong && n > 2 ? 2 * n - 2 : n;
}

static vka_media_look look_of(const struct vka_job *j)
{
    return (vka_media_look){.lossless = j->lossless,
                            .has_quality = vka_job_has(j, "quality"),
                            .quality = (uint32_t)j->quality,
                            .colors = (uint32_t)j->colors,
                            .dither = j->dither};
}

/* An option that no output of the job has a place for would be without effect, which is not what was asked for; --lossless
 * holds for every one or is refused. */
static vka_status check_look(const struct vka_run *r, vka_error *err)
{
    static const struct {
        const char *name, *where;
        unsigned ability;
    } options[] = {{"plays", "it is for .webp, .gif and .apng", VKA_MEDIA_PLAYS},
                   {"quality", "it is for .webp, .mp4 and .webm", VKA_MEDIA_QUALITY},
                   {"lossless", ".webp and .webm can be; .png, .apng and frames always are", VKA_MEDIA_LOSSLESS},
                   {"colors", "it is for .gif", VKA_MEDIA_COLORS},
                   {"dither", "it is for .gif", VKA_MEDIA_DITHER}};
    const struct vka_job *j = r->job;
    const char *without = NULL;
    if (j->lossless && vka_job_has(j, "quality"))
        return vka_fail(err, VKA_E_USAGE, "--lossless and --quality contradict each other");
    for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
        bool lossless = options[o].ability == VKA_MEDIA_LOSSLESS;
        if (!vka_job_has(j, options[o].name) || (lossless && !j->lossless))
            continue;
        size_t takers = 0, outputs = vka_run_outputs(r);
        for (size_t i = 0; i < outputs; i++) {
            const char *name = j->output.count ? j->output.items[i] : "vkanim.webp";
            vka_media_format format;
            vka_status st = vka_media_format_of(name, file_frames(r), &format, err);
            if (st != VKA_OK)
                return st;
            if (vka_media_takes(format) & options[o].ability)
                takers++;
            else
                without = name;
        }
        if (takers < (lossless ? outputs : 1)) {
            vka_fail(err, VKA_E_USAGE, "--%s has no place in '%s'", options[o].name, without);
            vka_error_why(err, "%s", options[o].where);
            return VKA_E_USAGE;
        }
    }
    return VKA_OK;
}

vka_status vka_run_check_outputs(const struct vka_run *r, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    uint32_t frames = file_frames(r);
    vka_status st = check_look(r, err);
    if (st == VKA_OK && s->fps * order_of(r).each > most_fps)
        st = vka_fail(err, VKA_E_USAGE, "--interpolate %u makes %g frames per second of %g: %g are the most", order_of(r).each,
                      s->fps * order_of(r).each, s->fps, most_fps);
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++)
        for (size_t i = 0; st == VKA_OK && i < vka_run_outputs(r); i++) {
            const struct vka_run_clip *c = &r->clips[k];
            if (vka_run_output_is(c, i, "written"))
                continue;
            char *name = output_name(r->job, i, vka_run_number(r, c), r->count);
            st = name ? vka_media_check(name, vka_setup_out_width(s), vka_setup_out_height(s), frames, err)
                      : vka_fail(err, VKA_E_MEMORY, "out of memory");
            vka_media_look look = look_of(r->job);
            if (st == VKA_OK && look.lossless)
                st = vka_media_check_look(name, vka_setup_out_width(s), vka_setup_out_height(s), &look, err);
            /* one that this job had begun is its own, even where it got its name just before a kill */
            if (st == VKA_OK && !r->job->overwrite && !vka_run_output_is(c, i, "begun") &&
                vka_media_would_overwrite(name, frames)) {
                st = vka_fail(err, VKA_E_OUTPUT, "'%s' is there already", name);
                vka_error_hint(err, "--overwrite replaces it");
            }
            free(name);
        }
    if (st == VKA_OK && r->job->trace && r->count > 1)
        st = vka_fail(err, VKA_E_USAGE, "--trace records one clip; it cannot be had with --count %u", r->count);
    return st;
}

struct frame_source {
    struct vka_run *r;
    struct vka_run_clip *c;
};

static const uint8_t *get_frame(void *user, uint32_t index, vka_error *err)
{
    struct frame_source *u = user;
    const struct vka_between_order order = order_of(u->r);
    size_t n = vka_run_picture(u->r);
    uint32_t forwards = vka_between_count(&order), at, which;
    if (index >= forwards) /* --ping-pong: on the way back */
        index = 2 * forwards - 2 - index;
    if (vka_context_cancelled(u->r->cx)) {
        vka_fail(err, VKA_E_STOPPED, "stopped");
        return NULL;
    }
    bool made = vka_between_frame(&order, index, &at, &which);
    uint64_t offset = made ? ((uint64_t)at * (order.each - 1) + which) * n : (uint64_t)at * n;
    vka_disk_file *file = made ? &u->c->between.file : &u->c->spool.file;
    return vka_disk_read(file, offset, u->r->picture, n, err) == VKA_OK ? u->r->picture : NULL;
}

/* What an animation says about itself: our JSON, and in *infotext the lines of A1111. */
static char *metadata(struct vka_run *r, const struct vka_run_clip *c, char **infotext, vka_error *err)
{
    *infotext = NULL;
    json_t *models = vka_setup_models_json(&r->w.setup, false, err);
    if (!models)
        return NULL;
    *infotext = vka_infotext_write(&r->w.setup, (uint32_t)(c - r->clips), models);
    json_t *o = json_pack("{s:i, s:s}", "schema", 1, "vkanim", vka_version());
    bool whole = o != NULL;
    vka_report_put(&whole, o, "settings", vka_setup_settings_json(&r->w.setup, (uint32_t)(c - r->clips), r->w.f16));
    vka_report_put(&whole, o, "models", models);
    char *text = whole ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(o);
    if (text && *infotext)
        return text;
    free(text);
    free(*infotext);
    *infotext = NULL;
    vka_fail(err, VKA_E_MEMORY, "out of memory");
    return NULL;
}

/* Puts a clip's record into the folder; `files` NULL: output `i` is begun. */
static vka_status record_output(struct vka_run *r, uint32_t k, size_t i, json_t *files, vka_error *err)
{
    struct vka_run_clip *c = &r->clips[k];
    json_t *list = json_object_get(c->record, "outputs"),
           *output = json_pack("{s:s}", "state", files ? "written" : "begun");
    bool whole = list && output;
    while (whole && json_array_size(list) <= i)
        vka_report_add(&whole, list, json_object());
    if (files)
        vka_report_put(&whole, output, "files", json_incref(files));
    if (!whole) {
        json_decref(output);
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    if (json_array_set_new(list, i, output) != 0)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_state_keep_json(r->state, "outputs-%u.json", k, c->record);
    return VKA_OK;
}

static vka_status write_output(struct vka_run *r, uint32_t k, size_t i, const vka_clip *clip, vka_error *err)
{
    struct vka_run_clip *c = &r->clips[k];
    char *name = output_name(r->job, i, vka_run_number(r, c), r->count);
    vka_media_result result = {0};
    json_t *files = json_array();
    bool whole = name && files;
    vka_status st = whole ? record_output(r, k, i, NULL, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = vka_media_write(name, clip, &result, err);
    for (size_t f = 0; st == VKA_OK && f < result.count; f++) {
        json_t *file = json_pack("{s:I, s:s, s:I, s:s}", "bytes", (json_int_t)result.files[f].bytes, "sha256",
                                 result.files[f].sha256, "seed", (json_int_t)c->seed, "frames_sha256", c->sha256);
        vka_report_put(&whole, file, "path", vka_report_path(result.files[f].path));
        vka_report_add(&whole, files, file);
    }
    if (st == VKA_OK)
        st = whole ? record_output(r, k, i, files, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_media_result_free(&result);
    json_decref(files);
    free(name);
    return st;
}

static vka_status write_outputs(struct vka_run *r, uint32_t k, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    struct vka_run_clip *c = &r->clips[k];
    double began = vka_now();
    vka_status st = VKA_OK;
    vka_context_stage(r->cx, "encode", (unsigned)vka_run_outputs(r));
    struct frame_source user = {r, c};
    char *infotext, *meta = metadata(r, c, &infotext, err);
    if (!meta)
        return err ? err->status : VKA_E_MEMORY;
    vka_clip clip = {.width = vka_setup_out_width(s),
                     .height = vka_setup_out_height(s),
                     .frames = file_frames(r),
                     .fps = s->fps * order_of(r).each,
                     .plays = (uint32_t)r->job->plays,
                     .look = look_of(r->job),
                     .metadata = meta,
                     .infotext = infotext,
                     .get = get_frame,
                     .user = &user};
    if (r->job->verify && strcmp(r->job->verify, c->sha256) != 0) {
        st = vka_fail(err, VKA_E_VERIFY, "the frames are not those that --verify asks for");
        vka_error_why(err, "their SHA-256 is %s", c->sha256);
        r->hopeless = true;
    }
    json_t *steps = json_array();
    bool whole = true;
    for (uint32_t i = 0; i < c->steps_done; i++)
        vka_report_add(&whole, steps, json_real(c->step_s[i]));
    if (!c->record)
        c->record = json_pack("{s:s, s:[]}", "frames_sha256", c->sha256, "outputs");
    vka_report_put(&whole, c->record, "steps_s", steps);
    if (!whole && st == VKA_OK)
        st = vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (size_t i = 0; st == VKA_OK && i < vka_run_outputs(r); i++) {
        if (!vka_run_output_is(c, i, "written"))
            st = write_output(r, k, i, &clip, err);
        vka_context_done(r->cx, (unsigned)i + 1);
    }
    free(meta);
    free(infotext);
    r->encode_s += vka_now() - began;
    return st;
}

/* What the outputs have made needless. */
static void forget_frames(struct vka_run *r, uint32_t k)
{
    struct vka_run_clip *c = &r->clips[k];
    vka_spool_remove(&c->spool, r->state, &vka_spool_frames, k);
    vka_spool_remove(&c->between, r->state, &vka_spool_between, k);
    free(c->latents);
    c->latents = NULL;
    vka_state_remove(r->state, "latents-%u", k);
}

/* ---- frames --------------------------------------------------------------------------------------------- */

/* The frames that earlier runs have put on the disk, as far as they are what was written there. */
static vka_status open_spool(struct vka_run *r, uint32_t k, vka_error *err)
{
    return vka_spool_open(&r->clips[k].spool, r->state, &vka_spool_frames, k, vka_run_keeps(r), r->w.setup.frames,
                          vka_run_picture(r), r->picture, &r->cx->log, err);
}

static vka_status keep_frames(struct vka_run *r, uint32_t k, vka_error *err)
{
    return vka_run_keeps(r) ? vka_spool_keep(&r->clips[k].spool, r->state, &vka_spool_frames, k, err) : VKA_OK;
}

static vka_status latents_of(struct vka_run *r, uint32_t k, vka_error *err)
{
    struct vka_run_clip *c = &r->clips[k];
    vka_checkpoint at;
    if (c->latents)
        return VKA_OK;
    if (!vka_state_latents(r->state, k, &at))
        return vka_fail(err, VKA_E_INPUT, "the latents kept in the job's folder are gone or damaged");
    c->latents = at.slot[VKA_SLOT_X];
    at.slot[VKA_SLOT_X] = NULL;
    vka_checkpoint_free(&at);
    return VKA_OK;
}

static vka_status decode_clip(struct vka_run *r, uint32_t k, vka_error *err)
{
    const struct vka_setup *s = &r->w.setup;
    struct vka_run_clip *c = &r->clips[k];
    size_t latent = (size_t)s->unet->out_channels * (vka_setup_out_height(s) / s->factor) * (vka_setup_out_width(s) / s->factor);
    size_t picture = vka_run_picture(r);
    double began = vka_now();
    uint32_t kept = c->spool.count;
    vka_context_stage(r->cx, "decode", s->frames);
    vka_status st = c->spool.count < s->frames ? latents_of(r, k, err) : VKA_OK;
    while (st == VKA_OK && c->spool.count < s->frames) {
        uint32_t f = c->spool.count;
        bool bad = false;
        double start = vka_now();
        st = vka_vae_stage_run(&r->w.vae, c->latents + f * latent, r->picture, &bad, &r->cx->ticker, err);
        if (st == VKA_OK && bad) {
            st = vka_fail(err, VKA_E_VERIFY, "frame %u of the clip with seed %llu holds NaN or infinity", f,
                          (unsigned long long)c->seed);
            vka_error_why(err, "the latents were finite: it comes out of the VAE");
            vka_error_hint(err, "%s",
                           r->w.f16 ? "--precision f32, where numbers may be larger; --vae with another one"
                                    : "--vae with another one: this one's file may be damaged");
            r->hopeless = true;
        }
        if (st == VKA_OK)
            st = vka_spool_add(&c->spool, r->picture, picture, err);
        if (st != VKA_OK)
            break;
        double now = vka_now();
        if (c->spool.count == s->frames || vka_pace_due(&r->state->pace, now, now - start)) {
            st = keep_frames(r, k, err);
            kept = st == VKA_OK ? c->spool.count : kept;
        }
        vka_context_done(r->cx, c->spool.count);
    }
    if (st != VKA_OK && c->spool.count > kept)
        keep_frames(r, k, NULL);
    if (st == VKA_OK)
        vka_spool_hex(&c->spool, c->sha256);
    if (st == VKA_OK && r->job->trace) {
        uint8_t *all = vka_calloc(s->frames, picture);
        st = all ? vka_disk_read(&c->spool.file, 0, all, s->frames * picture, err)
                 : vka_fail(err, VKA_E_MEMORY, "out of memory for the frames");
        if (st == VKA_OK)
            vka_tensor_file_add(&r->trace, "frames", VKA_WEIGHT_U8, 4, (uint64_t[]){s->frames, vka_setup_out_height(s), vka_setup_out_width(s), 3},
                                all);
        free(all);
    }
    r->decode_s += vka_now() - began;
    return st;
}

/* ---- frames between ------------------------------------------------------------------------------------- */

/* Makes those between `first` and `second`, r->picture being the first, and puts them into the spool; one unit is all of a
 * pair. */
static vka_status make_pair(struct vka_run *r, struct vka_run_clip *c, uint32_t second, uint8_t *other, uint8_t *made,
                            vka_error *err)
{
    const size_t picture = vka_run_picture(r);
    vka_status st = vka_disk_read(&c->spool.file, (uint64_t)second * picture, other, picture, err);
    if (st == VKA_OK)
        st = vka_between_stage_run(&r->w.between, r->picture, other, made, &r->cx->ticker, err);
    return st == VKA_OK ? vka_spool_add(&c->between, made, picture * r->w.between.frames, err) : st;
}

static vka_status between_clip(struct vka_run *r, uint32_t k, bool *started, vka_error *err)
{
    struct vka_run_clip *c = &r->clips[k];
    const struct vka_between_order order = order_of(r);
    const uint32_t pairs = vka_between_pairs(&order);
    const size_t picture = vka_run_picture(r), unit = picture * (order.each - 1);
    double began = vka_now();
    uint8_t *other = vka_calloc(order.each, picture), *made = other ? other + picture : NULL;
    vka_status st = other ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_context_stage(r->cx, "between", pairs);
    if (st == VKA_OK && !c->between.file.open) /* a second try has it open */
        st = vka_spool_open(&c->between, r->state, &vka_spool_between, k, vka_run_keeps(r), pairs, unit, made,
                            &r->cx->log, err);
    if (st == VKA_OK && c->between.count < pairs && !*started) {
        st = vka_between_stage_start(&r->w.between, r->gpu, &r->cx->ticker, err);
        *started = st == VKA_OK;
    }
    uint32_t kept = c->between.count;
    while (st == VKA_OK && c->between.count < pairs) {
        const uint32_t at = c->between.count;
        double start = vka_now();
        st = vka_disk_read(&c->spool.file, (uint64_t)at * picture, r->picture, picture, err);
        if (st == VKA_OK)
            st = make_pair(r, c, (at + 1) % order.frames, other, made, err);
        double now = vka_now();
        if (st == VKA_OK && vka_run_keeps(r) && (at + 1 == pairs || vka_pace_due(&r->state->pace, now, now - start))) {
            st = vka_spool_keep(&c->between, r->state, &vka_spool_between, k, err);
            kept = st == VKA_OK ? c->between.count : kept;
        }
        vka_context_done(r->cx, c->between.count);
    }
    if (st != VKA_OK && vka_run_keeps(r) && c->between.count > kept)
        vka_spool_keep(&c->between, r->state, &vka_spool_between, k, NULL);
    free(other);
    r->between_s += vka_now() - began;
    return st;
}

/* ---- all clips ------------------------------------------------------------------------------------------ */

/* Frames of the clip into its spool, unless they are there. */
static vka_status decode_into_spool(struct vka_run *r, uint32_t k, bool *started, vka_error *err)
{
    struct vka_run_clip *c = &r->clips[k];
    vka_status st = c->spool.file.open ? VKA_OK : open_spool(r, k, err); /* a second try has it open */
    if (st == VKA_OK && c->spool.count < r->w.setup.frames && !*started) {
        double began = vka_now();
        st = vka_vae_stage_start(&r->w.vae, r->gpu, &r->cx->ticker, err);
        *started = st == VKA_OK;
        r->decode_s += vka_now() - began;
    }
    return st == VKA_OK && !c->sha256[0] ? decode_clip(r, k, err) : st;
}

vka_status vka_run_finish(struct vka_run *r, vka_error *err)
{
    vka_status st = VKA_OK;
    bool decodes = false, makes = false;
    const bool between = vka_work_between(&r->w);
    r->at = VKA_AT_VAE;
    if (!r->picture)
        r->picture = vka_calloc(1, vka_run_picture(r));
    if (!r->picture)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    /* a stage gives its memory back before the next one starts: with frames between, all clips are decoded first */
    for (uint32_t k = 0; st == VKA_OK && between && k < r->count; k++) {
        r->cx->now.clip = k;
        if (!r->clips[k].written)
            st = decode_into_spool(r, k, &decodes, err);
    }
    if (st == VKA_OK && between) {
        if (decodes)
            vka_exec_times(r->w.vae.run.exec, &r->cx->log);
        vka_vae_stage_end(&r->w.vae);
        decodes = false;
        r->at = VKA_AT_BETWEEN;
    }
    for (uint32_t k = 0; st == VKA_OK && k < r->count; k++) {
        r->cx->now.clip = k;
        if (r->clips[k].written)
            continue;
        st = between ? between_clip(r, k, &makes, err) : decode_into_spool(r, k, &decodes, err);
        if (st == VKA_OK)
            st = write_outputs(r, k, err);
        if (st != VKA_OK)
            break;
        forget_frames(r, k);
        r->clips[k].written = true;
    }
    if (st == VKA_OK && decodes)
        vka_exec_times(r->w.vae.run.exec, &r->cx->log);
    if (st == VKA_OK && makes)
        vka_exec_times(r->w.between.run.exec, &r->cx->log);
    return st;
}

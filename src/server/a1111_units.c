/* a1111_units.c - alwayson_scripts of a request: AnimateDiff in the extension's names, ControlNet units.  See a1111.h.
 *
 * AnimateDiff's args are one object, or values in the order of `members`, or one flag.  Facts of the extension that are
 * kept: a clip has batch_size frames where video_length is 0; a closed loop is closed by context windows, and where one
 * window holds the clip, "A" plays it backwards too; PNG is for the disk, and frames are sent only where no animation is
 * asked for, or "Frame" is; freeinit_iters counts the first round.  Frames come as one .apng, whose frames a reply takes
 * apart. */
#include "server/a1111.h"

#include <stdio.h>
#include <string.h>

static const char unit_name[] = "alwayson_scripts.AnimateDiff";

/* ---- AnimateDiff ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *initial; /* as JSON */
} members[] = {{"model", "\"\""},
               {"enable", "false"},
               {"video_length", "0"},
               {"fps", "8"},
               {"loop_number", "0"},
               {"closed_loop", "\"R-P\""},
               {"batch_size", "16"},
               {"stride", "1"},
               {"overlap", "-1"},
               {"format", "[\"GIF\", \"PNG\"]"},
               {"interp", "\"Off\""},
               {"interp_x", "10"},
               {"video_source", "null"},
               {"video_path", "\"\""},
               {"mask_path", "\"\""},
               {"freeinit_enable", "false"},
               {"freeinit_filter", "\"butterworth\""},
               {"freeinit_ds", "0.25"},
               {"freeinit_dt", "0.25"},
               {"freeinit_iters", "3"},
               {"latent_power", "1"},
               {"latent_scale", "32"},
               {"last_frame", "null"},
               {"latent_power_last", "1"},
               {"latent_scale_last", "32"},
               {"request_id", "\"\""}};
enum { MEMBERS = sizeof members / sizeof *members };

json_t *srv_a1111_unit_members(void)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < MEMBERS; i++)
        if (json_array_append_new(list, json_pack("{s:s, s:o}", "label", members[i].name, "value",
                                                  json_loads(members[i].initial, JSON_DECODE_ANY, NULL))) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

/* The args as one object, new; empty: there are none, and NULL: with the error set. */
static json_t *one_object(struct srv_a1111_making *m, const json_t *args)
{
    const json_t *first = json_is_array(args) ? json_array_get(args, 0) : args;
    if (json_is_object(first))
        return json_incref((json_t *)(uintptr_t)first);
    json_t *object = json_object();
    size_t count = json_is_array(args) ? json_array_size(args) : first && !json_is_null(first) ? 1 : 0;
    if (!object)
        srv_a1111_fail(m->err, 500, "", "out of memory");
    else if (count == 1 && json_is_boolean(first))
        json_object_set(object, "enable", (json_t *)(uintptr_t)first);
    else if (!json_is_array(args) && count)
        srv_a1111_fail(m->err, 422, unit_name, "args is to be a list");
    else if (count > MEMBERS)
        srv_a1111_fail(m->err, 422, unit_name, "args has %zu values, and AnimateDiff %d", count, MEMBERS);
    else
        for (size_t i = 0; i < count; i++)
            json_object_set(object, members[i].name, json_array_get(args, i));
    if (!m->err->status)
        return object;
    json_decref(object);
    return NULL;
}

/* Files that the request names, and what the reply has of them. */
static bool put_formats(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    static const char *const animations[][2] = {{"GIF", "gif"}, {"MP4", "mp4"}, {"WEBP", "webp"}, {"WEBM", "webm"}};
    const json_t *given = json_object_get(v->object, "format");
    bool png = !srv_a1111_has(v, "format"), frame = false, some = png;
    char output[300];
    const char *id = srv_a1111_text(v, "request_id", "");
    size_t count = json_is_array(given) ? json_array_size(given) : json_is_string(given) ? 1 : 0;
    if (strlen(id) > 64 || strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != strlen(id))
        return srv_a1111_bad(v, "request_id", 422,
                             "request_id becomes part of a file's name: at most 64 letters, digits, - and _");
    if (some) {
        snprintf(output, sizeof output, "%.100s%s%s.gif", m->name, *id ? "-" : "", id);
        srv_a1111_append(m, "output", output);
    } else if (!count && !(json_is_array(given) && json_array_size(given) == 0))
        return srv_a1111_bad(v, "format", 422, "format is to be a list of GIF, MP4, WEBP, WEBM, PNG, TXT and Frame");
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_is_array(given) ? json_array_get(given, i) : given);
        bool known = text && (srv_a1111_same(text, "TXT") || srv_a1111_same(text, "PNG") || srv_a1111_same(text, "Frame"));
        png = png || (known && srv_a1111_same(text, "PNG"));
        frame = frame || (known && srv_a1111_same(text, "Frame"));
        for (size_t k = 0; text && k < sizeof animations / sizeof *animations; k++)
            if (srv_a1111_same(text, animations[k][0])) {
                snprintf(output, sizeof output, "%.100s%s%s.%s", m->name, *id ? "-" : "", id, animations[k][1]);
                srv_a1111_append(m, "output", output);
                known = some = true;
            }
        if (!known)
            return srv_a1111_bad(v, "format", 422, "format has none of GIF, MP4, WEBP, WEBM, PNG, TXT and Frame: '%.40s'",
                                 text ? text : "?");
    }
    m->work->frames = frame || !some;
    m->work->drop_frames = m->work->frames && !png;
    if (png || m->work->frames) {
        snprintf(output, sizeof output, "%.100s%s%s.apng", m->name, *id ? "-" : "", id);
        srv_a1111_append(m, "output", output);
    }
    return !m->err->status;
}

/* FILM makes interp_x pictures of one and plays them at fps; what is made here between frames comes from optical flow, and
 * raises the rate. */
static void put_speed(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    const char *way = srv_a1111_text(v, "interp", "Off");
    json_int_t times = srv_a1111_int(v, "interp_x", 10), plays = srv_a1111_int(v, "loop_number", 0);
    double fps = srv_a1111_real(v, "fps", 8);
    if (srv_a1111_same(way, "FILM")) {
        if (times > 1) {
            srv_a1111_put(m, "interpolate", json_integer(times));
            fps /= (double)times;
        }
        srv_a1111_note(m, "interp: frames between frames come from optical flow, not from FILM");
    } else if (!srv_a1111_same(way, "Off"))
        srv_a1111_bad(v, "interp", 422, "interp is to be Off or FILM");
    srv_a1111_put(m, "fps", json_real(fps));
    if (plays != 0)
        srv_a1111_put(m, "plays", json_integer(plays));
}

static bool put_windows(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    static const char *const loops[] = {"N", "R-P", "R+P", "A"};
    const char *loop = srv_a1111_text(v, "closed_loop", "R-P");
    m->video_length = srv_a1111_int(v, "video_length", 0);
    m->batch_size = srv_a1111_int(v, "batch_size", 16);
    m->stride = srv_a1111_int(v, "stride", 1);
    m->overlap = srv_a1111_int(v, "overlap", -1);
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
        if (srv_a1111_same(loop, loops[i]))
            m->closed_loop = loops[i];
    if (!m->closed_loop)
        return srv_a1111_bad(v, "closed_loop", 422, "closed_loop is to be N, R-P, R+P or A, not '%.20s'", loop);
    if (m->batch_size < 1 || m->batch_size > 65535)
        return srv_a1111_bad(v, "batch_size", 422, "batch_size is to be from 1 to 65535");
    if (m->video_length < 0 || m->video_length > 65535)
        return srv_a1111_bad(v, "video_length", 422, "video_length is to be from 0 to 65535");
    if (m->stride < 1 || m->stride > 64)
        return srv_a1111_bad(v, "stride", 422, "stride is to be from 1 to 64");
    if (m->overlap < -1 || m->overlap >= m->batch_size)
        return srv_a1111_bad(v, "overlap", 422, "overlap is to be -1 or less than batch_size");
    m->frames = m->video_length ? m->video_length : m->batch_size;
    if (strcmp(m->closed_loop, "A") == 0 && m->frames > 1 && m->frames <= m->batch_size)
        srv_a1111_put(m, "ping-pong", json_true());
    return !m->err->status;
}

static bool put_freeinit(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    char space[40], time[40], both[90];
    json_int_t rounds = srv_a1111_int(v, "freeinit_iters", 3) - 1;
    if (!srv_a1111_flag(v, "freeinit_enable", false))
        return !m->err->status;
    if (rounds < 1 || rounds > 20)
        return srv_a1111_bad(v, "freeinit_iters", 422, "freeinit_iters is to be from 2 to 21");
    srv_a1111_number(space, srv_a1111_real(v, "freeinit_ds", 0.25));
    srv_a1111_number(time, srv_a1111_real(v, "freeinit_dt", 0.25));
    snprintf(both, sizeof both, "%s:%s", space, time);
    srv_a1111_put(m, "freeinit", json_integer(rounds));
    srv_a1111_put(m, "freeinit-filter", json_string(srv_a1111_text(v, "freeinit_filter", "butterworth")));
    srv_a1111_put(m, "freeinit-cutoff", json_string(both));
    return !m->err->status;
}

static bool put_fading(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    static const struct {
        const char *theirs, *ours;
        double initial;
    } numbers[] = {{"latent_power", "latent-power", 1},
                   {"latent_scale", "latent-scale", 32},
                   {"latent_power_last", "latent-power-last", 1},
                   {"latent_scale_last", "latent-scale-last", 32}};
    const char *last = srv_a1111_text(v, "last_frame", "");
    char name[80];
    if (m->kind == A1111_TXT2IMG) {
        if (*last)
            srv_a1111_note(m, "last_frame: it is for img2img alone");
        return !m->err->status;
    }
    if (*last) {
        if (!srv_a1111_picture(m, "alwayson_scripts.AnimateDiff.last_frame", last, name))
            return false;
        srv_a1111_put(m, "init-last", json_string(name));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (*last || i < 2)
            srv_a1111_put(m, numbers[i].ours, json_real(srv_a1111_real(v, numbers[i].theirs, numbers[i].initial)));
    return !m->err->status;
}

static bool put_video(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    const char *source = srv_a1111_text(v, "video_source", ""), *path = srv_a1111_text(v, "video_path", ""),
               *mask = srv_a1111_text(v, "mask_path", "");
    if (*source && *path)
        return srv_a1111_bad(v, "video_path", 422, "video_source and video_path are two videos");
    if (*source && !srv_a1111_picture(m, "alwayson_scripts.AnimateDiff.video_source", source, m->video))
        return false;
    if (*path && !srv_a1111_picture(m, "alwayson_scripts.AnimateDiff.video_path", path, m->video))
        return false;
    if (*mask && m->kind == A1111_TXT2IMG)
        return srv_a1111_bad(v, "mask_path", 422, "mask_path is for img2img here");
    return !*mask || srv_a1111_picture(m, "alwayson_scripts.AnimateDiff.mask_path", mask, m->mask);
}

static bool put_animatediff(struct srv_a1111_making *m, const json_t *args)
{
    json_t *object = one_object(m, args);
    const struct srv_a1111_values v = {object, unit_name, m->err};
    if (object && srv_a1111_flag(&v, "enable", false) && !m->err->status) {
        const char *model = srv_a1111_text(&v, "model", "");
        m->work->animation = true;
        char name[300];
        if (*model && !srv_a1111_same(model, "None") &&
            srv_a1111_model_name(m, "alwayson_scripts.AnimateDiff.model", "motion-module", "Motion module", model, name))
            srv_a1111_put(m, "motion", json_string(name));
        srv_a1111_put(m, "travel-blend", json_string("slerp")); /* what the extension has between two prompts */
        if (!m->err->status && put_windows(m, &v) && put_formats(m, &v) && put_freeinit(m, &v) && put_fading(m, &v) &&
            put_video(m, &v))
            put_speed(m, &v);
    }
    json_decref(object);
    return !m->err->status;
}

/* ---- ControlNet -------------------------------------------------------------------------------------------------- */

static const struct {
    const char *theirs, *ours; /* a preprocessor that is computed, not learned; "" none */
} processes[] = {
    {"none", ""},
    {"canny", "canny"},
    {"lineart_standard", "lineart"},
    {"lineart_standard (from white bg & black line)", "lineart"},
    {"tile_resample", "tile"},
    {"invert", "invert"},
    {"invert (from white bg & black line)", "invert"},
    {"soft-edge", "soft-edge"},
};

json_t *srv_a1111_unit_modules(void)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < sizeof processes / sizeof *processes; i++)
        json_array_append_new(list, json_string(processes[i].theirs));
    return list;
}

/* The pictures of a unit: base64, {"image": ...} or a list of them; separated by ';', "" when there is none. */
static bool pictures_of(struct srv_a1111_making *m, const struct srv_a1111_values *v, char out[600])
{
    static const char *const names[] = {"image", "input_image"};
    const json_t *image = NULL;
    char name[80];
    out[0] = '\0';
    for (size_t i = 0; i < 2 && !image; i++)
        image = srv_a1111_has(v, names[i]) ? json_object_get(v->object, names[i]) : NULL;
    size_t count = json_is_array(image) ? json_array_size(image) : image ? 1 : 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(image) ? json_array_get(image, i) : image;
        const json_t *inside = json_is_object(one) ? json_object_get(one, "image") : one;
        const char *text = json_string_value(inside);
        size_t n = strlen(out);
        if (!text)
            return srv_a1111_bad(v, "image", 422, "image is to be a text in base64");
        if (!*text)
            continue;
        if (!srv_a1111_picture(m, "alwayson_scripts.ControlNet.image", text, name))
            return false;
        if (n + strlen(name) + 2 > 600)
            return srv_a1111_bad(v, "image", 422, "a unit has too many pictures");
        snprintf(out + n, 600 - n, "%s%s", n ? ";" : "", name);
    }
    return true;
}

static bool mode_of(const struct srv_a1111_values *v, const char **mode)
{
    static const char *const modes[][2] = {
        {"Balanced", "balanced"}, {"My prompt is more important", "prompt"}, {"ControlNet is more important", "control"}};
    const json_t *value = json_object_get(v->object, "control_mode");
    *mode = "balanced";
    for (int i = 0; i < 3; i++)
        if ((json_is_string(value) && srv_a1111_same(json_string_value(value), modes[i][0])) ||
            (json_is_integer(value) && json_integer_value(value) == i)) {
            *mode = modes[i][1];
            return true;
        }
    return !srv_a1111_has(v, "control_mode") ||
           srv_a1111_bad(v, "control_mode", 422,
                         "control_mode is to be Balanced, My prompt is more important or ControlNet is more important");
}

static bool take_resize(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    static const struct {
        const char *theirs, *ours;
        json_int_t number;
    } ways[] = {{"Just Resize", "stretch", 0},           {"Crop and Resize", "crop", 1},
                {"Resize and Fill", "fit", 2},           {"Scale to Fit (Inner Fit)", "crop", 1},
                {"Inner Fit (Scale to Fit)", "crop", 1}, {"Envelope (Outer Fit)", "fit", 2},
                {"Outer Fit (Shrink to Fit)", "fit", 2}};
    const json_t *value = json_object_get(v->object, "resize_mode");
    const char *way = srv_a1111_has(v, "resize_mode") ? NULL : "crop";
    for (size_t i = 0; !way && i < sizeof ways / sizeof *ways; i++)
        if ((json_is_string(value) && srv_a1111_same(json_string_value(value), ways[i].theirs)) ||
            (json_is_integer(value) && json_integer_value(value) == ways[i].number))
            way = ways[i].ours;
    if (!way)
        return srv_a1111_bad(v, "resize_mode", 422, "resize_mode is to be Just Resize, Crop and Resize or Resize and Fill");
    if (*m->resize && strcmp(m->resize, way) != 0)
        return srv_a1111_bad(v, "resize_mode", 422, "all ControlNet units are to have one resize_mode here");
    snprintf(m->resize, sizeof m->resize, "%s", way);
    return true;
}

/* A learned preprocessor is refused; thresholds are not a unit's here. */
static bool process_of(struct srv_a1111_making *m, const struct srv_a1111_values *v, const char *module, const char **process)
{
    *process = NULL;
    for (size_t i = 0; i < sizeof processes / sizeof *processes; i++)
        if (srv_a1111_same(module, processes[i].theirs))
            *process = processes[i].ours;
    if (!*process)
        return srv_a1111_bad(v, "module", 422,
                             "the preprocessor '%.60s' is not here: send its picture with module none, or take "
                             "canny, lineart_standard, tile_resample, invert or soft-edge",
                             module);
    double a = srv_a1111_real(v, "threshold_a", -1), b = srv_a1111_real(v, "threshold_b", -1);
    if (strcmp(*process, "canny") == 0 && !(a < 0 || a == 100) && !(b < 0 || b == 200))
        srv_a1111_note(m, "ControlNet: canny has thresholds of its own here");
    return !m->err->status;
}

static bool put_unit(struct srv_a1111_making *m, const struct srv_a1111_values *v)
{
    const char *module = srv_a1111_text(v, "module", "none"), *model = srv_a1111_text(v, "model", "None"), *mode, *process;
    char pictures[600], weight[40], start[40], end[40], text[1200];
    if (srv_a1111_same(model, "None") || !*model)
        return srv_a1111_bad(v, "model", 422, "a ControlNet unit is on and names no model");
    if (srv_a1111_has(v, "advanced_weighting") || srv_a1111_has(v, "effective_region_mask"))
        return srv_a1111_bad(v, "advanced_weighting", 422, "advanced_weighting and effective_region_mask are not here");
    if (srv_a1111_has(v, "mask") || srv_a1111_has(v, "mask_image"))
        srv_a1111_note(m, "ControlNet: masks of units are passed over");
    srv_a1111_number(weight, srv_a1111_real(v, "weight", 1));
    srv_a1111_number(start, srv_a1111_real(v, "guidance_start", 0));
    srv_a1111_number(end, srv_a1111_real(v, "guidance_end", srv_a1111_real(v, "guidance", 1)));
    bool adapter = strncmp(module, "ip-adapter", 10) == 0;
    char name[300];
    if (m->err->status || !srv_a1111_model_name(m, "alwayson_scripts.ControlNet.model", adapter ? "ip-adapter" : "controlnet",
                                                adapter ? "IP-Adapter" : "ControlNet model", model, name))
        return false;
    if (strchr(name, ','))
        return srv_a1111_bad(v, "model", 422, "a ControlNet model's name may have no comma");
    if (m->err->status || !take_resize(m, v) || !mode_of(v, &mode) || !pictures_of(m, v, pictures))
        return false;
    if (!*pictures && *m->video)
        snprintf(pictures, sizeof pictures, "%s", m->video);
    m->units++;
    if (adapter) {
        if (!*pictures)
            return srv_a1111_bad(v, "image", 422, "an IP-Adapter unit needs a picture");
        snprintf(text, sizeof text, "%s,image=%s,weight=%s,start=%s,end=%s", name, pictures, weight, start, end);
        srv_a1111_append(m, "ip-adapter", text);
        return !m->err->status;
    }
    if (!process_of(m, v, module, &process))
        return false;
    if (!*pictures && m->kind == A1111_TXT2IMG)
        return srv_a1111_bad(v, "image", 422, "a ControlNet unit has no picture");
    if (strchr(pictures, ';'))
        return srv_a1111_bad(v, "image", 422, "a ControlNet unit has one picture");
    snprintf(text, sizeof text, "%s%s%s,weight=%s,start=%s,end=%s,mode=%s%s%s", name, *pictures ? ",source=" : "", pictures,
             weight, start, end, mode, *process ? ",process=" : "", process);
    srv_a1111_append(m, "control", text);
    return !m->err->status;
}

static bool put_controlnet(struct srv_a1111_making *m, const json_t *args)
{
    size_t count = json_is_array(args) ? json_array_size(args) : json_is_object(args) ? 1 : 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *unit = json_is_array(args) ? json_array_get(args, i) : args;
        const struct srv_a1111_values v = {unit, "alwayson_scripts.ControlNet", m->err};
        if (json_is_null(unit) || json_is_boolean(unit))
            continue;
        if (!json_is_object(unit))
            return srv_a1111_fail(m->err, 422, "alwayson_scripts.ControlNet", "a ControlNet unit is to be an object");
        if (srv_a1111_flag(&v, "enabled", true) && !put_unit(m, &v))
            return false;
    }
    return !m->err->status;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static const json_t *args_of(const json_t *scripts, const char *wanted)
{
    const char *name;
    json_t *script;
    json_object_foreach((json_t *)(uintptr_t)scripts, name, script)
        if (srv_a1111_same(name, wanted))
            return json_is_object(script) ? json_object_get(script, "args") : NULL;
    return NULL;
}

bool srv_a1111_units(struct srv_a1111_making *m, const json_t *scripts)
{
    const char *name;
    json_t *script;
    if (scripts && !json_is_null(scripts) && !json_is_object(scripts))
        return srv_a1111_fail(m->err, 422, "alwayson_scripts", "alwayson_scripts is to be an object");
    json_object_foreach((json_t *)(uintptr_t)scripts, name, script)
        if (!srv_a1111_same(name, "AnimateDiff") && !srv_a1111_same(name, "ControlNet"))
            return srv_a1111_fail(m->err, 422, "alwayson_scripts", "always on script %.60s not found", name);
    if (!put_animatediff(m, args_of(scripts, "AnimateDiff")) || !put_controlnet(m, args_of(scripts, "ControlNet")))
        return false;
    if (*m->video && !m->units)
        return srv_a1111_fail(m->err, 422, unit_name, "a video feeds ControlNet units, and none is on");
    return true;
}

/* report.c - see report.h; and the reports that are all there is to a call: devices, inspect. */
#include "render/report.h"

#include "base/mem.h"
#include "media/media.h"
#include "render/filehash.h"
#include "render/infotext.h"
#include "render/job.h"
#include "render/options.h"

#include <stdlib.h>
#include <string.h>

json_t *vka_report_begin(const char *command) { return json_pack("{s:i, s:s}", "schema", 1, "command", command); }

void vka_report_put(bool *whole, json_t *object, const char *key, json_t *value)
{
    *whole = json_object_set_new(object, key, value) == 0 && *whole;
}

void vka_report_add(bool *whole, json_t *array, json_t *value)
{
    *whole = json_array_append_new(array, value) == 0 && *whole;
}

json_t *vka_report_path(const char *path)
{
    if (vka_is_utf8(path))
        return json_string(path);
    char *text = vka_strdup(path);
    for (char *c = text; c && *c; c++)
        if ((unsigned char)*c > 127)
            *c = '?';
    json_t *value = text ? json_string(text) : NULL;
    free(text);
    return value;
}

char *vka_report_end(json_t *report)
{
    char *text = json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(10));
    json_decref(report);
    return text;
}

static void api_text(char out[32], uint32_t v) { snprintf(out, 32, "%u.%u.%u", v >> 22 & 127, v >> 12 & 1023, v & 4095); }

json_t *vka_report_device(const vka_gpu_info *info, enum vka_path path)
{
    char api[32];
    api_text(api, info->api_version);
    return json_pack("{s:s, s:s, s:s, s:s}", "name", info->name, "driver", info->driver, "api", api, "path",
                     vka_path_name(path));
}

json_t *vka_report_memory(uint64_t budget, uint64_t planned, uint64_t peak)
{
    return json_pack("{s:I, s:I, s:I}", "budget_bytes", (json_int_t)budget, "planned_bytes", (json_int_t)planned,
                     "peak_bytes", (json_int_t)peak);
}

/* "path": what a render takes unasked; "paths": for each path whether --path can name it, and if not why. */
static void put_paths(json_t *o, const vka_gpu_info *d)
{
    struct vka_kernel_table t;
    if (!d->usable) {
        json_object_set_new(o, "path", json_null());
        return;
    }
    vka_kernel_table_init(&t, d);
    json_object_set_new(o, "path", json_string(vka_path_name(t.path)));
    json_t *paths = json_object();
    for (enum vka_path path = VKA_PATH_FP32; path < VKA_PATHS; path++) {
        char why[160] = "";
        bool offered = vka_path_offered(d, path, why, sizeof why);
        if (offered && path == VKA_PATH_KHR && !d->matrix_trusted)
            snprintf(why, sizeof why, "taken only when asked for: no matrix units are known to be behind it");
        json_t *p = json_pack("{s:b}", "offered", offered);
        if (why[0])
            json_object_set_new(p, offered ? "note" : "reason", json_string(why));
        json_object_set_new(paths, vka_path_name(path), p);
    }
    json_object_set_new(o, "paths", paths);
    json_t *fragments = json_array();
    for (uint32_t i = 0; i < d->matrix_count; i++)
        json_array_append_new(fragments, json_sprintf("%ux%ux%u", d->matrix[i].m, d->matrix[i].n, d->matrix[i].k));
    json_object_set_new(o, "matrix_fragments", fragments);
}

vka_status vka_devices(vka_context *cx, char **report, vka_error *err)
{
    vka_gpu_info *list;
    uint32_t count;
    *report = NULL;
    vka_status st = vka_gpu_enumerate(&list, &count, &cx->log, err);
    if (st != VKA_OK)
        return st;
    json_t *r = vka_report_begin("devices"), *devices = json_array();
    bool gpu = false;
    for (uint32_t i = 0; i < count; i++)
        gpu = gpu || !list[i].cpu;
    for (uint32_t i = 0; i < count; i++) {
        const vka_gpu_info *d = &list[i];
        char api[32];
        api_text(api, d->api_version);
        json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:b}", "index", (int)d->index, "name", d->name, "driver", d->driver,
                              "api", api, "type", d->cpu ? "software" : d->integrated ? "integrated" : "discrete", "usable",
                              d->usable);
        if (!d->usable)
            json_object_set_new(o, "reason", json_string(d->reason));
        else if (d->cpu && gpu)
            json_object_set_new(o, "reason", json_string("a software device: taken only when asked for with --device"));
        json_t *heaps = json_array();
        for (uint32_t h = 0; h < d->heap_count; h++)
            json_array_append_new(heaps, json_pack("{s:I, s:b}", "bytes", (json_int_t)d->heaps[h].bytes, "device_local",
                                                   d->heaps[h].device_local));
        json_object_set_new(o, "heaps", heaps);
        json_object_set_new(o, "memory_bytes", json_integer((json_int_t)d->device_heap));
        json_object_set_new(o, "free_bytes", json_integer((json_int_t)d->device_free));
        put_paths(o, d);
        json_object_set_new(o, "features",
                            json_pack("{s:b, s:b, s:i, s:i, s:b, s:b, s:b, s:b, s:b}", "storage_f16", d->storage_f16,
                                      "arithmetic_f16", d->arithmetic_f16, "subgroup_size", (int)d->subgroup_size, "shared_bytes",
                                      (int)d->shared_bytes, "matrix_khr", d->matrix_khr, "matrix_nv2", d->matrix_nv2,
                                      "timestamps", d->timestamps, "transfer_queue", d->transfer_queue, "transfer_engine",
                                      d->transfer_engine));
        json_array_append_new(devices, o);
    }
    json_object_set_new(r, "devices", devices);
    free(list);
    *report = vka_report_end(r);
    return *report ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
}

/* What --from would make of the text: "settings", and in the notes what it would not. */
static void put_infotext(json_t *o, const char *text)
{
    struct vka_infotext info;
    vka_error err = {0};
    vka_job *job = vka_job_create();
    json_t *notes = json_object_get(o, "notes");
    if (job && vka_infotext_parse(&info, text, &err) == VKA_OK) {
        json_t *settings = vka_infotext_apply(&info, job, &err) == VKA_OK ? vka_job_json(job, VKA_JOB_GIVEN, true) : NULL;
        json_object_set_new(o, "settings", settings ? settings : json_null());
        for (size_t i = 0; i < job->note_count; i++)
            json_array_append_new(notes, vka_report_path(job->notes[i].text));
        vka_infotext_free(&info);
    } else if (job)
        json_array_append_new(notes, json_string("its comment is no infotext"));
    vka_job_destroy(&job);
}

static json_t *inspect_animation(const char *path, vka_media_info *info)
{
    json_t *o = json_pack("{s:s, s:s, s:n, s:n, s:i, s:i, s:[], s:[]}", "path", path, "kind", "animation", "family", "variant",
                          "tensors", 0, "parameters", 0, "dtypes", "notes");
    json_object_set_new(o, "format", json_string(vka_media_format_name(info->format)));
    json_object_set_new(o, "width", json_integer(info->width));
    json_object_set_new(o, "height", json_integer(info->height));
    json_object_set_new(o, "frames", json_integer(info->frames));
    json_object_set_new(o, "plays", json_integer(info->plays));
    json_object_set_new(o, "duration_s", json_real(info->duration));
    json_t *meta = info->metadata ? json_loads(info->metadata, 0, NULL) : NULL;
    json_object_set_new(o, "metadata", meta ? meta : json_null());
    json_object_set_new(o, "infotext", info->infotext ? json_string(info->infotext) : json_null());
    if (!info->metadata && info->infotext)
        put_infotext(o, info->infotext);
    return o;
}

/* Which published file a motion module is, where its hash has been taken before: inspect itself reads no data. */
static void note_published(json_t *notes, const char *path)
{
    char sha256[65], *where = NULL;
    json_t *cache = vka_cache_load("hashes.json", &where);
    const char *name = cache && vka_hash_known(cache, path, sha256) ? vka_motion_published_by_hash(sha256) : NULL;
    if (name)
        json_array_append_new(notes, json_sprintf("by its hash the published file %s", name));
    json_decref(cache);
    free(where);
}

vka_status vka_inspect_file(vka_context *cx, const char *path, char **report, vka_error *err)
{
    (void)cx;
    *report = NULL;
    vka_media_info info = {0};
    vka_status st = VKA_OK;
    json_t *o = NULL;
    st = vka_media_info_read(path, &info, NULL);
    if (st == VKA_OK && info.format != VKA_MEDIA_NONE)
        o = inspect_animation(path, &info);
    vka_media_info_free(&info);
    if (!o) {
        vka_inspection x = {0};
        st = vka_inspect(&x, path, err);
        if (st != VKA_OK)
            return st;
        o = json_pack("{s:s, s:s, s:s?, s:s?, s:I, s:I}", "path", path, "kind", vka_file_kind_name(x.kind), "family", x.family,
                      "variant", x.variant, "tensors", (json_int_t)x.tensors, "parameters", (json_int_t)x.parameters);
        json_t *dtypes = json_array(), *notes = json_array();
        for (int t = 0; t < VKA_WEIGHT_DTYPES; t++)
            if (x.dtypes >> t & 1)
                json_array_append_new(dtypes, json_string(vka_dtype_name((enum vka_weight_dtype)t)));
        for (size_t i = 0; i < x.note_count; i++)
            json_array_append_new(notes, json_string(x.notes[i]));
        if (x.kind == VKA_FILE_MOTION)
            note_published(notes, path);
        json_object_set_new(o, "dtypes", dtypes);
        json_object_set_new(o, "notes", notes);
        vka_inspection_free(&x);
    }
    *report = vka_report_end(o);
    return *report ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
}

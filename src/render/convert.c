/* convert.c - any model file that is read to one safetensors file.
 *
 * Tensors keep their element types and bytes, and their names as weights/file.h gives them: without the wrappers of
 * trainers.  Bytes go from the map to the output in pieces; nothing else of their size is held. */
#include "render/context.h"
#include "render/report.h"
#include "weights/shards.h"
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

enum { MEGABYTE = 1 << 20 };

static bool go_on(void *user, uint64_t done, uint64_t total)
{
    struct vka_context *cx = user;
    unsigned megabytes = (unsigned)(done / MEGABYTE);
    if (megabytes >= cx->now.done + 64 || done == total)
        vka_context_done(cx, done == total ? cx->now.total : megabytes);
    return !vka_context_cancelled(cx);
}

/* Two tensors of one name can come only from two files of an index. */
static vka_status check_names(const vka_shards *x, const char *path, vka_error *err)
{
    vka_arena arena = {0};
    vka_name_index index;
    const char *twice;
    vka_status s = vka_name_index_build(&index, &arena, x->tensors, x->count, &twice);
    if (s == VKA_E_INPUT)
        vka_fail(err, s, "'%s' has two tensors of the name '%.160s'", path, twice);
    else if (s != VKA_OK)
        vka_fail(err, s, "out of memory reading '%s'", path);
    vka_arena_free(&arena);
    return s;
}

static vka_status check_output(const char *in, const char *out, bool overwrite, vka_error *err)
{
    static const char *const others[] = {".ckpt", ".pt", ".pth", ".bin", ".gguf", ".json"};
    char id[2][96];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(vka_path_extension(out), others[i]) == 0) {
            vka_fail(err, VKA_E_USAGE, "the output '%s' would be a safetensors file under the name of another kind", out);
            vka_error_hint(err, "a name that ends in .safetensors");
            return VKA_E_USAGE;
        }
    if (!vka_path_exists(out))
        return VKA_OK;
    char *a = vka_file_identity(in, id[0]), *b = vka_file_identity(out, id[1]);
    bool same = a && b && strcmp(a, b) == 0;
    free(a);
    free(b);
    if (same)
        return vka_fail(err, VKA_E_USAGE, "'%s' would be converted to itself", in);
    if (overwrite)
        return VKA_OK;
    vka_fail(err, VKA_E_OUTPUT, "'%s' is there already", out);
    vka_error_hint(err, "--overwrite replaces it");
    return VKA_E_OUTPUT;
}

/* The first file's metadata, with the word that PyTorch's own readers look for. */
static vka_status write_file(vka_context *cx, const vka_shards *x, const char *out, vka_error *err)
{
    const vka_safetensors *first = &x->files[0];
    const char *(*metadata)[2] = vka_calloc(first->metadata_count + 1, sizeof *metadata);
    if (!metadata)
        return vka_fail(err, VKA_E_MEMORY, "out of memory writing '%s'", out);
    size_t n = first->metadata_count;
    if (n)
        memcpy(metadata, first->metadata, n * sizeof *metadata);
    if (!vka_safetensors_metadata(first, "format")) {
        metadata[n][0] = "format";
        metadata[n++][1] = "pt";
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < x->count; i++)
        bytes += x->tensors[i].bytes;
    vka_context_stage(cx, "convert", (unsigned)(bytes / MEGABYTE));
    const struct vka_write_watch watch = {go_on, cx};
    vka_status s = vka_safetensors_write_watched(out, x->tensors, x->count, (const char *const(*)[2])metadata, n, &watch, err);
    free(metadata);
    return s;
}

static vka_status describe(const vka_shards *x, const char *in, const char *out, char **report, vka_error *err)
{
    vka_classification c;
    vka_classify(&c, &x->files[0]);
    vka_map map = {0};
    vka_status s = vka_map_open(&map, out, err); /* for its size */
    if (s != VKA_OK)
        return s;
    json_t *o = vka_report_begin("convert"), *output = json_object(), *outputs = json_array(), *notes = json_array();
    bool whole = o && output && outputs && notes;
    vka_report_put(&whole, o, "path", vka_report_path(in));
    vka_report_put(&whole, o, "kind", json_string(vka_file_kind_name(c.kind)));
    vka_report_put(&whole, o, "family", c.family ? json_string(c.family) : json_null());
    vka_report_put(&whole, o, "tensors", json_integer((json_int_t)x->count));
    vka_report_put(&whole, output, "path", vka_report_path(out));
    vka_report_put(&whole, output, "bytes", json_integer((json_int_t)map.size));
    vka_report_add(&whole, outputs, output);
    vka_report_put(&whole, o, "outputs", outputs);
    if (x->files[0].is_average)
        vka_report_add(&whole, notes, json_string("the averages (EMA) of the UNet's weights took the names of the weights, which the file lacks"));
    vka_report_put(&whole, o, "notes", notes);
    vka_map_close(&map);
    if (!whole) {
        json_decref(o);
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    *report = vka_report_end(o);
    return *report ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
}

vka_status vka_convert(vka_context *cx, const char *in, const char *out, int overwrite, char **report, vka_error *err)
{
    vka_shards x;
    *report = NULL;
    vka_context_begin(cx);
    vka_status s = check_output(in, out, overwrite != 0, err);
    if (s != VKA_OK || (s = vka_shards_open(&x, in, err)) != VKA_OK)
        return s;
    s = check_names(&x, in, err);
    if (s == VKA_OK)
        s = write_file(cx, &x, out, err);
    if (s == VKA_OK)
        s = describe(&x, in, out, report, err);
    vka_shards_close(&x);
    return s;
}

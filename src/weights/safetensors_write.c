/* safetensors_write.c - writes a safetensors file; see safetensors.h.
 *
 * The header is padded with spaces to a multiple of 8 bytes and tensors go by falling element size, so every tensor is
 * aligned to its element in the file. */
#include "weights/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Byte size from dtype and dims; false when it does not fit. */
static bool tensor_bytes(const vka_weight *t, uint64_t *bytes)
{
    *bytes = vka_dtype_size(t->dtype);
    if (t->rank > VKA_WEIGHT_MAX_RANK)
        return false;
    for (uint32_t i = 0; i < t->rank; i++)
        if (!vka_mul_u64(*bytes, t->dims[i], bytes))
            return false;
    return *bytes <= INT64_MAX;
}

static json_t *entry_of(const vka_weight *t, uint64_t begin, uint64_t end)
{
    json_t *shape = json_array();
    for (uint32_t i = 0; i < t->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->dims[i]));
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", vka_dtype_name(t->dtype), "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
}

/* The header's text, padded; NULL when memory is short or a name is not UTF-8, is there twice, or a size overflows. */
static char *make_header(const vka_weight *tensors, const size_t *order, size_t count, const char *const (*metadata)[2],
                         size_t metadata_count, size_t *length)
{
    json_t *header = json_object();
    char *text = NULL;
    bool ok = header != NULL;
    if (ok && metadata_count) {
        json_t *meta = json_object();
        for (size_t i = 0; i < metadata_count; i++)
            ok &= json_object_set_new(meta, metadata[i][0], json_string(metadata[i][1])) == 0;
        ok &= json_object_set_new(header, "__metadata__", meta) == 0;
    }
    uint64_t at = 0;
    for (size_t k = 0; ok && k < count; k++) {
        const vka_weight *t = &tensors[order[k]];
        uint64_t bytes, end;
        ok = tensor_bytes(t, &bytes) && vka_add_u64(at, bytes, &end) && end <= INT64_MAX &&
             !json_object_get(header, t->name) && json_object_set_new(header, t->name, entry_of(t, at, end)) == 0;
        at += ok ? bytes : 0;
    }
    char *json = ok ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (json) {
        size_t n = strlen(json), padded = (size_t)vka_round_up(n, 8);
        text = vka_calloc(padded + 1, 1);
        if (text) {
            memset(text, ' ', padded);
            memcpy(text, json, n);
            *length = padded;
        }
        free(json);
    }
    return text;
}

/* Where the writing of a file is. */
struct progress {
    const struct vka_write_watch *watch;
    uint64_t done, total;
};

static vka_status write_tensor(vka_outfile *out, const vka_weight *t, struct progress *p, vka_error *err)
{
    enum { PIECE = 16 << 20 };
    uint64_t bytes = 0;
    if (!tensor_bytes(t, &bytes) || bytes > SIZE_MAX)
        return vka_fail(err, VKA_E_INTERNAL, "a tensor is larger than this machine's memory");
    const uint8_t *data = t->data;
    vka_status s = VKA_OK;
    for (uint64_t at = 0; s == VKA_OK && at < bytes;) {
        size_t n = bytes - at < PIECE ? (size_t)(bytes - at) : (size_t)PIECE;
        s = vka_out_write(out, data + at, n, err);
        at += n;
        p->done += n;
        if (s == VKA_OK && p->watch && !p->watch->go_on(p->watch->user, p->done, p->total))
            s = vka_fail(err, VKA_E_STOPPED, "stopped");
    }
    return s;
}

vka_status vka_safetensors_write(const char *path, const vka_weight *tensors, size_t count,
                                 const char *const (*metadata)[2], size_t metadata_count, vka_error *err)
{
    return vka_safetensors_write_watched(path, tensors, count, metadata, metadata_count, NULL, err);
}

vka_status vka_safetensors_write_watched(const char *path, const vka_weight *tensors, size_t count,
                                         const char *const (*metadata)[2], size_t metadata_count,
                                         const struct vka_write_watch *watch, vka_error *err)
{
    size_t *order = vka_calloc(count + 1, sizeof *order), n = 0, length = 0;
    if (!order)
        return vka_fail(err, VKA_E_MEMORY, "out of memory writing '%s'", path);
    for (size_t size = 8; size >= 1; size /= 2)
        for (size_t i = 0; i < count; i++)
            if (vka_dtype_size(tensors[i].dtype) == size)
                order[n++] = i;
    char *header = make_header(tensors, order, count, metadata, metadata_count, &length);
    vka_status s =
        header ? VKA_OK : vka_fail(err, VKA_E_INTERNAL, "the tensors for '%s' cannot be described in a header", path);
    if (s == VKA_OK && length > VKA_SAFETENSORS_MAX_HEADER)
        s = vka_fail(err, VKA_E_OUTPUT, "the header of '%s' would be larger than readers accept", path);
    vka_outfile out;
    if (s == VKA_OK && (s = vka_out_open(&out, path, err)) == VKA_OK) {
        uint8_t prefix[8];
        for (unsigned i = 0; i < 8; i++)
            prefix[i] = (uint8_t)((uint64_t)length >> (8 * i));
        s = vka_out_write(&out, prefix, 8, err);
        if (s == VKA_OK)
            s = vka_out_write(&out, header, length, err);
        struct progress p = {.watch = watch};
        for (size_t k = 0; k < count; k++) {
            uint64_t bytes = 0;
            tensor_bytes(&tensors[k], &bytes);
            p.total += bytes;
        }
        for (size_t k = 0; s == VKA_OK && k < count; k++)
            s = write_tensor(&out, &tensors[order[k]], &p, err);
        if (s == VKA_OK)
            s = vka_out_commit(&out, err);
        else
            vka_out_abandon(&out);
    }
    free(header);
    free(order);
    return s;
}

/* fuzz_zip.c - PyTorch's files as a whole: the archive, the pickle in it, the tensors that it describes, and the checks that
 * every model file goes through.  Any bytes give an answer; what an accepted file says about its tensors is true of the bytes. */
#include "weights/file.h"
#include "weights/inspect.h"
#include "weights/zip.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(vka_status s, const vka_error *err)
{
    if (s != err->status || (s != VKA_OK && s != VKA_E_INPUT) || (s != VKA_OK && !err->what[0]))
        abort();
}

/* Entries lie in the archive, apart from each other, and can be found. */
static void check_zip(const uint8_t *data, size_t size)
{
    vka_zip z;
    vka_error err = {0};
    vka_status s = vka_zip_read(&z, data, size, "input", &err);
    check_error(s, &err);
    uint64_t total = 0;
    for (size_t i = 0; s == VKA_OK && i < z.count; i++) {
        const vka_zip_entry *e = &z.entries[i];
        if (e->data < data || e->size > size || (size_t)(e->data - data) > size - e->size ||
            vka_zip_find(&z, e->name, e->length) != e)
            abort();
        total += e->size;
    }
    if (total > size)
        abort();
    vka_zip_free(&z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vka_safetensors st;
    vka_error err = {0};
    check_zip(data, size);
    vka_status s = vka_model_file_parse(&st, data, size, "input", &err);
    check_error(s, &err);
    if (s != VKA_OK)
        return 0;
    unsigned sum = 0;
    for (size_t i = 0; i < st.count; i++) {
        const vka_weight *t = &st.tensors[i];
        const uint8_t *p = t->data;
        float value;
        if (t->bytes > size || p < data || (size_t)(p - data) > size - t->bytes || t->rank > VKA_WEIGHT_MAX_RANK)
            abort();
        if (t->bytes != vka_weight_count(t) * vka_dtype_size(t->dtype) || vka_safetensors_find(&st, t->name) != t)
            abort();
        if (t->bytes) {
            sum += p[0] + p[t->bytes - 1];
            vka_weight_to_f32(t, 0, 1, &value);
            vka_weight_to_f32(t, vka_weight_count(t) - 1, 1, &value);
        }
    }
    for (size_t i = 0; i < st.metadata_count; i++)
        sum += (unsigned)(strlen(st.metadata[i][0]) + strlen(st.metadata[i][1]));
    volatile unsigned keep = sum;
    (void)keep;
    vka_inspection in;
    check_error(vka_inspect_parsed(&in, &st, "input", &err), &err);
    vka_inspection_free(&in);
    vka_safetensors_close(&st);
    return 0;
}

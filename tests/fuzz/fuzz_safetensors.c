/* fuzz_safetensors.c - the safetensors reader and everything that judges what was read: kinds, renames, sizes, motion
 * families.  Any bytes give an answer; what an accepted file says about its tensors is true of the bytes. */
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The error and the status agree, and a refusal has a sentence. */
static void check_error(vka_status s, const vka_error *err)
{
    if (s != err->status || (s != VKA_OK && s != VKA_E_INPUT) || (s != VKA_OK && !err->what[0]))
        abort();
}

/* Each tensor lies in the file and can be read to its end; together they fill it. */
static void check_tensors(const vka_safetensors *st, const uint8_t *data, size_t size)
{
    uint64_t total = 0;
    unsigned sum = 0;
    for (size_t i = 0; i < st->count; i++) {
        const vka_weight *t = &st->tensors[i];
        const uint8_t *p = t->data;
        float value;
        if (t->bytes > size || p < data || (size_t)(p - data) > size - t->bytes || t->rank > VKA_WEIGHT_MAX_RANK)
            abort();
        if (t->bytes != vka_weight_count(t) * vka_dtype_size(t->dtype) || vka_safetensors_find(st, t->name) != t)
            abort();
        for (uint64_t k = 0; k < t->bytes; k++)
            sum += p[k];
        if (t->bytes)
            vka_dtype_to_f32(&value, p + t->bytes - vka_dtype_size(t->dtype), t->dtype, 1);
        total += t->bytes;
    }
    volatile unsigned keep = sum;
    (void)keep;
    if (total > size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vka_safetensors st;
    vka_error err = {0};
    vka_status s = vka_safetensors_parse(&st, data, size, "input", &err);
    check_error(s, &err);
    if (s != VKA_OK)
        return 0;
    check_tensors(&st, data, size);
    vka_inspection in;
    check_error(vka_inspect_parsed(&in, &st, "input-lightning", &err), &err);
    if (in.tensors != st.count)
        abort();
    vka_inspection_free(&in);
    vka_model *m;
    s = vka_model_open_parsed(&m, &st, &err);
    check_error(s, &err);
    for (int p = 0; s == VKA_OK && p < VKA_PARTS; p++) {
        vka_error part = {0};
        if (!vka_model_weights(m, (enum vka_part)p, &part))
            check_error(part.status, &part);
    }
    vka_model_close(m);
    vka_weights *w = vka_weights_new("input");
    vka_motion_info info;
    err = (vka_error){0};
    s = w ? vka_motion_read(w, &info, &st, "input", &err) : VKA_OK;
    check_error(s, &err);
    if (w && s == VKA_OK && (!info.slots || !info.beta_schedule || info.levels > VKA_MAX_LEVELS))
        abort();
    vka_weights_free(w);
    vka_control_info control;
    err = (vka_error){0};
    w = vka_weights_new("input");
    s = w ? vka_control_read(w, &control, &st, NULL, NULL, &err) : VKA_OK;
    check_error(s, &err);
    if (w && s == VKA_OK && (!control.outputs || !control.hint_channels || !control.unet.levels || control.hint_convs > 16))
        abort();
    vka_weights_free(w);
    vka_safetensors_close(&st);
    return 0;
}

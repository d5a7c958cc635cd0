/* fuzz_ip.c - what is read of image encoders and IP-Adapters, and the text of the option that names them.  Any bytes give an answer; of
 * an accepted file every size is one that a network can be built of. */
#include "render/spec.h"
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(vka_status s, const vka_error *err)
{
    if (s != err->status || (s != VKA_OK && !err->what[0]))
        abort();
}

static void read_adapter(const vka_safetensors *st)
{
    vka_ip_info i;
    const char *family;
    vka_error err = {0};
    vka_weights *w = vka_weights_new("the adapter");
    vka_status s = vka_ip_adapter_read(w, &i, &family, st, "input", &err);
    check_error(s, &err);
    if (s == VKA_OK && (!i.width || !i.takes || !i.pairs || (i.kind != VKA_IP_FULL && !i.tokens) ||
                        (i.kind == VKA_IP_PLUS && (!i.heads || !i.layers || !i.hidden))))
        abort();
    vka_weights_free(w);
}

static void read_vision(const vka_safetensors *st)
{
    vka_vision_config c;
    vka_error err = {0};
    vka_weights *w = vka_weights_new("the image encoder");
    vka_status s = vka_vision_read(w, &c, st, NULL, "input", &err);
    check_error(s, &err);
    if (s == VKA_OK && (!c.heads || c.hidden % c.heads || !c.patch || c.image % c.patch || c.image < c.patch || !c.layers || !c.intermediate))
        abort();
    vka_weights_free(w);
}

static void read_spec(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"image", "frames", "weight", "start", "end", NULL};
    struct vka_spec spec;
    vka_error err = {0};
    char *text = malloc(size + 1);
    if (!text)
        return;
    memcpy(text, data, size);
    text[size] = '\0';
    vka_status s = vka_spec_parse(&spec, "--ip-adapter", text, keys, &err);
    check_error(s, &err);
    if (s == VKA_OK && (!*spec.path || strncmp(text, spec.path, strlen(spec.path)) != 0))
        abort();
    for (size_t i = 0; s == VKA_OK && i < 5; i++)
        if (spec.values[i] && !strstr(text, spec.values[i]))
            abort();
    vka_spec_free(&spec);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vka_safetensors st;
    if (vka_safetensors_parse(&st, data, size, "input", NULL) == VKA_OK) {
        read_adapter(&st);
        read_vision(&st);
        vka_safetensors_close(&st);
    } else
        read_spec(data, size);
    return 0;
}

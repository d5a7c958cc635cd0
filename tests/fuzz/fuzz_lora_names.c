/* fuzz_lora_names.c - LoRA files: names of every dialect, shapes, ranks, configs and metadata, merged into a small model.
 *
 * The input is text, one tensor a line: "name d d d d" (numbers of tests' own making), or "@key value" for metadata; that reaches
 * further than bytes of a file would, whose header is the business of fuzz_safetensors.  Any text gives a refusal with a
 * sentence or a merge whose tensors can be read to their ends, in pieces that give the same bits. */
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 64, NUMBERS = 1 << 14 };

static float numbers[NUMBERS];

static const struct {
    const char *name;
    uint32_t rank;
    uint64_t dims[4];
} layers[] = {
    {"conv_in.weight", 4, {4, 4, 3, 3}},
    {"conv_in.bias", 1, {4}},
    {"down_blocks.0.resnets.0.norm1.weight", 1, {4}},
    {"down_blocks.0.resnets.0.norm1.bias", 1, {4}},
    {"down_blocks.0.resnets.0.conv1.weight", 4, {6, 4, 3, 3}},
    {"down_blocks.0.resnets.0.conv1.bias", 1, {6}},
    {"down_blocks.0.attentions.0.norm.weight", 1, {4}},
    {"down_blocks.0.attentions.0.proj_in.weight", 4, {4, 4, 1, 1}},
    {"down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", 2, {6, 8}},
    {"down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0.weight", 2, {4, 6}},
    {"down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0.bias", 1, {4}},
    {"text_model.encoder.layers.0.self_attn.q_proj.weight", 2, {8, 8}},
    {"down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_q.weight", 2, {4, 4}},
};
enum { LAYERS = sizeof layers / sizeof *layers };

static vka_weights *table_of(size_t from, size_t to)
{
    vka_weights *w = vka_weights_new("the model");
    for (size_t i = from; w && i < to; i++) {
        vka_weight t = {.name = layers[i].name, .dtype = VKA_WEIGHT_F32, .rank = layers[i].rank, .data = numbers + i};
        memcpy(t.dims, layers[i].dims, sizeof layers[i].dims);
        if (!vka_weights_add(w, layers[i].name, &t))
            abort();
    }
    if (!w || vka_weights_finish(w, NULL) != VKA_OK)
        abort();
    return w;
}

/* Every changed tensor, whole and in pieces. */
static void read_all(const vka_weights *w)
{
    static float whole[4096], part[4096];
    for (size_t i = 0; i < vka_weights_count(w); i++) {
        const vka_weight *t = vka_weights_at(w, i);
        uint64_t n = vka_weight_count(t);
        if (!t->changes)
            continue;
        vka_lora_numbers(t->changes, 0, n, whole);
        for (uint64_t at = 0; at < n; at += 5)
            vka_lora_numbers(t->changes, at, n - at < 5 ? n - at : 5, part + at);
        if (memcmp(whole, part, n * sizeof *whole) != 0)
            abort();
    }
}

static void note(void *user, const char *text)
{
    size_t *sum = user;
    *sum += strlen(text);
}

/* What follows a word, which is cut off. */
static char *word_end(char *p)
{
    p += strcspn(p, " ");
    if (*p)
        *p++ = '\0';
    return p;
}

/* A line as a tensor; false when it is none. */
static bool tensor_of(char *line, vka_weight *t)
{
    char *p = word_end(line);
    uint64_t count = 1;
    *t = (vka_weight){.name = line, .dtype = VKA_WEIGHT_F32, .data = numbers};
    while (*p && t->rank < VKA_WEIGHT_MAX_RANK) {
        char *word = p;
        p = word_end(p);
        uint64_t d = 0;
        for (; *word >= '0' && *word <= '9' && d < NUMBERS; word++)
            d = d * 10 + (uint64_t)(*word - '0');
        t->dims[t->rank++] = d;
        count *= d;
        if (d > NUMBERS || count > NUMBERS)
            return false;
    }
    t->bytes = count * sizeof *numbers;
    return *line != '\0' && strlen(line) <= VKA_SAFETENSORS_MAX_NAME;
}

static bool is_twice(const vka_weight *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(t[i].name, t[n].name))
            return true;
    return false;
}

static void try_file(const vka_safetensors *st)
{
    vka_error err = {0};
    vka_lora *l;
    vka_status s = vka_lora_open_parsed(&l, st, &err);
    if (s != err.status || (s != VKA_OK && s != VKA_E_INPUT) || (s != VKA_OK && !err.what[0]))
        abort();
    if (s != VKA_OK)
        return;
    size_t length = 0;
    vka_lora_notes(l, note, &length);
    if (!length || !vka_lora_describe(l)->algorithm)
        abort();
    vka_weights *unet = table_of(0, 11), *text = table_of(11, 12), *motion = table_of(12, LAYERS);
    const struct vka_lora_tables tables = {.unet = unet, .text = text, .motion = motion};
    vka_lora_mix *mix = vka_lora_mix_create();
    vka_lora_fit fit;
    if (!mix)
        abort();
    s = vka_lora_mix_add(mix, l, &tables, 0.5, -1.5, &fit, &err);
    if (s != err.status || (s != VKA_OK && s != VKA_E_INPUT) || (s != VKA_OK && !err.what[0]))
        abort();
    if (s == VKA_OK && !fit.applied && !fit.elsewhere && !fit.unknown)
        abort();
    if (s == VKA_OK) {
        read_all(unet);
        read_all(text);
        read_all(motion);
        vka_lora_mix_weigh(mix, 0, 2, 0);
        read_all(unet);
    }
    vka_lora_mix_destroy(mix);
    vka_weights_free(unet);
    vka_weights_free(text);
    vka_weights_free(motion);
    vka_lora_close(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vka_weight tensors[MOST];
    static const char *metadata[MOST][2];
    vka_safetensors st = {.tensors = tensors, .metadata = metadata};
    char path[] = "input.safetensors", *text = malloc(size + 1);
    if (!text || size > 65536) {
        free(text);
        return 0;
    }
    for (size_t i = 0; i < size; i++)
        text[i] = data[i] ? (char)data[i] : ' ';
    text[size] = '\0';
    for (size_t i = 0; i < NUMBERS; i++)
        numbers[i] = (float)(i % 23) / 8 - 1.25f;
    st.path = path;
    for (char *line = text, *next; *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = '\0';
        if (*line == '@' && st.metadata_count < MOST) {
            metadata[st.metadata_count][0] = line + 1;
            metadata[st.metadata_count++][1] = word_end(line + 1);
        } else if (*line != '@' && st.count < MOST && tensor_of(line, &tensors[st.count]) && !is_twice(tensors, st.count))
            st.count++;
    }
    try_file(&st);
    free(text);
    return 0;
}

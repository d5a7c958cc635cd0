/* fuzz_pickle.c - the pickle machine, and what a PyTorch file makes of its tree: the input is the pickle of an archive that is put
 * around it here, with two small storages.  Every node and cell of an accepted pickle refers to another of it. */
#include "weights/file.h"
#include "weights/pickle.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(vka_status s, const vka_error *err)
{
    if (s != err->status || (s != VKA_OK && s != VKA_E_INPUT) || (s != VKA_OK && !err->what[0]))
        abort();
}

static void check_tree(const vka_pickle *p, const uint8_t *data, size_t size)
{
    if (p->root >= p->count || p->nodes[0].kind != VKA_PICKLE_NONE)
        abort();
    for (size_t i = 0; i < p->count; i++) {
        const vka_pickle_node *n = &p->nodes[i];
        bool text = n->kind == VKA_PICKLE_TEXT || n->kind == VKA_PICKLE_BYTES;
        if (n->state >= p->count || (!text && (n->first >= p->cell_count || n->last >= p->cell_count)))
            abort();
        if (text && ((const uint8_t *)n->value.text < data || (const uint8_t *)n->value.text + n->first > data + size))
            abort();
        if ((n->kind == VKA_PICKLE_GLOBAL || n->kind == VKA_PICKLE_CALL) &&
            (n->value.pair.a >= p->count || n->value.pair.b >= p->count))
            abort();
        char name[64];
        vka_pickle_name(p, (uint32_t)i, name, sizeof name);
    }
    for (size_t i = 1; i < p->cell_count; i++)
        if (p->cells[i].node >= p->count || p->cells[i].next >= p->cell_count)
            abort();
}

static uint8_t *put(uint8_t *at, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        *at++ = (uint8_t)(v >> (8 * i));
    return at;
}

/* An archive of "a/data.pkl" and the storages "a/data/0" and "a/data/1" of 64 bytes each; free it. */
static uint8_t *wrap(const uint8_t *data, size_t size, size_t *total)
{
    static const uint8_t zeros[64];
    const struct {
        const char *name;
        const uint8_t *data;
        size_t size;
    } entries[] = {{"a/data.pkl", data, size}, {"a/data/0", zeros, sizeof zeros}, {"a/data/1", zeros, sizeof zeros}};
    uint8_t *file = calloc(1, size + 1024), *at = file;
    size_t header[3];
    if (!file)
        return NULL;
    for (int i = 0; i < 3; i++) {
        size_t k = strlen(entries[i].name);
        header[i] = (size_t)(at - file);
        put(put(put(put(at, 0x04034b50, 4) + 14, entries[i].size, 4), entries[i].size, 4), k, 2);
        memcpy(at + 30, entries[i].name, k);
        if (entries[i].size)
            memcpy(at + 30 + k, entries[i].data, entries[i].size);
        at += 30 + k + entries[i].size;
    }
    size_t directory = (size_t)(at - file);
    for (int i = 0; i < 3; i++) {
        size_t k = strlen(entries[i].name);
        put(put(put(put(at, 0x02014b50, 4) + 16, entries[i].size, 4), entries[i].size, 4), k, 2);
        put(at + 42, header[i], 4);
        memcpy(at + 46, entries[i].name, k);
        at += 46 + k;
    }
    size_t bytes = (size_t)(at - file) - directory;
    put(put(put(put(put(at, 0x06054b50, 4) + 4, 3, 2), 3, 2), bytes, 4), directory, 4);
    *total = (size_t)(at - file) + 22;
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vka_pickle p;
    vka_error err = {0};
    vka_status s = vka_pickle_read(&p, data, size, "input", &err);
    check_error(s, &err);
    if (s == VKA_OK)
        check_tree(&p, data, size);
    vka_pickle_free(&p);
    if (s != VKA_OK)
        return 0;
    size_t total;
    uint8_t *file = wrap(data, size, &total);
    vka_safetensors st;
    if (file) {
        s = vka_model_file_parse(&st, file, total, "input", &err);
        check_error(s, &err);
    }
    for (size_t i = 0; file && s == VKA_OK && i < st.count; i++) {
        const vka_weight *t = &st.tensors[i];
        const uint8_t *at = t->data;
        if (at < file || t->bytes > total || (size_t)(at - file) > total - t->bytes || !t->name[0])
            abort();
    }
    if (file && s == VKA_OK)
        vka_safetensors_close(&st);
    free(file);
    return 0;
}

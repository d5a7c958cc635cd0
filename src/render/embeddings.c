/* embeddings.c - see embeddings.h.
 *
 * Vectors become rows of the text encoder's table of tokens, behind the vocabulary's, in the order in which prompts name them: an
 * id of vocab + k is row k. */
#include "render/embeddings.h"

#include "base/file.h"
#include "base/mem.h"
#include "render/library.h"

#include <stdlib.h>
#include <string.h>

enum { EXTRA_MAX = 100000 };

static const char *const endings[] = {".safetensors", ".pt", ".bin"};

/* Length of a file's name without its ending; 0 for one that is no embedding's. */
static size_t stem(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t m = strlen(endings[i]);
        if (n > m && !strcmp(name + n - m, endings[i]))
            return n - m;
    }
    return 0;
}

static char *copy(const char *text, size_t size)
{
    struct vka_text_buffer b = {0};
    return vka_text_buffer_add(&b, text, size) ? b.text : NULL;
}

static vka_status no_memory(vka_error *err) { return vka_fail(err, VKA_E_MEMORY, "out of memory"); }

/* ---- --embedding -------------------------------------------------------------------------------------------- */

/* The file that the first `size` bytes of a text mean, by path or by name; NULL with an error when there is none. */
static char *find_file(const char *text, size_t size, vka_error *err)
{
    char *name = copy(text, size), *path = NULL;
    if (!name)
        no_memory(err);
    else
        path = vka_find_model(VKA_LIBRARY_EMBEDDING, name, err);
    free(name);
    return path;
}

vka_status vka_embedding_spec_parse(const char *text, char **path, char **name, vka_error *err)
{
    const char *colon = strrchr(text, ':'), *given = NULL;
    vka_error whole = {0};
    *name = NULL;
    *path = find_file(text, strlen(text), &whole);
    if (!*path && colon && colon > text && colon[1] && !strchr(colon, '/')) {
        given = colon + 1;
        *path = find_file(text, (size_t)(colon - text), NULL);
    }
    if (!*path) {
        if (err && err->status == VKA_OK)
            *err = whole;
        return whole.status;
    }
    const char *base = vka_path_base(*path);
    size_t n = stem(base);
    *name = given ? vka_strdup(given) : copy(base, n ? n : strlen(base));
    return *name ? VKA_OK : no_memory(err);
}

/* ---- words -------------------------------------------------------------------------------------------------- */

static vka_status add_word(struct vka_embeddings *e, const vka_tokenizer *tokenizer, const char *name, size_t size, size_t file,
                           vka_error *err)
{
    struct vka_prompt_word *items = vka_grow(e->items, &e->items_capacity, e->words.count + 1, sizeof *items);
    if (!items)
        return no_memory(err);
    e->words.items = e->items = items;
    size_t *file_of = vka_grow(e->file_of, &e->file_capacity, e->words.count + 1, sizeof *file_of);
    if (!file_of)
        return no_memory(err);
    e->file_of = file_of;
    struct vka_prompt_word *w = &items[e->words.count];
    *w = (struct vka_prompt_word){.name = copy(name, size)};
    file_of[e->words.count++] = file;
    return w->name ? vka_tokenizer_encode(tokenizer, w->name, size, &w->ids, &w->count, err) : no_memory(err);
}

/* Takes `path`, which is malloc'ed. */
static vka_status add_file(struct vka_embeddings *e, char *path, bool given, vka_error *err)
{
    struct vka_embedding_file *files = vka_grow(e->files, &e->capacity, e->count + 1, sizeof *files);
    if (!files) {
        free(path);
        return no_memory(err);
    }
    e->files = files;
    files[e->count++] = (struct vka_embedding_file){.path = path, .given = given};
    return VKA_OK;
}

static vka_status read_file(struct vka_embeddings *e, struct vka_embedding_file *f, vka_error *err)
{
    if (f->open)
        return VKA_OK;
    vka_status st = vka_embedding_read(&f->data, f->path, err);
    f->open = st == VKA_OK;
    if (st == VKA_OK && f->data.width != e->width) {
        vka_fail(err, VKA_E_INPUT, "the vectors of the embedding '%.300s' have %u numbers, the text encoder's %u", f->path,
                 f->data.width, e->width);
        vka_error_why(err, "it was made for another family of models");
        return VKA_E_INPUT;
    }
    return st;
}

/* A prompt names word `which`. */
static vka_status take(void *user, size_t which, uint32_t *first, uint32_t *vectors, vka_error *err)
{
    struct vka_embeddings *e = user;
    struct vka_embedding_file *f = &e->files[e->file_of[which]];
    vka_status st = read_file(e, f, err);
    if (st == VKA_OK && !f->taken) {
        if (e->extra + f->data.count > EXTRA_MAX)
            return vka_fail(err, VKA_E_USAGE, "the prompt's embeddings have more than %d vectors", EXTRA_MAX);
        float *rows = vka_grow(e->rows, &e->rows_capacity, ((size_t)e->extra + f->data.count) * e->width, sizeof *rows);
        if (!rows)
            return no_memory(err);
        e->rows = rows;
        memcpy(rows + (size_t)e->extra * e->width, f->data.vectors, (size_t)f->data.count * e->width * sizeof *rows);
        f->first = e->vocab + e->extra;
        e->extra += f->data.count;
        f->taken = true;
        if (!f->given)
            vka_logf(e->log, VKA_LOG_INFO, "'%s' in the prompt is the embedding '%s'", e->words.items[which].name, f->path);
    }
    *first = f->first;
    *vectors = f->data.count;
    return st;
}

/* A file of the library, by its name and, for ComfyUI's way, by its path below the folder of embeddings.  Of equal names the
 * first counts: those given, then those of earlier folders. */
static vka_status list_file(struct vka_embeddings *e, const vka_tokenizer *tokenizer, const struct vka_library_entry *entry,
                            vka_error *err)
{
    const char *base = vka_path_base(entry->path);
    size_t n = stem(base);
    if (entry->is_folder || entry->kind != VKA_LIBRARY_EMBEDDING || !n)
        return VKA_OK;
    char *path = vka_strdup(entry->path);
    vka_status st = path ? add_file(e, path, false, err) : no_memory(err);
    if (st == VKA_OK)
        st = add_word(e, tokenizer, base, n, e->count - 1, err);
    if (st == VKA_OK && strchr(entry->name, '/') && stem(entry->name))
        st = add_word(e, tokenizer, entry->name, stem(entry->name), e->count - 1, err);
    return st;
}

static vka_status list_library(struct vka_embeddings *e, const vka_tokenizer *tokenizer, vka_error *err)
{
    struct vka_library library;
    vka_status st = vka_library_scan(&library, err);
    for (size_t i = 0; st == VKA_OK && i < library.count; i++)
        st = list_file(e, tokenizer, &library.entries[i], err);
    vka_library_free(&library);
    return st;
}

vka_status vka_embeddings_open(struct vka_embeddings *e, const struct vka_job *job, const vka_tokenizer *tokenizer,
                               uint32_t vocab, uint32_t width, const vka_log *log, vka_error *err)
{
    *e = (struct vka_embeddings){.vocab = vocab, .width = width, .log = log};
    e->words.take = take;
    e->words.user = e;
    vka_status st = VKA_OK;
    for (size_t i = 0; st == VKA_OK && i < job->embedding.count; i++) {
        char *path = NULL, *name = NULL;
        st = vka_embedding_spec_parse(job->embedding.items[i], &path, &name, err);
        if (st == VKA_OK)
            st = add_file(e, path, true, err);
        else
            free(path);
        if (st == VKA_OK)
            st = add_word(e, tokenizer, name, strlen(name), e->count - 1, err);
        if (st == VKA_OK)
            st = read_file(e, &e->files[e->count - 1], err);
        const char *token = st == VKA_OK ? e->files[e->count - 1].data.token : NULL;
        if (token && strcmp(token, name) != 0)
            st = add_word(e, tokenizer, token, strlen(token), e->count - 1, err);
        free(name);
    }
    if (st == VKA_OK)
        st = list_library(e, tokenizer, err);
    if (st != VKA_OK)
        vka_embeddings_close(e);
    return st;
}

void vka_embeddings_tell(const struct vka_embeddings *e)
{
    for (size_t i = 0; i < e->words.count; i++) {
        const struct vka_embedding_file *f = &e->files[e->file_of[i]];
        bool first = i == 0 || e->file_of[i - 1] != e->file_of[i];
        if (f->given && !f->taken && first)
            vka_logf(e->log, VKA_LOG_WARN, "no prompt names the embedding '%s'", e->items[i].name);
    }
}

void vka_embeddings_close(struct vka_embeddings *e)
{
    for (size_t i = 0; i < e->count; i++) {
        free(e->files[i].path);
        vka_embedding_free(&e->files[i].data);
    }
    for (size_t i = 0; i < e->words.count; i++) {
        free(e->items[i].name);
        free(e->items[i].ids);
    }
    free(e->files);
    free(e->items);
    free(e->file_of);
    free(e->rows);
    *e = (struct vka_embeddings){0};
}

/* setup_text.c - the tokenizer of a job, and the tokens of its prompts.  See setup.h. */
#include "render/setup_parts.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static vka_status open_tokenizer(struct vka_setup *s, vka_error *err)
{
    if (s->tokenizer)
        return VKA_OK;
    const char *dir = s->job->tokenizer && *s->job->tokenizer ? s->job->tokenizer : vka_model_tokenizer(s->model);
    vka_status st;
    if (dir)
        st = vka_tokenizer_open(&s->tokenizer, dir, err);
    else { /* a single file brings none: CLIP's own vocabulary, where it was installed */
        char *path = NULL;
        const char *home = getenv("HOME"), *xdg = getenv("XDG_DATA_HOME");
        static const char name[] = "vkanim/clip-vit-large-patch14";
        if (xdg && *xdg)
            path = vka_path_join(xdg, name);
        else if (home)
            path = vka_asprintf("%s/.local/share/%s", home, name);
        const char *system[] = {"/usr/local/share/vkanim/clip-vit-large-patch14", "/usr/share/vkanim/clip-vit-large-patch14"};
        for (int i = 0; i < 2 && (!path || !vka_path_exists(path)); i++) {
            free(path);
            path = vka_strdup(system[i]);
        }
        if (!path || !vka_path_exists(path)) {
            vka_fail(err, VKA_E_INPUT, "a single-file model brings no tokenizer, and CLIP's vocabulary is not installed");
            vka_error_hint(err, "run vkanim's scripts/install-clip-vocabulary once, or give a folder with --tokenizer");
            free(path);
            return VKA_E_INPUT;
        }
        st = vka_tokenizer_open(&s->tokenizer, path, err);
        free(path);
    }
    if (st == VKA_OK && vka_tokenizer_size(s->tokenizer) > s->text->vocab)
        st = vka_fail(err, VKA_E_INPUT, "the tokenizer has %u tokens, the text encoder only %u",
                      vka_tokenizer_size(s->tokenizer), s->text->vocab);
    return st;
}

vka_status vka_setup_tokens(struct vka_setup *s, vka_text_chunks *cond, vka_text_chunks *uncond, vka_error *err)
{
    const char *text[2] = {s->job->prompt ? s->job->prompt : "", s->job->negative ? s->job->negative : ""};
    vka_text_chunks *out[2] = {cond, uncond};
    uint32_t *ids[2] = {NULL, NULL};
    size_t count[2] = {0, 0}, most = 1;
    vka_status st = open_tokenizer(s, err);
    for (int i = 0; st == VKA_OK && i < 2; i++) {
        st = vka_tokenizer_encode(s->tokenizer, text[i], strlen(text[i]), &ids[i], &count[i], err);
        if (st == VKA_OK) {
            size_t n = vka_text_chunks_needed(count[i], s->text->max_positions);
            most = out[i] && n > most ? n : most;
        }
    }
    for (int i = 0; st == VKA_OK && i < 2; i++)
        if (out[i])
            st = vka_text_chunks_make(out[i], s->tokenizer, ids[i], count[i], s->text->max_positions, most, err);
    free(ids[0]);
    free(ids[1]);
    return st;
}

/* embeddings.h - the textual-inversion embeddings of a job: those of --embedding, and those that lie in a folder of embeddings of
 * the library (library.h); the ones that a prompt names are read. */
#ifndef VKA_RENDER_EMBEDDINGS_H
#define VKA_RENDER_EMBEDDINGS_H

#include "base/log.h"
#include "render/job.h"
#include "text/prompt.h"
#include "weights/embedding.h"

struct vka_embedding_file {
    char *path;
    bool given;       /* by --embedding; read when it is opened */
    bool open;        /* read */
    bool taken;       /* named by a prompt: its vectors stand in the table */
    uint32_t first;   /* where taken: the id of its first vector */
    vka_embedding data;
};

struct vka_embeddings {
    struct vka_embedding_file *files;
    size_t count, capacity;
    size_t *file_of; /* [words.count] */
    struct vka_prompt_word *items;
    size_t items_capacity, file_capacity;
    struct vka_prompt_words words;
    uint32_t vocab, width; /* of the text encoder */
    float *rows;           /* [extra][width]: vectors of the ones taken; ids from vocab on */
    uint32_t extra;
    size_t rows_capacity;
    const vka_log *log;
};

/* Opens those that are given and lists the others.  VKA_E_INPUT when one that is given is nowhere, or no embedding. */
vka_status vka_embeddings_open(struct vka_embeddings *e, const struct vka_job *job, const vka_tokenizer *tokenizer,
                               uint32_t vocab, uint32_t width, const vka_log *log, vka_error *err);
/* Warns of those given that no prompt names. */
void vka_embeddings_tell(const struct vka_embeddings *e);
/* What "PATH[:NAME]" means: a file's path, or its name in a model folder, and the name that prompts give it, without NAME the
 * file's without its ending.  Both malloc'ed. */
vka_status vka_embedding_spec_parse(const char *text, char **path, char **name, vka_error *err);
void vka_embeddings_close(struct vka_embeddings *e);

#endif

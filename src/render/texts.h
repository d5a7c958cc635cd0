/* texts.h - from a job's prompts to what the text encoder is asked, and from its answer to the rows of prompts.h.
 *
 * Every distinct text is a row, every distinct chunk of tokens is encoded once.  Texts of one prompt's schedule are filled up
 * with chunks of the empty prompt before weights count, all rows then to the same number of chunks: with chunks of the empty
 * prompt, or by repetition (--pad-prompt). */
#ifndef VKA_RENDER_TEXTS_H
#define VKA_RENDER_TEXTS_H

#include "render/prompts.h"
#include "text/prompt.h"

/* A text, as chunks [first, first + count) of `chunk` and `weight`. */
struct vka_text_row {
    uint32_t group; /* texts of one prompt's schedule: their means are taken together */
    uint32_t times; /* entries of that schedule with this text */
    uint32_t first, count;
};

struct vka_texts {
    vka_prompt_syntax syntax;
    bool repeat;         /* how rows are filled up */
    uint32_t length;     /* tokens of a chunk */
    uint32_t *ids;       /* [chunks][length], all different: what is encoded */
    uint32_t chunks;
    uint32_t empty;      /* the chunk of the empty prompt, where one is needed */
    struct vka_text_row *rows;
    uint32_t count, groups;
    uint32_t *chunk;     /* [cells] */
    float *weight;       /* [cells][length] */
    uint32_t cells;
    uint32_t row_chunks; /* of every row when all is done */
    size_t ids_capacity, rows_capacity, chunk_capacity, weight_capacity;
};

/* The texts of one clip. */
struct vka_text_clip {
    const char *prompt, *negative; /* without extra networks */
};

/* Reads the texts of `clips` clips of `steps` steps; fills in all of `p` but its rows and width.  `negative`: whether there are
 * rows of the negative prompts.  VKA_E_USAGE for what cannot be read. */
vka_status vka_texts_make(struct vka_texts *t, struct vka_prompts *p, const struct vka_prompt_reader *reader, bool repeat,
                          const struct vka_text_clip *texts, uint32_t clips, uint32_t steps, bool negative, vka_error *err);
/* The same where prompts travel: `travels` [clips][2], of the negative prompt and of the prompt, those without having count 0; such
 * a text is not read from `texts`.  What they hold goes over to `p`, whatever comes out.  VKA_E_USAGE for AND in one, and for
 * texts of one prompt with different weights at their ends. */
vka_status vka_texts_make_travel(struct vka_texts *t, struct vka_prompts *p, const struct vka_prompt_reader *reader, bool repeat,
                                 const struct vka_text_clip *texts, struct vka_travel *travels, uint32_t clips, uint32_t steps,
                                 bool negative, vka_error *err);
/* encoded [chunks][length][width], what the text encoder made of t->ids -> p->rows and p->width. */
vka_status vka_texts_rows(const struct vka_texts *t, const float *encoded, uint32_t width, struct vka_prompts *p, vka_error *err);
/* The tokens of a row, [row_chunks][length]. */
void vka_texts_ids(const struct vka_texts *t, uint32_t row, uint32_t *ids);
void vka_texts_free(struct vka_texts *t);

#endif

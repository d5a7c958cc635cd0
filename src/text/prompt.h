/* prompt.h - what people write into prompts: from a typed prompt to weighted tokens in chunks.
 *
 * A typed prompt is read in this order, each step a function below: <lora:...> is cut out, AND splits it into parts, each part
 * has a text for every step ([from:to:when], [a|b]), each text has weights ((more), [less], (word:1.3)), and its tokens go into
 * chunks.  The rules are A1111's as its documentation and its examples have them; ComfyUI's syntax knows weights only; plain
 * takes every character as it stands.  Texts are UTF-8 or any other bytes; all results are malloc'ed by the callee. */
#ifndef VKA_TEXT_PROMPT_H
#define VKA_TEXT_PROMPT_H

#include "base/log.h"
#include "text/tokenizer.h"

typedef enum vka_prompt_syntax { VKA_SYNTAX_A1111, VKA_SYNTAX_COMFY, VKA_SYNTAX_PLAIN } vka_prompt_syntax;
/* The value of --prompt-syntax; false for anything else. */
bool vka_prompt_syntax_from_name(const char *name, vka_prompt_syntax *out);

/* Brackets open at the same time, and bytes; a prompt with more is refused (VKA_E_USAGE). */
enum { VKA_PROMPT_DEPTH = 100, VKA_PROMPT_MAX = 1 << 20 };

/* Growing bytes with a NUL behind them. */
struct vka_text_buffer {
    char *text; /* NULL as long as nothing was added */
    size_t size, capacity;
};
bool vka_text_buffer_add(struct vka_text_buffer *b, const char *text, size_t size);

/* ---- extra networks: <kind:name:argument...>, A1111 alone ------------------------------------------------- */

struct vka_prompt_network {
    char *kind;               /* "lora", "hypernet" and whatever else was typed */
    char *name;               /* the first argument */
    double weight, te_weight; /* of the UNet and of the text encoder; 1 where nothing is said, te_weight like weight */
};
struct vka_prompt_networks {
    struct vka_prompt_network *items;
    size_t count, capacity;
};
/* Takes all of them out of `text` and adds them to `list`; *rest is the text without them.  <lora:name:weight:te> may also say
 * "te=0.5" and "unet=0.5".  VKA_E_USAGE where a weight is no number. */
vka_status vka_prompt_cut_networks(const char *text, char **rest, struct vka_prompt_networks *list, vka_error *err);
void vka_prompt_networks_free(struct vka_prompt_networks *list);

/* ---- AND: "a cat AND a dog :0.5", A1111 alone ------------------------------------------------------------------ */

struct vka_prompt_part {
    char *text;
    double weight; /* a number behind a last colon; A1111 reads it without AND too */
};
struct vka_prompt_parts {
    struct vka_prompt_part *items;
    size_t count, capacity;
};
/* At least one part.  More than VKA_PROMPT_PARTS are refused (VKA_E_USAGE): each costs a pass of the network in every step. */
enum { VKA_PROMPT_PARTS = 16 };
vka_status vka_prompt_split(const char *text, struct vka_prompt_parts *out, vka_error *err);
void vka_prompt_parts_free(struct vka_prompt_parts *parts);

/* ---- editing: [from:to:when], [to:when], [from::when], [a|b|c], A1111 alone --------------------------------------- */

struct vka_prompt_edit {
    uint32_t end; /* the last step, counted from 1, that takes this text */
    char *text;
};
struct vka_prompt_edits {
    struct vka_prompt_edit *items;
    size_t count, capacity; /* by rising end; the last end is the number of steps */
};
/* `when` with a decimal point is a fraction of the steps, else a step: up to it `from` counts, after it `to`.  [a|b|c] goes on
 * with every step.  Brackets that make no such group stay as they are, for the weights.  VKA_E_USAGE for brackets too deep or
 * texts of all steps that are too long. */
vka_status vka_prompt_edits_make(struct vka_prompt_edits *out, const char *text, uint32_t steps, vka_error *err);
void vka_prompt_edits_free(struct vka_prompt_edits *edits);
/* The entry of a step counted from 0. */
size_t vka_prompt_edit_at(const struct vka_prompt_edits *edits, uint32_t step);

/* ---- weights ---------------------------------------------------------------------------------------------------------- */

struct vka_prompt_piece {
    const char *text; /* within the list's buffer; not terminated */
    size_t size;
    double weight;
    bool is_break; /* BREAK: no text; the chunk ends here */
};
struct vka_prompt_pieces {
    struct vka_prompt_piece *items;
    size_t count, capacity;
    char *buffer;
};
/* At least one piece; neighbours of the same weight are one.  VKA_E_USAGE for brackets too deep. */
vka_status vka_prompt_pieces_make(struct vka_prompt_pieces *out, vka_prompt_syntax syntax, const char *text, vka_error *err);
void vka_prompt_pieces_free(struct vka_prompt_pieces *pieces);

/* ---- chunks -------------------------------------------------------------------------------------------------------------- */

/* A name that stands for vectors of its own, and the tokens it comes out as.  In A1111's syntax the longest run of tokens that
 * is a name counts, and so does the name in angle brackets, as diffusers has it; in ComfyUI's "embedding:name". */
struct vka_prompt_word {
    char *name;
    uint32_t *ids;
    size_t count;
};
struct vka_prompt_words {
    const struct vka_prompt_word *items;
    size_t count;
    /* Called where a name is met: its vectors stand in the table of tokens from *first on. */
    vka_status (*take)(void *user, size_t which, uint32_t *first, uint32_t *vectors, vka_error *err);
    void *user;
};

struct vka_prompt_reader {
    const vka_tokenizer *tokenizer;
    vka_prompt_syntax syntax;
    uint32_t length;        /* tokens of a chunk, start and end included */
    uint32_t comma_padding; /* A1111: a chunk that is full ends behind a comma among its last tokens; 0: not */
    const struct vka_prompt_words *words; /* or NULL */
    const vka_log *log;                   /* or NULL */
};

/* Rows of `length` tokens: start, tokens, end, padding. */
struct vka_prompt_chunks {
    uint32_t *ids;  /* [count][length] */
    float *weights; /* [count][length]; 1 for start, end and padding */
    size_t count, capacity;
    uint32_t length;
    bool weighted; /* some weight is not 1 */
};
/* Weights and chunks of one text.  A text without signs of the syntax and of at most length - 2 tokens comes out as
 * vka_text_chunks_make has it. */
vka_status vka_prompt_chunks_make(struct vka_prompt_chunks *out, const struct vka_prompt_reader *r, const char *text,
                                  vka_error *err);
void vka_prompt_chunks_free(struct vka_prompt_chunks *chunks);

/* ---- what weights do to the text encoder's output ------------------------------------------------------------------------- */

/* A1111's rule for the chunks of the same place in the texts of one prompt: z[i] [tokens][width] is multiplied by weights[i] per
 * token, then all by what brings back the mean that they had together; text i counts times[i] times in the means.  Where all
 * weights are 1 nothing is touched. */
void vka_emphasis_a1111(float *const *z, const float *const *weights, const uint32_t *times, size_t count, uint32_t tokens,
                        uint32_t width);
/* ComfyUI's rule: from the embedding of the empty prompt through the text's by the weight; tokens of weight 1 stay. */
void vka_emphasis_comfy(float *z, const float *empty, const float *weights, uint32_t tokens, uint32_t width);

#endif

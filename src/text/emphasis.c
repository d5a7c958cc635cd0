/* emphasis.c - weights in prompts: how they are typed, and what they do to embeddings.  See prompt.h.
 *
 * Pieces lie one behind the other in one buffer, so that neighbours of equal weight become one by adding their sizes. */
#include "text/prompt.h"

#include "base/mem.h"
#include "text/signs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double WEIGHT_MAX = 1e6;

struct reader {
    struct vka_prompt_pieces *out;
    size_t used; /* bytes of the buffer */
    vka_error *err;
    vka_status status;
};

static void add_piece(struct reader *r, const char *text, size_t size, double weight, bool is_break)
{
    struct vka_prompt_pieces *out = r->out;
    if (r->status != VKA_OK)
        return;
    struct vka_prompt_piece *items = vka_grow(out->items, &out->capacity, out->count + 1, sizeof *items);
    if (!items) {
        r->status = vka_fail(r->err, VKA_E_MEMORY, "out of memory");
        return;
    }
    out->items = items;
    char *at = out->buffer + r->used;
    if (size)
        memcpy(at, text, size);
    r->used += size;
    items[out->count++] = (struct vka_prompt_piece){.text = at, .size = size, .weight = weight, .is_break = is_break};
}

/* ---- A1111 -------------------------------------------------------------------------------------------------- */

/* Open brackets of one kind: where what they cover begins, in pieces. */
struct open {
    size_t at[VKA_PROMPT_DEPTH];
    uint32_t count;
};

static void push(struct reader *r, struct open *o)
{
    if (o->count == VKA_PROMPT_DEPTH)
        r->status = vka_fail(r->err, VKA_E_USAGE, "the prompt has more than %d brackets inside one another", VKA_PROMPT_DEPTH);
    else
        o->at[o->count++] = r->out->count;
}

static void multiply(struct reader *r, size_t from, double weight)
{
    for (size_t i = from; i < r->out->count; i++)
        r->out->items[i].weight *= weight;
}

/* A run of plain text, cut where BREAK stands in it. */
static void add_run(struct reader *r, const char *text, const char *end)
{
    for (const char *at; r->status == VKA_OK; text = at) {
        const char *word = vka_sign_word(text, end, "BREAK"), *stop = word ? word : end;
        while (word && stop > text && vka_sign_space(stop[-1]))
            stop--;
        add_piece(r, text, (size_t)(stop - text), 1, false);
        if (!word)
            return;
        add_piece(r, NULL, 0, 1, true);
        for (at = word + 5; at < end && vka_sign_space(*at); at++)
            ;
    }
}

/* ":1.3)" at p; its end, or NULL. */
static const char *weight_at(const char *p, double *weight)
{
    const char *from = p + 1, *q;
    while (vka_sign_space(*from))
        from++;
    q = from + (*from == '+' || *from == '-');
    while (vka_sign_digit(*q) || *q == '.')
        q++;
    const char *end = q;
    while (vka_sign_space(*end))
        end++;
    return q > from && *end == ')' && vka_sign_number(from, q, weight) ? end + 1 : NULL;
}

static void read_a1111(struct reader *r, const char *p)
{
    static const double round = 1.1, square = 1 / 1.1;
    struct open rounds = {.count = 0}, squares = {.count = 0};
    double weight;
    while (*p && r->status == VKA_OK) {
        const char *end = p + 1;
        if (*p == '\\') { /* what it hides is text; alone it is nothing */
            size_t n = p[1] && strchr("()[]\\", p[1]) ? 1 : 0;
            add_piece(r, p + 1, n, 1, false);
            end += n;
        } else if (*p == '(')
            push(r, &rounds);
        else if (*p == '[')
            push(r, &squares);
        else if (*p == ':' && rounds.count && (end = weight_at(p, &weight)))
            multiply(r, rounds.at[--rounds.count], weight);
        else if (*p == ')' && rounds.count)
            multiply(r, rounds.at[--rounds.count], round);
        else if (*p == ']' && squares.count)
            multiply(r, squares.at[--squares.count], square);
        else {
            size_t n = strcspn(p, "\\()[]:");
            end = p + (n ? n : 1);
            add_run(r, p, end);
        }
        p = end;
    }
    while (rounds.count && r->status == VKA_OK) /* unbalanced: closed at the end */
        multiply(r, rounds.at[--rounds.count], round);
    while (squares.count && r->status == VKA_OK)
        multiply(r, squares.at[--squares.count], square);
}

/* ---- ComfyUI ------------------------------------------------------------------------------------------------ */

/* Bytes of the character or the hidden bracket at p. */
static size_t comfy_step(const char *p, const char *end)
{
    return *p == '\\' && p + 1 < end && (p[1] == '(' || p[1] == ')') ? 2 : 1;
}

/* Text without groups: hidden brackets become plain ones. */
static void comfy_text(struct reader *r, const char *p, const char *end, double weight)
{
    struct vka_text_buffer text = {0};
    bool good = vka_text_buffer_add(&text, "", 0);
    for (size_t n; good && p < end; p += n) {
        n = comfy_step(p, end);
        good = vka_text_buffer_add(&text, p + n - 1, 1);
    }
    if (good)
        add_piece(r, text.text, text.size, weight, false);
    else if (r->status == VKA_OK)
        r->status = vka_fail(r->err, VKA_E_MEMORY, "out of memory");
    free(text.text);
}

static void read_comfy(struct reader *r, const char *p, const char *end, double weight, uint32_t depth);

/* (text), (text:weight) with the brackets, or text that is no group. */
static void comfy_item(struct reader *r, const char *p, const char *end, bool closed, double weight, uint32_t depth)
{
    double own = weight * 1.1, given;
    if (end - p < 2 || *p != '(' || !closed) {
        comfy_text(r, p, end, weight);
        return;
    }
    p++;
    end--;
    const char *colon = end;
    while (colon > p && *colon != ':')
        colon--;
    if (colon > p && colon < end && vka_sign_number(colon + 1, end, &given)) {
        own = given;
        end = colon;
    }
    if (depth == VKA_PROMPT_DEPTH) {
        if (r->status == VKA_OK)
            r->status = vka_fail(r->err, VKA_E_USAGE, "the prompt has more than %d brackets inside one another", VKA_PROMPT_DEPTH);
        return;
    }
    read_comfy(r, p, end, own, depth + 1);
}

/* Cuts text into what lies in outermost brackets and what lies between them. */
static void read_comfy(struct reader *r, const char *p, const char *end, double weight, uint32_t depth)
{
    int64_t level = 0;
    const char *from = p;
    bool closed = false; /* the last character is a bracket that is not hidden */
    for (size_t n; p < end && r->status == VKA_OK; p += n) {
        n = comfy_step(p, end);
        if (*p == '(' && n == 1) {
            if (level == 0) {
                if (p > from)
                    comfy_item(r, from, p, closed, weight, depth);
                from = p;
            }
            level++;
        }
        closed = *p == ')' && n == 1;
        if (closed && --level == 0) {
            comfy_item(r, from, p + 1, true, weight, depth);
            from = p + 1;
        }
    }
    if (end > from && r->status == VKA_OK)
        comfy_item(r, from, end, closed, weight, depth);
}

/* ---- both --------------------------------------------------------------------------------------------------- */

static void merge(struct vka_prompt_pieces *out)
{
    size_t kept = 0;
    for (size_t i = 1; i < out->count; i++) {
        struct vka_prompt_piece *a = &out->items[kept], *b = &out->items[i];
        if (!a->is_break && !b->is_break && fabs(a->weight - b->weight) <= 0)
            a->size += b->size;
        else
            out->items[++kept] = *b;
    }
    out->count = kept + 1;
}

vka_status vka_prompt_pieces_make(struct vka_prompt_pieces *out, vka_prompt_syntax syntax, const char *text, vka_error *err)
{
    size_t size = strlen(text);
    *out = (struct vka_prompt_pieces){0};
    if (size > VKA_PROMPT_MAX)
        return vka_fail(err, VKA_E_USAGE, "the prompt has %zu bytes, more than the %d that vkanim reads", size, VKA_PROMPT_MAX);
    struct reader r = {.out = out, .err = err};
    out->buffer = vka_calloc(size + 1, 1); /* no syntax makes text longer */
    if (!out->buffer)
        r.status = vka_fail(err, VKA_E_MEMORY, "out of memory");
    else if (syntax == VKA_SYNTAX_A1111)
        read_a1111(&r, text);
    else if (syntax == VKA_SYNTAX_COMFY)
        read_comfy(&r, text, text + size, 1, 0);
    else
        add_piece(&r, text, size, 1, false);
    if (r.status == VKA_OK && out->count == 0)
        add_piece(&r, NULL, 0, 1, false);
    for (size_t i = 0; r.status == VKA_OK && i < out->count; i++)
        if (!(fabs(out->items[i].weight) <= WEIGHT_MAX))
            r.status = vka_fail(err, VKA_E_USAGE, "the prompt has a weight of %g, more than the %g that vkanim takes",
                                out->items[i].weight, WEIGHT_MAX);
    if (r.status != VKA_OK)
        vka_prompt_pieces_free(out);
    else if (syntax == VKA_SYNTAX_A1111)
        merge(out);
    return r.status;
}

void vka_prompt_pieces_free(struct vka_prompt_pieces *pieces)
{
    free(pieces->items);
    free(pieces->buffer);
    *pieces = (struct vka_prompt_pieces){0};
}

/* ---- embeddings --------------------------------------------------------------------------------------------- */

static bool all_one(const float *weights, uint32_t tokens)
{
    for (uint32_t i = 0; i < tokens; i++)
        if (fabsf(weights[i] - 1) > 0)
            return false;
    return true;
}

void vka_emphasis_a1111(float *const *z, const float *const *weights, const uint32_t *times, size_t count, uint32_t tokens,
                        uint32_t width)
{
    double before = 0, after = 0;
    bool plain = true;
    for (size_t i = 0; i < count; i++)
        plain = plain && all_one(weights[i], tokens);
    if (plain)
        return;
    for (size_t i = 0; i < count; i++) {
        double was = 0, is = 0;
        for (uint32_t t = 0; t < tokens; t++)
            for (size_t k = 0; k < width; k++) {
                float *x = &z[i][(size_t)t * width + k];
                was += *x;
                is += *x *= weights[i][t];
            }
        before += times[i] * was;
        after += times[i] * is;
    }
    float back = (float)(before / after);
    for (size_t i = 0; i < count && isfinite(back); i++)
        for (size_t k = 0; k < (size_t)tokens * width; k++)
            z[i][k] *= back;
}

void vka_emphasis_comfy(float *z, const float *empty, const float *weights, uint32_t tokens, uint32_t width)
{
    for (uint32_t t = 0; t < tokens; t++) {
        if (all_one(weights + t, 1))
            continue;
        for (size_t k = (size_t)t * width; k < (size_t)(t + 1) * width; k++)
            z[k] = (z[k] - empty[k]) * weights[t] + empty[k];
    }
}

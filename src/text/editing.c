/* editing.c - prompts that change with the steps: [from:to:when], [to:when], [from::when], [a|b|c].  See prompt.h.
 *
 * One pass over the text with a stack of open brackets.  What lies between a bracket and its partner is a list of items: slices
 * of the text, separators, and groups that were found inside.  A pair that makes a group becomes one item; a pair that only
 * weighs keeps its brackets as text; anything else is no pair, and then nothing that is open can become one: all of it moves to
 * the outermost list, where brackets and colons are text.  A '|' that ends up there, or a '\' with nothing behind it, makes the
 * whole prompt plain, as A1111's grammar has it. */
#include "text/prompt.h"

#include "base/mem.h"
#include "text/signs.h"

#include <stdlib.h>
#include <string.h>

enum { TEXTS_MAX = 64 << 20 }; /* bytes of the texts of all steps */

enum item_kind { ITEM_TEXT, ITEM_COLON, ITEM_BAR, ITEM_SCHEDULED, ITEM_ALTERNATE };

/* Items are numbered from 1; 0 is none. */
struct item {
    enum item_kind kind;
    uint32_t next;      /* in the same list */
    uint32_t begin, end; /* ITEM_TEXT: bytes of the text */
    /* ITEM_SCHEDULED: lists before and after `when`.  ITEM_ALTERNATE: `first` is the list of all choices with their bars. */
    uint32_t first, second;
    uint32_t when, choices;
};

struct list {
    uint32_t head, tail;
};

/* An open bracket at byte `at`, and what followed it. */
struct frame {
    struct list items;
    uint32_t at, colons, bars;
};

struct parser {
    const char *text;
    uint32_t size, steps;
    struct item *items;
    size_t count, capacity;
    struct frame stack[VKA_PROMPT_DEPTH + 1]; /* [0] is the outermost list */
    uint32_t depth;
    bool plain;
    uint8_t *ends; /* [steps + 1]: steps after which the text changes */
    vka_error *err;
    vka_status status;
};

/* ---- items -------------------------------------------------------------------------------------------------- */

static uint32_t add_item(struct parser *p, struct list *l, enum item_kind kind)
{
    if (p->status != VKA_OK)
        return 0;
    struct item *items = vka_grow(p->items, &p->capacity, p->count + 1, sizeof *items);
    if (!items) {
        p->status = vka_fail(p->err, VKA_E_MEMORY, "out of memory");
        return 0;
    }
    p->items = items;
    uint32_t id = (uint32_t)++p->count;
    items[id - 1] = (struct item){.kind = kind};
    if (l->tail)
        items[l->tail - 1].next = id;
    else
        l->head = id;
    l->tail = id;
    return id;
}

/* A slice of text; one that goes on where the last one ends becomes part of it. */
static void add_text(struct parser *p, struct list *l, uint32_t begin, uint32_t end)
{
    struct item *last = l->tail ? &p->items[l->tail - 1] : NULL;
    if (last && last->kind == ITEM_TEXT && last->end == begin) {
        last->end = end;
        return;
    }
    uint32_t id = add_item(p, l, ITEM_TEXT);
    if (id) {
        p->items[id - 1].begin = begin;
        p->items[id - 1].end = end;
    }
}

static void join(struct parser *p, struct list *l, struct list more)
{
    if (!more.head)
        return;
    if (l->tail)
        p->items[l->tail - 1].next = more.head;
    else
        l->head = more.head;
    l->tail = more.tail;
}

/* ---- groups ------------------------------------------------------------------------------------------------- */

/* Nothing that is open has a partner. */
static void flush(struct parser *p)
{
    for (uint32_t i = 1; i <= p->depth; i++) {
        struct frame *f = &p->stack[i];
        add_text(p, &p->stack[0].items, f->at, f->at + 1);
        join(p, &p->stack[0].items, f->items);
        p->plain = p->plain || f->bars;
    }
    p->depth = 0;
}

/* The number of a group's last list, in white space: a step, at most all of them; less than 1: from the beginning. */
static bool read_when(const struct parser *p, uint32_t id, uint32_t *when)
{
    const struct item *t = id ? &p->items[id - 1] : NULL;
    double v;
    if (!t || t->kind != ITEM_TEXT || t->next ||
        !vka_sign_number(p->text + t->begin, p->text + t->end, &v))
        return false;
    if (memchr(p->text + t->begin, '.', t->end - t->begin))
        v *= p->steps;
    *when = v >= p->steps ? p->steps : v >= 1 ? (uint32_t)v : 0;
    return true;
}

/* Takes the items in front of the next colon off a list. */
static uint32_t cut(struct parser *p, uint32_t *head)
{
    uint32_t first = *head, last = 0, at = first;
    while (at && p->items[at - 1].kind != ITEM_COLON) {
        last = at;
        at = p->items[at - 1].next;
    }
    *head = at ? p->items[at - 1].next : 0;
    if (last)
        p->items[last - 1].next = 0;
    return last ? first : 0;
}

/* [from:to:when] or [to:when]. */
static bool close_scheduled(struct parser *p, struct frame *f, struct list *into)
{
    uint32_t when, last = f->items.head;
    for (uint32_t i = last; i; i = p->items[i - 1].next)
        if (p->items[i - 1].kind == ITEM_COLON)
            last = p->items[i - 1].next;
    if (!read_when(p, last, &when))
        return false;
    uint32_t rest = f->items.head, before = f->colons == 2 ? cut(p, &rest) : 0, after = cut(p, &rest);
    uint32_t id = add_item(p, into, ITEM_SCHEDULED);
    if (!id)
        return true;
    p->items[id - 1].first = before;
    p->items[id - 1].second = after;
    p->items[id - 1].when = when;
    if (when)
        p->ends[when] = 1;
    return true;
}

static void close_alternate(struct parser *p, struct frame *f, struct list *into)
{
    uint32_t id = add_item(p, into, ITEM_ALTERNATE);
    if (!id)
        return;
    p->items[id - 1].first = f->items.head;
    p->items[id - 1].choices = f->bars + 1;
    memset(p->ends + 1, 1, p->steps);
}

static void close_bracket(struct parser *p, uint32_t at, char open)
{
    struct frame *f = p->depth ? &p->stack[p->depth] : NULL, *outer = f ? f - 1 : NULL;
    bool pair = f && p->text[f->at] == open, weighs = pair && !f->bars && f->colons <= (open == '(' ? 1 : 0);
    if (weighs) {
        for (uint32_t i = f->colons ? f->items.head : 0; i; i = p->items[i - 1].next)
            if (p->items[i - 1].kind == ITEM_COLON) /* no separator of what is around */
                p->items[i - 1].kind = ITEM_TEXT;
        add_text(p, &outer->items, f->at, f->at + 1);
        join(p, &outer->items, f->items);
        add_text(p, &outer->items, at, at + 1);
        p->depth--;
        return;
    }
    if (pair && open == '[' && f->bars && !f->colons) {
        close_alternate(p, f, &outer->items);
        p->depth--;
        return;
    }
    if (pair && open == '[' && !f->bars && f->colons <= 2 && close_scheduled(p, f, &outer->items)) {
        p->depth--;
        return;
    }
    flush(p);
    add_text(p, &p->stack[0].items, at, at + 1);
}

static void open_bracket(struct parser *p, uint32_t at)
{
    if (p->depth == VKA_PROMPT_DEPTH) {
        p->status = vka_fail(p->err, VKA_E_USAGE, "the prompt has more than %d brackets inside one another", VKA_PROMPT_DEPTH);
        return;
    }
    p->stack[++p->depth] = (struct frame){.at = at};
}

static void parse(struct parser *p)
{
    for (uint32_t i = 0; i < p->size && p->status == VKA_OK && !p->plain; i++) {
        struct frame *f = &p->stack[p->depth];
        uint32_t n = 1;
        switch (p->text[i]) {
        case '(':
        case '[':
            open_bracket(p, i);
            break;
        case ')':
        case ']':
            close_bracket(p, i, p->text[i] == ')' ? '(' : '[');
            break;
        case ':':
            if (p->depth) {
                add_item(p, &f->items, ITEM_COLON);
                if (p->status == VKA_OK) { /* a slice too, for when it is no separator */
                    p->items[f->items.tail - 1].begin = i;
                    p->items[f->items.tail - 1].end = i + 1;
                }
                f->colons++;
            } else
                add_text(p, &f->items, i, i + 1);
            break;
        case '|':
            if (p->depth) {
                add_item(p, &f->items, ITEM_BAR);
                f->bars++;
            } else
                p->plain = true;
            break;
        case '\\':
            if (i + 1 == p->size || p->text[i + 1] == '\n')
                p->plain = true;
            else
                add_text(p, &f->items, i, i + 2);
            i++;
            break;
        default:
            n = (uint32_t)strcspn(p->text + i, "()[]:|\\");
            add_text(p, &f->items, i, i + n);
            i += n - 1;
        }
    }
    if (p->status == VKA_OK)
        flush(p);
}

/* ---- texts -------------------------------------------------------------------------------------------------- */

/* The text of a list in step `step`, counted from 1.  Lists are at most VKA_PROMPT_DEPTH deep. */
static void write_list(struct parser *p, uint32_t id, uint32_t step, struct vka_text_buffer *out)
{
    for (; id && p->status == VKA_OK; id = p->items[id - 1].next) {
        const struct item *it = &p->items[id - 1];
        if (it->kind == ITEM_TEXT || it->kind == ITEM_COLON) {
            if (!vka_text_buffer_add(out, p->text + it->begin, it->end - it->begin))
                p->status = vka_fail(p->err, VKA_E_MEMORY, "out of memory");
        } else if (it->kind == ITEM_SCHEDULED)
            write_list(p, step <= it->when ? it->first : it->second, step, out);
        else if (it->kind == ITEM_ALTERNATE)
            write_list(p, it->first, step, out);
        else
            break; /* a bar ends the choice */
    }
}

/* Each alternate's `first` for a step: its choices lie in one list, so the one in turn is looked for behind its bar. */
static void choose(struct parser *p, uint32_t step, const uint32_t *heads)
{
    for (size_t i = 0; i < p->count; i++) {
        struct item *it = &p->items[i];
        if (it->kind != ITEM_ALTERNATE)
            continue;
        uint32_t at = heads[i];
        for (uint32_t skip = (step - 1) % it->choices; at && skip; at = p->items[at - 1].next)
            skip -= p->items[at - 1].kind == ITEM_BAR;
        it->first = at;
    }
}

static vka_status write_texts(struct parser *p, struct vka_prompt_edits *out)
{
    size_t bytes = 0;
    uint32_t *heads = vka_calloc(p->count + 1, sizeof *heads);
    if (!heads)
        p->status = vka_fail(p->err, VKA_E_MEMORY, "out of memory");
    for (size_t i = 0; heads && i < p->count; i++)
        heads[i] = p->items[i].first;
    for (uint32_t step = 1; step <= p->steps && p->status == VKA_OK; step++) {
        struct vka_text_buffer text = {0};
        if (!p->ends[step])
            continue;
        struct vka_prompt_edit *items = vka_grow(out->items, &out->capacity, out->count + 1, sizeof *items);
        out->items = items ? items : out->items;
        if (!items || !vka_text_buffer_add(&text, "", 0))
            p->status = vka_fail(p->err, VKA_E_MEMORY, "out of memory");
        else {
            choose(p, step, heads);
            write_list(p, p->stack[0].items.head, step, &text);
        }
        bytes += text.size;
        if (p->status == VKA_OK && bytes > TEXTS_MAX)
            p->status = vka_fail(p->err, VKA_E_USAGE, "the prompt's texts of all steps are longer than the %d MiB that vkanim reads",
                                 TEXTS_MAX >> 20);
        if (p->status == VKA_OK)
            items[out->count++] = (struct vka_prompt_edit){step, text.text};
        else
            free(text.text);
    }
    free(heads);
    return p->status;
}

vka_status vka_prompt_edits_make(struct vka_prompt_edits *out, const char *text, uint32_t steps, vka_error *err)
{
    size_t size = strlen(text);
    *out = (struct vka_prompt_edits){0};
    if (size > VKA_PROMPT_MAX)
        return vka_fail(err, VKA_E_USAGE, "the prompt has %zu bytes, more than the %d that vkanim reads", size, VKA_PROMPT_MAX);
    struct parser *p = vka_calloc(1, sizeof *p);
    uint8_t *ends = vka_calloc((size_t)steps + 1, 1);
    vka_status st = p && ends && steps ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK) {
        *p = (struct parser){.text = text, .size = (uint32_t)size, .steps = steps, .ends = ends, .err = err};
        ends[steps] = 1;
        parse(p);
        if (p->plain && p->status == VKA_OK) {
            memset(ends, 0, steps);
            p->stack[0].items = (struct list){0};
            p->count = 0;
            add_text(p, &p->stack[0].items, 0, (uint32_t)size);
        }
        st = write_texts(p, out);
        free(p->items);
    }
    free(p);
    free(ends);
    if (st != VKA_OK)
        vka_prompt_edits_free(out);
    return st;
}

void vka_prompt_edits_free(struct vka_prompt_edits *edits)
{
    for (size_t i = 0; i < edits->count; i++)
        free(edits->items[i].text);
    free(edits->items);
    *edits = (struct vka_prompt_edits){0};
}

size_t vka_prompt_edit_at(const struct vka_prompt_edits *edits, uint32_t step)
{
    size_t i = 0;
    while (i + 1 < edits->count && step >= edits->items[i].end)
        i++;
    return i;
}

/* travel_read.c - what people keep prompts over the frames in, made into lines of keys; see travel.h.
 *
 * First the text becomes a tree of names and values: an object in JSON and its looser kin, or lines.  Then names are told apart:
 * places, parts, settings.  The last step writes lines, one for each place, which is the only form that others see. */
#include "text/travel.h"

#include "base/mem.h"
#include "base/number.h"
#include "text/prompt.h"
#include "text/signs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 4, INPUTS = 4 };

enum kind { KIND_TEXT, KIND_BARE, KIND_OBJECT }; /* in quotes, without, in braces */

struct node {
    char *name, *text;
    enum kind kind;
    struct node *items;
    size_t count, capacity;
};

struct reader {
    const char *p, *begin;
    vka_error *err;
};

static vka_status no_memory(vka_error *err) { return vka_fail(err, VKA_E_MEMORY, "out of memory"); }

static void free_node(struct node *n)
{
    for (size_t i = 0; i < n->count; i++)
        free_node(&n->items[i]);
    free(n->items);
    free(n->name);
    free(n->text);
}

static vka_status refuse(struct reader *r, const char *why)
{
    size_t line = 1;
    for (const char *p = r->begin; p < r->p; p++)
        line += *p == '\n';
    vka_fail(r->err, VKA_E_USAGE, "line %zu of the travel cannot be read: %s", line, why);
    vka_error_hint(r->err, "lines such as '8: text', or JSON such as {\"0\": \"text\", \"8\": \"text\"}");
    return VKA_E_USAGE;
}

static void skip_spaces(struct reader *r)
{
    while (vka_sign_space(*r->p))
        r->p++;
}

static char *copy_range(const char *begin, const char *end)
{
    while (begin < end && vka_sign_space(*begin))
        begin++;
    while (end > begin && vka_sign_space(end[-1]))
        end--;
    struct vka_text_buffer b = {0};
    return vka_text_buffer_add(&b, begin, (size_t)(end - begin)) ? b.text : NULL;
}

/* ---- objects ---------------------------------------------------------------------------------------------------- */

static bool put_point(struct vka_text_buffer *b, unsigned long c)
{
    char out[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(n == 1 ? c : c | (0xf00u >> n & 0xff));
    return vka_text_buffer_add(b, out, n);
}

static bool read_hex(const char *p, unsigned long *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (v < 0)
            return false;
        *out = *out << 4 | (unsigned long)v;
    }
    return true;
}

/* Behind "\u": a code point, of two halves where it wants them. */
static bool read_point(struct reader *r, unsigned long *out)
{
    unsigned long low;
    if (!read_hex(r->p, out))
        return false;
    r->p += 4;
    if (*out >= 0xd800 && *out < 0xdc00 && r->p[0] == '\\' && r->p[1] == 'u' && read_hex(r->p + 2, &low) && low >= 0xdc00 &&
        low < 0xe000) {
        *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
        r->p += 6;
    }
    return *out != 0 && (*out < 0xd800 || *out >= 0xe000);
}

/* A text in quotes.  A backslash that begins no escape of JSON stays, for prompts have it before brackets. */
static vka_status read_quoted(struct reader *r, char **out)
{
    static const char signs[] = "nrtbf\"'\\/", values[] = "\n    \"'\\/";
    struct vka_text_buffer b = {0};
    char quote = *r->p++;
    bool good = vka_text_buffer_add(&b, "", 0);
    while (good && *r->p && *r->p != quote) {
        unsigned long c;
        const char *which = *r->p == '\\' && r->p[1] ? strchr(signs, r->p[1]) : NULL;
        if (which) {
            good = vka_text_buffer_add(&b, &values[which - signs], 1);
            r->p += 2;
        } else if (*r->p == '\\' && r->p[1] == 'u') {
            r->p += 2;
            if (!read_point(r, &c)) {
                free(b.text);
                return refuse(r, "\\u stands for no character");
            }
            good = put_point(&b, c);
        } else {
            good = vka_text_buffer_add(&b, r->p, 1);
            r->p++;
        }
    }
    bool closed = *r->p == quote;
    if (!good || !closed)
        free(b.text);
    if (!good)
        return no_memory(r->err);
    if (!closed)
        return refuse(r, "a text is not closed");
    r->p++;
    *out = b.text;
    return VKA_OK;
}

/* A name and the ':' or '=' behind it. */
static vka_status read_name(struct reader *r, char **out)
{
    if (*r->p == '"' || *r->p == '\'') {
        vka_status st = read_quoted(r, out);
        skip_spaces(r);
        if (st == VKA_OK && *r->p != ':' && *r->p != '=')
            st = refuse(r, "a colon is missing behind a name");
        r->p += st == VKA_OK;
        return st;
    }
    const char *begin = r->p, *end = begin + strcspn(begin, "=,\"'{}\n"), *at = end;
    if (*end != '=') /* the last colon: a place may have one itself */
        for (at = end; at > begin && at[-1] != ':'; at--)
            ;
    if (*end != '=' && at == begin)
        return refuse(r, "a name and a colon are wanted");
    *out = copy_range(begin, *end == '=' ? end : at - 1);
    r->p = *end == '=' ? end + 1 : at;
    return *out ? VKA_OK : no_memory(r->err);
}

static vka_status read_items(struct reader *r, struct node *into, char close, int depth);

static vka_status read_value(struct reader *r, struct node *n, int depth)
{
    skip_spaces(r);
    if (*r->p == '"' || *r->p == '\'')
        return read_quoted(r, &n->text);
    if (*r->p == '{') {
        n->kind = KIND_OBJECT;
        r->p++;
        return depth < DEPTH ? read_items(r, n, '}', depth + 1) : refuse(r, "objects lie too deep in one another");
    }
    const char *end = r->p + strcspn(r->p, ",}\n\"'{[]");
    if (*end == '[' || end == r->p)
        return refuse(r, *end == '[' ? "there are no lists in a travel" : "a value is missing");
    n->kind = KIND_BARE;
    n->text = copy_range(r->p, end);
    r->p = end;
    return n->text ? VKA_OK : no_memory(r->err);
}

/* Names and values up to `close` (0: the end of the text). */
static vka_status read_items(struct reader *r, struct node *into, char close, int depth)
{
    vka_status st = VKA_OK;
    for (;;) {
        skip_spaces(r);
        if (*r->p == close) {
            r->p += close != 0;
            return VKA_OK;
        }
        if (!*r->p)
            return refuse(r, "a brace is not closed");
        struct node *items = vka_grow(into->items, &into->capacity, into->count + 1, sizeof *items);
        if (!items)
            return no_memory(r->err);
        into->items = items;
        struct node *n = &items[into->count++];
        *n = (struct node){0};
        st = read_name(r, &n->name);
        if (st == VKA_OK)
            st = read_value(r, n, depth);
        if (st != VKA_OK)
            return st;
        for (size_t i = 0; i + 1 < into->count && into->count < 64; i++) /* places are told apart later */
            if (!strcmp(into->items[i].name, n->name))
                return refuse(r, "a name stands there twice");
        skip_spaces(r);
        if (*r->p == ',')
            r->p++;
        else if (*r->p != close)
            return refuse(r, *r->p ? "a comma is missing" : "a brace is not closed");
    }
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

/* Places and their texts as a part's lines; what is unsaid is NULL. */
struct part {
    struct vka_text_buffer lines;
    bool keyed;
};

struct builder {
    struct vka_travel_file *out;
    struct part prompt, negative;
    char *head, *tail;
    char *input[INPUTS]; /* pw_a ... pw_d */
    struct reader *r;
};

/* A place as a key has it; NULL where it is none. */
static char *make_place(const char *text)
{
    struct vka_key a, b;
    const char *p = vka_key_read(text, &a), *q;
    if (p && !*p)
        return copy_range(text, text + strlen(text));
    if (!p || *p != ':' || a.range || a.eased)
        return NULL;
    char *first = copy_range(text, p), *out = NULL;
    q = vka_key_read(p + 1, &b);
    if (first && !p[1 + strspn(p + 1, " \t")])
        out = vka_asprintf("%s hold", first);
    else if (first && q && !*q && !b.range && !b.eased && a.first.fraction == b.first.fraction) {
        double last = b.first.at - (b.first.fraction ? 0 : 1); /* ADE's end is not part of it */
        if (b.first.fraction)
            out = vka_asprintf("%s-%s", first, p + 1);
        else if ((a.first.at < 0) == (b.first.at < 0) && last <= a.first.at)
            out = vka_strdup(first);
        else
            out = vka_asprintf("%s-%lld", first, (long long)last);
    }
    free(first);
    return out;
}

/* One line with pw_a and its like in back quotes as the numbers that they are. */
static bool put_text(struct builder *b, struct vka_text_buffer *to, const char *text, const char *end)
{
    bool quoted = false, good = true;
    for (const char *p = text; good && p < end; p++) {
        char *input = NULL;
        quoted = quoted != (*p == '`');
        if (quoted && end - p >= 4 && !memcmp(p, "pw_", 3) && p[3] >= 'a' && p[3] < 'a' + INPUTS)
            input = b->input[p[3] - 'a'];
        if (input) {
            good = vka_text_buffer_add(to, "(", 1) && vka_text_buffer_add(to, input, strlen(input)) && vka_text_buffer_add(to, ")", 1);
            p += 3;
        } else
            good = vka_text_buffer_add(to, *p == '\n' || *p == '\r' ? " " : p, 1);
    }
    return good;
}

static bool put_line(struct builder *b, struct part *part, const char *place, const char *text, const char *end)
{
    struct vka_text_buffer *to = &part->lines;
    part->keyed = true;
    return (!to->size || vka_text_buffer_add(to, "\n", 1)) && vka_text_buffer_add(to, place, strlen(place)) &&
           vka_text_buffer_add(to, ": ", 2) && put_text(b, to, text, end);
}

/* A text at a place, and behind " --neg " the negative one. */
static vka_status put_key(struct builder *b, struct part *part, const char *place, const char *text)
{
    const char *end = text + strlen(text), *neg = NULL;
    if (part == &b->prompt)
        for (const char *p = text; !neg && (p = strstr(p, "--neg")) != NULL; p += 5)
            if ((p == text || vka_sign_space(p[-1])) && (!p[5] || vka_sign_space(p[5])))
                neg = p;
    const char *stop = neg ? neg : end;
    while (stop > text && vka_sign_space(stop[-1]))
        stop--;
    bool good = put_line(b, part, place, text, stop);
    if (good && neg) {
        for (neg += 5; vka_sign_space(*neg); neg++)
            ;
        good = put_line(b, &b->negative, place, neg, end);
    }
    return good ? VKA_OK : no_memory(b->r->err);
}

/* Lines as people write them: a space behind the colon may be missing. */
static vka_status put_lines(struct builder *b, struct part *part, const char *text)
{
    vka_status st = VKA_OK;
    for (const char *p = text, *end; st == VKA_OK && *p; p = end + (*end == '\n')) {
        struct vka_key key;
        const char *colon = vka_key_read(p, &key);
        end = p + strcspn(p, "\n");
        if (colon && *colon == ':') {
            char *place = copy_range(p, colon), *line = copy_range(colon + 1, end);
            st = place && line ? put_key(b, part, place, line) : no_memory(b->r->err);
            free(place);
            free(line);
        } else if ((part->lines.size && !vka_text_buffer_add(&part->lines, "\n", 1)) ||
                   !vka_text_buffer_add(&part->lines, p, (size_t)(end - p)))
            st = no_memory(b->r->err);
    }
    return st;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static bool is_one_of(const char *name, const char *a, const char *c)
{
    return !strcmp(name, a) || !strcmp(name, c);
}

/* A prompt: an object of places and texts, or a text. */
static vka_status put_prompt(struct builder *b, struct part *part, const struct node *n)
{
    vka_status st = VKA_OK;
    if (n->kind != KIND_OBJECT)
        return vka_travel_is(n->text) ? put_lines(b, part, n->text) : put_key(b, part, "0", n->text);
    for (size_t i = 0; st == VKA_OK && i < n->count; i++) {
        const struct node *item = &n->items[i];
        char *place = make_place(item->name);
        if (!place || item->kind != KIND_TEXT) {
            st = vka_fail(b->r->err, VKA_E_USAGE, "'%.60s' in the travel is no frame with a text", item->name);
            vka_error_why(b->r->err, "frames are written 8, -1, 0.5, 4-9 or 8 hold, and texts in quotes");
        } else
            st = put_key(b, part, place, item->text);
        free(place);
    }
    return st;
}

static vka_status set_part(struct builder *b, char **part, const struct node *n)
{
    free(*part);
    *part = NULL;
    if (n->kind == KIND_OBJECT || vka_travel_is(n->text))
        return vka_fail(b->r->err, VKA_E_USAGE, "'%.60s' in the travel is not one text for all frames", n->name);
    *part = vka_strdup(n->text);
    return *part ? VKA_OK : no_memory(b->r->err);
}

/* A value over frames as values.h has it. */
static vka_status put_setting(struct builder *b, const struct node *n)
{
    struct vka_travel_file *f = b->out;
    struct vka_travel_setting *grown = vka_grow(f->settings, &f->capacity, f->count + 1, sizeof *grown);
    struct vka_text_buffer value = {0};
    vka_status st = grown ? VKA_OK : no_memory(b->r->err);
    bool good = vka_text_buffer_add(&value, n->kind == KIND_OBJECT ? "" : n->text, n->kind == KIND_OBJECT ? 0 : strlen(n->text));
    for (size_t i = 0; st == VKA_OK && good && n->kind == KIND_OBJECT && i < n->count; i++) {
        const struct node *item = &n->items[i];
        char *place = make_place(item->name);
        if (!place || item->kind == KIND_OBJECT)
            st = vka_fail(b->r->err, VKA_E_USAGE, "'%.60s' of '%.60s' in the travel is no frame with a number", item->name, n->name);
        else
            good = (!i || vka_text_buffer_add(&value, ", ", 2)) && vka_text_buffer_add(&value, place, strlen(place)) &&
                   vka_text_buffer_add(&value, ":", 1) && vka_text_buffer_add(&value, item->text, strlen(item->text));
        free(place);
    }
    char *name = st == VKA_OK && good ? vka_strdup(n->name) : NULL;
    f->settings = grown ? grown : f->settings;
    if (!name) {
        free(value.text);
        return st == VKA_OK ? no_memory(b->r->err) : st;
    }
    for (char *c = name; *c; c++)
        *c = *c == '_' ? '-' : *c;
    f->settings[f->count++] = (struct vka_travel_setting){name, value.text};
    return VKA_OK;
}

static int input_of(const char *name)
{
    return !strncmp(name, "pw_", 3) && name[3] >= 'a' && name[3] < 'a' + INPUTS && !name[4] ? name[3] - 'a' : -1;
}

static vka_status set_input(struct builder *b, const struct node *n)
{
    char *end = NULL;
    double v = n->kind == KIND_OBJECT ? NAN : vka_parse_real(n->text, &end);
    if (!isfinite(v) || end == n->text || *end)
        return vka_fail(b->r->err, VKA_E_USAGE, "'%s' in the travel is not a number", n->name);
    free(b->input[input_of(n->name)]);
    b->input[input_of(n->name)] = vka_strdup(n->text);
    return b->input[input_of(n->name)] ? VKA_OK : no_memory(b->r->err);
}

static vka_status build(struct builder *b, const struct node *root)
{
    vka_status st = VKA_OK;
    for (size_t i = 0; st == VKA_OK && i < root->count; i++) /* they may stand behind the texts that want them */
        if (input_of(root->items[i].name) >= 0)
            st = set_input(b, &root->items[i]);
    for (size_t i = 0; st == VKA_OK && i < root->count; i++) {
        const struct node *n = &root->items[i];
        char *place = make_place(n->name);
        if (place && n->kind == KIND_TEXT)
            st = put_key(b, &b->prompt, place, n->text);
        else if (place)
            st = vka_fail(b->r->err, VKA_E_USAGE, "frame '%.60s' of the travel has no text in quotes", n->name);
        else if (is_one_of(n->name, "head", "head_prompt"))
            st = set_part(b, &b->head, n);
        else if (is_one_of(n->name, "tail", "tail_prompt"))
            st = set_part(b, &b->tail, n);
        else if (is_one_of(n->name, "prompt", "prompt_map"))
            st = put_prompt(b, &b->prompt, n);
        else if (!strcmp(n->name, "negative"))
            st = put_prompt(b, &b->negative, n);
        else if (input_of(n->name) < 0)
            st = put_setting(b, n);
        free(place);
    }
    return st;
}

/* The lines of a part with head and tail; NULL where it has no keys. */
static vka_status finish(struct builder *b, struct part *part, const char *head, const char *tail, char **out)
{
    if (!part->keyed)
        return VKA_OK;
    *out = vka_asprintf("%s%s%s%s%s", head ? head : "", head ? "\n" : "", part->lines.text, tail ? "\n" : "", tail ? tail : "");
    return *out ? VKA_OK : no_memory(b->r->err);
}

/* An object, with braces or without them. */
static bool is_object(const char *p)
{
    struct vka_key key;
    while (vka_sign_space(*p))
        p++;
    if (*p == '{' || *p == '"' || *p == '\'')
        return true;
    size_t n = strspn(p, "0123456789.:-");
    const char *behind = n ? p + n : vka_key_read(p, &key);
    while (behind && (*behind == ' ' || *behind == '\t'))
        behind++;
    return behind && *behind == '=';
}

bool vka_travel_is_text(const char *value)
{
    while (vka_sign_space(*value))
        value++;
    return *value == '{' || *value == '"' || strchr(value, '\n') || vka_travel_is(value);
}

vka_status vka_travel_read(struct vka_travel_file *out, const char *text, vka_error *err)
{
    struct reader r = {.p = text, .begin = text, .err = err};
    struct builder b = {.out = out, .r = &r};
    struct node root = {.kind = KIND_OBJECT};
    vka_status st = VKA_OK;
    *out = (struct vka_travel_file){0};
    if (strlen(text) > VKA_PROMPT_MAX)
        return vka_fail(err, VKA_E_USAGE, "the travel is longer than %d bytes", VKA_PROMPT_MAX);
    if (is_object(text)) {
        skip_spaces(&r);
        bool braces = *r.p == '{';
        r.p += braces;
        st = read_items(&r, &root, braces ? '}' : '\0', 1);
        skip_spaces(&r);
        if (st == VKA_OK && *r.p)
            st = refuse(&r, "something stands behind its end");
        if (st == VKA_OK)
            st = build(&b, &root);
    } else
        st = put_lines(&b, &b.prompt, text);
    if (st == VKA_OK)
        st = finish(&b, &b.prompt, b.head, b.tail, &out->prompt);
    if (st == VKA_OK)
        st = finish(&b, &b.negative, NULL, NULL, &out->negative);
    if (st == VKA_OK && !out->prompt && !out->negative && !out->count) {
        st = vka_fail(err, VKA_E_USAGE, "the travel has no prompts");
        vka_error_why(err, "no line begins with a frame and a colon");
        vka_error_hint(err, "lines such as '8: text', or JSON such as {\"0\": \"text\", \"8\": \"text\"}");
    }
    free_node(&root);
    free(b.prompt.lines.text);
    free(b.negative.lines.text);
    free(b.head);
    free(b.tail);
    for (int i = 0; i < INPUTS; i++)
        free(b.input[i]);
    if (st != VKA_OK)
        vka_travel_file_free(out);
    return st;
}

void vka_travel_file_free(struct vka_travel_file *file)
{
    free(file->prompt);
    free(file->negative);
    for (size_t i = 0; i < file->count; i++) {
        free(file->settings[i].name);
        free(file->settings[i].value);
    }
    free(file->settings);
    *file = (struct vka_travel_file){0};
}

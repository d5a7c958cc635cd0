/* texts.c - see texts.h. */
#include "render/texts.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS_MAX = 4096,      /* different texts of a job */
    ROW_CHUNKS_MAX = 1024 /* chunks of one */
};

/* A prompt or a part of one, with the row of each step. */
struct group {
    const char *text; /* borrowed */
    uint32_t *row;    /* [steps] */
};

struct maker {
    struct vka_texts *t;
    const struct vka_prompt_reader *reader;
    struct group *groups;
    size_t capacity;
    uint32_t side; /* groups from this one on are of the prompt at hand: negative or not */
    uint32_t steps;
    vka_error *err;
};

static vka_status no_memory(vka_error *err) { return vka_fail(err, VKA_E_MEMORY, "out of memory"); }

/* ---- chunks ------------------------------------------------------------------------------------------------- */

/* The number of a chunk among the distinct ones. */
static vka_status intern(struct vka_texts *t, const uint32_t *ids, uint32_t *which, vka_error *err)
{
    for (uint32_t i = 0; i < t->chunks; i++)
        if (!memcmp(t->ids + (size_t)i * t->length, ids, t->length * sizeof *ids)) {
            *which = i;
            return VKA_OK;
        }
    uint32_t *grown = vka_grow(t->ids, &t->ids_capacity, ((size_t)t->chunks + 1) * t->length, sizeof *grown);
    if (!grown)
        return no_memory(err);
    t->ids = grown;
    memcpy(t->ids + (size_t)t->chunks * t->length, ids, t->length * sizeof *ids);
    *which = t->chunks++;
    return VKA_OK;
}

/* Appends a chunk to the last row. */
static vka_status add_cell(struct vka_texts *t, uint32_t chunk, const float *weights, vka_error *err)
{
    uint32_t *grown = vka_grow(t->chunk, &t->chunk_capacity, (size_t)t->cells + 1, sizeof *grown);
    if (!grown)
        return no_memory(err);
    t->chunk = grown;
    float *more = vka_grow(t->weight, &t->weight_capacity, ((size_t)t->cells + 1) * t->length, sizeof *more);
    if (!more)
        return no_memory(err);
    t->weight = more;
    t->chunk[t->cells] = chunk;
    for (uint32_t i = 0; i < t->length; i++)
        more[(size_t)t->cells * t->length + i] = weights ? weights[i] : 1;
    t->cells++;
    t->rows[t->count - 1].count++;
    return VKA_OK;
}

static vka_status need_empty(struct maker *m)
{
    struct vka_texts *t = m->t;
    struct vka_prompt_chunks chunks;
    if (t->empty < t->chunks)
        return VKA_OK;
    vka_status st = vka_prompt_chunks_make(&chunks, m->reader, "", m->err);
    if (st == VKA_OK)
        st = intern(t, chunks.ids, &t->empty, m->err);
    vka_prompt_chunks_free(&chunks);
    return st;
}

/* ---- rows --------------------------------------------------------------------------------------------------- */

static vka_status add_row(struct maker *m, const struct vka_prompt_chunks *chunks, uint32_t fill, uint32_t times)
{
    struct vka_texts *t = m->t;
    if (t->count == ROWS_MAX)
        return vka_fail(m->err, VKA_E_USAGE, "the job has more than %d different prompts", ROWS_MAX);
    struct vka_text_row *rows = vka_grow(t->rows, &t->rows_capacity, (size_t)t->count + 1, sizeof *rows);
    if (!rows)
        return no_memory(m->err);
    t->rows = rows;
    rows[t->count++] = (struct vka_text_row){.group = t->groups, .times = times, .first = t->cells};
    vka_status st = VKA_OK;
    for (size_t i = 0; st == VKA_OK && i < chunks->count; i++) {
        uint32_t which;
        st = intern(t, chunks->ids + i * t->length, &which, m->err);
        if (st == VKA_OK)
            st = add_cell(t, which, chunks->weights + i * t->length, m->err);
    }
    if (st == VKA_OK && (chunks->count < fill || (chunks->weighted && t->syntax == VKA_SYNTAX_COMFY)))
        st = need_empty(m);
    for (size_t i = chunks->count; st == VKA_OK && i < fill; i++)
        st = add_cell(t, t->empty, NULL, m->err);
    return st;
}

/* Entry i of a schedule has the text of an earlier one: that one, or i. */
static size_t first_alike(const struct vka_prompt_edits *edits, size_t i)
{
    size_t k = 0;
    while (k < i && strcmp(edits->items[k].text, edits->items[i].text) != 0)
        k++;
    return k;
}

static vka_status add_schedule(struct maker *m, const struct vka_prompt_edits *edits, uint32_t *row_of)
{
    struct vka_prompt_chunks *chunks = vka_calloc(edits->count, sizeof *chunks);
    uint32_t *row = vka_calloc(edits->count, sizeof *row);
    size_t most = 1;
    vka_status st = chunks && row ? VKA_OK : no_memory(m->err);
    for (size_t i = 0; st == VKA_OK && i < edits->count; i++)
        if (first_alike(edits, i) == i) {
            st = vka_prompt_chunks_make(&chunks[i], m->reader, edits->items[i].text, m->err);
            most = chunks[i].count > most ? chunks[i].count : most;
        }
    if (st == VKA_OK && most > ROW_CHUNKS_MAX)
        st = vka_fail(m->err, VKA_E_USAGE, "the prompt has %zu chunks of %u tokens, more than the %d that vkanim takes", most,
                      m->t->length - 2, ROW_CHUNKS_MAX);
    for (size_t i = 0; st == VKA_OK && i < edits->count; i++) {
        size_t like = first_alike(edits, i);
        row[i] = like < i ? row[like] : m->t->count;
        if (like < i)
            m->t->rows[row[i]].times++;
        else
            st = add_row(m, &chunks[i], (uint32_t)most, 1);
    }
    for (uint32_t k = 0; st == VKA_OK && k < m->steps; k++)
        row_of[k] = row[vka_prompt_edit_at(edits, k)];
    for (size_t i = 0; chunks && i < edits->count; i++)
        vka_prompt_chunks_free(&chunks[i]);
    free(chunks);
    free(row);
    return st;
}

/* The group of a text, made where it is new. */
static vka_status take_group(struct maker *m, const char *text, uint32_t *which)
{
    struct vka_texts *t = m->t;
    for (uint32_t i = m->side; i < t->groups; i++)
        if (!strcmp(m->groups[i].text, text)) {
            *which = i;
            return VKA_OK;
        }
    struct group *groups = vka_grow(m->groups, &m->capacity, (size_t)t->groups + 1, sizeof *groups);
    uint32_t *row = vka_calloc(m->steps, sizeof *row);
    m->groups = groups ? groups : m->groups;
    if (!groups || !row) {
        free(row);
        return no_memory(m->err);
    }
    struct vka_prompt_edit whole = {m->steps, (char *)(uintptr_t)text};
    struct vka_prompt_edits edits = {.items = &whole, .count = 1};
    vka_status st = VKA_OK;
    if (t->syntax == VKA_SYNTAX_A1111)
        st = vka_prompt_edits_make(&edits, text, m->steps, m->err);
    if (st == VKA_OK)
        st = add_schedule(m, &edits, row);
    if (t->syntax == VKA_SYNTAX_A1111)
        vka_prompt_edits_free(&edits);
    groups[t->groups] = (struct group){text, row};
    *which = t->groups++;
    return st;
}

/* ---- all ---------------------------------------------------------------------------------------------------- */

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t c = a % b;
        a = b;
        b = c;
    }
    return a;
}

static vka_status decide_length(struct maker *m)
{
    struct vka_texts *t = m->t;
    vka_status st = VKA_OK;
    t->row_chunks = 1;
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t n = t->rows[i].count;
        t->row_chunks = t->repeat          ? t->row_chunks / gcd(t->row_chunks, n) * n
                        : n > t->row_chunks ? n
                                            : t->row_chunks;
        if (t->row_chunks > ROW_CHUNKS_MAX)
            return vka_fail(m->err, VKA_E_USAGE,
                            "--pad-prompt repeat would make prompts of %u chunks, more than the %d that vkanim takes",
                            t->row_chunks, ROW_CHUNKS_MAX);
    }
    for (uint32_t i = 0; st == VKA_OK && !t->repeat && i < t->count; i++)
        if (t->rows[i].count < t->row_chunks)
            st = need_empty(m);
    return st;
}

/* The parts of every clip's prompt; borrowed texts of groups live in them. */
struct parts {
    struct vka_prompt_parts *of; /* [clips] */
    uint32_t clips, most;
};

static vka_status split_one(struct vka_prompt_parts *one, vka_prompt_syntax syntax, const char *text, vka_error *err)
{
    if (syntax == VKA_SYNTAX_A1111)
        return vka_prompt_split(text, one, err);
    one->items = vka_calloc(1, sizeof *one->items);
    if (!one->items || !(one->items[0].text = vka_strdup(text)))
        return no_memory(err);
    one->items[0].weight = 1;
    one->count = 1;
    return VKA_OK;
}

/* The travels of a clip: of the negative prompt, of the prompt; or NULL. */
static const struct vka_travel *travel_of(const struct vka_prompts_way *ways, uint32_t clip, uint32_t side)
{
    const struct vka_travel *t = ways ? &ways[2 * (size_t)clip + side].travel : NULL;
    return t && t->count ? t : NULL;
}

static vka_status split_prompts(struct parts *p, vka_prompt_syntax syntax, const struct vka_text_clip *texts,
                                const struct vka_prompts_way *ways, uint32_t clips, vka_error *err)
{
    vka_status st = VKA_OK;
    p->of = vka_calloc(clips, sizeof *p->of);
    if (!p->of)
        return no_memory(err);
    p->clips = clips;
    for (uint32_t c = 0; st == VKA_OK && c < clips; c++) {
        const struct vka_travel *travel = travel_of(ways, c, 1);
        st = split_one(&p->of[c], syntax, travel ? travel->texts[0] : texts[c].prompt, err);
        p->most = vka_max_u32(p->most, (uint32_t)p->of[c].count);
    }
    return st;
}

static void parts_free(struct parts *p)
{
    for (uint32_t c = 0; c < p->clips; c++)
        vka_prompt_parts_free(&p->of[c]);
    free(p->of);
}

/* Rows and weights of a clip's parts; a part that it lacks has no weight. */
static vka_status place_clip(struct maker *m, struct vka_prompts *p, uint32_t clip, const struct vka_prompt_parts *parts)
{
    vka_status st = VKA_OK;
    for (uint32_t i = 0; st == VKA_OK && i < p->conds; i++) {
        bool has = i < parts->count;
        uint32_t group = 0, *to = p->row + ((size_t)clip * (1 + p->conds) + 1 + i) * p->steps;
        st = take_group(m, parts->items[has ? i : 0].text, &group);
        if (st == VKA_OK)
            memcpy(to, m->groups[group].row, p->steps * sizeof *to);
        p->weight[(size_t)clip * p->conds + i] = has ? parts->items[i].weight : 0;
    }
    return st;
}

/* Rows of the texts of a prompt that travels. */
static vka_status place_way(struct maker *m, struct vka_prompts_way *way)
{
    const struct vka_travel *t = &way->travel;
    vka_status st = VKA_OK;
    way->row = vka_calloc(t->text_count, m->steps * sizeof *way->row);
    if (!way->row)
        return no_memory(m->err);
    for (uint32_t i = 0; st == VKA_OK && i < t->text_count; i++) {
        uint32_t group = 0;
        st = take_group(m, t->texts[i], &group);
        if (st == VKA_OK)
            memcpy(way->row + (size_t)i * m->steps, m->groups[group].row, m->steps * sizeof *way->row);
    }
    return st;
}

/* Texts of a prompt have one part each, and what stands at their ends as a weight is taken off them: it is one for all. */
static vka_status check_way(struct maker *m, struct vka_travel *t, const struct vka_prompt_parts *first)
{
    vka_status st = VKA_OK;
    for (uint32_t i = 0; st == VKA_OK && i < t->text_count; i++) {
        struct vka_prompt_parts parts = {0};
        st = split_one(&parts, m->t->syntax, t->texts[i], m->err);
        if (st == VKA_OK && parts.count > 1) {
            st = vka_fail(m->err, VKA_E_USAGE, "a prompt that changes over the frames cannot have parts: AND in '%.100s'", t->texts[i]);
            vka_error_hint(m->err, "--prompt-syntax comfy, which has no AND, where it is a word");
        } else if (st == VKA_OK && fabs(parts.items[0].weight - first->items[0].weight) > 0) {
            st = vka_fail(m->err, VKA_E_USAGE, "the texts of a prompt that changes over the frames have one weight in guidance");
            vka_error_why(m->err, "a number behind the last colon is one: '%.100s'", t->texts[i]);
        } else if (st == VKA_OK) {
            free(t->texts[i]);
            t->texts[i] = parts.items[0].text;
            parts.items[0].text = NULL;
        }
        vka_prompt_parts_free(&parts);
    }
    return st;
}

/* What `travels` hold, as ways without rows. */
static struct vka_prompts_way *take_travels(struct vka_travel *travels, uint32_t clips)
{
    struct vka_prompts_way *ways = vka_calloc(clips, 2 * sizeof *ways);
    for (size_t i = 0; i < 2 * (size_t)clips; i++)
        if (ways) {
            ways[i].travel = travels[i];
            travels[i] = (struct vka_travel){0};
        } else
            vka_travel_free(&travels[i]);
    return ways;
}

vka_status vka_texts_make(struct vka_texts *t, struct vka_prompts *p, const struct vka_prompt_reader *reader, bool repeat,
                          const struct vka_text_clip *texts, uint32_t clips, uint32_t steps, bool negative, vka_error *err)
{
    return vka_texts_make_travel(t, p, reader, repeat, texts, NULL, clips, steps, negative, err);
}

vka_status vka_texts_make_travel(struct vka_texts *t, struct vka_prompts *p, const struct vka_prompt_reader *reader, bool repeat,
                                 const struct vka_text_clip *texts, struct vka_travel *travels, uint32_t clips, uint32_t steps,
                                 bool negative, vka_error *err)
{
    struct maker m = {.t = t, .reader = reader, .steps = steps, .err = err};
    struct parts parts = {0};
    *t = (struct vka_texts){.syntax = reader->syntax, .repeat = repeat, .length = reader->length, .empty = UINT32_MAX};
    vka_prompts_free(p);
    struct vka_prompts_way *ways = travels ? take_travels(travels, clips) : NULL;
    vka_status st = travels && !ways ? no_memory(err) : split_prompts(&parts, reader->syntax, texts, ways, clips, err);
    if (st == VKA_OK)
        st = vka_prompts_init(p, clips, parts.most, steps, err);
    if (ways) { /* whatever came out: they are p's to free */
        p->clips = clips;
        p->way = ways;
    }
    for (uint32_t c = 0; st == VKA_OK && negative && c < clips; c++) {
        uint32_t group = 0;
        const struct vka_travel *travel = travel_of(ways, c, 0);
        st = take_group(&m, travel ? travel->texts[0] : texts[c].negative, &group);
        if (st == VKA_OK)
            memcpy(p->row + (size_t)c * (1 + p->conds) * steps, m.groups[group].row, steps * sizeof *p->row);
        if (st == VKA_OK && travel)
            st = place_way(&m, &ways[2 * (size_t)c]);
    }
    p->unconds = t->count;
    m.side = t->groups;
    for (uint32_t c = 0; st == VKA_OK && c < clips; c++) {
        if (travel_of(ways, c, 1))
            st = check_way(&m, &ways[2 * (size_t)c + 1].travel, &parts.of[c]);
        if (st == VKA_OK)
            st = place_clip(&m, p, c, &parts.of[c]);
        if (st == VKA_OK && travel_of(ways, c, 1))
            st = place_way(&m, &ways[2 * (size_t)c + 1]);
    }
    if (st == VKA_OK)
        st = decide_length(&m);
    p->count = t->count;
    p->tokens = t->row_chunks * t->length;
    for (uint32_t i = 0; i < t->groups; i++)
        free(m.groups[i].row);
    free(m.groups);
    parts_free(&parts);
    if (st != VKA_OK)
        vka_texts_free(t);
    return st;
}

/* A1111's weights for the chunks of one place in the rows [first, end) of a group. */
static vka_status weigh_group(const struct vka_texts *t, uint32_t first, uint32_t end, uint32_t width, float *rows, vka_error *err)
{
    uint32_t n = end - first;
    float **z = vka_calloc(n, sizeof *z);
    const float **weights = vka_calloc(n, sizeof *weights);
    uint32_t *times = vka_calloc(n, sizeof *times);
    bool good = z && weights && times;
    for (uint32_t k = 0; good && k < t->rows[first].count; k++) {
        for (uint32_t i = 0; i < n; i++) {
            const struct vka_text_row *r = &t->rows[first + i];
            z[i] = rows + ((size_t)(first + i) * t->row_chunks + k) * t->length * width;
            weights[i] = t->weight + (size_t)(r->first + k) * t->length;
            times[i] = r->times;
        }
        vka_emphasis_a1111(z, weights, times, n, t->length, width);
    }
    free(z);
    free(weights);
    free(times);
    return good ? VKA_OK : no_memory(err);
}

vka_status vka_texts_rows(const struct vka_texts *t, const float *encoded, uint32_t width, struct vka_prompts *p, vka_error *err)
{
    size_t chunk = (size_t)t->length * width;
    uint64_t cells = (uint64_t)t->count * t->row_chunks;
    vka_status st = VKA_OK;
    free(p->rows);
    p->width = width;
    p->rows = cells <= SIZE_MAX / sizeof(float) / chunk ? vka_calloc((size_t)cells * chunk, sizeof *p->rows) : NULL;
    if (!p->rows)
        return no_memory(err);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct vka_text_row *r = &t->rows[i];
        for (uint32_t k = 0; k < r->count; k++) {
            float *z = p->rows + ((size_t)i * t->row_chunks + k) * chunk;
            memcpy(z, encoded + t->chunk[r->first + k] * chunk, chunk * sizeof *z);
            if (t->syntax == VKA_SYNTAX_COMFY && t->empty < t->chunks)
                vka_emphasis_comfy(z, encoded + t->empty * chunk, t->weight + (size_t)(r->first + k) * t->length, t->length, width);
        }
    }
    for (uint32_t first = 0, end; st == VKA_OK && t->syntax == VKA_SYNTAX_A1111 && first < t->count; first = end) {
        for (end = first + 1; end < t->count && t->rows[end].group == t->rows[first].group; end++)
            ;
        st = weigh_group(t, first, end, width, p->rows, err);
    }
    for (uint32_t i = 0; st == VKA_OK && i < t->count; i++)
        for (uint32_t k = t->rows[i].count; k < t->row_chunks; k++) {
            float *row = p->rows + (size_t)i * t->row_chunks * chunk;
            memcpy(row + k * chunk, t->repeat ? row + k % t->rows[i].count * chunk : encoded + t->empty * chunk,
                   chunk * sizeof *row);
        }
    return st;
}

void vka_texts_ids(const struct vka_texts *t, uint32_t row, uint32_t *ids)
{
    const struct vka_text_row *r = &t->rows[row];
    for (uint32_t k = 0; k < t->row_chunks; k++) {
        uint32_t chunk = k < r->count ? t->chunk[r->first + k] : t->repeat ? t->chunk[r->first + k % r->count] : t->empty;
        memcpy(ids + (size_t)k * t->length, t->ids + (size_t)chunk * t->length, t->length * sizeof *ids);
    }
}

void vka_texts_free(struct vka_texts *t)
{
    free(t->ids);
    free(t->rows);
    free(t->chunk);
    free(t->weight);
    *t = (struct vka_texts){0};
}

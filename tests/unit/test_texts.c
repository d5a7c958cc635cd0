/* test_texts.c - which texts a job encodes, which rows its clips, branches and steps take, how rows are filled up; and the files
 * of embeddings, whole and damaged. */
#include "base/file.h"
#include "base/mem.h"
#include "render/embeddings.h"
#include "render/texts.h"
#include "weights/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINIATURE VKA_SOURCE_DIR "/models/miniature/tokenizer"

enum { WIDTH = 3 };

static vka_tokenizer *open_tokenizer(void)
{
    vka_tokenizer *t;
    vka_error err = {0};
    if (vka_tokenizer_open(&t, MINIATURE, &err) != VKA_OK)
        fail_msg("%s", err.what);
    return t;
}

/* ---- texts -------------------------------------------------------------------------------------------------- */

/* An encoder whose output says token and place: [chunks][length][WIDTH]. */
static float *encode(const struct vka_texts *t)
{
    float *out = calloc((size_t)t->chunks * t->length * WIDTH, sizeof *out);
    for (uint32_t i = 0; i < t->chunks * t->length; i++)
        for (uint32_t k = 0; k < WIDTH; k++)
            out[i * WIDTH + k] = (float)(1 + t->ids[i] % 7 + 0.25 * (i % t->length % 5) + 0.125 * k);
    return out;
}

struct job {
    vka_tokenizer *tokenizer;
    struct vka_texts texts;
    struct vka_prompts prompts;
    vka_error err;
};

static vka_status read_job(struct job *j, vka_prompt_syntax syntax, bool repeat, const struct vka_text_clip *clips, uint32_t count,
                           uint32_t steps)
{
    struct vka_prompt_reader r = {.tokenizer = j->tokenizer, .syntax = syntax, .length = 6}; /* 4 tokens */
    vka_error_clear(&j->err);
    vka_status st = vka_texts_make(&j->texts, &j->prompts, &r, repeat, clips, count, steps, true, &j->err);
    if (st == VKA_OK) {
        float *out = encode(&j->texts);
        st = vka_texts_rows(&j->texts, out, WIDTH, &j->prompts, &j->err);
        free(out);
    }
    return st;
}

static void end_job(struct job *j)
{
    vka_texts_free(&j->texts);
    vka_prompts_free(&j->prompts);
}

/* The first token of a row's chunk, behind its start, as the encoder has it. */
static const float *token(const struct job *j, uint32_t row, uint32_t at)
{
    return j->prompts.rows + ((size_t)row * j->prompts.tokens + at) * WIDTH;
}

static void plain_job(void **state)
{
    (void)state;
    struct job j = {.tokenizer = open_tokenizer()};
    assert_int_equal(read_job(&j, VKA_SYNTAX_A1111, false, &(struct vka_text_clip){"a red ball", "blue"}, 1, 20), VKA_OK);
    const struct vka_prompts *p = &j.prompts;
    assert_int_equal(p->count, 2);
    assert_int_equal(p->unconds, 1);
    assert_int_equal(p->conds, 1);
    assert_int_equal(p->tokens, 6);
    assert_int_equal(j.texts.chunks, 2);
    assert_int_equal(vka_prompts_held(p, true), 2);
    assert_int_equal(vka_prompts_held(p, false), 1);
    assert_ptr_equal(vka_prompts_context(p, false), p->rows + 6 * WIDTH);
    struct vka_guide g;
    int32_t index[6];
    for (uint32_t k = 0; k < 20; k++) {
        assert_int_equal(vka_prompts_change(p, 0, k), k == 0);
        assert_int_equal(vka_prompts_row(p, 7, 1, k), 1); /* a later clip is as the last */
    }
    assert_int_equal(vka_guide_make(&g, 1, vka_prompts_weights(p, 0), false, 0, 0, &j.err), VKA_OK);
    vka_prompts_index(p, 0, 3, &g, 3, index);
    assert_memory_equal(index, ((int32_t[]){0, 0, 0, 1, 1, 1}), sizeof index);
    assert_int_equal(vka_guide_make(&g, 1, vka_prompts_weights(p, 0), true, 0, 0, &j.err), VKA_OK);
    vka_prompts_index(p, 0, 3, &g, 3, index);
    assert_memory_equal(index, ((int32_t[]){0, 0, 0}), 3 * sizeof *index);
    end_job(&j);
    vka_tokenizer_destroy(&j.tokenizer);
}

static void schedules_and_parts(void **state)
{
    (void)state;
    struct job j = {.tokenizer = open_tokenizer()};
    const struct vka_text_clip clip = {"[a|red] ball AND [blue:a:2] AND a car:-1.5", "rain [snow:3]"};
    assert_int_equal(read_job(&j, VKA_SYNTAX_A1111, false, &clip, 1, 4), VKA_OK);
    const struct vka_prompts *p = &j.prompts;
    assert_int_equal(p->unconds, 2);
    assert_int_equal(p->conds, 3);
    assert_int_equal(p->count, 2 + 2 + 2 + 1);
    static const uint32_t want[4][4] = {{0, 0, 0, 1}, {2, 3, 2, 3}, {4, 4, 5, 5}, {6, 6, 6, 6}};
    static const bool change[4] = {true, true, true, true};
    for (uint32_t k = 0; k < 4; k++) {
        for (uint32_t b = 0; b < 4; b++)
            assert_int_equal(vka_prompts_row(p, 0, b, k), want[b][k]);
        assert_int_equal(vka_prompts_change(p, 0, k), change[k]);
    }
    assert_true(fabs(vka_prompts_weights(p, 0)[2] + 1.5) < 1e-12);
    end_job(&j);
    /* a weight in one text of a schedule: the mean of both, an entry each, comes back in both */
    assert_int_equal(read_job(&j, VKA_SYNTAX_A1111, false, &(struct vka_text_clip){"[a:(red:2):1]", ""}, 1, 4), VKA_OK);
    float *plain = encode(&j.texts);
    double before = 0, after = 0, ratio;
    for (uint32_t row = 1; row < 3; row++) {
        const float *z = plain + (size_t)j.texts.chunk[j.texts.rows[row].first] * 6 * WIDTH;
        for (uint32_t i = 0; i < 6 * WIDTH; i++) {
            before += (double)z[i];
            after += (double)z[i] * (row == 2 && i / WIDTH == 1 ? 2 : 1);
        }
    }
    ratio = before / after;
    const float *z = plain + (size_t)j.texts.chunk[j.texts.rows[1].first] * 6 * WIDTH;
    for (uint32_t i = 0; i < 6 * WIDTH; i++)
        assert_true(fabs((double)token(&j, 1, 0)[i] - (double)z[i] * ratio) < 1e-5);
    assert_true(fabs((double)*token(&j, 2, 1) / (double)*token(&j, 1, 1) - 2 * (double)plain[(size_t)j.texts.chunk[j.texts.rows[2].first] * 6 * WIDTH + WIDTH] / (double)z[WIDTH]) < 1e-5);
    free(plain);
    end_job(&j);
    assert_int_equal(read_job(&j, VKA_SYNTAX_COMFY, false, &(struct vka_text_clip){"[a:red:1] AND a", ""}, 1, 4), VKA_OK);
    assert_int_equal(j.prompts.conds, 1);
    assert_int_equal(j.prompts.count, 2);
    end_job(&j);
    vka_tokenizer_destroy(&j.tokenizer);
}

/* What lies in each chunk of a row: 'e' the empty prompt's. */
static void chunks_are(const struct job *j, uint32_t row, const char *first_words)
{
    uint32_t *ids = calloc(j->prompts.tokens, sizeof *ids);
    vka_texts_ids(&j->texts, row, ids);
    assert_int_equal(j->texts.row_chunks, strlen(first_words));
    for (uint32_t k = 0; first_words[k]; k++) {
        char piece[8];
        uint32_t id = vka_tokenizer_eos(j->tokenizer);
        snprintf(piece, sizeof piece, "%s</w>", first_words[k] == 'r' ? "red" : "a");
        if (first_words[k] != 'e')
            assert_true(vka_tokenizer_find(j->tokenizer, piece, &id));
        assert_int_equal(ids[k * 6 + 1], id);
        assert_true(fabs((double)*token(j, row, k * 6 + 1) - (1 + id % 7 + 0.25)) < 1e-6); /* the encoder's row follows */
    }
    free(ids);
}

static void filling_up(void **state)
{
    (void)state;
    struct job j = {.tokenizer = open_tokenizer()};
    const struct vka_text_clip clip = {"a BREAK red BREAK a", "a BREAK red"};
    assert_int_equal(read_job(&j, VKA_SYNTAX_A1111, false, &clip, 1, 1), VKA_OK);
    chunks_are(&j, 0, "are");
    chunks_are(&j, 1, "ara");
    end_job(&j);
    assert_int_equal(read_job(&j, VKA_SYNTAX_A1111, true, &clip, 1, 1), VKA_OK);
    chunks_are(&j, 0, "ararar");
    chunks_are(&j, 1, "araara");
    assert_int_equal(j.texts.chunks, 2); /* every chunk is encoded once */
    end_job(&j);
    /* the texts of one schedule are filled up with empty chunks in both ways */
    assert_int_equal(read_job(&j, VKA_SYNTAX_A1111, true, &(struct vka_text_clip){"a [BREAK red:1]", ""}, 1, 2), VKA_OK);
    chunks_are(&j, 0, "ee");
    chunks_are(&j, 1, "ae");
    chunks_are(&j, 2, "ar");
    end_job(&j);
    char many[6 * 1100 + 1] = "";
    for (int i = 0; i < 1100; i++)
        memcpy(many + 6 * i, "BREAK ", 7);
    assert_int_equal(read_job(&j, VKA_SYNTAX_A1111, true, &(struct vka_text_clip){many, ""}, 1, 1), VKA_E_USAGE);
    assert_non_null(strstr(j.err.what, "1100 chunks"));
    end_job(&j);
    many[6 * 31] = '\0'; /* 31 chunks and 37: one after the other */
    char other[6 * 37 + 1] = "";
    for (int i = 0; i < 37; i++)
        memcpy(other + 6 * i, "BREAK ", 7);
    assert_int_equal(read_job(&j, VKA_SYNTAX_A1111, true, &(struct vka_text_clip){many, other}, 1, 1), VKA_E_USAGE);
    assert_non_null(strstr(j.err.what, "1147 chunks"));
    end_job(&j);
    vka_tokenizer_destroy(&j.tokenizer);
}

/* Rows, changes and blended rows where prompts travel. */
static void prompts_that_travel(void **state)
{
    (void)state;
    struct job j = {.tokenizer = open_tokenizer()};
    struct vka_prompt_reader r = {.tokenizer = j.tokenizer, .syntax = VKA_SYNTAX_A1111, .length = 6};
    const struct vka_text_clip clips[] = {{"", ""}, {"a", "red"}};
    struct vka_travel t[4] = {{0}};
    assert_int_equal(vka_travel_make(&t[0], "n", "0: blue\n2: red", 5, false, VKA_EASE_HOLD, &j.err), VKA_OK);
    assert_int_equal(vka_travel_make(&t[1], "p", "0: a\n2: [red:(blue:2):2]:1.0\n4: a car BREAK a", 5, false, VKA_EASE_LINEAR, &j.err), VKA_OK);
    assert_int_equal(vka_texts_make_travel(&j.texts, &j.prompts, &r, false, clips, t, 2, 4, true, &j.err), VKA_OK);
    assert_int_equal(t[0].count + t[1].count, 0); /* moved */
    float *out = encode(&j.texts);
    assert_int_equal(vka_texts_rows(&j.texts, out, WIDTH, &j.prompts, &j.err), VKA_OK);
    free(out);
    struct vka_prompts *p = &j.prompts;
    assert_true(vka_prompts_travels(p));
    assert_int_equal(p->unconds, 2); /* blue, red; clip 1 has red too */
    assert_int_equal(p->count, 2 + 4); /* a, red, (blue:2), a car BREAK a; clip 1 has a too */
    assert_int_equal(p->conds, 1);
    assert_int_equal(p->tokens, 12);
    static const bool change[] = {true, false, true, false};
    for (uint32_t k = 0; k < 4; k++) {
        assert_int_equal(vka_prompts_change(p, 0, k), change[k]);
        assert_int_equal(vka_prompts_change(p, 1, k), k == 0);
    }
    /* frame -> two rows and the share of the second, in steps 0 and 2 */
    static const struct {
        uint32_t clip, branch, step, frame, from, to;
        double share;
    } want[] = {
        {0, 1, 0, 0, 2, 2, 0}, {0, 1, 0, 1, 2, 3, 0.5}, {0, 1, 0, 2, 3, 3, 0}, {0, 1, 0, 3, 3, 5, 0.5}, {0, 1, 1, 4, 5, 5, 0},
        {0, 1, 2, 1, 2, 4, 0.5}, {0, 1, 9, 2, 4, 4, 0}, {0, 0, 0, 1, 0, 0, 0}, {0, 0, 0, 2, 1, 1, 0}, {0, 0, 3, 4, 1, 1, 0},
        {1, 1, 0, 3, 2, 2, 0}, {1, 0, 0, 3, 1, 1, 0}, {7, 1, 0, 1, 2, 2, 0},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        float is[12 * WIDTH];
        const float *a = token(&j, want[i].from, 0), *b = token(&j, want[i].to, 0);
        vka_prompts_frame(p, want[i].clip, want[i].branch, want[i].step, want[i].frame, is);
        for (uint32_t n = 0; n < 12 * WIDTH; n++)
            if (is[n] != (float)((1 - want[i].share) * (double)a[n] + want[i].share * (double)b[n]))
                fail_msg("case %zu: %u is %g of %g and %g", i, n, (double)is[n], (double)a[n], (double)b[n]);
    }
    struct vka_guide g;
    float of_branch[12 * WIDTH], of_part[12 * WIDTH];
    assert_int_equal(vka_guide_make(&g, 1, vka_prompts_weights(p, 0), true, 0, 0, &j.err), VKA_OK); /* the prompt alone */
    vka_prompts_rows_get(&(struct vka_prompts_rows){p, &g, 0, 0}, 0, 3, of_branch);
    vka_prompts_frame(p, 0, 1, 0, 3, of_part);
    assert_memory_equal(of_branch, of_part, sizeof of_part);
    p->slerp = true;
    vka_prompts_frame(p, 0, 1, 0, 3, of_branch);
    vka_prompts_blend(token(&j, 3, 0), token(&j, 5, 0), 0.5, true, 12 * WIDTH, of_part);
    assert_memory_equal(of_branch, of_part, sizeof of_part);
    end_job(&j);
    /* a weight of all texts is one of the prompt; AND and different ones are refused */
    static const struct {
        const char *prompt, *what;
        double weight;
    } ends[] = {{"0: a :0.5\n4: red :0.5", NULL, 0.5}, {"0: a\n4: red :0.5", "have one weight in guidance", 0}, {"0: a\n4: red AND a", "AND in 'red AND a'", 0}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        memset(t, 0, sizeof t);
        vka_error_clear(&j.err);
        assert_int_equal(vka_travel_make(&t[1], "p", ends[i].prompt, 5, false, VKA_EASE_LINEAR, &j.err), VKA_OK);
        vka_status st = vka_texts_make_travel(&j.texts, &j.prompts, &r, false, clips, t, 1, 4, true, &j.err);
        assert_int_equal(st, ends[i].what ? VKA_E_USAGE : VKA_OK);
        if (ends[i].what)
            assert_non_null(strstr(j.err.what, ends[i].what));
        else
            assert_true(fabs(*vka_prompts_weights(&j.prompts, 0) - ends[i].weight) < 1e-12 && j.prompts.count == 3);
        end_job(&j);
    }
    assert_int_equal(read_job(&j, VKA_SYNTAX_A1111, false, clips, 2, 4), VKA_OK);
    assert_false(vka_prompts_travels(&j.prompts));
    end_job(&j);
    vka_tokenizer_destroy(&j.tokenizer);
}

static void clips_of_their_own(void **state)
{
    (void)state;
    struct job j = {.tokenizer = open_tokenizer()};
    const struct vka_text_clip clips[] = {{"a", "red"}, {"blue AND a:0.5", "red"}, {"a", "a"}};
    assert_int_equal(read_job(&j, VKA_SYNTAX_A1111, false, clips, 3, 2), VKA_OK);
    const struct vka_prompts *p = &j.prompts;
    assert_int_equal(p->unconds, 2);
    assert_int_equal(p->count, 2 + 3); /* "a", "blue", " a" */
    assert_int_equal(p->conds, 2);
    assert_int_equal(vka_prompts_row(p, 0, 0, 0), vka_prompts_row(p, 1, 0, 0));
    assert_int_equal(vka_prompts_row(p, 2, 0, 0), 1);
    assert_int_equal(vka_prompts_row(p, 0, 1, 0), vka_prompts_row(p, 2, 1, 0));
    static const double want[3][2] = {{1, 0}, {1, 0.5}, {1, 0}}; /* a part that a clip lacks has no weight */
    for (uint32_t c = 0; c < 3; c++)
        for (int i = 0; i < 2; i++)
            assert_true(fabs(vka_prompts_weights(p, c)[i] - want[c][i]) < 1e-12);
    end_job(&j);
    vka_tokenizer_destroy(&j.tokenizer);
}

/* ---- files of embeddings -------------------------------------------------------------------------------------- */

#define FILE_NAME "test_texts.tmp.safetensors"

struct tensor {
    const char *name;
    enum vka_weight_dtype dtype;
    uint32_t rank;
    uint64_t dims[3];
};

static void write_file(const struct tensor *tensors, size_t count, const void *data)
{
    vka_weight w[4] = {{0}};
    vka_error err = {0};
    for (size_t i = 0; i < count; i++)
        w[i] = (vka_weight){.name = tensors[i].name, .dtype = tensors[i].dtype, .rank = tensors[i].rank, .dims = {tensors[i].dims[0], tensors[i].dims[1], tensors[i].dims[2]}, .data = data};
    if (vka_safetensors_write(FILE_NAME, w, count, NULL, 0, &err) != VKA_OK)
        fail_msg("%s", err.what);
}

static const float numbers[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static void embedding_files(void **state)
{
    (void)state;
    static const struct {
        struct tensor tensors[3];
        size_t count;
        uint32_t vectors, width;
        const char *token, *words; /* what it says when refused */
    } cases[] = {
        {{{"emb_params", VKA_WEIGHT_F32, 2, {3, 4, 0}}}, 1, 3, 4, NULL, NULL},
        {{{"string_to_param.*", VKA_WEIGHT_F32, 2, {3, 4, 0}}, {"string_to_token.*", VKA_WEIGHT_I64, 0, {0}}}, 2, 3, 4, NULL, NULL},
        {{{"<cat>", VKA_WEIGHT_F32, 1, {4, 0, 0}}}, 1, 1, 4, "<cat>", NULL},
        {{{"anything", VKA_WEIGHT_F16, 2, {2, 4, 0}}}, 1, 2, 4, NULL, NULL},
        {{{"clip_l", VKA_WEIGHT_F32, 2, {2, 4, 0}}, {"clip_g", VKA_WEIGHT_F32, 2, {2, 4, 0}}}, 2, 0, 0, NULL, "Stable Diffusion XL"},
        {{{"one", VKA_WEIGHT_F32, 1, {4, 0, 0}}, {"two", VKA_WEIGHT_F32, 1, {4, 0, 0}}}, 2, 0, 0, NULL, "no textual-inversion embedding"},
        {{{"string_to_param.a", VKA_WEIGHT_F32, 1, {4, 0, 0}}, {"string_to_param.b", VKA_WEIGHT_F32, 1, {4, 0, 0}}}, 2, 0, 0, NULL, "holds 2 embeddings"},
        {{{"counter", VKA_WEIGHT_I64, 1, {1, 0, 0}}}, 1, 0, 0, NULL, "no textual-inversion embedding"},
        {{{"emb_params", VKA_WEIGHT_F32, 0, {0}}}, 1, 0, 0, NULL, "is []"},
        {{{"emb_params", VKA_WEIGHT_F32, 2, {0, 4, 0}}}, 1, 0, 0, NULL, "is [0, 4]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_embedding e;
        vka_error err = {0};
        write_file(cases[i].tensors, cases[i].count, numbers);
        vka_status st = vka_embedding_read(&e, FILE_NAME, &err);
        if ((st == VKA_OK) != (cases[i].words == NULL) || (cases[i].words && !strstr(err.what, cases[i].words)))
            fail_msg("case %zu: %s", i, err.what);
        if (st == VKA_OK) {
            assert_int_equal(e.count, cases[i].vectors);
            assert_int_equal(e.width, cases[i].width);
            assert_true(cases[i].tensors[0].dtype != VKA_WEIGHT_F32 || !memcmp(e.vectors, numbers, (size_t)e.count * e.width * 4));
            assert_true(cases[i].token ? e.token && !strcmp(e.token, cases[i].token) : !e.token);
        }
        vka_embedding_free(&e);
    }
    float bad[4] = {1, NAN, 3, 4};
    vka_embedding e;
    vka_error err = {0};
    write_file(&(struct tensor){"emb_params", VKA_WEIGHT_F32, 1, {4, 0, 0}}, 1, bad);
    assert_int_equal(vka_embedding_read(&e, FILE_NAME, &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "holds NaN"));
    remove(FILE_NAME);
}

static void embeddings_by_name(void **state)
{
    (void)state;
    vka_tokenizer *t = open_tokenizer();
    vka_job *job = vka_job_create();
    struct vka_embeddings e;
    vka_error err = {0};
    uint32_t first, vectors;
    write_file(&(struct tensor){"<cat>", VKA_WEIGHT_F32, 2, {3, 4, 0}}, 1, numbers);
    assert_int_equal(vka_job_set(job, "embedding", FILE_NAME ":night car", &err), VKA_OK);
    assert_int_equal(vka_job_set(job, "embedding", FILE_NAME, &err), VKA_OK);
    assert_int_equal(vka_embeddings_open(&e, job, t, 500, 4, NULL, &err), VKA_OK);
    assert_string_equal(e.items[0].name, "night car");
    assert_int_equal(e.items[0].count, 2);
    assert_string_equal(e.items[1].name, "<cat>"); /* the file's own */
    assert_string_equal(e.items[2].name, "test_texts.tmp");
    assert_int_equal(e.words.take(&e, 2, &first, &vectors, &err), VKA_OK);
    assert_int_equal(first, 500);
    assert_int_equal(vectors, 3);
    assert_int_equal(e.words.take(&e, 0, &first, &vectors, &err), VKA_OK);
    assert_int_equal(first, 503);
    assert_int_equal(e.words.take(&e, 1, &first, &vectors, &err), VKA_OK); /* the same file: the same rows */
    assert_int_equal(first, 503);
    assert_int_equal(e.extra, 6);
    assert_memory_equal(e.rows + 12, numbers, sizeof numbers);
    vka_embeddings_close(&e);
    assert_int_equal(vka_embeddings_open(&e, job, t, 500, 5, NULL, &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "have 4 numbers, the text encoder's 5"));
    vka_job_destroy(&job);
    vka_tokenizer_destroy(&t);
    remove(FILE_NAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_job),          cmocka_unit_test(schedules_and_parts), cmocka_unit_test(filling_up),
        cmocka_unit_test(prompts_that_travel),
        cmocka_unit_test(clips_of_their_own), cmocka_unit_test(embedding_files),     cmocka_unit_test(embeddings_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

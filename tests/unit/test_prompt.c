/* test_prompt.c - what people write into prompts: weights, editing, AND, extra networks, chunks and wildcards, against the
 * examples of A1111's documentation, against arithmetic in double precision, and against prompts that are wrong. */
#include "base/file.h"
#include "base/folder.h"
#include "base/mem.h"
#include "text/prompt.h"
#include "text/wildcards.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define MINIATURE VKA_SOURCE_DIR "/models/miniature/tokenizer"

/* ---- weights ------------------------------------------------------------------------------------------------ */

/* Pieces as text: "an |1|important|1.1| word|1"; BREAK is "#|1". */
static void pieces_are(vka_prompt_syntax syntax, const char *prompt, const char *want)
{
    struct vka_prompt_pieces p;
    vka_error err = {0};
    char got[512] = "";
    if (vka_prompt_pieces_make(&p, syntax, prompt, &err) != VKA_OK)
        fail_msg("%s", err.what);
    for (size_t i = 0; i < p.count; i++) {
        size_t n = strlen(got);
        snprintf(got + n, sizeof got - n, "%s%.*s|%.6g", i ? "|" : "", p.items[i].is_break ? 1 : (int)p.items[i].size,
                 p.items[i].is_break ? "#" : p.items[i].text, p.items[i].weight);
    }
    if (strcmp(got, want) != 0)
        fail_msg("'%s' came out as\n%s, not\n%s", prompt, got, want);
    vka_prompt_pieces_free(&p);
}

static void weights_of_a1111(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        /* the documented examples */
        {"normal text", "normal text|1"},
        {"an (important) word", "an |1|important|1.1| word|1"},
        {"(unbalanced", "unbalanced|1.1"},
        {"\\(literal\\]", "(literal]|1"},
        {"(unnecessary)(parens)", "unnecessaryparens|1.1"},
        {"a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
         "a |1|house|1.573| |1.1|on|1| a |1.1|hill|0.55|, sun, |1.1|sky|1.4641|.|1.1"},
        /* what follows from the rules */
        {"", "|1"},
        {"((a))", "a|1.21"},
        {"[[a]] b", "a|0.826446| b|1"},
        {"(a:0) (b:-1.5)", "a|0| |1|b|-1.5"},
        {"(a: 1.25 )", "a|1.25"},
        {"(a:.5)", "a|0.5"},
        {"a:1.2)", "a:1.2)|1"},   /* nothing is open */
        {"(a:b)", "a:b|1.1"},
        {"(a:1.2.3)", "a:1.2.3|1.1"}, /* no number */
        {"a) b]", "a) b]|1"},
        {"(a]b)", "a]b|1.1"},
        {"(a[b)c]", "a|1.1|b|1|c|0.909091"}, /* kinds of brackets do not see each other */
        {"\\\\ \\x\\", "\\ x|1"},
        {"a BREAK b", "a|1|#|1|b|1"},
        {"BREAK", "|1|#|1||1"},
        {"aBREAK BREAKb _BREAK", "aBREAK BREAKb _BREAK|1"},
        {"(a BREAK b:1.2)", "a|1.2|#|1.2|b|1.2"},
        {"\xe6\x97\xa5""BREAK", "\xe6\x97\xa5""BREAK|1"},              /* a letter in front */
        {"\xef\xbc\x8c""BREAK b", "\xef\xbc\x8c|1|#|1|b|1"},             /* a comma in front */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        pieces_are(VKA_SYNTAX_A1111, cases[i][0], cases[i][1]);
    pieces_are(VKA_SYNTAX_PLAIN, "(a:1.2) \\( [b] BREAK", "(a:1.2) \\( [b] BREAK|1");
}

static void weights_of_comfy(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"normal text", "normal text|1"},
        {"", "|1"},
        {"an (important) word", "an |1|important|1.1| word|1"},
        {"((a))", "a|1.21"},
        {"(a:1.3)", "a|1.3"},
        {"((a:1.2) b:0.5)", "a|1.2| b|0.5"}, /* a weight is what it says, whatever is around */
        {"((a) b:0.5)", "a|0.55| b|0.5"},
        {"[a] [b:c:3]", "[a] [b:c:3]|1"},
        {"\\(a\\) (b\\)c:1.5)", "(a) |1|b)c|1.5"},
        {"(unbalanced", "(unbalanced|1"},
        {"a) (b", "a) (b|1"}, /* the bracket that closes nothing uses up the next */
        {"(a:b)", "a:b|1.1"},
        {"(:1.2)", ":1.2|1.1"},
        {"(a:1:1.5)", "a:1|1.5"},
        {"a BREAK b", "a BREAK b|1"},
        {"a AND b :0.5", "a AND b :0.5|1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        pieces_are(VKA_SYNTAX_COMFY, cases[i][0], cases[i][1]);
}

/* `count` times `unit`, then `end`. */
static char *repeated(const char *unit, size_t count, const char *end)
{
    size_t n = strlen(unit);
    char *text = calloc(count * n + strlen(end) + 1, 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * n, unit, n);
    memcpy(text + count * n, end, strlen(end));
    return text;
}

static void nothing_is_too_deep(void **state)
{
    (void)state;
    static const char *const units[] = {"(", "[", ")", "]", "(a", "[a", "[a|", "[a:", "\\(", ":", "|", "(a:1.01)", "[a:b:2]", "<a:", "a AND "};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        char *text = repeated(units[i], 1000000 / strlen(units[i]), "3]");
        struct vka_prompt_pieces p;
        struct vka_prompt_edits e;
        struct vka_prompt_parts parts;
        struct vka_prompt_networks networks = {0};
        char *rest;
        vka_error err = {0};
        for (int syntax = VKA_SYNTAX_A1111; syntax <= VKA_SYNTAX_PLAIN; syntax++) {
            vka_error_clear(&err);
            vka_status st = vka_prompt_pieces_make(&p, (vka_prompt_syntax)syntax, text, &err);
            if (st != VKA_OK && (st != VKA_E_USAGE || !strstr(err.what, "inside one another")))
                fail_msg("many of '%s': %s", units[i], err.what);
            vka_prompt_pieces_free(&p);
        }
        vka_error_clear(&err);
        vka_status st = vka_prompt_edits_make(&e, text, 3, &err);
        if (st != VKA_OK && (st != VKA_E_USAGE || !strstr(err.what, "inside one another")))
            fail_msg("many of '%s': %s", units[i], err.what);
        assert_int_equal(st == VKA_OK, (strchr(units[i], '[') == NULL && units[i][0] != '(') || strchr("])", units[i][strlen(units[i]) - 1]));
        vka_prompt_edits_free(&e);
        vka_error_clear(&err);
        st = vka_prompt_split(text, &parts, &err);
        assert_true(st == VKA_OK || (st == VKA_E_USAGE && strstr(err.what, "joined by AND")));
        assert_int_equal(st == VKA_OK, strcmp(units[i], "a AND ") != 0);
        vka_prompt_parts_free(&parts);
        assert_int_equal(vka_prompt_cut_networks(text, &rest, &networks, &err), VKA_OK);
        free(rest);
        vka_prompt_networks_free(&networks);
        free(text);
    }
    struct vka_prompt_pieces p;
    struct vka_prompt_edits e;
    vka_error err = {0};
    char *text = repeated("a", VKA_PROMPT_MAX, "a");
    assert_int_equal(vka_prompt_pieces_make(&p, VKA_SYNTAX_A1111, text, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "1048577 bytes"));
    vka_error_clear(&err);
    assert_int_equal(vka_prompt_edits_make(&e, text, 3, &err), VKA_E_USAGE);
    vka_error_clear(&err);
    free(text);
    assert_int_equal(vka_prompt_pieces_make(&p, VKA_SYNTAX_A1111, "(a:99999999)", &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "weight of 1e+08"));
}

/* ---- editing ------------------------------------------------------------------------------------------------ */

/* Entries as "3=a |10=a b". */
static void edits_are(const char *prompt, const char *want)
{
    struct vka_prompt_edits e;
    vka_error err = {0};
    char got[512] = "";
    if (vka_prompt_edits_make(&e, prompt, 10, &err) != VKA_OK)
        fail_msg("%s", err.what);
    for (size_t i = 0; i < e.count; i++) {
        size_t n = strlen(got);
        snprintf(got + n, sizeof got - n, "%s%u=%s", i ? "/" : "", e.items[i].end, e.items[i].text);
    }
    if (strcmp(got, want) != 0)
        fail_msg("'%s' came out as\n%s, not\n%s", prompt, got, want);
    vka_prompt_edits_free(&e);
}

static void editing(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        /* the documented examples, of 10 steps */
        {"test", "10=test"},
        {"a [b:3]", "3=a /10=a b"},
        {"a [b: 3]", "3=a /10=a b"},
        {"a [[[b]]:2]", "2=a /10=a [[b]]"},
        {"[(a:2):3]", "3=/10=(a:2)"},
        {"a [b : c : 1] d", "1=a b  d/10=a  c  d"},
        {"a[b:[c:d:2]:1]e", "1=abe/2=ace/10=ade"},
        {"a [unbalanced", "10=a [unbalanced"},
        {"a [b:.5] c", "5=a  c/10=a b c"},
        {"((a][:b:c [d:3]", "3=((a][:b:c /10=((a][:b:c d"},
        {"[a|(b:1.1)]", "1=a/2=(b:1.1)/3=a/4=(b:1.1)/5=a/6=(b:1.1)/7=a/8=(b:1.1)/9=a/10=(b:1.1)"},
        {"[fe|]male", "1=female/2=male/3=female/4=male/5=female/6=male/7=female/8=male/9=female/10=male"},
        {"[fe|||]male", "1=female/2=male/3=male/4=male/5=female/6=male/7=male/8=male/9=female/10=male"},
        /* what the grammar says beyond them */
        {"[a::3] b", "3=a b/10= b"},
        {"[a:b:0]", "10=b"},
        {"[a:b:-2]", "10=b"},
        {"[a:b:1.0]", "10=a"}, /* a fraction: all steps */
        {"[a:b:1]", "1=a/10=b"},
        {"[a:b:99]", "10=a"},
        {"[a:b:1e1]", "10=a"},
        {"[a:b:c:3]", "10=[a:b:c:3]"},
        {"[a:b|c:3]", "10=[a:b|c:3]"},
        {"[(a:1.2):(b:.5):.25]", "2=(a:1.2)/10=(b:.5)"},
        {"a\\[b:3]", "10=a\\[b:3]"},
        {"[a\\:b:3]", "3=/10=a\\:b"},
        {"(a [b:3])", "3=(a )/10=(a b)"},
        {"[a:b:3] | c", "10=[a:b:3] | c"}, /* a bar outside makes all of it plain */
        {"[a:b:3] \\", "10=[a:b:3] \\"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        edits_are(cases[i][0], cases[i][1]);

    struct vka_prompt_edits e;
    vka_error err = {0};
    assert_int_equal(vka_prompt_edits_make(&e, "[a:b:3]", 10, &err), VKA_OK);
    for (uint32_t k = 0; k < 12; k++) /* steps counted from 0: three of them have a */
        assert_string_equal(e.items[vka_prompt_edit_at(&e, k)].text, k < 3 ? "a" : "b");
    vka_prompt_edits_free(&e);
    assert_int_equal(vka_prompt_edits_make(&e, "[a|b]", 4, &err), VKA_OK);
    for (uint32_t k = 0; k < 4; k++)
        assert_string_equal(e.items[vka_prompt_edit_at(&e, k)].text, k % 2 ? "b" : "a");
    vka_prompt_edits_free(&e);
}

/* ---- AND, extra networks ------------------------------------------------------------------------------------- */

static void composition(void **state)
{
    (void)state;
    static const struct {
        const char *prompt;
        size_t count;
        struct {
            const char *text;
            double weight;
        } part[3];
    } cases[] = {
        {"a cat", 1, {{"a cat", 1}}},
        {"", 1, {{"", 1}}},
        {"a cat AND a dog", 2, {{"a cat", 1}, {" a dog", 1}}},
        {"a cat :1.2 AND a dog AND rain:-.5", 3, {{"a cat", 1.2}, {" a dog", 1}, {" rain", -.5}}},
        {"a BAND AND stANDing", 2, {{"a BAND", 1}, {" stANDing", 1}}},
        {"a:1:2", 1, {{"a:1", 2}}},
        {"a : 1e3", 1, {{"a : 1e3", 1}}}, /* no exponents */
        {"a (b:1.3)", 1, {{"a (b:1.3)", 1}}},
        {"16:9", 1, {{"16", 9}}},
        {"AND", 2, {{"", 1}, {"", 1}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vka_prompt_parts p;
        vka_error err = {0};
        assert_int_equal(vka_prompt_split(cases[i].prompt, &p, &err), VKA_OK);
        assert_int_equal(p.count, cases[i].count);
        for (size_t k = 0; k < p.count; k++) {
            assert_string_equal(p.items[k].text, cases[i].part[k].text);
            assert_true(fabs(p.items[k].weight - cases[i].part[k].weight) < 1e-12);
        }
        vka_prompt_parts_free(&p);
    }
}

static void networks(void **state)
{
    (void)state;
    struct vka_prompt_networks n = {0};
    char *rest;
    vka_error err = {0};
    assert_int_equal(vka_prompt_cut_networks("a <lora:ink> b <lora:x/y z:0.5>c<lora:q:.5:-1><lyco:w:te=.2:unet=.8:dyn=4> "
                                             "<hypernet:h:0.3> 1 < 2 <b> <lora:> <:a>",
                                             &rest, &n, &err),
                     VKA_OK);
    assert_string_equal(rest, "a  b c  1 < 2 <b> <lora:> <:a>");
    static const struct {
        const char *kind, *name;
        double weight, te;
    } want[] = {{"lora", "ink", 1, 1}, {"lora", "x/y z", .5, .5}, {"lora", "q", .5, -1}, {"lyco", "w", .8, .2}, {"hypernet", "h:0.3", 1, 1}};
    assert_int_equal(n.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(n.items[i].kind, want[i].kind);
        assert_string_equal(n.items[i].name, want[i].name);
        assert_true(fabs(n.items[i].weight - want[i].weight) < 1e-12);
        assert_true(fabs(n.items[i].te_weight - want[i].te) < 1e-12);
    }
    free(rest);
    vka_prompt_networks_free(&n);
    assert_int_equal(vka_prompt_cut_networks("<lora:ink:much>", &rest, &n, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "'much' is no weight"));
    vka_prompt_networks_free(&n);
}

/* ---- chunks ------------------------------------------------------------------------------------------------- */

static vka_tokenizer *open_tokenizer(void)
{
    vka_tokenizer *t;
    vka_error err = {0};
    if (vka_tokenizer_open(&t, MINIATURE, &err) != VKA_OK)
        fail_msg("%s", err.what);
    return t;
}

static uint32_t id_of(const vka_tokenizer *t, const char *piece)
{
    uint32_t id = 0;
    assert_true(vka_tokenizer_find(t, piece, &id));
    return id;
}

static struct vka_prompt_chunks chunks_of(const struct vka_prompt_reader *r, const char *text)
{
    struct vka_prompt_chunks c;
    vka_error err = {0};
    if (vka_prompt_chunks_make(&c, r, text, &err) != VKA_OK)
        fail_msg("'%s': %s", text, err.what);
    return c;
}

/* Tokens of a chunk in front of its end. */
static uint32_t filled(const struct vka_prompt_chunks *c, const vka_tokenizer *t, size_t chunk)
{
    uint32_t n = 0;
    assert_int_equal(c->ids[chunk * c->length], vka_tokenizer_bos(t));
    while (c->ids[chunk * c->length + 1 + n] != vka_tokenizer_eos(t))
        n++;
    for (uint32_t i = n + 2; i < c->length; i++)
        assert_int_equal(c->ids[chunk * c->length + i], vka_tokenizer_pad(t));
    return n;
}

/* Prompts of today come out as today, whatever the syntax. */
static void plain_prompts_stay(void **state)
{
    (void)state;
    vka_tokenizer *t = open_tokenizer();
    static const char *const prompts[] = {
        "", "a red ball bouncing on a beach at sunset", "  Caf\xc3\xa9 \xe2\x98\x83 d'\xc3\xa9t\xc3\xa9\t42nd STREET, it's   3.14% \xe6\x97\xa5\xe6\x9c\xac  ",
        "a, b, c, d; e. f! g? h - i / j", "<|endoftext|> end",
    };
    for (int syntax = VKA_SYNTAX_A1111; syntax <= VKA_SYNTAX_PLAIN; syntax++)
        for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
            struct vka_prompt_reader r = {.tokenizer = t, .syntax = (vka_prompt_syntax)syntax, .length = 77, .comma_padding = 20};
            struct vka_prompt_chunks c = chunks_of(&r, prompts[i]);
            uint32_t *ids;
            size_t count;
            vka_text_chunks want;
            vka_error err = {0};
            assert_int_equal(vka_tokenizer_encode(t, prompts[i], strlen(prompts[i]), &ids, &count, &err), VKA_OK);
            assert_int_equal(vka_text_chunks_make(&want, t, ids, count, 77, 1, &err), VKA_OK);
            assert_int_equal(c.count, want.count);
            assert_memory_equal(c.ids, want.ids, c.count * 77 * sizeof *ids);
            assert_false(c.weighted);
            vka_text_chunks_free(&want);
            vka_prompt_chunks_free(&c);
            free(ids);
        }
    vka_tokenizer_destroy(&t);
}

/* 'a' is a word, ',' a comma: how many tokens each chunk has. */
static void chunks_are(const struct vka_prompt_reader *r, const char *pattern, size_t count, const uint32_t *want)
{
    char text[1024] = "";
    for (size_t i = 0; pattern[i]; i++)
        strcat(text, pattern[i] == 'a' ? " a" : pattern[i] == ',' ? " ," : pattern[i] == 'B' ? " BREAK" : "?");
    struct vka_prompt_chunks c = chunks_of(r, text);
    bool same = c.count == count;
    for (size_t i = 0; same && i < count; i++)
        same = filled(&c, r->tokenizer, i) == want[i];
    if (!same) {
        for (size_t i = 0; i < c.count; i++)
            print_error("%u ", filled(&c, r->tokenizer, i));
        fail_msg("tokens of the chunks of %s", pattern);
    }
    vka_prompt_chunks_free(&c);
}

static void comma_rule(void **state)
{
    (void)state;
    vka_tokenizer *t = open_tokenizer();
    struct vka_prompt_reader r = {.tokenizer = t, .syntax = VKA_SYNTAX_A1111, .length = 12, .comma_padding = 4}; /* 10 tokens */
    chunks_are(&r, "aaaaaaaaaa", 1, (uint32_t[]){10});
    chunks_are(&r, "aaaaaaaaaaa", 2, (uint32_t[]){10, 1});
    chunks_are(&r, "aaaaaaa,aaaa", 2, (uint32_t[]){8, 4});     /* the comma is the third from the end */
    chunks_are(&r, "aaaaaa,aaaaa", 2, (uint32_t[]){7, 5});     /* the fourth */
    chunks_are(&r, "aaaaa,aaaaaa", 2, (uint32_t[]){10, 2});    /* the fifth is too far */
    chunks_are(&r, "aaaaaa,a,aaa", 2, (uint32_t[]){9, 3});     /* the last one counts */
    chunks_are(&r, "aaaaaaaaa,a", 2, (uint32_t[]){10, 1});     /* it is the last token: nothing moves */
    chunks_are(&r, "aaaaaaaaaa,a", 2, (uint32_t[]){10, 2});    /* a comma that does not fit begins the next */
    chunks_are(&r, "aaaaaaa,aa,a", 2, (uint32_t[]){10, 2});
    chunks_are(&r, "aaaaaaaa,a" "aaaaaaaa,a" "a", 3, (uint32_t[]){9, 10, 2}); /* in the next chunk anew */
    chunks_are(&r, "aa,Baaaaaaaaaaa", 3, (uint32_t[]){3, 10, 1});          /* a comma of another chunk does not count */
    chunks_are(&r, "aaBa", 2, (uint32_t[]){2, 1});
    chunks_are(&r, "BaB", 2, (uint32_t[]){0, 1});
    chunks_are(&r, "aaB", 1, (uint32_t[]){2});
    r.comma_padding = 0;
    chunks_are(&r, "aaaaaaa,aaaa", 2, (uint32_t[]){10, 2});
    r.comma_padding = 4;
    r.syntax = VKA_SYNTAX_PLAIN;
    r.comma_padding = 0;
    chunks_are(&r, "aaaaaaa,aaaa", 2, (uint32_t[]){10, 2});
    vka_tokenizer_destroy(&t);
}

static void weights_reach_tokens(void **state)
{
    (void)state;
    vka_tokenizer *t = open_tokenizer();
    struct vka_prompt_reader r = {.tokenizer = t, .syntax = VKA_SYNTAX_A1111, .length = 12, .comma_padding = 4};
    uint32_t a = id_of(t, "a</w>"), red = id_of(t, "red</w>");
    struct vka_prompt_chunks c = chunks_of(&r, "a a a a a a a, (a:1.5) a (red:0.5) a");
    static const float want[2][12] = {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1.5f, 1, 0.5f, 1, 1, 1, 1, 1, 1, 1, 1}};
    assert_int_equal(c.count, 2);
    assert_memory_equal(c.weights, want, sizeof want); /* weights move with their tokens */
    assert_int_equal(c.ids[12 + 1], a);
    assert_int_equal(c.ids[12 + 3], red);
    assert_true(c.weighted);
    vka_prompt_chunks_free(&c);
    /* ComfyUI: what lies between two weights is a group; small ones are not cut, larger ones are */
    r.syntax = VKA_SYNTAX_COMFY;
    c = chunks_of(&r, "a a a a a a a (red red red red:1.5)");
    assert_int_equal(c.count, 2);
    assert_int_equal(filled(&c, t, 0), 7);
    assert_int_equal(filled(&c, t, 1), 4);
    vka_prompt_chunks_free(&c);
    c = chunks_of(&r, "a a a a a a a (red red red red red red red red:1.5)");
    assert_int_equal(c.count, 2);
    assert_int_equal(filled(&c, t, 0), 10);
    assert_int_equal(filled(&c, t, 1), 5);
    assert_true(c.weights[7] < 1.1f && c.weights[8] > 1.4f);
    vka_prompt_chunks_free(&c);
    vka_tokenizer_destroy(&t);
}

/* ---- names with vectors of their own -------------------------------------------------------------------------- */

enum { FIRST = 100000 };

/* Word i has 2 + i vectors from FIRST + 1000 i on. */
static vka_status take(void *user, size_t which, uint32_t *first, uint32_t *vectors, vka_error *err)
{
    (void)user;
    (void)err;
    *first = FIRST + 1000 * (uint32_t)which;
    *vectors = 2 + (uint32_t)which;
    return VKA_OK;
}

/* The ids of the prompt's chunks as text: v0.1 is vector 1 of word 0, '.' any token, '/' between chunks. */
static void vectors_are(const struct vka_prompt_reader *r, const char *prompt, const char *want)
{
    struct vka_prompt_chunks c = chunks_of(r, prompt);
    char got[256] = "";
    for (size_t i = 0; i < c.count; i++) {
        uint32_t n = filled(&c, r->tokenizer, i);
        for (uint32_t k = 0; k < n; k++) {
            size_t at = strlen(got);
            uint32_t id = c.ids[i * c.length + 1 + k];
            if (id >= FIRST)
                snprintf(got + at, sizeof got - at, " v%u.%u", (id - FIRST) / 1000, (id - FIRST) % 1000);
            else
                snprintf(got + at, sizeof got - at, " .");
        }
        strcat(got, i + 1 < c.count ? " /" : "");
    }
    if (strcmp(got, want) != 0)
        fail_msg("'%s' came out as\n%s, not\n%s", prompt, got, want);
    vka_prompt_chunks_free(&c);
}

static void names_have_vectors(void **state)
{
    (void)state;
    vka_tokenizer *t = open_tokenizer();
    struct vka_prompt_word items[] = {{.name = (char *)(uintptr_t) "red"}, {.name = (char *)(uintptr_t) "red ball"}, {.name = (char *)(uintptr_t) "<my-cat>"}};
    vka_error err = {0};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(vka_tokenizer_encode(t, items[i].name, strlen(items[i].name), &items[i].ids, &items[i].count, &err), VKA_OK);
    struct vka_prompt_words words = {.items = items, .count = 3, .take = take};
    struct vka_prompt_reader r = {.tokenizer = t, .syntax = VKA_SYNTAX_A1111, .length = 10, .words = &words}; /* 8 tokens */
    vectors_are(&r, "a red a", " . v0.0 v0.1 .");
    vectors_are(&r, "a RED a", " . v0.0 v0.1 .");
    vectors_are(&r, "a (red:1.2) a", " . v0.0 v0.1 .");
    vectors_are(&r, "red ball red", " v1.0 v1.1 v1.2 v0.0 v0.1"); /* the longest counts */
    vectors_are(&r, "a a a a a a a red a", " . . . . . . . / v0.0 v0.1 ."); /* never cut in two */
    vectors_are(&r, "a a a a a a red a", " . . . . . . v0.0 v0.1 / .");
    vectors_are(&r, "a <my-cat>, a", " . v2.0 v2.1 v2.2 v2.3 . .");       /* a name with brackets, what follows apart */
    vectors_are(&r, "a <red>, a", " . v0.0 v0.1 . .");
    vectors_are(&r, "a <red ball> <red", " . v1.0 v1.1 v1.2 . v0.0 v0.1");
    vectors_are(&r, "(a, a a a a a a red:1.1)", " . . . . . . . . / v0.0 v0.1");
    r.comma_padding = 6;
    vectors_are(&r, "a a a, a red a a a", " . . . . / . v0.0 v0.1 . . ."); /* vectors move with the comma rule */
    r.comma_padding = 0;
    r.syntax = VKA_SYNTAX_COMFY;
    vectors_are(&r, "a red embedding:red a", " . . v0.0 v0.1 .");
    vectors_are(&r, "embedding:red.pt, (embedding:red.safetensors:1.2)", " v0.0 v0.1 . v0.0 v0.1");
    vectors_are(&r, "embedding:none, a embedding:RED a", " . . ."); /* unknown ones are left out, the comma stays */
    vectors_are(&r, "a a a a a a a embedding:red", " . . . . . . . / v0.0 v0.1");
    vectors_are(&r, "embedding:<my-cat>", " v2.0 v2.1 v2.2 v2.3");
    r.syntax = VKA_SYNTAX_PLAIN;
    vectors_are(&r, "a red a", " . . .");
    r.syntax = VKA_SYNTAX_A1111;
    r.length = 4;
    struct vka_prompt_chunks c;
    assert_int_equal(vka_prompt_chunks_make(&c, &r, "a red ball", &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "'red ball' has 3 vectors"));
    for (size_t i = 0; i < 3; i++)
        free(items[i].ids);
    vka_tokenizer_destroy(&t);
}

/* ---- what weights do ------------------------------------------------------------------------------------------ */

static float number(uint32_t i) { return (float)sin(0.37 * i * i + 0.1) + 0.05f; }

static void emphasis(void **state)
{
    (void)state;
    enum { TEXTS = 3, TOKENS = 5, WIDTH = 7, CELLS = TOKENS * WIDTH };
    static const uint32_t times[TEXTS] = {1, 2, 4};
    float z[TEXTS][CELLS], was[TEXTS][CELLS], w[TEXTS][TOKENS];
    float *rows[TEXTS];
    const float *weights[TEXTS];
    double before = 0, after = 0;
    for (uint32_t i = 0; i < TEXTS; i++) {
        rows[i] = z[i];
        weights[i] = w[i];
        for (uint32_t k = 0; k < CELLS; k++)
            z[i][k] = was[i][k] = number(i * CELLS + k);
        for (uint32_t k = 0; k < TOKENS; k++)
            w[i][k] = 1;
    }
    vka_emphasis_a1111(rows, weights, times, TEXTS, TOKENS, WIDTH);
    assert_memory_equal(z, was, sizeof z); /* no weights, not a bit */
    w[0][1] = 1.3f;
    w[2][3] = 0.5f;
    for (uint32_t i = 0; i < TEXTS; i++)
        for (uint32_t k = 0; k < CELLS; k++) {
            before += times[i] * (double)was[i][k];
            after += times[i] * (double)was[i][k] * w[i][k / WIDTH];
        }
    vka_emphasis_a1111(rows, weights, times, TEXTS, TOKENS, WIDTH);
    for (uint32_t i = 0; i < TEXTS; i++)
        for (uint32_t k = 0; k < CELLS; k++)
            assert_true(fabs(z[i][k] - (double)was[i][k] * w[i][k / WIDTH] * before / after) < 1e-6);
    /* one text alone: its own mean comes back */
    memcpy(z, was, sizeof z);
    vka_emphasis_a1111(rows, weights, times, 1, TOKENS, WIDTH);
    before = after = 0;
    for (uint32_t k = 0; k < CELLS; k++) {
        before += (double)was[0][k];
        after += (double)z[0][k];
    }
    assert_true(fabs(before - after) < 1e-5);
    assert_true(fabs(z[0][WIDTH] / (double)z[0][0] - 1.3 * (double)was[0][WIDTH] / (double)was[0][0]) < 1e-5);
    memcpy(z, was, sizeof z);
    vka_emphasis_comfy(z[0], was[1], w[0], TOKENS, WIDTH);
    for (uint32_t k = 0; k < CELLS; k++) {
        double want = k / WIDTH == 1 ? (double)was[1][k] + 1.3 * ((double)was[0][k] - (double)was[1][k]) : (double)was[0][k];
        assert_true(fabs(z[0][k] - want) < 1e-6);
    }
}

/* ---- wildcards ------------------------------------------------------------------------------------------------ */

#define CARDS "test_prompt.tmp"

static void write_card(const char *path, const char *text)
{
    vka_error err = {0};
    assert_int_equal(vka_write_file(path, text, strlen(text), &err), VKA_OK);
}

static char *drawn(const char *text, uint64_t seed)
{
    char *out;
    vka_error err = {0};
    if (vka_wildcards_resolve(CARDS, text, seed, 0, &out, &err) != VKA_OK)
        fail_msg("'%s': %s", text, err.what);
    return out;
}

static void refused_card(const char *text, vka_status status, const char *words)
{
    char *out;
    vka_error err = {0};
    assert_int_equal(vka_wildcards_resolve(CARDS, text, 1, 0, &out, &err), status);
    assert_null(out);
    if (!strstr(err.what, words))
        fail_msg("'%s' does not say '%s'", err.what, words);
}

static void wildcards(void **state)
{
    (void)state;
    vka_error err = {0};
    assert_int_equal(vka_make_dirs(CARDS "/animals/wild", &err), VKA_OK);
    write_card(CARDS "/colour.txt", "\xef\xbb\xbf# colours\n\nred\r\n  blue  \ngreen");
    write_card(CARDS "/animals/cat.txt", "cat\n");
    write_card(CARDS "/animals/dog.txt", "dog\n");
    write_card(CARDS "/animals/wild/fox.txt", "__colour__ fox\n");
    write_card(CARDS "/self.txt", "a __self__\n");
    write_card(CARDS "/empty.txt", "# nothing\n\n");
    uint32_t seen[3] = {0};
    for (uint64_t seed = 0; seed < 300; seed++) {
        char *a = drawn("a __colour__ ball", seed), *b = drawn("a __colour__ ball", seed);
        assert_string_equal(a, b);
        int which = !strcmp(a, "a red ball") ? 0 : !strcmp(a, "a blue ball") ? 1 : 2;
        assert_true(which < 2 || !strcmp(a, "a green ball"));
        seen[which]++;
        free(a);
        free(b);
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(seen[i], 60, 140); /* 100 and four deviations */
    static const struct {
        const char *text;
        const char *choices[4];
    } cases[] = {
        {"plain {text", {"plain {text"}},
        {"a __b_c d", {"a __b_c d"}},
        {"{one}", {"one"}},
        {"{a|b}c", {"ac", "bc"}},
        {"{a|{b|c}}", {"a", "b", "c"}},
        {"{|x}y", {"y", "xy"}},
        {"{0::a|1::b}", {"b"}},
        {"\\{a|b\\}", {"\\{a|b\\}"}},
        {"__animals/cat__", {"cat"}},
        {"__animals/*__", {"cat", "dog"}},
        {"__*/wild/fox__ {!|?}", {NULL}},
        {"__a*s/d*__", {"dog"}},
        {"__ a __", {"__ a __"}},
        {"{__animals/cat__|__animals/dog__}", {"cat", "dog"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool met[4] = {false};
        if (!strcmp(cases[i].text, "__ a __")) { /* a name with spaces is a name */
            refused_card(cases[i].text, VKA_E_INPUT, "has no lines for the wildcard");
            continue;
        }
        for (uint64_t seed = 0; seed < 100; seed++) {
            char *out = drawn(cases[i].text, seed);
            bool found = cases[i].choices[0] == NULL;
            for (int k = 0; k < 4 && cases[i].choices[k]; k++)
                if (!strcmp(out, cases[i].choices[k]))
                    found = met[k] = true;
            if (!found)
                fail_msg("'%s' gave '%s'", cases[i].text, out);
            free(out);
        }
        for (int k = 0; k < 4 && cases[i].choices[k]; k++)
            assert_true(met[k]);
    }
    char *fox = drawn("__animals/wild/fox__", 3);
    assert_true(strlen(fox) > 4 && !strcmp(fox + strlen(fox) - 4, " fox") && !strchr(fox, '_'));
    free(fox);
    refused_card("__nothing__", VKA_E_INPUT, "has no lines for the wildcard __nothing__");
    refused_card("__empty__", VKA_E_INPUT, "has no lines");
    refused_card("__self__", VKA_E_USAGE, "without end");
    char *deep = repeated("{", 1000, ""), *out;
    size_t n = strlen(deep);
    char *closed = calloc(2 * n + 1, 1);
    memset(closed, '{', n);
    memset(closed + n, '}', n);
    refused_card(closed, VKA_E_USAGE, "without end");
    free(deep);
    free(closed);
    static const char *const outside[] = {"__../x__", "__/etc/passwd__", "__a/../b__", "__a//b__", "__.x__"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) { /* no names: they stay as they are */
        char *same = drawn(outside[i], 1);
        assert_string_equal(same, outside[i]);
        free(same);
    }
    assert_int_equal(vka_wildcards_resolve("test_prompt.nowhere", "a", 1, 0, &out, &err), VKA_E_INPUT);
    vka_folder_remove(CARDS "/animals/wild");
    vka_folder_remove(CARDS "/animals");
    vka_folder_remove(CARDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_of_a1111),   cmocka_unit_test(weights_of_comfy),   cmocka_unit_test(nothing_is_too_deep),
        cmocka_unit_test(editing),            cmocka_unit_test(composition),        cmocka_unit_test(networks),
        cmocka_unit_test(plain_prompts_stay), cmocka_unit_test(comma_rule),         cmocka_unit_test(weights_reach_tokens),
        cmocka_unit_test(names_have_vectors), cmocka_unit_test(emphasis),           cmocka_unit_test(wildcards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

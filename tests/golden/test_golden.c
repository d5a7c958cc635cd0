/* test_golden.c - runs the vkanim command on the small random-weight models of tests/golden/tiny and compares what it writes with
 * what diffusers and transformers computed (tests/reference, golden.py and its like).  Needs a Vulkan device; lavapipe will do.
 *
 * Each set, a folder of tests/golden, has a cases.json, and a weights.txt where it brings models: {"cases": [{"name", "command": [...], "compare": [{"tensor", "file", "metric", "limit"}]}]}.  In a command
 * "@x" is x among the redrawn models, "=x" a file of the set, "%" the output file; "{set}" within a word is the set's folder.  Metrics: "equal", "l2" (relative), "psnr" (dB,
 * at least).  Arguments of the program choose cases by a part of their names.  With $VKA_CHECK_PATH (fp32, fp16, khr, nv2) only the
 * cases of its precision run, on that path. */
#define _XOPEN_SOURCE 700
#include "golden/redraw.h"
#include "weights/safetensors.h"

#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static bool run(char **argv, const char *log)
{
    posix_spawn_file_actions_t io;
    pid_t pid;
    int status = -1;
    posix_spawn_file_actions_init(&io);
    posix_spawn_file_actions_addopen(&io, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&io, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&io, 1, 2);
    if (posix_spawn(&pid, argv[0], &io, NULL, argv, environ) == 0)
        waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&io);
    if (status == 0)
        return true;
    printf("    status %d, it said:\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    FILE *f = fopen(log, "r");
    for (int c; f && (c = fgetc(f)) != EOF;)
        putchar(c);
    if (f)
        fclose(f);
    return false;
}

/* One comparison; prints a line. */
static bool compare(const char *out, const char *want, const char *tensor, const char *metric, double limit)
{
    vka_safetensors a = {0}, b = {0};
    vka_error err = {0};
    bool ok = false;
    if (vka_safetensors_open(&a, out, &err) != VKA_OK || vka_safetensors_open(&b, want, &err) != VKA_OK)
        printf("    %s\n", err.what);
    else {
        const vka_weight *x = vka_safetensors_find(&a, tensor), *y = vka_safetensors_find(&b, tensor);
        size_t n = y ? (size_t)vka_weight_count(y) : 0;
        if (!x || !y || vka_weight_count(x) != n || x->rank != y->rank || memcmp(x->dims, y->dims, y->rank * sizeof *y->dims))
            printf("    %s: missing, or of another shape\n", tensor);
        else {
            float *p = malloc(n * sizeof *p), *q = malloc(n * sizeof *q);
            double difference = 0, norm = 0, value = 0;
            size_t unequal = 0;
            vka_dtype_to_f32(p, x->data, x->dtype, n);
            vka_dtype_to_f32(q, y->data, y->dtype, n);
            for (size_t i = 0; i < n; i++) {
                double d = (double)p[i] - q[i];
                difference += d * d;
                norm += (double)q[i] * q[i];
                unequal += !(p[i] == q[i]);
            }
            if (!strcmp(metric, "equal")) {
                value = (double)unequal;
                ok = unequal == 0;
            } else if (!strcmp(metric, "l2")) {
                value = sqrt(difference / norm);
                ok = value <= limit;
            } else {
                value = difference > 0 ? 10 * log10(255.0 * 255.0 * (double)n / difference) : INFINITY;
                ok = value >= limit;
            }
            printf("    %-12s %-5s %10.3g (limit %g)%s\n", tensor, metric, value, limit, ok ? "" : "  FAILED");
            free(p);
            free(q);
        }
    }
    vka_safetensors_close(&a);
    vka_safetensors_close(&b);
    return ok;
}

/* The word with the set's folder in the place of every "{set}"; malloc'ed. */
static char *name_set(const char *word, const char *set)
{
    char *text = strdup(word), *at;
    while (text && (at = strstr(text, "{set}"))) {
        size_t n = strlen(text) + strlen(set);
        char *longer = malloc(n);
        if (longer)
            snprintf(longer, n, "%.*s%s%s", (int)(at - text), text, set, at + 5);
        free(text);
        text = longer;
    }
    return text;
}

static bool run_case(const json_t *c, const char *set, const char *models, const char *scratch)
{
    enum { MOST = 64 };
    const char *moved = getenv("VKA_TEST_VKANIM"); /* where the tree is another than the one that was built */
    char *argv[MOST + 4] = {(char *)(uintptr_t)(moved ? moved : VKA_BINARY)}, out[512], log[512];
    const json_t *command = json_object_get(c, "command"), *compares = json_object_get(c, "compare");
    size_t n = json_array_size(command);
    snprintf(out, sizeof out, "%s/out.safetensors", scratch);
    snprintf(log, sizeof log, "%s/log", scratch);
    for (size_t i = 0; i < n && i < MOST; i++) {
        const char *word = json_string_value(json_array_get(command, i));
        char text[8192];
        if (word[0] == '@')
            snprintf(text, sizeof text, "%s/%s", models, word + 1);
        else if (word[0] == '=')
            snprintf(text, sizeof text, "%s/%s", set, word + 1);
        else if (word[0] == '%')
            snprintf(text, sizeof text, "%s%s", out, word + 1);
        else
            snprintf(text, sizeof text, "%s", word);
        argv[i + 1] = name_set(text, set);
    }
    const char *path = getenv("VKA_CHECK_PATH");
    if (path && n < MOST) {
        argv[n + 1] = strdup("--path");
        argv[n + 2] = strdup(path);
    }
    remove(out);
    bool ok = n < MOST && run(argv, log);
    for (size_t i = 0; ok && i < json_array_size(compares); i++) {
        const json_t *m = json_array_get(compares, i);
        char want[512];
        snprintf(want, sizeof want, "%s/%s", set, json_string_value(json_object_get(m, "file")));
        ok = compare(out, want, json_string_value(json_object_get(m, "tensor")),
                     json_string_value(json_object_get(m, "metric")), json_number_value(json_object_get(m, "limit"))) &&
             ok;
    }
    for (size_t i = 1; i < sizeof argv / sizeof *argv; i++)
        free(argv[i]);
    return ok;
}

/* Whether the path of the environment, if any, goes with what the case says after --precision. */
static bool fits_path(const json_t *c)
{
    const char *path = getenv("VKA_CHECK_PATH");
    const json_t *command = json_object_get(c, "command");
    for (size_t i = 0; path && i < json_array_size(command); i++)
        if (strcmp(json_string_value(json_array_get(command, i)), "--precision") == 0) {
            const char *precision = json_string_value(json_array_get(command, i + 1));
            return precision && (strcmp(precision, "f32") == 0) == (strcmp(path, "fp32") == 0);
        }
    return true;
}

/* A case of the set "text" as a case of the others: {"prompt", "files": embeddings, "out", "limit"}. */
static json_t *embedding_case(const json_t *c)
{
    json_t *command = json_pack("[s, s, s, s, s, s, s, s]", "net", "text", "-m", "@model", "--precision", "f32", "-p",
                                json_string_value(json_object_get(c, "prompt")));
    const json_t *files = json_object_get(c, "files");
    for (size_t i = 0; i < json_array_size(files); i++) {
        json_array_append_new(command, json_string("--embedding"));
        json_array_append_new(command, json_sprintf("=%s", json_string_value(json_array_get(files, i))));
    }
    json_array_append_new(command, json_string("--out"));
    json_array_append_new(command, json_string("%"));
    return json_pack("{s:O, s:o, s:[{s:s, s:O, s:s, s:O}]}", "name", json_object_get(c, "name"), "command", command, "compare",
                     "tensor", "cond", "file", json_object_get(c, "out"), "metric", "l2", "limit", json_object_get(c, "limit"));
}

/* Tokens that a case lists, vector k of its embeddings being -k: those have ids one behind the other beyond the vocabulary. */
static bool same_tokens(const json_t *rows, const char *out)
{
    vka_safetensors a = {0};
    bool ok = vka_safetensors_open(&a, out, NULL) == VKA_OK;
    const vka_weight *w = ok ? vka_safetensors_find(&a, "tokens") : NULL;
    size_t length = json_array_size(json_array_get(rows, 0)), n = json_array_size(rows) * length;
    int32_t *ids = w && vka_weight_count(w) == n ? malloc(n * sizeof *ids) : NULL;
    json_int_t most = 0, base = -1;
    if (ids)
        memcpy(ids, w->data, n * sizeof *ids);
    for (size_t i = 0; ids && i < n; i++) {
        json_int_t want = json_integer_value(json_array_get(json_array_get(rows, i / length), i % length));
        if (want < 0 && base < 0)
            base = ids[i] + want + 1;
        ok = ok && ids[i] == (want < 0 ? base - want - 1 : want);
        most = want > most ? want : most;
    }
    ok = ok && ids && (base < 0 || base > most);
    if (!ok)
        printf("    tokens: other ones  FAILED\n");
    free(ids);
    vka_safetensors_close(&a);
    return ok;
}

/* The cases of one set: those whose names hold one of `wanted`, or all. */
static void run_set(const char *set, const char *models, const char *scratch, char *const *wanted, int count, size_t result[2])
{
    char cases[512];
    snprintf(cases, sizeof cases, "%s/cases.json", set);
    json_t *list = json_load_file(cases, 0, NULL), *all = json_object_get(list, "cases");
    if (!json_array_size(all)) {
        printf("no cases in %s\n", cases);
        result[1]++;
    }
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *c = json_array_get(all, i);
        const char *name = json_string_value(json_object_get(c, "name"));
        bool run_it = count == 0;
        for (int k = 0; k < count; k++)
            run_it = run_it || strstr(name, wanted[k]);
        json_t *made = json_object_get(c, "command") ? NULL : embedding_case(c);
        if (!run_it || !fits_path(made ? made : c)) {
            json_decref(made);
            continue;
        }
        printf("%s\n", name);
        bool ok = run_case(made ? made : c, set, models, scratch);
        if (made) {
            char out[512];
            snprintf(out, sizeof out, "%s/out.safetensors", scratch);
            ok = ok && same_tokens(json_object_get(c, "ids"), out);
            json_decref(made);
        }
        result[ok ? 0 : 1]++;
        fflush(stdout);
    }
    json_decref(list);
}

int main(int argc, char **argv)
{
    static const char *const sets[] = {"tiny", "guidance", "prompts", "text", "control", "free", "travel", "ip", "init", "hires"};
    const char *root = getenv("VKA_TEST_ROOT"); /* of a tree that has moved since it was built */
    char set[384], tokenizer[384];
    snprintf(set, sizeof set, "%s/tests/golden/tiny", root ? root : VKA_SOURCE_DIR);
    snprintf(tokenizer, sizeof tokenizer, "%s/models/miniature/tokenizer", root ? root : VKA_SOURCE_DIR);
    char scratch[] = "/tmp/vkanim-golden-XXXXXX", models[64];
    vka_error err = {0};
    size_t result[2] = {0, 0}; /* passed, failed */
    if (!mkdtemp(scratch))
        return 1;
    snprintf(models, sizeof models, "%s/models", scratch);
    if (vka_test_redraw(set, tokenizer, models, &err) != VKA_OK) {
        printf("cannot make the models: %s\n", err.what);
        result[1]++;
    } else
        for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
            char weights[448];
            snprintf(set, sizeof set, "%s/tests/golden/%s", root ? root : VKA_SOURCE_DIR, sets[i]);
            snprintf(weights, sizeof weights, "%s/weights.txt", set);
            if (i && access(weights, R_OK) == 0 && vka_test_redraw(set, tokenizer, models, &err) != VKA_OK) {
                printf("cannot make the models of %s: %s\n", sets[i], err.what);
                result[1]++;
                break;
            }
            run_set(set, models, scratch, argv + 1, argc - 1, result);
        }
    nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    printf("%zu passed, %zu failed\n", result[0], result[1]);
    return result[1] || !result[0];
}

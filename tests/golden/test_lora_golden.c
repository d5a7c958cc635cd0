/* test_lora_golden.c - the vkanim command with LoRAs against what PEFT, LyCORIS, diffusers and float64 merges made of the same files
 * (tests/reference/lora_golden.py), and damaged ones, which get a sentence.  Needs a Vulkan device; lavapipe will do.
 *
 * cases.json: {"cases": [{"name", "net": "unet" or "text", "files": [{"file", "option", "weight", "te_weight"?}], "motion": file or
 * null, "in" or "prompt", "out", "limit": relative l2}]}; damage.json: {"cases": [{"file", "option", "expect"}]}.  Arguments choose
 * cases by a part of their names. */
#define _XOPEN_SOURCE 700
#include "golden/redraw.h"
#include "weights/safetensors.h"

#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <math.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MOST = 40 };

struct place {
    const char *set, *models, *out, *log;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* Words of a command, freed by its end. */
struct words {
    char *word[MOST + 1];
    size_t count;
};

static void add(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct words *w, const char *format, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (w->count < MOST)
        w->word[w->count++] = strdup(text);
}

/* The command's exit status, its output in the log. */
static int run(struct words *w, const char *log)
{
    posix_spawn_file_actions_t io;
    pid_t pid;
    int status = -1;
    posix_spawn_file_actions_init(&io);
    posix_spawn_file_actions_addopen(&io, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&io, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&io, 1, 2);
    w->word[w->count] = NULL;
    if (posix_spawn(&pid, w->word[0], &io, NULL, w->word, environ) == 0)
        waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&io);
    for (size_t i = 0; i < w->count; i++)
        free(w->word[i]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void tell(const char *log)
{
    FILE *f = fopen(log, "r");
    for (int c; f && (c = fgetc(f)) != EOF;)
        putchar(c);
    if (f)
        fclose(f);
}

static bool log_has(const char *log, const char *text, unsigned *lines)
{
    char line[4096];
    bool found = false;
    FILE *f = fopen(log, "r");
    *lines = 0;
    while (f && fgets(line, sizeof line, f)) {
        found = found || strstr(line, text);
        *lines += !strstr(line, "is slow"); /* the software device */
    }
    if (f)
        fclose(f);
    return found;
}

/* |a - b| / |b|, or infinity when they cannot be compared. */
static double distance(const char *out, const char *want, const char *tensor)
{
    vka_safetensors a = {0}, b = {0};
    double difference = 0, norm = 0;
    bool ok = false;
    if (vka_safetensors_open(&a, out, NULL) == VKA_OK && vka_safetensors_open(&b, want, NULL) == VKA_OK) {
        const vka_weight *x = vka_safetensors_find(&a, tensor), *y = vka_safetensors_find(&b, tensor);
        ok = x && y && vka_weight_count(x) == vka_weight_count(y) && x->dtype == VKA_WEIGHT_F32 && y->dtype == VKA_WEIGHT_F32;
        for (uint64_t i = 0; ok && i < vka_weight_count(y); i++) {
            float p, q;
            memcpy(&p, (const char *)x->data + i * sizeof p, sizeof p);
            memcpy(&q, (const char *)y->data + i * sizeof q, sizeof q);
            difference += ((double)p - (double)q) * ((double)p - (double)q);
            norm += (double)q * (double)q;
        }
    }
    vka_safetensors_close(&a);
    vka_safetensors_close(&b);
    return ok && norm > 0 ? sqrt(difference / norm) : (double)INFINITY;
}

static void begin(struct words *w, const char *net, const struct place *at)
{
    const char *moved = getenv("VKA_TEST_VKANIM");
    add(w, "%s", moved ? moved : VKA_BINARY);
    add(w, "net");
    add(w, "%s", net);
    add(w, "-m");
    add(w, "%s/model", at->models);
    add(w, "--precision");
    add(w, "f32");
    add(w, "--out");
    add(w, "%s", at->out);
}

static bool run_case(const json_t *c, const struct place *at)
{
    const char *net = json_string_value(json_object_get(c, "net")), *motion = json_string_value(json_object_get(c, "motion"));
    const json_t *files = json_object_get(c, "files");
    struct words w = {0};
    char want[1024];
    begin(&w, net, at);
    if (motion) {
        add(&w, "--motion");
        add(&w, "%s/%s", at->models, motion);
    }
    if (!strcmp(net, "text")) {
        add(&w, "-p");
        add(&w, "%s", json_string_value(json_object_get(c, "prompt")));
    } else {
        add(&w, "--in");
        add(&w, "%s/%s", at->set, json_string_value(json_object_get(c, "in")));
    }
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *f = json_array_get(files, i), *te = json_object_get(f, "te_weight");
        add(&w, "--%s", json_string_value(json_object_get(f, "option")));
        if (json_is_number(te))
            add(&w, "%s/%s:%g:%g", at->set, json_string_value(json_object_get(f, "file")),
                json_number_value(json_object_get(f, "weight")), json_number_value(te));
        else
            add(&w, "%s/%s:%g", at->set, json_string_value(json_object_get(f, "file")),
                json_number_value(json_object_get(f, "weight")));
    }
    remove(at->out);
    int status = run(&w, at->log);
    snprintf(want, sizeof want, "%s/%s", at->set, json_string_value(json_object_get(c, "out")));
    double d = status == 0 ? distance(at->out, want, strcmp(net, "text") ? "eps" : "cond") : (double)INFINITY;
    double limit = json_number_value(json_object_get(c, "limit"));
    if (status)
        tell(at->log);
    printf("    status %d, distance %.3g (limit %g)%s\n", status, d, limit, d <= limit ? "" : "  FAILED");
    return d <= limit;
}

static bool run_damage(const json_t *c, const struct place *at)
{
    const char *expect = json_string_value(json_object_get(c, "expect")),
               *file = json_string_value(json_object_get(c, "file"));
    struct words w = {0};
    unsigned lines;
    begin(&w, "unet", at);
    add(&w, "--motion");
    add(&w, "%s/motion-v2.safetensors", at->models);
    add(&w, "--in");
    add(&w, "%s/../tiny/unet-5x6x5-7-perframe-t1.in.safetensors", at->set);
    add(&w, "--%s", json_string_value(json_object_get(c, "option")));
    add(&w, "%s/%s", at->set, file);
    int status = run(&w, at->log);
    bool named = log_has(at->log, strrchr(file, '/'), &lines), ok;
    if (!strcmp(expect, "refused"))
        ok = status == 3 && named && lines <= 3;
    else
        ok = status == 0 && (!strcmp(expect, "warned") ? named && lines == 1 : lines == 0);
    printf("    status %d, %s expected%s\n", status, expect, ok ? "" : "  FAILED");
    if (!ok || getenv("VKA_TEST_TELL"))
        tell(at->log);
    return ok;
}

/* A MotionLoRA on a module that it was not made for works as far as it goes, with a warning that names the file; without a module
 * it is refused. */
static bool run_family(const char *motion, const struct place *at)
{
    static const char file[] = "motion-left.safetensors";
    struct words w = {0};
    unsigned lines;
    begin(&w, "unet", at);
    if (motion) {
        add(&w, "--motion");
        add(&w, "%s/%s", at->models, motion);
    }
    add(&w, "--in");
    add(&w, "%s/../tiny/unet-5x6x5-7-perframe-t1.in.safetensors", at->set);
    add(&w, "--motion-lora");
    add(&w, "%s/%s", at->set, file);
    int status = run(&w, at->log);
    bool named = log_has(at->log, file, &lines), v2 = motion && !strcmp(motion, "motion-v2.safetensors");
    bool ok = !motion ? status == 3 && named
                      : status == 0 && (v2 ? !lines : log_has(at->log, "was made for a v2", &lines) && named);
    printf("    status %d%s\n", status, ok ? "" : "  FAILED");
    if (!ok)
        tell(at->log);
    return ok;
}

int main(int argc, char **argv)
{
    static const char *const lists[] = {"cases.json", "damage.json"};
    const char *root = getenv("VKA_TEST_ROOT");
    char base[384], set[448], tokenizer[448], tiny[448];
    snprintf(base, sizeof base, "%s", root ? root : VKA_SOURCE_DIR);
    snprintf(set, sizeof set, "%s/tests/golden/lora", base);
    snprintf(tiny, sizeof tiny, "%s/tests/golden/tiny", base);
    snprintf(tokenizer, sizeof tokenizer, "%s/models/miniature/tokenizer", base);
    char scratch[] = "/tmp/vkanim-lora-XXXXXX", models[64], out[64], log[64];
    vka_error err = {0};
    size_t passed = 0, failed = 0;
    if (!mkdtemp(scratch))
        return 1;
    snprintf(models, sizeof models, "%s/models", scratch);
    snprintf(out, sizeof out, "%s/out.safetensors", scratch);
    snprintf(log, sizeof log, "%s/log", scratch);
    struct place at = {set, models, out, log};
    if (vka_test_redraw(tiny, tokenizer, models, &err) != VKA_OK) {
        printf("cannot make the models: %s\n", err.what);
        failed = 1;
    }
    bool drawn = !failed;
    for (int k = 0; k < 2 && drawn; k++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", set, lists[k]);
        json_t *list = json_load_file(path, 0, NULL), *all = json_object_get(list, "cases");
        failed += !json_array_size(all);
        for (size_t i = 0; i < json_array_size(all); i++) {
            const json_t *c = json_array_get(all, i);
            const char *name = json_string_value(json_object_get(c, k ? "file" : "name"));
            bool wanted = argc == 1;
            for (int a = 1; a < argc; a++)
                wanted = wanted || strstr(name, argv[a]);
            if (!wanted)
                continue;
            printf("%s\n", name);
            bool ok = k ? run_damage(c, &at) : run_case(c, &at);
            passed += ok;
            failed += !ok;
            fflush(stdout);
        }
        json_decref(list);
    }
    static const char *const modules[] = {"motion-v1.safetensors", "motion-v2.safetensors", "motion-v3.safetensors", NULL};
    for (size_t i = 0; i < 4 && drawn && argc == 1; i++) {
        printf("a MotionLoRA on %s\n", modules[i] ? modules[i] : "no module");
        bool ok = run_family(modules[i], &at);
        passed += ok;
        failed += !ok;
    }
    nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed || !passed;
}

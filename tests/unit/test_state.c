/* test_state.c - the job folder: checkpoints and JSON files come back bit by bit or are refused, of two checkpoints
 * the older one stands in for a damaged newer, one process at a time, and what cannot be written costs one warning. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp, setenv */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "render/resume.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

struct said {
    unsigned count;
    char last[1024];
};

static void hear(void *user, int level, const char *text)
{
    struct said *s = user;
    assert_int_equal(level, VKA_LOG_WARN);
    s->count++;
    snprintf(s->last, sizeof s->last, "%s", text);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/vka-state-XXXXXX");
    return mkdtemp(folder) && setenv("VKANIM_CACHE_DIR", folder, 1) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char jobs[96];
    size_t count;
    snprintf(jobs, sizeof jobs, "%s/jobs", folder);
    char **names = vka_folder_names(jobs, &count);
    for (size_t i = 0; i < count; i++) {
        char *path = vka_path_join(jobs, names[i]);
        vka_folder_remove(path);
        free(path);
        free(names[i]);
    }
    free(names);
    rmdir(jobs);
    vka_folder_remove(folder);
    return 0;
}

/* A checkpoint of some clip: X and one slot of history, two generators, `steps` timings; `salt` changes every number.
 * */
static vka_checkpoint sample(uint32_t steps, uint32_t salt)
{
    vka_checkpoint c = {.clip = salt % 3,
                        .eval = 2 * steps,
                        .step = steps,
                        .frames = 3,
                        .channels = 4,
                        .height = 5,
                        .width = 2,
                        .slots = 1u << VKA_SLOT_X | 1u << VKA_SLOT_H1,
                        .timings = steps,
                        .seed = UINT64_C(0xfedcba9876543210) + salt,
                        .rng_bytes = 2 * VKA_RNG_STATE_BYTES};
    size_t n = vka_checkpoint_values(&c);
    c.rng = malloc((size_t)c.rng_bytes);
    c.step_s = malloc((steps ? steps : 1) * sizeof *c.step_s);
    vka_rng rng;
    for (uint32_t i = 0; i < 2; i++) {
        vka_rng_init(&rng, VKA_RNG_TORCH_CPU, salt + i);
        vka_rng_save(&rng, c.rng + i * (size_t)VKA_RNG_STATE_BYTES);
    }
    for (uint32_t i = 0; i < steps; i++)
        c.step_s[i] = 0.1 * (i + 1) + salt;
    for (int s = 0; s < VKA_SLOTS; s++)
        if (c.slots >> s & 1) {
            c.slot[s] = malloc(n * sizeof(float));
            vka_rng_normal(&rng, c.slot[s], n);
            c.slot[s][1] = -0.0f;  /* whose sign must stay */
            c.slot[s][2] = 1e-42f; /* and a denormal */
        }
    return c;
}

static void assert_same(const vka_checkpoint *a, const vka_checkpoint *b)
{
    assert_int_equal(a->clip, b->clip);
    assert_int_equal(a->eval, b->eval);
    assert_int_equal(a->step, b->step);
    assert_int_equal(a->frames, b->frames);
    assert_int_equal(a->channels, b->channels);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->slots, b->slots);
    assert_int_equal(a->timings, b->timings);
    assert_true(a->seed == b->seed && a->serial == b->serial && a->rng_bytes == b->rng_bytes);
    assert_memory_equal(a->rng, b->rng, (size_t)a->rng_bytes);
    assert_true(a->timings == 0 || memcmp(a->step_s, b->step_s, a->timings * sizeof *a->step_s) == 0);
    for (int s = 0; s < VKA_SLOTS; s++) {
        assert_int_equal(a->slot[s] != NULL, b->slot[s] != NULL);
        if (a->slot[s])
            assert_memory_equal(a->slot[s], b->slot[s], vka_checkpoint_values(a) * sizeof(float));
    }
}

static char *file_in(const char *name)
{
    return vka_path_join(folder, name);
}

static void whole_file(const char *path, uint8_t **data, size_t *size)
{
    char *text;
    assert_int_equal(vka_read_file(path, 1 << 24, &text, size, NULL), VKA_OK);
    *data = (uint8_t *)text;
}

static void checkpoint_comes_back(void **state)
{
    (void)state;
    char *path = file_in("check");
    for (uint32_t steps = 0; steps < 5; steps += 2) {
        vka_checkpoint c = sample(steps, 7 + steps), back;
        c.serial = 99;
        assert_int_equal(vka_checkpoint_write(&c, path, NULL), VKA_OK);
        assert_int_equal(vka_checkpoint_read(path, &back, NULL), VKA_OK);
        assert_same(&c, &back);
        vka_checkpoint_free(&c);
        vka_checkpoint_free(&back);
    }
    free(path);
}

static void assert_refused(const uint8_t *data, size_t size)
{
    vka_checkpoint c;
    vka_error err = {0};
    assert_int_equal(vka_checkpoint_parse(data, size, "some file", &c, &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "some file"));
    assert_true(err.why[0] != '\0');
    vka_checkpoint_free(&c);
}

static void damage_is_found(void **state)
{
    (void)state;
    char *path = file_in("check");
    vka_checkpoint c = sample(3, 1);
    uint8_t *data;
    size_t size;
    assert_int_equal(vka_checkpoint_write(&c, path, NULL), VKA_OK);
    whole_file(path, &data, &size);
    for (size_t i = 0; i < size; i++) { /* any one bit */
        data[i] ^= (uint8_t)(1u << i % 8);
        assert_refused(data, size);
        data[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < size; n += n < 200 ? 1 : 97) /* any shorter file */
        assert_refused(data, n);
    assert_refused(data, size - 1);
    uint8_t *longer = malloc(size + 1);
    memcpy(longer, data, size);
    longer[size] = '0';
    assert_refused(longer, size + 1);
    free(longer);
    vka_checkpoint back;
    assert_int_equal(vka_checkpoint_parse(data, size, "whole", &back, NULL), VKA_OK);
    assert_same(&c, &back);
    vka_checkpoint_free(&back);
    vka_checkpoint_free(&c);
    free(data);
    free(path);
}

/* Headers that promise more than there is, with a checksum that is right. */
static void sizes_are_not_believed(void **state)
{
    (void)state;
    enum { WORDS_AT = 8, RNG_AT = 8 + 40 + 16 };
    char *path = file_in("check");
    vka_checkpoint c = sample(1, 1);
    uint8_t *data;
    size_t size;
    assert_int_equal(vka_checkpoint_write(&c, path, NULL), VKA_OK);
    whole_file(path, &data, &size);
    static const struct {
        size_t at, bytes;
        uint64_t value;
    } lies[] = {
        {WORDS_AT + 3 * 4, 4, 0},
        {WORDS_AT + 3 * 4, 4, UINT32_MAX},
        {WORDS_AT + 4 * 4, 4, 0},
        {WORDS_AT + 7 * 4, 4, 0},
        {WORDS_AT + 7 * 4, 4, 2},
        {WORDS_AT + 7 * 4, 4, UINT32_MAX},
        {WORDS_AT + 8 * 4, 4, UINT32_MAX},
        {RNG_AT, 8, UINT64_MAX},
        {RNG_AT, 8, UINT64_MAX - 5000},
        {WORDS_AT + 5 * 4, 8, UINT64_MAX},
        {RNG_AT, 8, 0},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        uint8_t *copy = malloc(size);
        char hex[65];
        vka_sha256 sha;
        memcpy(copy, data, size);
        for (size_t b = 0; b < lies[i].bytes; b++)
            copy[lies[i].at + b] = (uint8_t)(lies[i].value >> 8 * b);
        vka_sha256_init(&sha);
        vka_sha256_add(&sha, copy, size - 64);
        vka_sha256_hex(&sha, hex);
        memcpy(copy + size - 64, hex, 64);
        assert_refused(copy, size);
        free(copy);
    }
    free(data);
    vka_checkpoint_free(&c);
    free(path);
}

static void json_checks_itself(void **state)
{
    (void)state;
    json_t *o = json_pack("{s:s, s:f, s:f, s:[i, i], s:{s:b}}", "text", "\xc3\xa9\"\\", "tenth", 0.1, "small", 1e-300,
                          "list", 1, 2, "in", "yes", 1);
    char *text = vka_checked_json_text(o);
    size_t n = strlen(text);
    json_t *back = vka_checked_json_parse(text, n, "a file", NULL);
    assert_true(json_equal(o, back));
    json_decref(back);
    unsigned kept = 0;
    for (size_t i = 0; i < n; i++) { /* blanks and the case of \u digits do not count */
        char was = text[i];
        vka_error err = {0};
        text[i] = (char)(was ^ 1);
        back = vka_checked_json_parse(text, n, "a file", &err);
        if (back) {
            assert_true(json_equal(o, back));
            kept++;
        } else {
            assert_int_equal(err.status, VKA_E_INPUT);
            assert_non_null(strstr(err.what, "a file"));
        }
        json_decref(back);
        text[i] = was;
    }
    assert_true(kept < n / 4);
    for (size_t i = 0; i < n; i++)
        assert_null(vka_checked_json_parse(text, i, "a file", NULL));
    assert_null(vka_checked_json_parse("{}", 2, "a file", NULL)); /* whole, but without a check */
    assert_null(vka_checked_json_parse("[]", 2, "a file", NULL));
    free(text);
    json_decref(o);
}

static void flip(struct vka_state *s, const char *name)
{
    char *path = vka_state_path(s, name, 0);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, 300, SEEK_SET);
    int c = fgetc(f);
    fseek(f, 300, SEEK_SET);
    fputc(c ^ 4, f);
    fclose(f);
    free(path);
}

static void older_stands_in(void **state)
{
    (void)state;
    struct said said = {0};
    vka_log log = {hear, &said, VKA_LOG_WARN};
    struct vka_state s;
    vka_state_create(&s, &log);
    assert_non_null(s.folder);
    vka_checkpoint at, c[3] = {sample(1, 1), sample(2, 2), sample(3, 3)};
    assert_int_equal(vka_state_newest(&s, &at, NULL), VKA_OK);
    assert_int_equal(at.slots, 0);
    for (int i = 0; i < 3; i++) { /* A, B, A */
        assert_true(vka_state_keep_step(&s, &c[i]));
        assert_int_equal(vka_state_newest(&s, &at, NULL), VKA_OK);
        assert_same(&at, &c[i]);
        vka_checkpoint_free(&at);
    }
    assert_true(s.worth);
    assert_int_equal(said.count, 0);
    flip(&s, "state-A"); /* the third, the newest */
    assert_int_equal(vka_state_newest(&s, &at, NULL), VKA_OK);
    assert_same(&at, &c[1]);
    assert_int_equal(said.count, 1);
    assert_non_null(strstr(said.last, "state-A"));
    vka_checkpoint_free(&at);
    assert_true(vka_state_keep_step(&s, &c[0])); /* over the damaged one, never over the good one */
    assert_int_equal(vka_state_newest(&s, &at, NULL), VKA_OK);
    assert_same(&at, &c[0]);
    vka_checkpoint_free(&at);
    flip(&s, "state-A");
    flip(&s, "state-B");
    vka_error err = {0};
    assert_int_equal(vka_state_newest(&s, &at, &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "damaged"));
    assert_non_null(strstr(err.why, "too"));
    vka_state_remove(&s, "state-B", 0);
    assert_int_equal(vka_state_newest(&s, &at, NULL), VKA_E_INPUT);
    vka_state_remove(&s, "state-A", 0);
    assert_int_equal(vka_state_newest(&s, &at, NULL), VKA_OK);
    assert_int_equal(at.slots, 0);
    /* latents of a clip: damage counts as missing, and is told */
    said.count = 0;
    uint32_t clip = c[2].clip;
    assert_false(vka_state_latents(&s, clip, &at));
    assert_true(vka_state_keep_latents(&s, &c[2]));
    assert_true(vka_state_latents(&s, clip, &at));
    assert_same(&at, &c[2]);
    vka_checkpoint_free(&at);
    assert_false(vka_state_latents(&s, clip + 1, &at));
    assert_int_equal(said.count, 0);
    char name[32];
    snprintf(name, sizeof name, "latents-%u", clip);
    flip(&s, name);
    assert_false(vka_state_latents(&s, clip, &at));
    assert_int_equal(said.count, 1);
    for (int i = 0; i < 3; i++)
        vka_checkpoint_free(&c[i]);
    vka_state_close(&s, true);
}

static void one_at_a_time(void **state)
{
    (void)state;
    vka_log log = {0};
    struct vka_state s, other;
    vka_error err = {0};
    vka_state_create(&s, &log);
    json_object_set_new(s.facts, "job", json_pack("{s:s}", "prompt", "a fox"));
    assert_true(vka_state_keep_facts(&s));
    char *id = vka_strdup(s.id), *path = vka_strdup(s.folder);
    assert_int_equal(vka_state_open(&other, id, &log, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "another process"));
    json_t *list = vka_state_list();
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "state")), "running");
    json_decref(list);
    vka_state_close(&s, false);
    list = vka_state_list();
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "state")), "stopped");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "prompt")), "a fox");
    json_decref(list);
    assert_int_equal(vka_state_open(&other, path, &log, NULL), VKA_OK); /* by its folder */
    assert_string_equal(other.id, id);
    assert_true(other.resumed);
    vka_state_close(&other, false);
    assert_int_equal(vka_state_open(&other, id, &log, NULL), VKA_OK); /* by its id */
    flip(&other, "job.json");                                         /* behind the end: a byte that is not of JSON */
    vka_state_close(&other, false);
    err = (vka_error){0};
    assert_int_equal(vka_state_open(&other, id, &log, &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "job.json"));
    list = vka_state_list();
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "state")), "damaged");
    json_decref(list);
    vka_folder_remove(path);
    static const char *const nothing[] = {"", ".", "..", "/", "no-such-job", "/no-such-place/folder", "../../etc"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        err = (vka_error){0};
        assert_int_equal(vka_state_open(&other, nothing[i], &log, &err), VKA_E_INPUT);
        assert_non_null(strstr(err.what, "no job"));
    }
    assert_int_equal(vka_state_open(&other, id, &log, NULL), VKA_E_INPUT);
    free(id);
    free(path);
}

/* A folder of the name in the folder of jobs with these files, unchanged for `age` seconds. */
static char *left_folder(const char *name, const char *const *files, int age)
{
    char *jobs = vka_jobs_dir(), *path = vka_path_join(jobs, name);
    bool fresh;
    vka_error e = {0};
    assert_int_equal(vka_folder_make(path, &fresh, &e), VKA_OK);
    for (; *files; files++) {
        char *file = vka_path_join(path, *files);
        assert_int_equal(vka_write_file(file, "x", 1, &e), VKA_OK);
        free(file);
    }
    struct timespec t[2] = {{.tv_sec = (time_t)(vka_clock_unix() - age)}, {.tv_sec = (time_t)(vka_clock_unix() - age)}};
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
    free(jobs);
    return path;
}

/* What a kill leaves without a job.json goes: when it is old, nobody's, and nothing but a job's. */
static void leftovers_go(void **state)
{
    (void)state;
    static const char *const bare[] = {"lock", "state-A", "frames-0.raw", "job.json.part", NULL},
                             *const none[] = {NULL}, *const whole[] = {"lock", "job.json", NULL},
                             *const foreign[] = {"lock", "notes.txt", NULL};
    const struct {
        const char *name;
        const char *const *files;
        int age;
        bool locked, goes;
    } cases[] = {
        {"0123abcd", bare, 100, false, true},   {"00000000", none, 100, false, true},
        {"0123abce", bare, 20, false, false},   {"0123abcf", bare, 100, true, false},
        {"0123abd0", whole, 100, false, false}, {"0123abd1", foreign, 100, false, false},
        {"0123abc", bare, 100, false, false},   {"notajob!", bare, 100, false, false},
        {"0123ABCD", bare, 100, false, false},  {"0123abd2", bare, -100, false, false},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    for (int by_render = 0; by_render < 2; by_render++) {
        char *path[CASES], *lock;
        vka_lock held = {0};
        for (int i = 0; i < CASES; i++) {
            path[i] = left_folder(cases[i].name, cases[i].files, cases[i].age);
            bool taken = false;
            lock = vka_path_join(path[i], "lock");
            if (cases[i].locked)
                assert_int_equal(vka_lock_take(&held, lock, &taken, NULL), VKA_OK);
            free(lock);
        }
        if (by_render) {
            struct vka_state s;
            vka_state_create(&s, &(vka_log){0});
            assert_non_null(s.folder);
            vka_state_close(&s, true);
        } else
            json_decref(vka_state_list());
        for (int i = 0; i < CASES; i++) {
            if (vka_path_exists(path[i]) == cases[i].goes)
                fail_msg("%s %s", cases[i].name, cases[i].goes ? "is still there" : "is gone");
            vka_folder_remove(path[i]);
            free(path[i]);
        }
        vka_lock_drop(&held);
    }
}

/* Values that cannot be had are not left out in silence. */
static void reports_are_whole(void **state)
{
    (void)state;
    bool whole = true;
    json_t *o = json_object(), *list = json_array();
    vka_report_put(&whole, o, "a", json_integer(1));
    vka_report_add(&whole, list, vka_report_path("/caf\xc3\xa9"));
    vka_report_add(&whole, list, vka_report_path("/caf\xe9"));
    assert_true(whole);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "/caf\xc3\xa9");
    assert_string_equal(json_string_value(json_array_get(list, 1)), "/caf?");
    vka_report_put(&whole, o, "b", NULL);
    assert_false(whole);
    vka_report_put(&whole, o, "c", json_integer(1)); /* stays so */
    assert_false(whole);
    whole = true;
    vka_report_add(&whole, list, NULL);
    assert_false(whole);
    whole = true;
    vka_report_put(&whole, NULL, "c", json_integer(1));
    assert_false(whole);
    json_decref(o);
    json_decref(list);
}

static void one_warning(void **state)
{
    (void)state;
    struct said said = {0};
    vka_log log = {hear, &said, VKA_LOG_WARN};
    struct vka_state s;
    vka_state_create(&s, &log);
    vka_checkpoint c = sample(1, 1);
    char *blocks = vka_state_path(&s, "state-A.part", 0); /* what cannot be opened cannot be written */
    assert_int_equal(mkdir(blocks, 0700), 0);
    assert_false(vka_state_keep_step(&s, &c));
    assert_int_equal(said.count, 1);
    assert_false(s.worth);
    assert_false(vka_state_keep_step(&s, &c));
    assert_int_equal(said.count, 1);
    rmdir(blocks);
    assert_true(vka_state_keep_step(&s, &c));
    assert_true(s.worth);
    free(blocks);
    vka_checkpoint_free(&c);
    char *path = vka_strdup(s.folder);
    vka_state_close(&s, true);
    assert_false(vka_path_exists(path));
    free(path);
    /* without a folder nothing is kept, and nothing fails */
    assert_int_equal(setenv("VKANIM_CACHE_DIR", "/dev/null/no", 1), 0);
    vka_state_create(&s, &log);
    assert_null(s.folder);
    assert_int_equal(said.count, 2);
    c = sample(1, 1);
    assert_false(vka_state_keep_step(&s, &c));
    assert_false(vka_state_keep_facts(&s));
    assert_int_equal(said.count, 2);
    vka_checkpoint_free(&c);
    vka_state_close(&s, true);
    assert_int_equal(setenv("VKANIM_CACHE_DIR", folder, 1), 0);
}

static void pace(void **state)
{
    (void)state;
    struct vka_pace p = {0};
    assert_true(vka_pace_due(&p, 1000, 0)); /* never written */
    vka_pace_wrote(&p, 1000, 1000.01);
    assert_false(vka_pace_due(&p, 1000.4, 0.39)); /* a step of less than 50 writes */
    assert_true(vka_pace_due(&p, 1000.6, 0.51));
    assert_true(vka_pace_due(&p, 1005.01, 0.1)); /* or 5 s */
    vka_pace_wrote(&p, 1010, 1012);              /* a slow disk */
    assert_false(vka_pace_due(&p, 1016.9, 4.9));
    assert_true(vka_pace_due(&p, 1017, 4.9));
}

static void device_must_be_the_same(void **state)
{
    (void)state;
    struct vka_work w = {
        .f16 = true,
        .table = {.id = 31, .path = VKA_PATH_KHR, .matrix = {16, 16, 16}},
        .info = {.name = "A card", .driver = "radv 26.0", .driver_version = 7, .driver_uuid = {1, 2, 3}}};
    struct vka_job *job = vka_job_create();
    struct vka_state s = {.id = (char *)(uintptr_t) "abc", .facts = json_object()};
    vka_error err = {0};
    char hex[65];
    vka_kernels_hash(hex);
    json_t *same =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s}", "device", "A card", "driver", "radv 26.0",
                  "driver_version", "00000007", "driver_uuid", "01020300000000000000000000000000", "kernel_table", 31,
                  "path", "khr", "precision", "f16", "matrix", "16x16x16", "kernels", hex);
    json_object_set(s.facts, "same", same);
    assert_int_equal(vka_resume_check_device(&s, &w, &err), VKA_OK);
    assert_int_equal(json_object_size(same), 9);
    json_t *copy = json_deep_copy(same), *value;
    const char *key;
    json_object_foreach(copy, key, value)
    {
        err = (vka_error){0};
        json_object_set_new(same, key, json_string("other"));
        assert_int_equal(vka_resume_check_device(&s, &w, &err), VKA_E_USAGE);
        assert_non_null(strstr(err.what, "same bits"));
        assert_non_null(strstr(err.why, "other"));
        assert_true(err.hint[0] != '\0');
        json_object_set(same, key, value);
    }
    assert_int_equal(vka_resume_check_device(&s, &w, NULL), VKA_OK);
    json_decref(copy);
    json_decref(same);
    json_decref(s.facts);
    vka_job_destroy(&job);
}

static void version_must_be_the_same(void **state)
{
    (void)state;
    struct vka_job *job = NULL, *changes = vka_job_create();
    struct vka_state s = {.id = (char *)(uintptr_t) "abc"};
    s.facts = json_pack("{s:i, s:s, s:{s:s, s:i, s:[s], s:f}}", "schema", 1, "vkanim", vka_version(), "job", "prompt",
                        "a fox", "vram", 1 << 20, "output", "/tmp/fox.webp", "cfg", 7.3);
    assert_int_equal(vka_job_set(changes, "vram", "2M", NULL), VKA_OK);
    assert_int_equal(vka_job_set(changes, "device", "1", NULL), VKA_OK);
    assert_int_equal(vka_resume_job(&s, NULL, &job, NULL), VKA_OK);
    assert_true(job->vram == 1 << 20 && job->cfg == 7.3 && !job->device);
    assert_string_equal(job->output.items[0], "/tmp/fox.webp");
    vka_job_destroy(&job);
    assert_int_equal(vka_resume_job(&s, changes, &job, NULL), VKA_OK);
    assert_true(job->vram == 2 << 20);
    assert_string_equal(job->device, "1");
    assert_string_equal(job->prompt, "a fox");
    vka_job_destroy(&job);
    vka_error err = {0};
    json_object_set_new(s.facts, "vkanim", json_string("0.0.1"));
    assert_int_equal(vka_resume_job(&s, NULL, &job, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "0.0.1"));
    json_object_set_new(s.facts, "vkanim", json_string(vka_version()));
    json_object_set_new(s.facts, "job", json_pack("{s:i}", "stepz", 3));
    assert_int_equal(vka_resume_job(&s, NULL, &job, NULL), VKA_E_INPUT);
    json_object_del(s.facts, "job");
    assert_int_equal(vka_resume_job(&s, NULL, &job, NULL), VKA_E_INPUT);
    json_decref(s.facts);
    vka_job_destroy(&changes);
}

static void paths_become_absolute(void **state)
{
    (void)state;
    char here[256], want[300];
    assert_non_null(getcwd(here, sizeof here));
    struct vka_job *job = vka_job_create();
    vka_job_set(job, "output", "clip.webp", NULL);
    vka_job_set(job, "output", "/abs/frames/", NULL);
    vka_job_set(job, "noise", "a/noise.safetensors", NULL);
    vka_job_set(job, "motion", "none", NULL);
    vka_job_set(job, "prompt", "clip.webp", NULL);
    assert_true(vka_job_absolute(job));
    snprintf(want, sizeof want, "%s/clip.webp", here);
    assert_string_equal(job->output.items[0], want);
    assert_string_equal(job->output.items[1], "/abs/frames/");
    snprintf(want, sizeof want, "%s/a/noise.safetensors", here);
    assert_string_equal(job->noise, want);
    assert_string_equal(job->motion, "none");
    assert_string_equal(job->prompt, "clip.webp");
    vka_job_destroy(&job);
}

static void files_at_offsets(void **state)
{
    (void)state;
    vka_disk_file f;
    uint8_t data[1000], back[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    char *path = file_in("spool");
    for (int named = 0; named < 2; named++) {
        assert_int_equal(vka_disk_open(&f, named ? path : NULL, NULL), VKA_OK);
        assert_int_equal(vka_disk_write(&f, 1000, data, sizeof data, NULL), VKA_OK);
        assert_int_equal(vka_disk_write(&f, 0, data + 10, 500, NULL), VKA_OK);
        assert_int_equal(vka_disk_sync(&f, NULL), VKA_OK);
        assert_int_equal(vka_disk_read(&f, 1000, back, sizeof back, NULL), VKA_OK);
        assert_memory_equal(data, back, sizeof data);
        assert_int_equal(vka_disk_read(&f, 1001, back, sizeof back, NULL), VKA_E_INPUT);
        assert_int_equal(vka_disk_write(&f, UINT64_MAX - 10, data, sizeof data, NULL), VKA_E_OUTPUT);
        vka_disk_close(&f);
    }
    assert_int_equal(vka_disk_open(&f, path, NULL), VKA_OK); /* what was there stays */
    assert_int_equal(vka_disk_read(&f, 0, back, 500, NULL), VKA_OK);
    assert_memory_equal(data + 10, back, 500);
    vka_disk_close(&f);
    assert_int_equal(vka_disk_open(&f, "/no-such-place/spool", NULL), VKA_E_OUTPUT);
    vka_disk_file full;
    if (vka_path_exists("/dev/full")) {
        vka_error err = {0};
        assert_int_equal(vka_disk_open(&full, "/dev/full", NULL), VKA_OK);
        assert_int_equal(vka_disk_write(&full, 0, data, sizeof data, &err), VKA_E_OUTPUT);
        assert_true(err.why[0] != '\0');
        vka_disk_close(&full);
    }
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoint_comes_back),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(sizes_are_not_believed),
        cmocka_unit_test(json_checks_itself),
        cmocka_unit_test(older_stands_in),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(leftovers_go),
        cmocka_unit_test(reports_are_whole),
        cmocka_unit_test(one_warning),
        cmocka_unit_test(pace),
        cmocka_unit_test(device_must_be_the_same),
        cmocka_unit_test(version_must_be_the_same),
        cmocka_unit_test(paths_become_absolute),
        cmocka_unit_test(files_at_offsets),
    };
    return cmocka_run_group_tests_name("state", tests, make_folder, remove_folder);
}

/* test_bench.c - the bench on the device, at a size of seconds: every operator of a small UNet is measured and its row stands;
 * outputs that are spoilt behind its back make it object, operator by operator; and the program as people call it. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp, setenv */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "bench.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static vka_gpu *gpu;

/* A run as main.c makes it, of the miniature's networks at 32 x 32 and two frames. */
static struct bench_run *begin(struct bench_options *o, bool f16)
{
    struct bench_run *r = calloc(1, sizeof *r);
    vka_error err = {0};
    assert_non_null(r);
    *o = (struct bench_options){.level = BENCH_LEVEL_OP, .quiet = true, .seconds = 60};
    r->options = o;
    r->gpu = gpu;
    r->info = *vka_gpu_describe(gpu);
    r->table = check_table(gpu);
    r->sampling = (struct bench_sampling){2, 0.5};
    r->size = (struct bench_size){32, 32, 2, 2, f16 && r->table.storage_f16, true};
    r->budget = (uint64_t)1 << 30;
    r->results = json_pack("{s:[]}", "rows");
    r->rows = json_object_get(r->results, "rows");
    r->roof = (struct bench_roof){1, "a test", 1, 100};
    assert_int_equal(bench_model_open(&r->model, "miniature", true, &err), VKA_OK);
    assert_int_equal(bench_pool_open(&r->pool, &err), VKA_OK);
    return r;
}

static void end(struct bench_run *r)
{
    json_decref(r->results);
    bench_pool_close(&r->pool);
    bench_model_close(&r->model);
    free(r);
}

static double number(const json_t *row, const char *name)
{
    const json_t *v = json_object_get(row, name);
    if (!json_is_number(v))
        fail_msg("'%s' has no number '%s'", json_string_value(json_object_get(row, "name")), name);
    return json_number_value(v);
}

/* A measured row that counts. */
static void must_stand(const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    const json_t *check = json_object_get(row, "check"), *ms = json_object_get(row, "ms");
    if (!json_is_null(json_object_get(row, "void")))
        fail_msg("'%s' is void: %s", name, json_string_value(json_object_get(row, "void")));
    assert_true(json_is_true(json_object_get(check, "passed")));
    assert_true(number(check, "elements") > 0 && number(check, "worst") <= number(check, "tolerance"));
    assert_true(json_array_size(json_object_get(row, "samples_ms")) >= 1);
    assert_true(number(ms, "min") > 0 && number(ms, "min") <= number(ms, "median") &&
                number(ms, "median") <= number(ms, "max"));
    assert_true(number(row, "peak_bytes") > 0 && number(row, "peak_bytes") <= number(row, "planned_bytes"));
}

static void operators_are_measured(void **state)
{
    (void)state;
    for (int f16 = 0; f16 < 2; f16++) {
        struct bench_options o;
        struct bench_run *r = begin(&o, f16);
        struct bench_network n;
        vka_error err = {0};
        size_t i;
        json_t *row;
        if (bench_level_op(r, &err) != VKA_OK)
            fail_msg("%s", err.what);
        assert_int_equal(bench_network_open(&n, &r->model, &r->size, &r->table, &err), VKA_OK);
        assert_int_equal(json_array_size(r->rows), n.count);
        json_array_foreach(r->rows, i, row) must_stand(row);
        assert_true(r->unet_check.done && !r->failed);
        assert_true(number(json_object_get(r->results, "summary"), "op_ms_per_step") > 0);
        bench_network_close(&n);
        end(r);
    }
}

/* Every operator: right as it is, and wrong when its outputs are zero or hold one number more. */
static void spoilt_outputs_are_noticed(void **state)
{
    (void)state;
    struct bench_options o;
    struct bench_run *r = begin(&o, true);
    struct bench_network n;
    vka_error err = {0};
    assert_int_equal(bench_network_open(&n, &r->model, &r->size, &r->table, &err), VKA_OK);
    for (uint32_t i = 0; i < n.count; i++) {
        struct bench_unit u;
        struct bench_verdict v;
        if (bench_unit_open(&u, gpu, &r->pool, bench_graph(&n), n.shapes[i].node, &r->table, NULL, &err) != VKA_OK)
            fail_msg("%s: %s", n.shapes[i].name, err.what);
        const struct vka_node *last = &u.graph->nodes[u.graph->node_count - 1];
        for (uint32_t k = 0; k < last->outputs; k++) {
            vka_block *block = u.block[last->out[k].id];
            void *kept = malloc(block->size), *zero = calloc(block->size, 1);
            assert_true(kept && zero);
            assert_int_equal(bench_unit_check(&u, 7, &v, &err), VKA_OK);
            if (!v.passed)
                fail_msg("%s: %s", n.shapes[i].name, v.why);
            assert_int_equal(vka_block_read(gpu, block, 0, kept, block->size, &err), VKA_OK);
            assert_int_equal(vka_block_write(gpu, block, 0, zero, block->size, &err), VKA_OK);
            assert_int_equal(bench_unit_check(&u, 7, &v, &err), VKA_OK);
            if (v.passed)
                fail_msg("%s: zeros in output %u are taken for right", n.shapes[i].name, k);
            assert_int_equal(vka_block_write(gpu, block, 0, kept, block->size, &err), VKA_OK);
            free(kept);
            free(zero);
        }
        bench_unit_close(&u);
    }
    bench_network_close(&n);
    end(r);
}

/* A row stands on the checks of its operators, all of them, and on its own output. */
static void rows_are_void(void **state)
{
    (void)state;
    struct bench_options o;
    struct bench_run *r = begin(&o, true);
    struct bench_total bad = {.done = true}, undone = {.failed = false};
    const struct bench_verdict wrong = {
        .passed = false, .elements = 3, .worst = 1, .tolerance = 0.1, .why = "it is wrong"};
    const struct bench_total *one[] = {&bad}, *two[] = {&undone};
    bench_total_add(r, &bad, "an operator", &wrong);
    assert_true(r->failed && bad.failed && strstr(r->failure, "it is wrong"));
    json_t *row = bench_row_new(r, "stage", "unet", "a network");
    bench_row_totals(row, one, 1, true);
    assert_non_null(strstr(json_string_value(json_object_get(row, "void")), "it is wrong"));
    assert_true(json_is_false(json_object_get(json_object_get(row, "check"), "passed")));
    row = bench_row_new(r, "stage", "unet", "another");
    bench_row_totals(row, two, 1, true);
    assert_true(json_is_string(json_object_get(row, "void")));
    bad = (struct bench_total){.done = true, .elements = 3, .tolerance = 0.1};
    row = bench_row_new(r, "stage", "unet", "a third");
    bench_row_totals(row, one, 1, false);
    assert_non_null(strstr(json_string_value(json_object_get(row, "void")), "NaN"));
    row = bench_row_new(r, "stage", "unet", "a fourth");
    bench_row_totals(row, one, 1, true);
    assert_true(json_is_null(json_object_get(row, "void")));
    end(r);
}

/* What a tuner calls. */
static void a_node_is_timed(void **state)
{
    (void)state;
    struct bench_options o;
    struct bench_run *r = begin(&o, true);
    struct bench_network n;
    struct bench_samples samples = {.count = 0};
    struct bench_verdict v;
    vka_error err = {0};
    assert_int_equal(bench_network_open(&n, &r->model, &r->size, &r->table, &err), VKA_OK);
    assert_int_equal(bench_node_time(gpu, &r->pool, &r->model, &r->size, n.shapes[0].key, &r->table, &r->sampling, NULL,
                                     &samples, &v, &err),
                     VKA_OK);
    assert_true(v.passed && samples.count >= 1 && samples.ms[0] > 0);
    assert_int_equal(bench_node_time(gpu, &r->pool, &r->model, &r->size, "no such node", &r->table, &r->sampling, NULL,
                                     &samples, &v, &err),
                     VKA_E_INTERNAL);
    /* as on a GPU: with clocks to warm up, and where one launch would take too long, by the executor's own lists */
    vka_gpu_info *info = (vka_gpu_info *)(uintptr_t)vka_gpu_describe(gpu);
    struct bench_unit u;
    bool cpu = info->cpu;
    assert_int_equal(bench_unit_open(&u, gpu, &r->pool, bench_graph(&n), n.shapes[0].node, &r->table, NULL, &err),
                     VKA_OK);
    for (int cut = 0; cut < 2; cut++) {
        u.exec->limits.dispatch = cut ? 1e-9 : 1e9;
        info->cpu = false;
        vka_status s = bench_unit_time(&u, &r->sampling, NULL, &samples, &err);
        info->cpu = cpu;
        assert_int_equal(s, VKA_OK);
        assert_true(samples.count >= 1 && samples.ms[0] > 0);
    }
    bench_unit_close(&u);
    bench_network_close(&n);
    end(r);
}

/* ---- the program ------------------------------------------------------------------------------------------- */

static int run(const char *arguments)
{
    char *line = vka_asprintf("'" VKA_BENCH "' %s >stdout.txt 2>stderr.txt", arguments);
    assert_non_null(line);
    int code = system(line);
    free(line);
    return WIFEXITED(code) ? WEXITSTATUS(code) : -1;
}

static void the_program(void **state)
{
    (void)state;
    char folder[] = "/tmp/vkanim-bench-XXXXXX";
    if (access(VKA_BENCH, X_OK) != 0) {
        fprintf(stderr, "%s is not here\n", VKA_BENCH);
        skip();
    }
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(setenv("VKANIM_CACHE_DIR", folder, 1), 0);
    assert_int_equal(run("--help"), 0);
    assert_int_equal(run("--level nonsense"), VKA_E_USAGE);
    assert_int_equal(run("--device nowhere --probes"), VKA_E_DEVICE);
    int code =
        run("--model miniature -W 32 -H 32 -f 2 --grid 32x32x2,32x32x99 --samples 2 --seconds 60 -o r.json -o r.md "
            "-o r.csv -o r.jsonl --html r.html");
    json_error_t e;
    json_t *r = json_load_file("r.json", 0, &e), *row;
    if (code != 0 || !r)
        fail_msg("exit code %d", code);
    size_t i, level[3] = {0}, skipped = 0;
    json_array_foreach(json_object_get(r, "rows"), i, row)
    {
        const char *l = json_string_value(json_object_get(row, "level"));
        level[0] += strcmp(l, "op") == 0;
        level[1] += strcmp(l, "stage") == 0;
        level[2] += strcmp(l, "clip") == 0;
        if (json_is_true(json_object_get(row, "skipped"))) {
            assert_true(json_is_string(json_object_get(row, "void"))); /* it says why */
            skipped++;
        } else {
            must_stand(row);
        }
    }
    assert_true(level[0] > 20 && level[1] == 4 && level[2] == 2 && skipped == 1);
    assert_true(number(json_object_get(r, "roof"), "tflops") > 0 &&
                number(json_object_get(r, "roof"), "copy_gbps") > 0);
    json_decref(r);
    assert_int_equal(run("--predict --roof 100,500 --json"), 0);
    r = json_load_file("stdout.txt", 0, &e);
    assert_non_null(r);
    assert_true(number(json_array_get(json_object_get(r, "rows"), 0), "predicted_ms") > 0);
    json_decref(r);
    static const char *const made[] = {"r.json", "r.md", "r.csv", "r.jsonl", "r.html", "stdout.txt", "stderr.txt"};
    for (size_t k = 0; k < sizeof made / sizeof *made; k++)
        assert_int_equal(remove(made[k]), 0);
    char *clean = vka_asprintf("rm -rf '%s'", folder);
    assert_true(clean && chdir("/") == 0 && system(clean) == 0);
    free(clean);
}

static int open_device(void **state)
{
    (void)state;
    gpu = check_open_gpu();
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    check_close_gpu(&gpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(operators_are_measured),
                                       cmocka_unit_test(spoilt_outputs_are_noticed), cmocka_unit_test(rows_are_void),
                                       cmocka_unit_test(a_node_is_timed), cmocka_unit_test(the_program)};
    return cmocka_run_group_tests_name("bench", tests, open_device, close_device);
}

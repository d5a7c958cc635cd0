/* test_kernels.c - what is learnt about a device's kernels: the probe of its path, and the file that keeps verdicts and tiles. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "harness.h"

#include "base/file.h"
#include "render/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static vka_gpu *gpu;
static char folder[] = "/tmp/vkanim-kernels-XXXXXX";

static int open_all(void **state)
{
    (void)state;
    gpu = check_open_gpu();
    return mkdtemp(folder) && setenv("VKANIM_CACHE_DIR", folder, 1) == 0 ? 0 : -1;
}

static char *only_file(void)
{
    char command[160], path[4096] = "";
    snprintf(command, sizeof command, "ls %s/kernels-*.json", folder);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    if (!fgets(path, sizeof path, p))
        path[0] = '\0';
    pclose(p);
    path[strcspn(path, "\n")] = '\0';
    return strdup(path);
}

static int close_all(void **state)
{
    (void)state;
    char *path = only_file();
    remove(path);
    free(path);
    rmdir(folder);
    check_close_gpu(&gpu);
    return 0;
}

static void path_agrees_with_portable(void **state)
{
    (void)state;
    struct vka_kernel_table t = check_table(gpu);
    vka_error err = {0};
    bool right = false;
    double seconds[2] = {0, 0};
    if (t.path == VKA_PATH_FP32)
        skip();
    assert_int_equal(vka_kernels_probe(gpu, &t, &right, seconds, &err), VKA_OK);
    assert_true(right);
    assert_true(seconds[0] >= 0 && seconds[1] >= 0 && seconds[0] < 600 && seconds[1] < 600);
    print_message("%s: %.3f ms, portable %.3f ms\n", vka_path_name(t.path), 1e3 * seconds[0], 1e3 * seconds[1]);
}

static void tiles_come_back(void **state)
{
    (void)state;
    struct vka_kernel_table t = check_table(gpu), again = t;
    vka_error err = {0};
    t.tuned_count = 2;
    t.tuned[0] = (struct vka_tuned){4000000000u, 3};
    t.tuned[1] = (struct vka_tuned){7, 0};
    assert_int_equal(vka_kernels_keep_tuned(vka_gpu_describe(gpu), &t, &err), VKA_OK);
    assert_int_equal(vka_kernels_settle(gpu, &again, true, NULL, &err), VKA_OK);
    assert_int_equal(again.tuned_count, 2);
    assert_memory_equal(again.tuned, t.tuned, 2 * sizeof *t.tuned);
    assert_int_equal(again.id, t.id); /* tiles are no new table */
}

static void damage_counts_as_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{", "[]", "{\"schema\":1}", "{\"schema\":1,\"kernels\":\"x\",\"tuned\":{}}"};
    char *path = only_file();
    assert_true(path[0]);
    char *whole;
    size_t size;
    vka_error err = {0};
    assert_int_equal(vka_read_file(path, 1 << 20, &whole, &size, &err), VKA_OK);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct vka_kernel_table t = check_table(gpu);
        assert_int_equal(vka_write_file(path, texts[i], strlen(texts[i]), &err), VKA_OK);
        assert_int_equal(vka_kernels_settle(gpu, &t, true, NULL, &err), VKA_OK);
        assert_int_equal(t.tuned_count, 0);
    }
    for (size_t cut = 0; cut < size; cut += 1 + size / 40) { /* and the right file, short */
        struct vka_kernel_table t = check_table(gpu);
        assert_int_equal(vka_write_file(path, whole, cut, &err), VKA_OK);
        assert_int_equal(vka_kernels_settle(gpu, &t, true, NULL, &err), VKA_OK);
        assert_int_equal(t.tuned_count, 0);
    }
    free(whole);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_agrees_with_portable),
        cmocka_unit_test(tiles_come_back),
        cmocka_unit_test(damage_counts_as_nothing),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}

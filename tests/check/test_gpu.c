/* test_gpu.c - the gpu room on whatever device is there: enumeration, memory, pipelines, lists,
 * submission, timers, the cache on disk, and what it says when the device or its driver fails.
 * Validation is on throughout where the layers are installed, and has to stay silent. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "gpu/gpu_internal.h"
#include "shaders/shaders.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct words { /* the push block of probe_fill.comp */
    uint64_t dst, src;
    uint32_t count, base;
};

static void on_log(void *user, int level, const char *text)
{
    if (level <= VKA_LOG_WARN && getenv("VKA_TEST_LOUD"))
        fprintf(stderr, "[%d] %s\n", level, text);
    (void)user;
}

static const vka_log test_log = {.write = on_log, .level = VKA_LOG_DEBUG};

static vka_gpu *open_gpu(bool timers, const char *cache_dir)
{
    vka_gpu *gpu = NULL;
    vka_error err = {0};
    vka_gpu_params params = {.validation = true, .timers = timers, .cache_dir = cache_dir, .log = test_log};
    if (vka_gpu_create(&gpu, &params, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
    return gpu;
}

static void close_gpu(vka_gpu **gpu)
{
    assert_int_equal(vka_gpu_validation_messages(*gpu), 0);
    assert_int_equal((*gpu)->lists, 0);
    vka_gpu_destroy(gpu);
    assert_null(*gpu);
}

static vka_block *block_of(vka_gpu *gpu, uint64_t bytes, enum vka_memory kind)
{
    vka_block *b = NULL;
    vka_error err = {0};
    if (vka_block_create(gpu, bytes, kind, true, &b, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
    return b;
}

static vka_pipeline *probe(vka_gpu *gpu, uint32_t use_src, uint32_t factor)
{
    vka_pipeline *p = NULL;
    vka_error err = {0};
    vka_pipeline_key key;
    memset(&key, 0, sizeof key);
    key.shader = VKA_SHADER_PROBE_FILL;
    key.count = 3;
    key.constants[0] = 64;
    key.constants[1] = use_src;
    key.constants[2] = factor;
    if (vka_gpu_pipeline(gpu, &key, &p, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
    return p;
}

static void add_fill(vka_list *list, vka_pipeline *p, const vka_block *dst, const vka_block *src, uint32_t count,
                     uint32_t base, const char *label)
{
    struct words push = {.dst = dst->address, .src = src ? src->address : 0, .count = count, .base = base};
    const uint32_t groups[3] = {(count + 63) / 64, 1, 1};
    vka_list_dispatch(list, p, &push, sizeof push, groups, label);
}

static vka_list *begin(vka_gpu *gpu, const char *label)
{
    vka_list *list = NULL;
    vka_error err = {0};
    if (vka_list_begin(gpu, label, &list, &err) != VKA_OK)
        fail_msg("%s", err.what);
    return list;
}

static void end(vka_list *list)
{
    vka_error err = {0};
    if (vka_list_end(list, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
}

static uint64_t submit(vka_gpu *gpu, vka_list *list)
{
    uint64_t ticket = 0;
    vka_error err = {0};
    if (vka_gpu_submit(gpu, &list, 1, &ticket, &err) != VKA_OK)
        fail_msg("%s: %s", err.what, err.why);
    return ticket;
}

static void run(vka_gpu *gpu, vka_list *list)
{
    bool done = false;
    vka_error err = {0};
    uint64_t ticket = submit(gpu, list);
    if (vka_gpu_wait(gpu, ticket, 60.0, &done, &err) != VKA_OK || !done)
        fail_msg("not done: %s %s", err.what, err.why);
}

/* ---- devices ------------------------------------------------------------------------------------ */

static void test_enumerate(void **state)
{
    (void)state;
    vka_gpu_info *list = NULL;
    uint32_t count = 0;
    vka_error err = {0};
    assert_int_equal(vka_gpu_enumerate(&list, &count, &test_log, &err), VKA_OK);
    assert_true(count > 0);
    for (uint32_t i = 0; i < count; i++) {
        const vka_gpu_info *d = &list[i];
        assert_int_equal(d->index, i);
        assert_true(d->name[0] && d->heap_count > 0);
        assert_true(d->usable == (d->reason[0] == '\0'));
        if (!d->usable)
            continue;
        assert_true(d->driver[0] && d->device_heap >= 256u << 20 && d->max_block >= 256u << 20);
        assert_true(d->subgroup_min <= d->subgroup_size && d->subgroup_size <= d->subgroup_max);
        assert_true(d->shared_bytes >= 16384 && d->max_invocations >= 128 && d->max_groups[0] >= 65535);
        assert_true(d->api_version >= VK_API_VERSION_1_2);
        assert_true(!d->timestamps || d->timestamp_ns > 0);
    }
    free(list);
}

/* Runs `body` with an environment variable set, and puts the old value back. */
static void with_env(const char *name, const char *value, void (*body)(void))
{
    const char *old = getenv(name);
    char *keep = old ? vka_strdup(old) : NULL;
    setenv(name, value, 1);
    body();
    if (keep)
        setenv(name, keep, 1);
    else
        unsetenv(name);
    free(keep);
}

static void expect_no_driver(void)
{
    vka_gpu_info *list = NULL;
    uint32_t count = 7;
    vka_error err = {0};
    assert_int_equal(vka_gpu_enumerate(&list, &count, NULL, &err), VKA_E_DEVICE);
    assert_int_equal(count, 0);
    assert_null(list);
    assert_int_equal(err.status, VKA_E_DEVICE);
    assert_non_null(strstr(err.hint, "mesa-vulkan-drivers"));
    vka_gpu *gpu = NULL;
    vka_gpu_params params = {0};
    vka_error_clear(&err);
    assert_int_equal(vka_gpu_create(&gpu, &params, &err), VKA_E_DEVICE);
    assert_null(gpu);
}

static void expect_unknown_device(void)
{
    vka_gpu *gpu = NULL;
    vka_gpu_params params = {0};
    vka_error err = {0};
    assert_int_equal(vka_gpu_create(&gpu, &params, &err), VKA_E_DEVICE);
    assert_non_null(strstr(err.what, "no such card"));
    /* what the caller names beats the variable */
    params.device = "0";
    vka_error_clear(&err);
    vka_status s = vka_gpu_create(&gpu, &params, &err);
    assert_true(s == VKA_OK || strstr(err.what, "cannot be used"));
    vka_gpu_destroy(&gpu);
}

static void test_choice_failures(void **state)
{
    (void)state;
    with_env("VK_DRIVER_FILES", "/nonexistent/icd.json", expect_no_driver);
    with_env("VKANIM_DEVICE", "no such card", expect_unknown_device);
    vka_gpu *none = NULL;
    vka_gpu_destroy(NULL);
    vka_gpu_destroy(&none);
}

/* ---- memory ------------------------------------------------------------------------------------- */

static void test_footprint(void **state)
{
    (void)state;
    assert_int_equal(vka_block_footprint(0), 64 << 10);
    assert_int_equal(vka_block_footprint(1), 128 << 10);
    assert_int_equal(vka_block_footprint(64 << 10), 128 << 10);
    assert_int_equal(vka_block_footprint((64 << 10) + 1), 192 << 10);
    assert_true(vka_block_footprint(UINT64_MAX) == UINT64_MAX);
}

static void test_accounting(void **state)
{
    vka_gpu *gpu = *state;
    uint64_t peak = 0, start = vka_gpu_device_bytes(gpu, NULL);
    vka_gpu_reset_peak(gpu);
    vka_block *a = block_of(gpu, 1000, VKA_MEMORY_DEVICE), *b = block_of(gpu, 300000, VKA_MEMORY_DEVICE);
    vka_block *h = block_of(gpu, 1 << 20, VKA_MEMORY_HOST);
    assert_non_null(h->map);
    assert_true(a->address % 256 == 0 && b->address % 256 == 0 && h->address % 256 == 0);
    uint64_t both = vka_block_footprint(1000) + vka_block_footprint(300000);
    assert_int_equal(vka_gpu_device_bytes(gpu, &peak) - start, both);
    assert_int_equal(peak - start, both);
    vka_block_destroy(gpu, &b);
    assert_null(b);
    vka_block_destroy(gpu, &b);
    assert_int_equal(vka_gpu_device_bytes(gpu, &peak) - start, vka_block_footprint(1000));
    assert_int_equal(peak - start, both);
    vka_gpu_reset_peak(gpu);
    vka_gpu_device_bytes(gpu, &peak);
    assert_int_equal(peak - start, vka_block_footprint(1000));
    vka_block_destroy(gpu, &a);
    vka_block_destroy(gpu, &h);
    assert_int_equal(vka_gpu_device_bytes(gpu, NULL), start);
    assert_true(vka_gpu_device_free(gpu) > 0);

    vka_error err = {0};
    assert_int_equal(vka_block_create(gpu, UINT64_C(1) << 50, VKA_MEMORY_DEVICE, false, &a, &err), VKA_E_MEMORY);
    assert_null(a);
    assert_true(err.what[0] && err.why[0]);
    vka_error_clear(&err);
    assert_int_equal(vka_block_create(gpu, UINT64_MAX, VKA_MEMORY_DEVICE, false, &a, &err), VKA_E_MEMORY);
    assert_int_equal(vka_gpu_device_bytes(gpu, NULL), start);
}

static void roundtrip(vka_gpu *gpu, vka_block *b)
{
    uint64_t n = b->size + VKA_BLOCK_SLACK; /* the slack is writable too */
    uint8_t *in = malloc((size_t)n), *out = malloc((size_t)n);
    vka_error err = {0};
    assert_true(in && out);
    assert_int_equal(vka_block_read(gpu, b, 0, out, n, &err), VKA_OK);
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(out[i], 0); /* made with zero */
        in[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    assert_int_equal(vka_block_write(gpu, b, 0, in, n, &err), VKA_OK);
    assert_int_equal(vka_block_write(gpu, b, 4099, in, 77, &err), VKA_OK);
    memcpy(out, in, (size_t)n);
    memcpy(out + 4099, in, 77);
    memcpy(in, out, (size_t)n);
    memset(out, 0xee, (size_t)n);
    assert_int_equal(vka_block_read(gpu, b, 0, out, n, &err), VKA_OK);
    assert_memory_equal(in, out, (size_t)n);
    assert_int_equal(vka_block_read(gpu, b, 12345, out, 1001, &err), VKA_OK);
    assert_memory_equal(in + 12345, out, 1001);
    assert_int_equal(vka_block_write(gpu, b, n, in, 0, &err), VKA_OK);
    assert_int_equal(vka_block_write(gpu, b, n, in, 1, &err), VKA_E_INTERNAL);
    assert_int_equal(vka_block_read(gpu, b, UINT64_MAX, out, 2, NULL), VKA_E_INTERNAL);
    free(in);
    free(out);
}

static void test_copies(void **state)
{
    vka_gpu *gpu = *state;
    vka_block *d = block_of(gpu, (17 << 20) + 12, VKA_MEMORY_DEVICE), *h = block_of(gpu, 100000, VKA_MEMORY_HOST);
    roundtrip(gpu, d);
    roundtrip(gpu, h);
    vka_block_destroy(gpu, &d);
    /* The way of a block that the host cannot see: the staging block, three chunks long here. */
    uint64_t before = vka_gpu_device_bytes(gpu, NULL);
    d = block_of(gpu, (17 << 20) + 12, VKA_MEMORY_DEVICE);
    d->map = NULL;
    roundtrip(gpu, d);
    assert_int_equal(vka_gpu_device_bytes(gpu, NULL) - before, vka_block_footprint((17 << 20) + 12));
    vka_block_destroy(gpu, &d);
    vka_block_destroy(gpu, &h);
}

/* ---- lists -------------------------------------------------------------------------------------- */

static void test_dispatch(void **state)
{
    vka_gpu *gpu = *state;
    enum { N = 1000 };
    vka_block *b = block_of(gpu, 4 * N, VKA_MEMORY_DEVICE);
    vka_list *list = begin(gpu, "fill");
    add_fill(list, probe(gpu, 0, 3), b, NULL, N, 7, "probe");
    end(list);
    run(gpu, list);
    uint32_t out[N + 8];
    assert_int_equal(vka_block_read(gpu, b, 0, out, sizeof out, NULL), VKA_OK);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(out[i], 7 + 3 * i);
    for (uint32_t i = N; i < N + 8; i++)
        assert_int_equal(out[i], 0); /* nothing behind the count */
    uint32_t pipelines = vka_gpu_pipeline_count(gpu);
    assert_ptr_equal(probe(gpu, 0, 3), probe(gpu, 0, 3));
    assert_int_equal(vka_gpu_pipeline_count(gpu), pipelines);
    assert_ptr_not_equal(probe(gpu, 0, 3), probe(gpu, 0, 4));
    assert_int_equal(vka_gpu_pipeline_count(gpu), pipelines + 1);
    vka_list_destroy(gpu, &list);
    assert_null(list);
    vka_block_destroy(gpu, &b);
}

/* a -> b -> a -> ... through barriers, replayed: every run has to see what the one before left. */
static void test_chain_and_replay(void **state)
{
    vka_gpu *gpu = *state;
    enum { N = 5000, LINKS = 8, RUNS = 25 };
    vka_block *a = block_of(gpu, 4 * N, VKA_MEMORY_DEVICE), *b = block_of(gpu, 4 * N, VKA_MEMORY_DEVICE);
    vka_pipeline *copy = probe(gpu, 1, 1);
    vka_list *list = begin(gpu, "chain"), *second = begin(gpu, "second");
    for (int i = 0; i < LINKS; i++) {
        add_fill(list, copy, i % 2 ? a : b, i % 2 ? b : a, N, 1, "link");
        vka_list_barrier(list);
    }
    end(list);
    add_fill(second, copy, a, a, N, 1000, "shift");
    end(second);
    uint64_t ticket = 0, last = 0;
    for (int i = 0; i < RUNS; i++) {
        vka_list *both[2] = {list, second};
        assert_int_equal(vka_gpu_submit(gpu, both, 2, &ticket, NULL), VKA_OK);
        assert_true(ticket > last);
        last = ticket;
    }
    assert_int_equal(vka_gpu_idle(gpu, NULL), VKA_OK);
    static uint32_t out[N];
    assert_int_equal(vka_block_read(gpu, a, 0, out, sizeof out, NULL), VKA_OK);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(out[i], RUNS * (LINKS + 1000));
    bool done = false;
    assert_int_equal(vka_gpu_wait(gpu, 1, 0, &done, NULL), VKA_OK); /* long gone */
    assert_true(done);
    assert_int_equal(vka_gpu_wait(gpu, ticket + 1, 0, &done, NULL), VKA_E_INTERNAL);
    vka_list *twice[2] = {list, list};
    assert_int_equal(vka_gpu_submit(gpu, twice, 2, &ticket, NULL), VKA_E_INTERNAL);
    /* destroying a list that may still run waits for it */
    submit(gpu, list);
    vka_list_destroy(gpu, &list);
    vka_list_destroy(gpu, &second);
    vka_block_destroy(gpu, &a);
    vka_block_destroy(gpu, &b);
}

static void test_bad_lists(void **state)
{
    vka_gpu *gpu = *state;
    vka_error err = {0};
    uint64_t ticket;
    uint32_t push[40] = {0};
    const uint32_t groups[3] = {1, 1, 1}, wide[3] = {1, UINT32_MAX, 1};
    vka_pipeline *p = probe(gpu, 0, 1);
    vka_list *list = begin(gpu, "too much pushed");
    assert_int_equal(vka_gpu_submit(gpu, &list, 1, &ticket, NULL), VKA_E_INTERNAL); /* not ended */
    vka_list_dispatch(list, p, push, VKA_PUSH_BYTES + 4, groups, "pushy");
    assert_int_equal(vka_list_end(list, &err), VKA_E_INTERNAL);
    assert_non_null(strstr(err.what, "pushy"));
    assert_int_equal(vka_gpu_submit(gpu, &list, 1, &ticket, NULL), VKA_E_INTERNAL);
    vka_list_destroy(gpu, &list);

    list = begin(gpu, "too wide");
    vka_error_clear(&err);
    vka_list_dispatch(list, p, push, 24, wide, "wide");
    assert_int_equal(vka_list_end(list, &err),
                     gpu->physical.info.max_groups[1] == UINT32_MAX ? VKA_OK : VKA_E_INTERNAL);
    vka_list_destroy(gpu, &list);

    list = begin(gpu, "empty");
    end(list);
    assert_int_equal(vka_list_end(list, NULL), VKA_E_INTERNAL);
    run(gpu, list);
    vka_list_destroy(gpu, &list);

    vka_pipeline_key key;
    memset(&key, 0, sizeof key);
    key.shader = VKA_SHADER_COUNT;
    assert_int_equal(vka_gpu_pipeline(gpu, &key, &p, NULL), VKA_E_INTERNAL);
    assert_null(p);
    key.shader = VKA_SHADER_PROBE_FILL;
    key.subgroup_size = 3;
    vka_error_clear(&err);
    assert_int_equal(vka_gpu_pipeline(gpu, &key, &p, &err), VKA_E_DEVICE);
    assert_non_null(strstr(err.what, "probe_fill"));
}

static void test_subgroup_size(void **state)
{
    vka_gpu *gpu = *state;
    const vka_gpu_info *info = vka_gpu_describe(gpu);
    vka_pipeline *p = NULL;
    vka_pipeline_key key;
    memset(&key, 0, sizeof key);
    key.shader = VKA_SHADER_PROBE_FILL;
    key.count = 1;
    key.constants[0] = info->subgroup_max;
    key.full_subgroups = 1;
    for (uint32_t size = info->subgroup_min; size <= info->subgroup_max; size *= 2) {
        key.subgroup_size = size;
        assert_int_equal(vka_gpu_pipeline(gpu, &key, &p, NULL), VKA_OK);
    }
}

struct seen {
    uint32_t count;
    uint64_t sum;
    char labels[64];
};

static void on_time(void *user, const char *label, uint64_t ns)
{
    struct seen *seen = user;
    seen->count++;
    seen->sum += ns;
    strncat(seen->labels, label, sizeof seen->labels - strlen(seen->labels) - 1);
}

static void test_times(void **state)
{
    (void)state;
    for (int timers = 0; timers < 2; timers++) {
        vka_gpu *gpu = open_gpu(timers, NULL);
        enum { N = 1 << 20 };
        vka_block *b = block_of(gpu, 4 * N, VKA_MEMORY_DEVICE);
        vka_list *list = begin(gpu, "timed");
        for (int i = 0; i < 3; i++) {
            add_fill(list, probe(gpu, 0, 3), b, NULL, i == 2 ? 64 : N, 7, i ? i == 1 ? "b" : "c" : "a");
            vka_list_barrier(list);
        }
        end(list);
        assert_int_equal(vka_list_time(gpu, list), 0); /* it has not run */
        struct seen seen = {0};
        vka_list_times(gpu, list, on_time, &seen);
        assert_int_equal(seen.count, 0);
        for (int i = 0; i < 3; i++)
            run(gpu, list);
        if (vka_gpu_describe(gpu)->timestamps) {
            uint64_t ns = vka_list_time(gpu, list);
            assert_true(ns > 0 && ns < UINT64_C(10000000000));
            vka_list_times(gpu, list, on_time, &seen);
            assert_int_equal(seen.count, timers ? 3 : 0);
            assert_string_equal(seen.labels, timers ? "abc" : "");
            if (timers)
                assert_true(seen.sum <= ns + 3 && seen.sum + 3 >= ns); /* they leave no gap, but for rounding */
        }
        vka_list_destroy(gpu, &list);
        vka_block_destroy(gpu, &b);
        close_gpu(&gpu);
    }
}

/* ---- the cache on disk -------------------------------------------------------------------------- */

/* The one file in the folder. */
static char *cache_file(const char *dir)
{
    char *path = NULL;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            assert_null(path);
            path = vka_path_join(dir, e->d_name);
        }
    closedir(d);
    return path;
}

static bool loads(const char *dir)
{
    vka_gpu *gpu = open_gpu(false, dir);
    bool loaded = gpu->cache_loaded;
    probe(gpu, 0, 1);
    close_gpu(&gpu);
    return loaded;
}

static void test_cache(void **state)
{
    (void)state;
    char root[] = "/tmp/vkanim-test-XXXXXX";
    assert_non_null(mkdtemp(root));
    char *dir = vka_path_join(root, "deep/cache");
    assert_false(loads(dir)); /* nothing there; makes the folder and the file */
    assert_true(loads(dir));
    char *path = cache_file(dir), *data = NULL;
    size_t size = 0;
    assert_non_null(path);
    assert_int_equal(vka_read_file(path, 1 << 28, &data, &size, NULL), VKA_OK);
    assert_true(size > 136);
    /* damage anywhere, and cut anywhere: an empty cache, which is then written anew */
    const size_t spots[] = {0, 8, 12, 16, 24, 33, 50, 64, 72, 80, 135, 136, size - 1};
    for (size_t i = 0; i < sizeof spots / sizeof *spots; i++) {
        data[spots[i]] ^= 0x40;
        assert_int_equal(vka_write_file(path, data, size, NULL), VKA_OK);
        data[spots[i]] ^= 0x40;
        vka_gpu *gpu = open_gpu(false, dir);
        assert_false(gpu->cache_loaded);
        close_gpu(&gpu);
    }
    const size_t cuts[] = {0, 1, 135, 136, size - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        assert_int_equal(vka_write_file(path, data, cuts[i], NULL), VKA_OK);
        vka_gpu *gpu = open_gpu(false, dir);
        assert_false(gpu->cache_loaded);
        close_gpu(&gpu);
    }
    assert_false(loads(dir));
    assert_true(loads(dir));
    unlink(path);
    free(path);
    free(data);
    rmdir(dir);
    free(dir);
    dir = vka_path_join(root, "deep");
    rmdir(dir);
    free(dir);
    rmdir(root);
    /* a folder that cannot be made is a word in the log, no more */
    assert_false(loads("/dev/null/cache"));
}

/* ---- a driver that fails ------------------------------------------------------------------------ */

static VkResult answer; /* of the next failing call */
static int calls_left;  /* good calls before it */
static struct VolkDeviceTable real;

static bool fails(void)
{
    return calls_left-- == 0;
}

static VKAPI_ATTR VkResult VKAPI_CALL fail_submit(VkQueue q, uint32_t n, const VkSubmitInfo *s, VkFence f)
{
    return fails() ? answer : real.vkQueueSubmit(q, n, s, f);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_wait(VkDevice d, const VkSemaphoreWaitInfo *i, uint64_t t)
{
    return fails() ? answer : real.vkWaitSemaphores(d, i, t);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_allocate(VkDevice d, const VkMemoryAllocateInfo *i,
                                                    const VkAllocationCallbacks *a, VkDeviceMemory *m)
{
    return fails() ? answer : real.vkAllocateMemory(d, i, a, m);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_buffer(VkDevice d, const VkBufferCreateInfo *i,
                                                  const VkAllocationCallbacks *a, VkBuffer *b)
{
    return fails() ? answer : real.vkCreateBuffer(d, i, a, b);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_bind(VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize o)
{
    return fails() ? answer : real.vkBindBufferMemory(d, b, m, o);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_map(VkDevice d, VkDeviceMemory m, VkDeviceSize o, VkDeviceSize n,
                                               VkMemoryMapFlags f, void **p)
{
    return fails() ? answer : real.vkMapMemory(d, m, o, n, f, p);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_commands(VkDevice d, const VkCommandBufferAllocateInfo *i,
                                                    VkCommandBuffer *c)
{
    return fails() ? answer : real.vkAllocateCommandBuffers(d, i, c);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_begin(VkCommandBuffer c, const VkCommandBufferBeginInfo *i)
{
    return fails() ? answer : real.vkBeginCommandBuffer(c, i);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_queries(VkDevice d, const VkQueryPoolCreateInfo *i,
                                                   const VkAllocationCallbacks *a, VkQueryPool *q)
{
    return fails() ? answer : real.vkCreateQueryPool(d, i, a, q);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_module(VkDevice d, const VkShaderModuleCreateInfo *i,
                                                  const VkAllocationCallbacks *a, VkShaderModule *m)
{
    return fails() ? answer : real.vkCreateShaderModule(d, i, a, m);
}
static VKAPI_ATTR VkResult VKAPI_CALL fail_pipelines(VkDevice d, VkPipelineCache c, uint32_t n,
                                                     const VkComputePipelineCreateInfo *i,
                                                     const VkAllocationCallbacks *a, VkPipeline *p)
{
    return fails() ? answer : real.vkCreateComputePipelines(d, c, n, i, a, p);
}

/* A small day of work: a block that goes through staging, a pipeline, a list, a run.  Cleans up whatever happens. */
static vka_status work(vka_gpu *gpu, vka_error *err)
{
    vka_block *b = NULL;
    vka_list *list = NULL;
    vka_pipeline *p = NULL;
    uint32_t word = 5;
    uint64_t ticket = 0;
    vka_pipeline_key key;
    memset(&key, 0, sizeof key);
    key.shader = VKA_SHADER_PROBE_FILL;
    key.count = 1;
    key.constants[0] = 32;
    vka_status s = vka_block_create(gpu, 4096, VKA_MEMORY_DEVICE, true, &b, err);
    if (s == VKA_OK)
        b->map = NULL;
    if (s == VKA_OK)
        s = vka_block_write(gpu, b, 0, &word, 4, err);
    if (s == VKA_OK)
        s = vka_gpu_pipeline(gpu, &key, &p, err);
    if (s == VKA_OK)
        s = vka_list_begin(gpu, "day", &list, err);
    if (s == VKA_OK) {
        add_fill(list, p, b, NULL, 64, 0, "morning");
        add_fill(list, p, b, NULL, 64, 0, "evening");
        s = vka_list_end(list, err);
    }
    if (s == VKA_OK)
        s = vka_gpu_submit(gpu, &list, 1, &ticket, err);
    if (s == VKA_OK)
        s = vka_gpu_idle(gpu, err);
    vka_list_destroy(gpu, &list);
    vka_block_destroy(gpu, &b);
    return s;
}

static void use_fault(struct VolkDeviceTable *t, int which)
{
    switch (which) {
    case 0:
        t->vkAllocateMemory = fail_allocate;
        break;
    case 1:
        t->vkCreateBuffer = fail_buffer;
        break;
    case 2:
        t->vkBindBufferMemory = fail_bind;
        break;
    case 3:
        t->vkMapMemory = fail_map;
        break;
    case 4:
        t->vkAllocateCommandBuffers = fail_commands;
        break;
    case 5:
        t->vkBeginCommandBuffer = fail_begin;
        break;
    case 6:
        t->vkCreateQueryPool = fail_queries;
        break;
    case 7:
        t->vkCreateShaderModule = fail_module;
        break;
    case 8:
        t->vkCreateComputePipelines = fail_pipelines;
        break;
    case 9:
        t->vkQueueSubmit = fail_submit;
        break;
    case 10:
        t->vkWaitSemaphores = fail_wait;
        break;
    default:
        break;
    }
}

static void test_faults(void **state)
{
    (void)state;
    vka_gpu *gpu = open_gpu(false, NULL);
    bool stamps = vka_gpu_describe(gpu)->timestamps;
    close_gpu(&gpu);
    for (int which = 0; which <= 10; which++) {
        int met = 0;
        for (int k = 0; k < 8; k++) {
            gpu = open_gpu(false, NULL);
            real = *vka_gpu_table(gpu);
            use_fault(vka_gpu_table(gpu), which);
            answer = VK_ERROR_OUT_OF_HOST_MEMORY;
            calls_left = k;
            vka_error err = {0};
            vka_status s = work(gpu, &err);
            bool hit = calls_left < 0;
            met += hit;
            assert_int_equal(s, hit ? VKA_E_MEMORY : VKA_OK);
            assert_int_equal(err.status, s);
            assert_int_equal(vka_gpu_device_bytes(gpu, NULL), 0);
            assert_false(vka_gpu_is_lost(gpu));
            /* the device is as good as before */
            *vka_gpu_table(gpu) = real;
            vka_error_clear(&err);
            assert_int_equal(work(gpu, &err), VKA_OK);
            close_gpu(&gpu);
            if (!hit)
                break;
        }
        assert_true(met > 0 || (which == 6 && !stamps));
    }
}

static void test_loss(void **state)
{
    (void)state;
    for (int which = 9; which <= 10; which++) {
        vka_gpu *gpu = open_gpu(false, NULL);
        vka_error err = {0};
        assert_int_equal(work(gpu, &err), VKA_OK);
        vka_block *b = block_of(gpu, 4096, VKA_MEMORY_DEVICE);
        vka_list *list = begin(gpu, "the last list");
        add_fill(list, probe(gpu, 0, 1), b, NULL, 64, 0, "conv 7");
        end(list);
        real = *vka_gpu_table(gpu);
        use_fault(vka_gpu_table(gpu), which);
        answer = VK_ERROR_DEVICE_LOST;
        calls_left = 0;
        uint64_t ticket = 0;
        vka_status s = vka_gpu_submit(gpu, &list, 1, &ticket, &err);
        if (which == 10) {
            assert_int_equal(s, VKA_OK);
            assert_false(vka_gpu_is_lost(gpu));
            s = vka_gpu_idle(gpu, &err);
        }
        assert_int_equal(s, VKA_E_LOST);
        assert_true(vka_gpu_is_lost(gpu));
        assert_non_null(strstr(err.why, "the last list"));
        assert_non_null(strstr(err.why, "conv 7"));
        /* sticky, even though the driver would go on */
        *vka_gpu_table(gpu) = real;
        real.vkDeviceWaitIdle(gpu->device); /* the run is real: it has to end before its objects go */
        bool done = true;
        uint32_t word = 0;
        vka_block *more = NULL;
        vka_list *other = NULL;
        vka_pipeline *p = NULL;
        assert_int_equal(vka_gpu_submit(gpu, &list, 1, &ticket, NULL), VKA_E_LOST);
        assert_int_equal(vka_gpu_wait(gpu, 1, 0, &done, NULL), VKA_E_LOST);
        assert_int_equal(vka_gpu_idle(gpu, NULL), VKA_E_LOST);
        assert_int_equal(vka_block_create(gpu, 64, VKA_MEMORY_DEVICE, true, &more, NULL), VKA_E_LOST);
        assert_int_equal(vka_block_read(gpu, b, 0, &word, 4, NULL), VKA_E_LOST);
        assert_int_equal(vka_block_write(gpu, b, 0, &word, 4, NULL), VKA_E_LOST);
        assert_int_equal(vka_list_begin(gpu, "x", &other, NULL), VKA_E_LOST);
        vka_pipeline_key key;
        memset(&key, 0, sizeof key);
        assert_int_equal(vka_gpu_pipeline(gpu, &key, &p, NULL), VKA_E_LOST);
        vka_error again = {0};
        assert_int_equal(vka_gpu_idle(gpu, &again), VKA_E_LOST);
        assert_non_null(strstr(again.what, "lost earlier"));
        vka_list_destroy(gpu, &list);
        vka_block_destroy(gpu, &b);
        close_gpu(&gpu);
    }
}

/* Two devices at once do not disturb each other. */
static void test_two(void **state)
{
    vka_gpu *gpu = *state, *other = open_gpu(false, NULL);
    vka_error err = {0};
    assert_int_equal(work(other, &err), VKA_OK);
    assert_int_equal(work(gpu, &err), VKA_OK);
    close_gpu(&other);
    assert_int_equal(work(gpu, &err), VKA_OK);
}

static int setup(void **state)
{
    *state = open_gpu(false, NULL);
    return 0;
}

static int teardown(void **state)
{
    vka_gpu *gpu = *state;
    uint32_t messages = vka_gpu_validation_messages(gpu);
    bool clean = gpu->lists == 0 && gpu->device_bytes == 0;
    vka_gpu_destroy(&gpu);
    if (messages || !clean)
        fprintf(stderr, "%u validation messages; everything given back: %s\n", messages, clean ? "yes" : "no");
    return messages || !clean ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enumerate),
        cmocka_unit_test(test_choice_failures),
        cmocka_unit_test(test_footprint),
        cmocka_unit_test(test_accounting),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_dispatch),
        cmocka_unit_test(test_chain_and_replay),
        cmocka_unit_test(test_bad_lists),
        cmocka_unit_test(test_subgroup_size),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_two),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

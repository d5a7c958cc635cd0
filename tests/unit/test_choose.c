/* test_choose.c - which device is taken, on invented machines.  No Vulkan is opened. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "gpu/gpu_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { SOFTWARE, INTEGRATED, DISCRETE, VIRTUAL };

static struct vka_physical device(uint32_t index, const char *name, enum kind kind, uint64_t gib, const char *reason)
{
    static const VkPhysicalDeviceType types[] = {VK_PHYSICAL_DEVICE_TYPE_CPU, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
                                                 VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                                                 VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU};
    struct vka_physical p;
    memset(&p, 0, sizeof p);
    p.type = types[kind];
    p.info.index = index;
    p.info.cpu = kind == SOFTWARE;
    p.info.integrated = kind == INTEGRATED;
    p.info.device_heap = gib << 30;
    p.info.usable = !reason;
    snprintf(p.info.name, sizeof p.info.name, "%s", name);
    snprintf(p.info.reason, sizeof p.info.reason, "%s", reason ? reason : "");
    return p;
}

static int warnings;

static void on_log(void *user, int level, const char *text)
{
    (void)user;
    (void)text;
    warnings += level <= VKA_LOG_WARN;
}

static const vka_log test_log = {.write = on_log, .level = VKA_LOG_DEBUG};

static void expect(const struct vka_physical *list, uint32_t count, const char *wanted, int index, const char *said)
{
    uint32_t chosen = 99;
    vka_error err = {0};
    warnings = 0;
    vka_status s = vka_physical_choose(list, count, wanted, &test_log, &chosen, &err);
    if (index >= 0) {
        assert_int_equal(s, VKA_OK);
        assert_int_equal(chosen, index);
        return;
    }
    assert_int_equal(s, VKA_E_DEVICE);
    char all[2048];
    snprintf(all, sizeof all, "%s\n%s\n%s", err.what, err.why, err.hint);
    if (!strstr(all, said))
        fail_msg("'%s' is not in: %s", said, all);
}

static void test_best(void **state)
{
    (void)state;
    struct vka_physical list[5] = {device(0, "llvmpipe (LLVM)", SOFTWARE, 64, NULL),
                                   device(1, "Virtio", VIRTUAL, 48, NULL), device(2, "Arc 140V", INTEGRATED, 32, NULL),
                                   device(3, "Radeon RX 6600", DISCRETE, 8, NULL),
                                   device(4, "GeForce RTX 4090", DISCRETE, 24, NULL)};
    expect(list, 5, NULL, 4, NULL);
    assert_int_equal(warnings, 0);
    expect(list, 5, "", 4, NULL);
    expect(list, 4, NULL, 3, NULL);
    expect(list, 3, NULL, 2, NULL);
    expect(list, 2, NULL, 1, NULL);
    assert_int_equal(warnings, 0);
    expect(list, 1, NULL, 0, NULL);
    assert_int_equal(warnings, 1); /* software only with a word */
    list[4].driver_id = VK_DRIVER_ID_MESA_DOZEN;
    expect(list, 5, NULL, 3, NULL);
}

static void test_names(void **state)
{
    (void)state;
    struct vka_physical list[4] = {device(0, "llvmpipe (LLVM)", SOFTWARE, 64, NULL),
                                   device(1, "GeForce RTX 4090 Laptop", DISCRETE, 16, "it is broken"),
                                   device(2, "GeForce RTX 4090", DISCRETE, 24, NULL),
                                   device(3, "Radeon 780M", INTEGRATED, 32, NULL)};
    expect(list, 4, "0", 0, NULL);
    expect(list, 4, "3", 3, NULL);
    expect(list, 4, "LLVMPIPE", 0, NULL);
    expect(list, 4, "4090", 2, NULL); /* not an index; the usable one of two */
    expect(list, 4, "radeon", 3, NULL);
    expect(list, 4, "M", 3, NULL); /* part of llvmpipe, too, but a GPU goes first */
    expect(list, 4, "1", -1, "it is broken");
    expect(list, 4, "laptop", -1, "it is broken");
    expect(list, 4, "9", 2, NULL);
    expect(list, 4, "44", -1, "0: llvmpipe");
    expect(list, 4, "99999999999999999999999", -1, "no device");
    expect(list, 4, "Arc", -1, "Radeon 780M");
}

static void test_unusable(void **state)
{
    (void)state;
    struct vka_physical list[2] = {device(0, "Old GPU", DISCRETE, 4, "its driver is old"),
                                   device(1, "llvmpipe (LLVM)", SOFTWARE, 64, NULL)};
    /* a GPU that cannot be used is an error, not a reason to take the software device in silence */
    expect(list, 2, NULL, -1, "its driver is old");
    assert_int_equal(warnings, 1);
    expect(list, 2, NULL, -1, "--device 1");
    expect(list, 2, "llvm", 1, NULL);
    expect(list, 1, NULL, -1, "its driver is old");
    list[1] = device(1, "SwiftShader", SOFTWARE, 64, "no addresses");
    expect(list, 2, NULL, -1, "its driver is old");
    expect(list + 1, 1, NULL, -1, "no addresses");
}

static void test_variable(void **state)
{
    (void)state;
    struct vka_physical list[2] = {device(0, "Radeon", DISCRETE, 4, NULL), device(1, "llvmpipe", SOFTWARE, 64, NULL)};
    setenv("VKANIM_DEVICE", "llvm", 1);
    expect(list, 2, NULL, 1, NULL);
    expect(list, 2, "0", 0, NULL);
    setenv("VKANIM_DEVICE", "", 1);
    expect(list, 2, NULL, 0, NULL);
    unsetenv("VKANIM_DEVICE");
}

/* ---- queues ---------------------------------------------------------------------------------------------- */

enum {
    G = VK_QUEUE_GRAPHICS_BIT,
    C = VK_QUEUE_COMPUTE_BIT,
    T = VK_QUEUE_TRANSFER_BIT,
    S = VK_QUEUE_SPARSE_BINDING_BIT,
    VIDEO = VK_QUEUE_VIDEO_DECODE_BIT_KHR
};

struct family {
    VkQueueFlags flags;
    uint32_t count, bits;
};

/* Work in family `work`, copies in queue `index` of family `copies`; -1: none. */
static void expect_queues(const struct family *families, uint32_t n, int work, int copies, uint32_t index, bool engine)
{
    VkQueueFamilyProperties f[8];
    struct vka_physical p;
    memset(&p, 0, sizeof p);
    memset(f, 0, sizeof f);
    for (uint32_t i = 0; i < n; i++) {
        f[i].queueFlags = families[i].flags;
        f[i].queueCount = families[i].count;
        f[i].timestampValidBits = families[i].bits;
    }
    assert_int_equal(vka_physical_queues(&p, f, n), work >= 0);
    assert_int_equal(p.info.transfer_queue, copies >= 0);
    assert_int_equal(p.info.transfer_engine, engine);
    if (work >= 0) {
        assert_int_equal(p.queue_family, work);
        assert_int_equal(p.timestamp_bits, families[work].bits);
    }
    if (copies >= 0) {
        assert_int_equal(p.transfer_family, copies);
        assert_int_equal(p.transfer_index, index);
        assert_int_equal(p.transfer_bits, families[copies].bits);
    }
}

static void test_queues(void **state)
{
    (void)state;
    /* the ways in which drivers cut a device into families */
    expect_queues((struct family[]){{G | C | T, 1, 64}}, 1, 0, -1, 0, false);                       /* one for all */
    expect_queues((struct family[]){{G | C | T, 2, 64}}, 1, 0, 0, 1, false);                        /* two alike */
    expect_queues((struct family[]){{G | C | T, 1, 64}, {C | T, 4, 64}}, 2, 1, 1, 1, false);        /* compute engines */
    expect_queues((struct family[]){{G | C | T, 1, 64}, {C | T, 1, 64}}, 2, 1, 0, 0, false);        /* only graphics is left */
    expect_queues((struct family[]){{G | C, 1, 64}, {C, 4, 64}, {T, 1, 64}}, 3, 1, 2, 0, true);     /* and a copy engine */
    expect_queues((struct family[]){{G | C | T | S, 16, 64}, {T | S, 2, 64}, {C | T | S, 8, 64}, {T | VIDEO, 1, 32}}, 4, 2, 1, 0,
                  true);
    expect_queues((struct family[]){{T | VIDEO, 1, 64}, {G | C | T, 1, 64}}, 2, 1, -1, 0, false);   /* video is no help */
    expect_queues((struct family[]){{G | C | T, 1, 36}, {T, 1, 0}}, 2, 0, 1, 0, true);              /* without a clock */
    expect_queues((struct family[]){{G | T, 1, 64}, {T, 1, 64}}, 2, -1, -1, 0, false);              /* no compute at all */
    expect_queues((struct family[]){{G | C | T, 1, 64}, {T, 0, 64}, {S, 1, 64}}, 3, 0, -1, 0, false);
}

int main(void)
{
    unsetenv("VKANIM_DEVICE");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_best), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_unusable), cmocka_unit_test(test_variable),
                                       cmocka_unit_test(test_queues)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_hang.c - a device whose submissions do not end: it counts as lost after its patience, says what was running, and
 * everything made of it can be let go of at once; a device that is abandoned on purpose likewise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "base/clock.h"
#include "gpu/gpu_internal.h"
#include "shaders/shaders.h"

#include <string.h>

static VKAPI_ATTR VkResult VKAPI_CALL never(VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t ns)
{
    (void)device, (void)info, (void)ns;
    return VK_TIMEOUT;
}

static VKAPI_ATTR VkResult VKAPI_CALL nowhere(VkDevice device, VkSemaphore semaphore, uint64_t *value)
{
    (void)device, (void)semaphore;
    *value = 0;
    return VK_SUCCESS;
}

struct device {
    vka_gpu *gpu;
    vka_block *block;
    vka_list *list;
    struct VolkDeviceTable real;
    VkDevice handle;
    uint64_t ticket;
};

/* A device with a list submitted, which is done in truth and not by what the device says. */
static bool open_device(struct device *d)
{
    vka_error err = {0};
    vka_gpu_params params = {0};
    *d = (struct device){0};
    if (vka_gpu_create(&d->gpu, &params, &err) != VKA_OK)
        return false;
    d->real = *vka_gpu_table(d->gpu);
    d->handle = d->gpu->device;
    vka_pipeline *p = NULL;
    vka_pipeline_key key;
    memset(&key, 0, sizeof key);
    key.shader = VKA_SHADER_PROBE_FILL;
    key.count = 3;
    key.constants[0] = 64;
    key.constants[2] = 1;
    assert_int_equal(vka_block_create(d->gpu, 4096, VKA_MEMORY_DEVICE, true, &d->block, &err), VKA_OK);
    assert_int_equal(vka_gpu_pipeline(d->gpu, &key, &p, &err), VKA_OK);
    assert_int_equal(vka_list_begin(d->gpu, "a long list", &d->list, &err), VKA_OK);
    struct {
        uint64_t dst, src;
        uint32_t count, base;
    } push = {.dst = d->block->address, .count = 64};
    vka_list_dispatch(d->list, p, &push, sizeof push, (const uint32_t[3]){1, 1, 1}, "conv 7");
    assert_int_equal(vka_list_end(d->list, &err), VKA_OK);
    vka_gpu_table(d->gpu)->vkWaitSemaphores = never;
    vka_gpu_table(d->gpu)->vkGetSemaphoreCounterValue = nowhere;
    assert_int_equal(vka_gpu_submit(d->gpu, &d->list, 1, &d->ticket, &err), VKA_OK);
    d->real.vkDeviceWaitIdle(d->handle);
    return true;
}

/* Lets go of everything. */
static void close_device(struct device *d)
{
    double began = vka_now();
    vka_list_destroy(d->gpu, &d->list);
    vka_block_destroy(d->gpu, &d->block);
    vka_gpu_destroy(&d->gpu);
    assert_true(vka_now() - began < 1);
}

static void test_hung(void **state)
{
    struct device d;
    (void)state;
    if (!open_device(&d))
        skip();
    assert_true(d.gpu->patience_s >= 10);
    d.gpu->patience_s = 0.3;
    vka_error err = {0};
    bool done = true;
    double began = vka_now();
    assert_int_equal(vka_gpu_wait(d.gpu, d.ticket, 0.01, &done, &err), VKA_OK); /* not yet */
    assert_false(done);
    assert_int_equal(vka_gpu_idle(d.gpu, &err), VKA_E_LOST);
    assert_true(vka_now() - began < 5);
    assert_non_null(strstr(err.what, "does not answer"));
    assert_non_null(strstr(err.why, "a long list (conv 7)"));
    assert_true(vka_gpu_is_lost(d.gpu));
    close_device(&d);
}

/* The last word is the semaphore's: a process that was stopped itself for long does not blame the device. */
static void test_slept(void **state)
{
    struct device d;
    (void)state;
    if (!open_device(&d))
        skip();
    vka_error err = {0};
    vka_gpu_table(d.gpu)->vkGetSemaphoreCounterValue = d.real.vkGetSemaphoreCounterValue;
    d.gpu->patience_s = 0;
    bool done = false;
    assert_int_equal(vka_gpu_wait(d.gpu, d.ticket, 0.01, &done, &err), VKA_OK);
    assert_true(done);
    assert_false(vka_gpu_is_lost(d.gpu));
    *vka_gpu_table(d.gpu) = d.real;
    close_device(&d);
}

static void test_abandoned(void **state)
{
    struct device d;
    (void)state;
    if (!open_device(&d))
        skip();
    vka_error err = {0};
    vka_gpu_abandon(d.gpu);
    assert_true(vka_gpu_is_lost(d.gpu));
    assert_int_equal(vka_gpu_idle(d.gpu, &err), VKA_E_LOST);
    close_device(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hung),
        cmocka_unit_test(test_slept),
        cmocka_unit_test(test_abandoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

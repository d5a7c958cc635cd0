/* test_shaders.c - the embedded SPIR-V: each binary is one, names are unique, and the budget of DESIGN "Variation" holds:
 * at most 128 binaries, 4 MiB together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "shaders/shaders.h"

#include <stdio.h>
#include <string.h>

enum { MOST_BINARIES = 128, MOST_BYTES = 4 << 20 };

static void test_budget(void **state)
{
    (void)state;
    size_t bytes = 0;
    for (size_t i = 0; i < VKA_SHADER_COUNT; i++)
        bytes += *vka_shaders[i].bytes;
    print_message("%d binaries, %zu bytes\n", (int)VKA_SHADER_COUNT, bytes);
    assert_in_range(VKA_SHADER_COUNT, 1, MOST_BINARIES);
    assert_in_range(bytes, 1, MOST_BYTES);
}

static void test_binaries(void **state)
{
    (void)state;
    for (size_t i = 0; i < VKA_SHADER_COUNT; i++) {
        const struct vka_shader *s = &vka_shaders[i];
        if (!s->words) { /* left out: glslang was too old */
            assert_int_equal(*s->bytes, 0);
            assert_false(VKA_SHADERS_KHR && VKA_SHADERS_NV2);
            continue;
        }
        assert_true(*s->bytes > 20 && *s->bytes % 4 == 0);
        assert_int_equal(s->words[0], 0x07230203); /* SPIR-V's magic number, in this machine's order */
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(s->name, vka_shaders[j].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_budget), cmocka_unit_test(test_binaries)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

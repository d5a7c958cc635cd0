/* test_base.c - the base room: checked sizes, half floats, hashes, numbers, files that appear whole. */
#define _XOPEN_SOURCE 700
#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void checked_sizes(void **state)
{
    uint64_t v = 7;
    (void)state;
    assert_true(vka_mul_u64(1u << 31, 1u << 31, &v));
    assert_true(v == (uint64_t)1 << 62);
    assert_false(vka_mul_u64((uint64_t)1 << 33, (uint64_t)1 << 31, &v));
    assert_true(vka_mul_u64(UINT64_MAX, 1, &v) && v == UINT64_MAX);
    assert_true(vka_mul_u64(UINT64_MAX, 0, &v) && v == 0);
    assert_true(vka_add_u64(UINT64_MAX - 1, 1, &v) && v == UINT64_MAX);
    v = 7;
    assert_false(vka_add_u64(UINT64_MAX, 1, &v));
    assert_true(v == 7);
    assert_int_equal(vka_div_up(9, 4), 3);
    assert_int_equal(vka_div_up(8, 4), 2);
    assert_int_equal(vka_div_up(0, 4), 0);
}

static void growing(void **state)
{
    size_t capacity = 0;
    int *a = NULL;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        a = vka_grow(a, &capacity, (size_t)i + 1, sizeof *a);
        assert_non_null(a);
        a[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(a[i], i);
    size_t before = capacity;
    assert_null(vka_grow(a, &capacity, SIZE_MAX / 2, sizeof *a)); /* the old array stays */
    assert_int_equal(capacity, before);
    assert_int_equal(a[999], 999);
    free(a);
}

static void arenas(void **state)
{
    vka_arena arena = {0};
    (void)state;
    char *s = vka_arena_strdup(&arena, "text");
    for (int i = 0; i < 1000; i++) {
        uint8_t *p = vka_arena_alloc(&arena, (size_t)i * 37);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (int k = 0; k < i * 37; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xff, (size_t)i * 37);
    }
    assert_string_equal(s, "text");
    assert_null(vka_arena_alloc(&arena, SIZE_MAX));
    assert_true(arena.failed);
    assert_null(vka_arena_alloc(&arena, 1));
    vka_arena_free(&arena);
    assert_non_null(vka_arena_alloc(&arena, 1));
    vka_arena_free(&arena);
}

/* Every half, there and back; and rounding of the floats between two neighbours. */
static void halves(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = vka_half_to_float((uint16_t)h);
        uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
        double want = exponent == 31  ? (mantissa ? NAN : INFINITY)
                      : exponent == 0 ? ldexp(mantissa, -24)
                                      : ldexp(1024 + mantissa, (int)exponent - 25);
        if (h & 0x8000)
            want = -want;
        if (isnan(want)) {
            assert_true(isnan(f));
            assert_true(isnan(vka_half_to_float(vka_float_to_half(f))));
            continue;
        }
        assert_true((double)f == want && !signbit(f) == !signbit(want));
        assert_int_equal(vka_float_to_half(f), h);
        if (exponent < 30 && !(h & 0x8000)) {
            float next = vka_half_to_float((uint16_t)(h + 1)), middle = f + (next - f) / 2;
            assert_int_equal(vka_float_to_half(nextafterf(middle, 0)), h);
            assert_int_equal(vka_float_to_half(nextafterf(middle, INFINITY)), h + 1);
            assert_int_equal(vka_float_to_half(middle), h + (h & 1)); /* ties to even */
        }
    }
    assert_int_equal(vka_float_to_half(65519.996f), 0x7bff);
    assert_int_equal(vka_float_to_half(65520.0f), 0x7c00);
    assert_int_equal(vka_float_to_half(1e30f), 0x7c00);
    assert_int_equal(vka_float_to_half(-1e-30f), 0x8000);
    assert_true(vka_bf16_to_float(0x3f80) == 1.0f && vka_bf16_to_float(0xc040) == -3.0f);

    /* Arrays are the same, number by number, at any place and of any length. */
    enum { N = 65536 };
    uint16_t *h = malloc((N + 1) * sizeof *h), *back = malloc(N * sizeof *back);
    float *f = malloc(N * sizeof *f);
    assert_true(h && f && back);
    for (uint32_t i = 0; i < N; i++)
        h[i] = (uint16_t)i;
    for (uint32_t first = 0; first < N; first += 1 + first % 37) {
        uint32_t n = first % 61 < N - first ? first % 61 : N - first;
        vka_halves_to_floats(f, h + first, n);
        vka_floats_to_halves(back, f, n);
        for (uint32_t i = 0; i < n; i++) {
            float one = vka_half_to_float(h[first + i]);
            uint16_t again = vka_float_to_half(one);
            assert_memory_equal(&f[i], &one, sizeof one);
            assert_memory_equal(&back[i], &again, sizeof again);
        }
    }
    free(h);
    free(f);
    free(back);
}

/* FIPS 180-4's examples and one that fills a block to its last bytes. */
static void hashes(void **state)
{
    static const struct {
        const char *text, *hex;
    } known[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char hex[65];
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        vka_sha256 s;
        vka_sha256_init(&s);
        for (const char *c = known[i].text; *c; c++)
            vka_sha256_add(&s, c, 1);
        vka_sha256_hex(&s, hex);
        assert_string_equal(hex, known[i].hex);
    }
    vka_sha256 s;
    char a[1000];
    memset(a, 'a', sizeof a);
    vka_sha256_init(&s);
    for (int i = 0; i < 1000; i++)
        vka_sha256_add(&s, a, sizeof a);
    vka_sha256_hex(&s, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        double value;
        size_t used;
    } known[] = {
        {"0", 0, 1},          {"0.00085", 0.00085, 7}, {"-12.5e3x", -12500, 7}, {"7.", 7, 2},    {".5", 0.5, 2},
        {"+3e-2", 0.03, 5},   {"1e", 1, 1},            {"1e+", 1, 1},           {"", 0, 0},      {"-", 0, 0},
        {".", 0, 0},          {"x1", 0, 0},            {"1,5", 1, 1},           {"1e400", INFINITY, 5},
        {"123456789012345", 123456789012345.0, 15},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char *end;
        double v = vka_parse_real(known[i].text, &end);
        assert_int_equal(end - known[i].text, known[i].used);
        assert_true(v == known[i].value);
    }
}

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/vkanim-base-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void whole_files(void **state)
{
    char path[128], part[160];
    vka_error err = {0};
    vka_outfile out;
    (void)state;
    snprintf(path, sizeof path, "%s/a.bin", folder);
    snprintf(part, sizeof part, "%s.part", path);
    assert_int_equal(vka_out_open(&out, path, &err), VKA_OK);
    assert_int_equal(vka_out_write(&out, "12345", 5, &err), VKA_OK);
    assert_false(vka_path_exists(path));
    assert_true(vka_path_exists(part));
    assert_int_equal(vka_out_commit(&out, &err), VKA_OK);
    assert_true(vka_path_exists(path));
    assert_false(vka_path_exists(part));

    char *text;
    size_t size;
    assert_int_equal(vka_read_file(path, 5, &text, &size, &err), VKA_OK);
    assert_int_equal(size, 5);
    assert_string_equal(text, "12345");
    free(text);
    assert_int_equal(vka_read_file(path, 4, &text, &size, &err), VKA_E_INPUT);
    assert_null(text);

    assert_int_equal(vka_out_open(&out, path, NULL), VKA_OK);
    vka_out_abandon(&out);
    assert_false(vka_path_exists(part));
    assert_true(vka_path_exists(path)); /* an abandoned rewrite leaves the old file */
    char id[96], again[96], *full = vka_file_identity(path, id), *same = vka_file_identity(path, again);
    assert_non_null(full);
    assert_string_equal(full, same);
    assert_string_equal(id, again);
    free(full);
    free(same);
    unlink(path);

    vka_error_clear(&err);
    vka_map map;
    assert_int_equal(vka_map_open(&map, path, &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, path));
    vka_error_clear(&err);
    assert_int_equal(vka_map_open(&map, folder, &err), VKA_E_INPUT);
    vka_error_clear(&err);
    assert_int_equal(vka_write_file(folder, "x", 1, &err), VKA_E_OUTPUT);
    vka_error_clear(&err);
    assert_int_equal(vka_write_file("/no-such-place/folder/x", "x", 1, &err), VKA_E_OUTPUT);
}

static void paths(void **state)
{
    (void)state;
    assert_string_equal(vka_path_base("/a/b/c.webp"), "c.webp");
    assert_string_equal(vka_path_extension("/a.b/c"), "");
    assert_string_equal(vka_path_extension("/a.b/.hidden"), "");
    assert_string_equal(vka_path_extension("x.tar.gz"), ".gz");
    char *p = vka_path_join("a/", "b");
    assert_string_equal(p, "a/b");
    free(p);
    p = vka_path_join("a", "b");
    assert_string_equal(p, "a/b");
    free(p);
    char deep[128];
    snprintf(deep, sizeof deep, "%s/x/y", folder);
    assert_int_equal(vka_make_dirs(deep, NULL), VKA_OK);
    assert_int_equal(vka_make_dirs(deep, NULL), VKA_OK);
    assert_true(vka_path_is_dir(deep));
    rmdir(deep);
    *strrchr(deep, '/') = '\0';
    rmdir(deep);
}

static void errors(void **state)
{
    vka_error e = {0};
    (void)state;
    assert_int_equal(vka_fail(&e, VKA_E_INPUT, "first %d", 1), VKA_E_INPUT);
    vka_error_why(&e, "because");
    vka_error_hint(&e, "try");
    assert_int_equal(vka_fail(&e, VKA_E_MEMORY, "second"), VKA_E_MEMORY); /* the first stays */
    assert_int_equal(e.status, VKA_E_INPUT);
    assert_string_equal(e.what, "first 1");
    assert_string_equal(e.why, "because");
    assert_string_equal(e.hint, "try");
    vka_error_clear(&e);
    vka_error_why(&e, "nothing failed");
    assert_int_equal(e.why[0], 0);
    assert_int_equal(vka_fail(NULL, VKA_E_LOST, "x"), VKA_E_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checked_sizes), cmocka_unit_test(growing), cmocka_unit_test(arenas), cmocka_unit_test(halves),
        cmocka_unit_test(hashes),        cmocka_unit_test(numbers), cmocka_unit_test(whole_files), cmocka_unit_test(paths),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

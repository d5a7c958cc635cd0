/* test_names.c - names that requests may say, what files are by their first bytes, and parts of files. */
#include "server/names.h"
#include "server/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

static void names(void **state)
{
    (void)state;
    /* name, then: one file, a model, an upload, a result, an output */
    static const struct {
        const char *name;
        bool file, model, upload, result, output;
    } cases[] = {
        {"a.webp", 1, 1, 0, 1, 1},
        {"A B (1)_+-,@#[x].WebP", 1, 1, 0, 1, 1},
        {"0=a.webp", 1, 1, 0, 1, 0},
        {"\xc3\xa9t\xc3\xa9.webp", 1, 1, 0, 1, 0},
        {"\xe7\x8b\x90.mp4", 1, 1, 0, 1, 0},
        {"a%05d.png", 1, 1, 0, 1, 0},
        {"a:b.png", 1, 1, 0, 1, 0},
        {"a.webp.part", 1, 1, 0, 0, 0},
        {"a.jpg", 1, 1, 0, 0, 0},
        {"a.html", 1, 1, 0, 0, 0},
        {"a", 1, 1, 0, 0, 0},
        {"webp", 1, 1, 0, 0, 0},
        {"a/b.webp", 0, 1, 0, 0, 0},
        {"upload-0123456789abcdef01234567.png", 1, 1, 1, 1, 1},
        {"upload-0123456789abcdef01234567.safetensors", 1, 1, 1, 0, 0},
        {"upload-0123456789abcdef01234567.PNG", 1, 1, 0, 1, 1},
        {"upload-0123456789abcdef01234567.txt", 1, 1, 0, 0, 0},
        {"upload-0123456789abcdef0123456g.png", 1, 1, 0, 1, 1},
        {"", 0, 0, 0, 0, 0},
        {".", 0, 0, 0, 0, 0},
        {"..", 0, 0, 0, 0, 0},
        {".webp", 0, 0, 0, 0, 0},
        {".a.webp", 0, 0, 0, 0, 0},
        {"/a.webp", 0, 0, 0, 0, 0},
        {"a/.b.webp", 0, 0, 0, 0, 0},
        {"a/../b.webp", 0, 0, 0, 0, 0},
        {"a//b.webp", 0, 0, 0, 0, 0},
        {"a/", 0, 0, 0, 0, 0},
        {"a\\b.webp", 0, 0, 0, 0, 0},
        {"a\nb.webp", 0, 0, 0, 0, 0},
        {"a\x7f.webp", 0, 0, 0, 0, 0},
        {"a\xc2\x85.webp", 0, 0, 0, 0, 0},     /* a control character of Latin-1 */
        {"a\xc0\xaf.webp", 0, 0, 0, 0, 0},     /* '/' in two bytes */
        {"a\xed\xa0\x80.webp", 0, 0, 0, 0, 0}, /* half a pair */
        {"a\xff.webp", 0, 0, 0, 0, 0},
        {"a\xe7\x8b", 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *n = cases[i].name;
        if (srv_name_is_file(n) != cases[i].file || srv_name_is_model(n) != cases[i].model ||
            srv_name_is_upload(n) != cases[i].upload || srv_name_is_result(n) != cases[i].result ||
            srv_name_is_output(n) != cases[i].output)
            fail_msg("'%s': file %d, model %d, upload %d, result %d, output %d", n, srv_name_is_file(n), srv_name_is_model(n),
                     srv_name_is_upload(n), srv_name_is_result(n), srv_name_is_output(n));
    }
    char name[SRV_NAME + 10];
    memset(name, 'a', sizeof name);
    memcpy(name + SRV_NAME - 6, ".webp", 6); /* SRV_NAME - 1 bytes */
    assert_true(srv_name_is_result(name) && !srv_name_is_output(name));
    memset(name, 'a', sizeof name);
    memcpy(name + SRV_NAME - 5, ".webp", 6);
    assert_false(srv_name_is_result(name));
}

static void types(void **state)
{
    (void)state;
    assert_string_equal(srv_type_of("a.webp")->type, "image/webp");
    assert_string_equal(srv_type_of("a.b.GIF")->type, "image/gif");
    assert_string_equal(srv_type_of("a.y4m")->type, "application/octet-stream");
    assert_null(srv_type_of("a.svg"));
    assert_null(srv_type_of("a.html"));
    assert_null(srv_type_of("a.webp "));
    assert_null(srv_type_of(".webp"));
    assert_null(srv_type_of("a"));
    assert_null(srv_type_of("a."));
}

/* The ending that `size` bytes would get, and the kind. */
static void is(const char *bytes, size_t size, const char *ending, const char *kind)
{
    char *copy = malloc(size ? size : 1); /* a read behind the end is seen by the sanitizer */
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    const struct srv_file_type *t = srv_sniff(copy, size);
    if (!ending ? t != NULL : (!t || strcmp(t->ending, ending) != 0 || strcmp(t->kind, kind) != 0))
        fail_msg("%zu bytes: %s (%s) instead of %s (%s)", size, t ? t->ending : "none", t ? t->kind : "",
                 ending ? ending : "none", kind ? kind : "");
    for (size_t n = 0; n < size; n++) { /* cut anywhere: no crash */
        char *less = malloc(n ? n : 1);
        assert_non_null(less);
        memcpy(less, bytes, n);
        (void)srv_sniff(less, n);
        free(less);
    }
    free(copy);
}
#define IS(bytes, ending, kind) is(bytes, sizeof(bytes) - 1, ending, kind)

static void sniffs(void **state)
{
    (void)state;
    IS("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR0123456789abc....\0\0\0\0IDAT....", ".png", "image");
    IS("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR0123456789abc....\0\0\0\x08"
       "acTL01234567....\0\0\0\0IDAT....",
       ".png", "animation");
    IS("\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR0123456789abc", ".png", "image");
    IS("\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", ".jpg", "image");
    IS("GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0", ".gif", "animation");
    IS("RIFF\x20\0\0\0WEBPVP8 \x10\0\0\0....", ".webp", "image");
    IS("RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0", ".webp", "animation");
    IS("RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0", ".webp", "image");
    IS("RIFF\x20\0\0\0AVI LIST....hdrl", ".avi", "video");
    IS("RIFF\x20\0\0\0WAVEfmt ........", NULL, NULL);
    IS("\0\0\0\x20"
       "ftypisom\0\0\2\0isomiso2avc1mp41",
       ".mp4", "video");
    IS("\0\0\0\x20"
       "ftypqt  \0\0\2\0qt  ....",
       ".mov", "video");
    IS("\0\0\0\x20"
       "ftypavif\0\0\0\0avifmif1",
       NULL, NULL);
    IS("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\xf7\x81\1\x42\xf2\x81\4\x42\xf3\x81\x08\x42\x82\x84webm\x42\x87\x81\4", ".webm",
       "video");
    IS("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\xf7\x81\1\x42\xf2\x81\4\x42\xf3\x81\x08\x42\x82\x88matroska", ".mkv", "video");
    IS("YUV4MPEG2 W16 H16 F8:1\nFRAME\n", ".y4m", "video");
    IS("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\2\0\0\0\2\0\0\0", ".bmp", "image");
    IS("II*\0\x08\0\0\0............", ".tif", "image");
    IS("P6\n2 2\n255\n............", ".ppm", "image");
    IS("\x20\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\"}}           ....", ".safetensors", "tensors");
    /* what looks like a file but is not one that is taken: pages, scripts, lists that make FFmpeg open others */
    IS("<!DOCTYPE html><html><script>alert(1)</script>", NULL, NULL);
    IS("<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"x\"/>", NULL, NULL);
    IS("#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", NULL, NULL);
    IS("ffconcat version 1.0\nfile '/etc/passwd'\n", NULL, NULL);
    IS("#!/bin/sh\nrm -r /\n............", NULL, NULL);
    IS("\x7f"
       "ELF\2\1\1\0............",
       NULL, NULL);
    IS("PK\3\4....................", NULL, NULL);
    IS("%PDF-1.7\n..............", NULL, NULL);
    IS("\xff\xff\xff\xff\xff\xff\xff\x7f{\"a\":1}........", NULL, NULL);
    IS("\x80\2}q\0(X\4\0\0\0....................", NULL, NULL); /* a pickle */
    is("", 0, NULL, NULL);
}

static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t size;
        unsigned status;
        uint64_t from, count;
    } cases[] = {
        {"bytes=0-0", 100, 206, 0, 1},
        {"bytes=0-", 100, 206, 0, 100},
        {"bytes=10-19", 100, 206, 10, 10},
        {"bytes=99-", 100, 206, 99, 1},
        {"bytes=99-1000", 100, 206, 99, 1},
        {"bytes=-1", 100, 206, 99, 1},
        {"bytes=-100", 100, 206, 0, 100},
        {"bytes=-1000", 100, 206, 0, 100},
        {"bytes=0-18446744073709551615", 100, 206, 0, 100},
        {"bytes=0-99999999999999999999999999", 100, 206, 0, 100},
        {"bytes=-99999999999999999999999999", 100, 206, 0, 100},
        {"bytes=0-0", UINT64_MAX, 206, 0, 1},
        {"bytes=18446744073709551614-", UINT64_MAX, 206, UINT64_MAX - 1, 1},
        {"bytes=100-", 100, 416, 0, 100},
        {"bytes=100-100", 100, 416, 0, 100},
        {"bytes=99999999999999999999999999-", 100, 416, 0, 100},
        {"bytes=-0", 100, 416, 0, 100},
        {"bytes=0-", 0, 416, 0, 0},
        {"bytes=-1", 0, 416, 0, 0},
        {"bytes=5-4", 100, 200, 0, 100},
        {"bytes=", 100, 200, 0, 100},
        {"bytes=-", 100, 200, 0, 100},
        {"bytes=1", 100, 200, 0, 100},
        {"bytes=a-b", 100, 200, 0, 100},
        {"bytes=+1-2", 100, 200, 0, 100},
        {"bytes= 1-2", 100, 200, 0, 100},
        {"bytes=1 -2", 100, 200, 0, 100},
        {"bytes=1--2", 100, 200, 0, 100},
        {"bytes=--1", 100, 200, 0, 100},
        {"bytes=1-2,4-5", 100, 200, 0, 100},
        {"bytes=1-2x", 100, 200, 0, 100},
        {"Bytes=1-2", 100, 200, 0, 100},
        {"lines=1-2", 100, 200, 0, 100},
        {"", 100, 200, 0, 100},
        {NULL, 100, 200, 0, 100},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t from = 7, count = 7;
        unsigned status = srv_range(cases[i].text, cases[i].size, &from, &count);
        if (status != cases[i].status || from != cases[i].from || count != cases[i].count)
            fail_msg("'%s' of %llu: %u, %llu bytes from %llu on", cases[i].text ? cases[i].text : "nothing",
                     (unsigned long long)cases[i].size, status, (unsigned long long)count, (unsigned long long)from);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(types), cmocka_unit_test(sniffs),
                                       cmocka_unit_test(ranges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

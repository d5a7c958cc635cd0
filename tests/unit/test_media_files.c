/* test_media_files.c - metadata there and back, damaged and foreign files, outputs that cannot be written, and that
 * nothing is left behind. */
#include "media_clip.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

static void test_metadata(void **state)
{
    (void)state;
    static const char *const names[] = {"m.webp", "m.png", "m.apng", "m.gif", "m.mp4", "m.webm"};
    static const char odd[] = "{\"prompt\":\"<b>&amp; \\\"q\\\" 'a' %s \\\\ ]]> -->; #x;\\u0000\\n\","
                              "\"\xc3\xa4\xe6\x97\xa5\xf0\x9f\x90\x88\":[1,2.5,null],\r\n\t\"e\":{}}";
    char *large = malloc(12000);
    int n = snprintf(large, 12000, "{\"prompt\":\"");
    for (int i = 0; n < 11000; i++)
        n += snprintf(large + n, 12000 - (size_t)n, "word%d & \xc3\xbc, ", i);
    snprintf(large + n, 12000 - (size_t)n, "\"}");
    const char *const texts[] = {"{}", odd, large};
    synthetic c;
    vka_clip clip = make_clip(&c, 48, 32, 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = in_folder(names[i]);
        if (vka_media_check(path, 48, 32, 1, NULL) != VKA_OK)
            continue;
        for (size_t t = 0; t < 3; t++)
            for (uint32_t frames = 1; frames <= (strcmp(names[i], "m.png") ? 3u : 1u); frames += 2) {
                char *back;
                vka_error err = {0};
                clip.frames = frames;
                clip.metadata = texts[t];
                write_ok(path, &clip, NULL);
                assert_int_equal(vka_media_read_metadata(path, &back, &err), VKA_OK);
                assert_string_equal(back, texts[t]);
                free(back);
            }
        char *back;
        vka_error err = {0};
        clip.metadata = NULL;
        write_ok(path, &clip, NULL);
        assert_int_equal(vka_media_read_metadata(path, &back, &err), VKA_E_INPUT);
        assert_null(back);
    }
    vka_error err = {0};
    clip.metadata = "not JSON";
    assert_int_equal(vka_media_write(in_folder("no.webp"), &clip, NULL, &err), VKA_E_INTERNAL);
    assert_false(vka_path_exists(in_folder("no.webp")));
    free(large);
    free(c.rgb);
}

static void test_xmp(void **state)
{
    (void)state;
    /* As other tools rewrite it. */
    static const char attribute[] =
        "<rdf:Description vkanim:metadata='{&quot;a&quot;:&#34;&#x1F408;&#xe4;&bogus;&#34;}'/>";
    char *json = vka_xmp_unwrap((const uint8_t *)attribute, sizeof attribute - 1);
    assert_string_equal(json, "{\"a\":\"\xf0\x9f\x90\x88\xc3\xa4&bogus;\"}");
    free(json);
    /* What XML cannot hold comes back as JSON's escape. */
    char *xmp = vka_xmp_wrap("{\"a\":\"\xef\xbf\xbf\"}");
    json = vka_xmp_unwrap((const uint8_t *)xmp, strlen(xmp));
    assert_string_equal(json, "{\"a\":\"\\uffff\"}");
    free(json);
    free(xmp);
    assert_null(vka_xmp_unwrap((const uint8_t *)"<vkanim:metadata>{", 18));
    assert_null(vka_xmp_unwrap((const uint8_t *)"", 0));
    assert_null(vka_json_copy("[1]", 3));
    assert_null(vka_json_copy("{} x", 4));
    assert_null(vka_json_copy("{\"a\":\"\xff\"}", 9));
}

/* ---- other files and damaged ones
 * ---------------------------------------------------------------------------------- */

static void test_other_files(void **state)
{
    (void)state;
    char *json;
    vka_error err = {0};
    vka_media_info info;
    assert_int_equal(vka_write_file(in_folder("a.txt"), "hello", 5, NULL), VKA_OK);
    assert_int_equal(vka_write_file(in_folder("empty"), "", 0, NULL), VKA_OK);
    assert_int_equal(info_ok(in_folder("a.txt")).format, VKA_MEDIA_NONE);
    assert_int_equal(info_ok(in_folder("empty")).format, VKA_MEDIA_NONE);
    assert_int_equal(vka_media_read_metadata(in_folder("a.txt"), &json, &err), VKA_E_INPUT);
    assert_int_equal(vka_media_info_read(in_folder("none"), &info, NULL), VKA_E_INPUT);
    assert_int_equal(vka_media_info_read(folder, &info, NULL), VKA_E_INPUT);
}

/* Every cut and many flips of a small file of each format: an answer, never a crash; a cut is noticed. */
static void test_damaged(void **state)
{
    (void)state;
    static const char *const names[] = {"d.webp", "d.gif", "d.png", "d.apng", "d.y4m", "d.mp4", "d.webm"};
    synthetic c;
    vka_clip clip = make_clip(&c, 16, 16, 1);
    clip.metadata = "{\"prompt\":\"a cat & a dog\"}";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = in_folder(names[i]);
        char *bytes;
        size_t size;
        vka_media_info info;
        clip.frames = strcmp(names[i], "d.png") ? 2 : 1;
        if (vka_media_check(path, 16, 16, clip.frames, NULL) != VKA_OK)
            continue;
        write_ok(path, &clip, NULL);
        assert_int_equal(vka_read_file(path, 1 << 30, &bytes, &size, NULL), VKA_OK);
        bool video = !strcmp(names[i], "d.mp4") || !strcmp(names[i], "d.webm");
        for (size_t n = 0; n < size; n += video ? 37 : 1) {
            uint8_t *cut = malloc(n ? n : 1); /* exact, so that the sanitizer sees the end */
            memcpy(cut, bytes, n);
            vka_error err = {0};
            vka_status s = vka_media_info_parse(cut, n, path, &info, &err);
            if (s == VKA_OK && video && info.format != VKA_MEDIA_NONE)
                s = vka_video_info(cut, n, path, &info, &err);
            bool frame_end = !strcmp(names[i], "d.y4m"); /* cut between frames it is whole */
            if (!video && !frame_end && s == VKA_OK)
                assert_int_equal(info.format, VKA_MEDIA_NONE);
            vka_media_info_free(&info);
            free(cut);
        }
        uint32_t random = 12345;
        for (int k = 0; k < (video ? 300 : 3000); k++) {
            uint8_t *flipped = malloc(size);
            memcpy(flipped, bytes, size);
            for (int j = 0; j < 3; j++) {
                random = random * 1664525u + 1013904223u;
                flipped[(random >> 8) % size] = (uint8_t)(random >> 3);
            }
            vka_error err = {0};
            if (vka_media_info_parse(flipped, size, path, &info, &err) == VKA_OK && info.format != VKA_MEDIA_NONE &&
                video)
                (void)vka_video_info(flipped, size, path, &info, &err);
            vka_media_info_free(&info);
            free(flipped);
        }
        free(bytes);
    }
    free(c.rgb);
}

/* ---- failures
 * ------------------------------------------------------------------------------------------------------ */

static const char *const all_outputs[] = {"f.webp", "f.gif", "f.mp4",       "f.webm",
                                          "f.apng", "f.y4m", "new/folder/", "n%d.png"};
enum { ALL = sizeof all_outputs / sizeof *all_outputs };

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *path; /* in the test's folder unless absolute */
        uint32_t width, height, frames;
        vka_status status;
    } cases[] = {
        {"a.webp", 64, 64, 16, VKA_OK},
        {"a.webp", 0, 64, 16, VKA_E_USAGE},
        {"a.webp", 64, 64, 0, VKA_E_USAGE},
        {"a.webp", 16384, 64, 1, VKA_E_USAGE},
        {"a.apng", 16384, 64, 1, VKA_OK},
        {"a.apng", 65536, 64, 1, VKA_E_USAGE},
        {"a.avi", 64, 64, 16, VKA_E_USAGE},
        {"a.png", 64, 64, 16, VKA_E_USAGE},
        {"a.png", 64, 64, 1, VKA_OK},
        {"none/a.webp", 64, 64, 16, VKA_E_OUTPUT},
        {"none/at/all/", 64, 64, 16, VKA_OK},
        {"file/%d.png", 64, 64, 16, VKA_E_OUTPUT},
        {"file/a.webp", 64, 64, 16, VKA_E_OUTPUT},
        {"file/", 64, 64, 16, VKA_E_OUTPUT},
        {"folder.webp", 64, 64, 16, VKA_E_OUTPUT},
        {"/proc/a.webp", 64, 64, 16, VKA_E_OUTPUT},
        {"/proc/frames/", 64, 64, 16, VKA_E_OUTPUT},
        {"/dev/full", 64, 64, 16, VKA_E_OUTPUT},
    };
    assert_int_equal(vka_write_file(in_folder("file"), "", 0, NULL), VKA_OK);
    assert_int_equal(mkdir(in_folder("folder.webp"), 0777), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_error err = {0};
        const char *path = cases[i].path[0] == '/' ? cases[i].path : in_folder(cases[i].path);
        vka_status s = vka_media_check(path, cases[i].width, cases[i].height, cases[i].frames, &err);
        if (s != cases[i].status)
            fail_msg("'%s': %d (%s %s)", cases[i].path, s, err.what, err.why);
        assert_int_equal(err.status, s);
        assert_true(s == VKA_OK || err.what[0]);
        assert_int_equal(count_files(folder), 2);
    }
    if (geteuid() != 0) { /* root may write anywhere */
        assert_int_equal(chmod(folder, 0555), 0);
        assert_int_equal(vka_media_check(in_folder("a.webp"), 64, 64, 16, NULL), VKA_E_OUTPUT);
        assert_int_equal(vka_media_check(in_folder("new/"), 64, 64, 16, NULL), VKA_E_OUTPUT);
        assert_int_equal(chmod(folder, 0777), 0);
    }
}

static void test_cancel(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 48, 32, 8);
    for (size_t i = 0; i < ALL; i++)
        for (uint32_t at = 0; at < 8; at += 7) {
            vka_media_result result = {0};
            vka_error err = {0};
            const char *path = in_folder(all_outputs[i]);
            if (vka_media_check(path, 48, 32, 8, NULL) != VKA_OK)
                continue;
            c.fail_at = at;
            assert_int_equal(vka_media_write(path, &clip, &result, &err), VKA_E_STOPPED);
            assert_int_equal(err.status, VKA_E_STOPPED);
            assert_non_null(strstr(err.what, "stopped at frame"));
            assert_int_equal(vka_media_write(path, &clip, NULL, NULL), VKA_E_STOPPED);
            assert_int_equal(result.count, 0);
            assert_int_equal(count_files(folder), 0);
            vka_media_result_free(&result);
        }
    free(c.rgb);
}

/* A file size limit stands for a full disk: writes beyond it fail. */
static void test_full_disk(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 96, 96, 8);
    struct rlimit before, small;
    clip.metadata = "{\"a\":1}";
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    /* An earlier clip in the way stays whole. */
    assert_int_equal(vka_write_file(in_folder("f.webp"), "old", 3, NULL), VKA_OK);
    assert_int_equal(vka_write_file(in_folder("n0.png"), "old", 3, NULL), VKA_OK);
    for (size_t i = 0; i < ALL; i++) {
        const char *path = in_folder(all_outputs[i]);
        if (vka_media_check(path, 96, 96, 8, NULL) != VKA_OK)
            continue;
        for (rlim_t limit = 100; limit <= 400; limit += 300) {
            vka_media_result result = {0};
            vka_error err = {0};
            small = before;
            small.rlim_cur = limit;
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
            vka_status s = vka_media_write(path, &clip, &result, &err);
            setrlimit(RLIMIT_FSIZE, &before);
            if (s != VKA_E_OUTPUT)
                fail_msg("'%s' at %d bytes: %d", path, (int)limit, s);
            assert_true(err.what[0] && err.why[0]);
            assert_int_equal(result.count, 0);
            vka_media_result_free(&result);
            assert_int_equal(count_files(folder), 2);
        }
    }
    static const char *const kept[] = {"f.webp", "n0.png"};
    for (size_t i = 0; i < 2; i++) {
        char *bytes;
        assert_int_equal(vka_read_file(in_folder(kept[i]), 100, &bytes, NULL, NULL), VKA_OK);
        assert_string_equal(bytes, "old");
        free(bytes);
    }
    signal(SIGXFSZ, SIG_DFL);
    free(c.rgb);
}

static void test_bad_clips(void **state)
{
    (void)state;
    synthetic c;
    vka_clip clip = make_clip(&c, 32, 32, 2);
    static const double bad[] = {-1, 0.001, 1001, INFINITY, NAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        clip.fps = bad[i];
        assert_int_equal(vka_media_write(in_folder("a.webp"), &clip, NULL, NULL), VKA_E_USAGE);
    }
    clip.fps = 0; /* means 8 */
    write_ok(in_folder("a.webp"), &clip, NULL);
    vka_media_info info = info_ok(in_folder("a.webp"));
    assert_true(fabs(info.duration - 0.25) < 1e-9);
    vka_media_info_free(&info);
    clip.frames = 0;
    assert_int_equal(vka_media_write(in_folder("b.webp"), &clip, NULL, NULL), VKA_E_USAGE);
    assert_int_equal(count_files(folder), 1);
    free(c.rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_metadata), cmocka_unit_test(test_xmp), IN_FOLDER(test_other_files), IN_FOLDER(test_damaged),
        IN_FOLDER(test_check),    IN_FOLDER(test_cancel),     IN_FOLDER(test_full_disk),   IN_FOLDER(test_bad_clips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

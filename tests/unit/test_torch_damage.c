/* test_torch_damage.c - damaged and hostile PyTorch files, made byte by byte: each is one sentence, runs nothing and takes little
 * memory. */
#define _XOPEN_SOURCE 700
#include "torch_build.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static vka_error last;
static vka_status parse(void)
{
    vka_safetensors st;
    memset(&last, 0, sizeof last);
    /* A copy as long as the file, so that a sanitizer sees a read behind its end. */
    uint8_t *copy = malloc(file_size ? file_size : 1);
    assert_non_null(copy);
    memcpy(copy, file, file_size);
    vka_status s = vka_model_file_parse(&st, copy, file_size, "x.ckpt", &last);
    if (s == VKA_OK)
        vka_safetensors_close(&st);
    free(copy);
    return s;
}
static void says(const char *sentence)
{
    if (parse() != VKA_E_INPUT || !strstr(last.what, sentence))
        fail_msg("status %d, '%s' does not say '%s'", (int)last.status, last.what, sentence);
    if (strchr(last.what, '\n') || strlen(last.what) > 300)
        fail_msg("'%s' is not one short sentence", last.what);
}
static void plain(void)
{
    begin();
    tensor("a.weight", &sound);
    end();
    archive();
}

/* ---- damaged archives ---- */

static void test_archives(void **state)
{
    (void)state;
    plain();
    assert_int_equal(parse(), VKA_OK);
    size_t whole = file_size;
    for (file_size = 0; file_size < whole; file_size++)
        assert_int_equal(parse(), VKA_E_INPUT);
    plain();
    file_size -= 30;
    says("truncated or damaged");
    plain(), put(central_at[1] + 10, 8, 2);
    says("'a/data/0' is compressed");
    plain(), put(central_at[1] + 8, 1, 2);
    says("'a/data/0' is encrypted");
    plain(), put(local_at[1] + 8, 8, 2);
    says("other flags in its own header");
    plain(), put(local_at[1] + 22, 20, 4);
    says("another size or checksum");
    plain(), put(central_at[1] + 24, 20, 4);
    says("two different sizes");
    plain(), put(central_at[1] + 20, 1 << 30, 4), put(central_at[1] + 24, 1 << 30, 4);
    says("goes beyond the end");
    plain(), put(central_at[1] + 20, 0xffffffff, 4);
    says("damaged zip64 field");
    plain(), put(central_at[1] + 42, file_size, 4);
    says("not where the directory says");
    plain(), file[local_at[1] + 30] = 'b';
    says("another name in its own header");
    plain(), put(central_at[1] + 20, 300, 4), put(central_at[1] + 24, 300, 4), put(local_at[1] + 18, 300, 4),
        put(local_at[1] + 22, 300, 4);
    says("goes beyond the end");
    plain(), put(end_at + 12, 10, 4);
    says("does not end where");
    plain(), put(end_at + 10, 0xfff0, 2), put(end_at + 8, 0xfff0, 2);
    says("impossible number of entries");
    plain(), put(end_at + 4, 1, 2);
    says("split archive");
    plain(), file[central_at[1] + 46 + 3] = '\x1b'; /* a name may hold anything, a message may not */
    says("'a/d?ta/0'");
    zip((const struct entry[]){{"a/data.pkl", bytes, length}, {"a/data/0", values, 24}, {"a/data/0", values, 24}}, 3);
    says("'a/data/0' is there twice");
    zip((const struct entry[]){{"a/data.pkl", bytes, length}, {"a/data/0", values, 24}, {"a/data/1", values, 24}}, 3);
    put(central_at[2] + 42, local_at[1], 4), memcpy(file + central_at[2] + 46, "a/data/0", 8),
        memcpy(file + central_at[1] + 46, "a/data/0", 8);
    says("overlaps another");
    zip((const struct entry[]){{"model.safetensors", values, 24}}, 1);
    says("not one that PyTorch wrote");
    zip((const struct entry[]){{"a/data.pkl", bytes, length}, {"a/constants.pkl", values, 24}}, 2);
    says("TorchScript");
    zip((const struct entry[]){{"a/data.pkl", bytes, length}, {"a/data/0", values, 24}, {"a/byteorder", "big", 3}}, 3);
    says("another byte order");
    zip((const struct entry[]){{"a/data.pkl", bytes, length}}, 1);
    says("a storage that the archive lacks");
    zip(NULL, 0);
    says("not one that PyTorch wrote");
}

/* Zip64, as archives over 4 GiB have it: a small one with the same records. */
static void test_zip64(void **state)
{
    (void)state;
    plain();
    size_t directory = central_at[0], size = end_at - directory;
    memset(file + end_at, 0, 200);
    put(end_at, 0x06064b50, 4), put(end_at + 4, 44, 8), put(end_at + 24, 3, 8), put(end_at + 32, 3, 8);
    put(end_at + 40, size, 8), put(end_at + 48, directory, 8);
    size_t locator = end_at + 56, last_at = locator + 20;
    put(locator, 0x07064b50, 4), put(locator + 8, end_at, 8), put(locator + 16, 1, 4);
    put(last_at, 0x06054b50, 4), put(last_at + 8, 0xffff, 2), put(last_at + 10, 0xffff, 2),
        put(last_at + 12, 0xffffffff, 4);
    put(last_at + 16, 0xffffffff, 4);
    file_size = last_at + 22;
    assert_int_equal(parse(), VKA_OK);
    put(end_at + 48, UINT64_MAX - 10, 8);
    says("does not end where");
    put(end_at + 48, directory, 8), put(locator + 8, UINT64_MAX, 8);
    says("zip64 end record is not where");
    put(locator + 8, end_at, 8), put(last_at + 10, 7, 2);
    says("contradict each other");
}

/* ---- damaged pickles ---- */

static void one(const struct tensor *t, const char *sentence)
{
    begin();
    tensor("a", t);
    end();
    archive();
    says(sentence);
}
#define WITH(...)                                                                                                      \
    &(struct tensor)                                                                                                   \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

static void test_tensors(void **state)
{
    (void)state;
    const int64_t big = INT64_C(1) << 40;
    one(WITH("FloatStorage", "0", 7, 0, 2, 2, {2, 3}, {3, 1}), "larger than its entry");
    one(WITH("FloatStorage", "0", INT64_MAX, 0, 2, 2, {2, 3}, {3, 1}), "larger than its entry");
    one(WITH("FloatStorage", "0", -1, 0, 2, 2, {2, 3}, {3, 1}), "damaged storage");
    one(WITH("FloatStorage", "0", 6, 1, 2, 2, {2, 3}, {3, 1}), "goes beyond the end of its storage");
    one(WITH("FloatStorage", "0", 6, INT64_MAX, 2, 2, {2, 3}, {3, 1}), "impossibly large");
    one(WITH("FloatStorage", "0", 6, -4, 2, 2, {2, 3}, {3, 1}), "odd size, stride or offset");
    one(WITH("FloatStorage", "0", 6, 0, 2, 2, {2, -3}, {3, 1}), "odd size, stride or offset");
    one(WITH("FloatStorage", "0", 6, 0, 2, 1, {2, 3}, {3}), "odd size, stride or offset");
    one(WITH("FloatStorage", "0", 6, 0, 9, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}),
        "odd size, stride or offset");
    one(WITH("FloatStorage", "0", 6, 0, 2, 2, {2, 3}, {1, 2}), "transposed or strided");
    one(WITH("FloatStorage", "0", 6, 0, 2, 2, {2, 3}, {0, 0}), "transposed or strided");
    one(WITH("FloatStorage", "0", 6, 0, 3, 3, {big, big, 2}, {big, 2, 1}), "impossibly large");
    one(WITH("FloatStorage", "0", 6, 0, 2, 2, {big, 1 << 21}, {1 << 21, 1}), "goes beyond the end of its storage");
    one(WITH("FloatStorage", "0", 6, 0, 2, 2, {big, 1 << 22}, {1 << 22, 1}), "impossibly large");
    one(WITH("FloatStorage", "7", 6, 0, 2, 2, {2, 3}, {3, 1}), "a storage that the archive lacks");
    one(WITH("FloatStorage", "../0", 6, 0, 2, 2, {2, 3}, {3, 1}), "a storage that the archive lacks");
    one(WITH("QUInt8Storage", "0", 6, 0, 2, 2, {2, 3}, {3, 1}), "torch.QUInt8Storage");
    one(WITH("UntypedStorage", "0", 6, 0, 2, 2, {2, 3}, {3, 1}), "which are not read");
    begin(), tensor("a", &sound), tensor("a", &sound), end(), archive();
    says("two tensors of the name 'a'");
    begin(), tensor("", &sound), end(), archive();
    says("name is empty");
    begin(), tensor("a\nb", &sound), end(), archive();
    says("name is empty, too long or not a text");
    begin(), tensor("\xff", &sound), end(), archive();
    says("not a text");
    begin(), text("a"), global("torch._utils", "_rebuild_qtensor"), raw(")R", 2), end(), archive();
    says("torch._utils._rebuild_qtensor");
}

static void test_pickles(void **state)
{
    (void)state;
    static const char *const attacks[][2] = {
        {"os", "system"},        {"posix", "system"},     {"nt", "system"},           {"builtins", "eval"},
        {"__builtin__", "exec"}, {"builtins", "getattr"}, {"builtins", "__import__"}, {"subprocess", "Popen"},
        {"runpy", "run_path"},   {"importlib.util", "x"}, {"torch", "load"},          {"operator", "attrgetter"},
        {"builtins", "open"},    {"webbrowser", "open"}};
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        char name[64];
        begin(), tensor("a", &sound), text("b"), global(attacks[i][0], attacks[i][1]), raw("(", 1),
            text("touch executed"), raw("tR", 2), end();
        archive();
        snprintf(name, sizeof name, "it names '%s.%s'", attacks[i][0], attacks[i][1]);
        says(name);
        begin(), text(attacks[i][0]), text(attacks[i][1]), op(0x93), raw("0", 1), end(), archive();
        says(name);
    }
    begin(), tensor("a", &sound), text("b"), global("argparse", "Namespace"), raw(")R}b", 4), end(), archive();
    assert_int_equal(parse(), VKA_OK); /* classes of other programs are passed over */
    begin(), tensor("a", &sound), text("b"), op('i'), end(), archive();
    says("uses the opcode 0x69");
    begin(), raw("h\7", 2), end(), archive();
    says("is truncated or damaged");
    begin(), op('r'), number(0x7fffffff, 4), end(), archive();
    says("truncated or damaged");
    begin(), text("a"), op('r'), number(0x7fffffff, 4), end(), archive();
    says("values in its memo");
    begin(), tensor("a", &sound), raw("u.more", 6), archive();
    says("goes on behind its end");
    begin(), tensor("a", &sound), text("b"), raw("u", 1), archive();
    says("truncated or damaged");
    length = 0, raw("\x80\x01.", 3), archive();
    says("protocol");
    /* Every way to end too early. */
    begin(), tensor("a", &sound), end();
    size_t whole = length;
    for (length = 0; length < whole; length++) {
        archive();
        assert_int_equal(parse(), VKA_E_INPUT);
    }
}

/* Depth, breadth and repetition: each within the limits or refused, and nothing recurses. */
static void many(const char *what, size_t n)
{
    for (size_t i = 0; i < n; i++)
        raw(what, strlen(what));
}

/* Puts what is on the stack into dictionaries of ten times the one before: ten levels are ten billion members. */
static void laughs(void)
{
    raw("q\1", 2);
    for (int level = 2; level < 12; level++) {
        raw("0}(", 3);
        for (char k = 0; k < 10; k++)
            text((char[]){(char)('0' + k), 0}), op('h'), op(level - 1);
        op('u'), op('q'), op(level);
    }
    end(), archive();
}

static void hostile(void)
{
    begin(), text("d"), op(')'), many("\x85", 1000000), tensor("a", &sound), end(), archive();
    says("nested more than 16 deep");
    begin(), text("d"), many("(", 1000000), end(), archive();
    says("values on its stack");
    begin(), text("d"), many("]", 1000000), many("a", 999999), end(), archive();
    says("values on its stack");
    begin(), text("d"), many("}X\1", 1), end(), archive();
    says("truncated or damaged");
    begin(), text("d"), raw("](", 2), many("N", 90000), op('e'), many("(N0N1", 1), end(), archive();
    says("opcode 0x31");
    begin(), text("d"), op(']'), many("K\1a", 2000000), end(), archive();
    says("more than 1048576 values");
    begin(), text("d"), op(']'), many("Na", 4000000), end(), archive();
    says("more than 2097152 values in lists");
    begin(), many("N0", 4000000), end(), archive();
    says("");
    begin(), text("l"), raw("}", 1), laughs();
    says("more than 500000 values");
    begin(), text("l"), raw("]", 1), laughs();
    says("more than 500000 values");
    begin(), text("l"), raw("}(", 2), tensor("t", &sound), raw("u", 1), laughs();
    says("more than 100000 tensors");
    begin(), text("d"), raw("}q\1(", 4), text("self"), raw("h\1u", 3), end(), archive(); /* holds itself */
    says("nested more than 16 deep");
}

static void test_limits(void **state)
{
    (void)state;
    hostile();
#if !SANITIZED /* which has memory of its own beside */
    pid_t child = fork(); /* whose memory is only its own */
    if (child == 0) {
        struct rusage before, after;
        getrusage(RUSAGE_SELF, &before);
        hostile();
        getrusage(RUSAGE_SELF, &after);
        printf("peak memory: %ld KiB\n", after.ru_maxrss);
        fflush(stdout);
        _exit(after.ru_maxrss < 200 * 1024 ? 0 : 9);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_archives), cmocka_unit_test(test_zip64),  cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_pickles),  cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

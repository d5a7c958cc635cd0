/* test_torch_files.c - PyTorch's files: what torch.save wrote (tests/golden/torch, by tests/reference/make_torch_files.py) gives
 * the tensors that safetensors wrote beside it, byte for byte; and damage of every kind gives one sentence, runs nothing and
 * takes little memory.  Damaged files are made here, byte by byte. */
#define _POSIX_C_SOURCE 200809L
#include "weights/file.h"
#include "weights/inspect.h"
#include "weights/model.h"
#include "weights/pickle.h"
#include "weights/zip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *golden(const char *name)
{
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/golden/torch/%s", VKA_TEST_DATA, name);
    return path[turn];
}

/* ---- sound files ---- */

static void open_golden(vka_safetensors *st, const char *name)
{
    vka_error err = {0};
    if (vka_model_file_open(st, golden(name), &err) != VKA_OK)
        fail_msg("%s: %s %s", name, err.what, err.why);
}

/* Each tensor of one is in the other, equal in every byte; `in_torch` may have more. */
static void same_tensors(const char *torch, const char *plain, size_t more)
{
    vka_safetensors a, b;
    open_golden(&a, torch);
    open_golden(&b, plain);
    assert_int_equal(a.count, b.count + more);
    for (size_t i = 0; i < b.count; i++) {
        const vka_weight *y = &b.tensors[i], *x = vka_safetensors_find(&a, y->name);
        if (!x)
            fail_msg("%s lacks '%s'", torch, y->name);
        if (x->dtype != y->dtype || x->rank != y->rank || x->bytes != y->bytes ||
            memcmp(x->dims, y->dims, sizeof x->dims) != 0)
            fail_msg("%s: '%s' is of another kind", torch, y->name);
        if (x->bytes && memcmp(x->data, y->data, x->bytes) != 0)
            fail_msg("%s: '%s' has other bytes", torch, y->name);
    }
    vka_safetensors_close(&a);
    vka_safetensors_close(&b);
}

static void test_equal_bytes(void **state)
{
    (void)state;
    same_tensors("kinds.pt", "kinds.safetensors", 0);
    same_tensors("protocol5.pt", "protocol5.safetensors", 0);
    same_tensors("wrapped.ckpt", "wrapped.safetensors", 0);
    same_tensors("motion.ckpt", "motion.safetensors", 0);
    same_tensors("embedding.pt", "embedding.safetensors", 0);
    same_tensors("parameters.pt", "parameters.safetensors", 0);
    same_tensors("scaled.pt", "scaled.safetensors", 0);
}

static void has_metadata(const char *name, const char *key, const char *value)
{
    vka_safetensors st;
    open_golden(&st, name);
    const char *found = vka_safetensors_metadata(&st, key);
    if (!found || strcmp(found, value) != 0)
        fail_msg("%s: %s is '%s', not '%s'", name, key, found ? found : "nothing", value);
    vka_safetensors_close(&st);
}

static void test_metadata(void **state)
{
    (void)state;
    has_metadata("embedding.pt", "name", "style-x");
    has_metadata("embedding.pt", "step", "500");
    has_metadata("embedding.pt", "sd_checkpoint", "ad2a33c361");
    has_metadata("wrapped.ckpt", "global_step", "840000");
    has_metadata("wrapped.ckpt", "pytorch-lightning_version", "1.4.2");
    has_metadata("parameters.pt", "string_to_token.*", "265");
    vka_safetensors st;
    open_golden(&st, "motion.ckpt");
    assert_int_equal(st.metadata_count, 0); /* animatediff_config is dropped */
    vka_safetensors_close(&st);
}

static void test_scales(void **state)
{
    (void)state;
    static const char *const files[] = {"scaled.pt", "scaled.safetensors"};
    for (int f = 0; f < 2; f++) {
        vka_safetensors st, want;
        open_golden(&st, files[f]);
        open_golden(&want, "scaled-values.safetensors");
        assert_int_equal(want.count, 3);
        for (size_t i = 0; i < want.count; i++) {
            char name[] = "a.weight";
            float got[12], part[5], value[12];
            name[0] = want.tensors[i].name[0];
            const vka_weight *w = vka_safetensors_find(&st, name);
            uint64_t n = vka_weight_count(w);
            vka_weight_to_f32(w, 0, n, got);
            vka_dtype_to_f32(value, want.tensors[i].data, want.tensors[i].dtype, (size_t)n);
            assert_memory_equal(got, value, n * sizeof *got);
            vka_weight_to_f32(w, 3, n - 3 < 5 ? n - 3 : 5, part); /* from the middle of a row on */
            assert_memory_equal(part, got + 3, (n - 3 < 5 ? n - 3 : 5) * sizeof *part);
        }
        vka_safetensors_close(&st);
        vka_safetensors_close(&want);
    }
}

static void refuses(const char *name, const char *sentence)
{
    vka_safetensors st;
    vka_error err = {0};
    assert_int_equal(vka_model_file_open(&st, golden(name), &err), VKA_E_INPUT);
    if (!strstr(err.what, sentence))
        fail_msg("%s: '%s' does not say '%s'", name, err.what, sentence);
}

static void test_refused(void **state)
{
    (void)state;
    char dir[] = "/tmp/vkanim-torch-XXXXXX", home[4096];
    assert_non_null(mkdtemp(dir));
    assert_non_null(getcwd(home, sizeof home));
    assert_int_equal(chdir(dir), 0);
    refuses("attack.ckpt", "posix.system");
    assert_int_not_equal(access("executed", F_OK), 0); /* what it would leave here */
    assert_int_equal(chdir(home), 0);
    assert_int_equal(rmdir(dir), 0);
    refuses("transposed.pt", "'turned' is a transposed or strided view");
    refuses("complex.pt", "torch.ComplexFloatStorage");
    refuses("bare.pt", "one tensor without a name");
    refuses("object.pt", "without named tensors");
    refuses("legacy.pt", "before version 1.6");
    refuses("bare.pkl", "a bare Python pickle");
}

/* ---- a pickle and an archive, byte by byte ---- */

static uint8_t bytes[1 << 23];
static size_t length;

static void raw(const void *data, size_t n)
{
    assert_true(length + n <= sizeof bytes);
    memcpy(bytes + length, data, n);
    length += n;
}
static void op(int code)
{
    uint8_t b = (uint8_t)code;
    raw(&b, 1);
}
static void number(uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        op((int)(v >> (8 * i) & 255));
}
static void text(const char *s)
{
    op('X');
    number(strlen(s), 4);
    raw(s, strlen(s));
}
static void global(const char *module, const char *name)
{
    op('c');
    raw(module, strlen(module));
    op('\n');
    raw(name, strlen(name));
    op('\n');
}
static void integer(int64_t v)
{
    op(0x8a);
    op(8);
    number((uint64_t)v, 8);
}
static void tuple(const int64_t *v, int n)
{
    op('(');
    for (int i = 0; i < n; i++)
        integer(v[i]);
    op('t');
}
static void begin(void)
{
    length = 0;
    raw("\x80\x02}(", 4);
}
static void end(void)
{
    raw("u.", 2);
}

struct tensor {
    const char *type, *key;
    int64_t numel, offset;
    int rank, stride_rank;
    int64_t dims[9], strides[9];
};
static const struct tensor sound = {"FloatStorage", "0", 6, 0, 2, 2, {2, 3}, {3, 1}};

/* NAME: _rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict()) */
static void tensor(const char *name, const struct tensor *t)
{
    text(name);
    global("torch._utils", "_rebuild_tensor_v2");
    op('(');
    op('(');
    text("storage");
    global("torch", t->type);
    text(t->key);
    text("cpu");
    integer(t->numel);
    raw("tQ", 2);
    integer(t->offset);
    tuple(t->dims, t->rank);
    tuple(t->strides, t->stride_rank);
    op(0x89);
    global("collections", "OrderedDict");
    raw(")RtR", 4);
}

struct entry {
    const char *name;
    const void *data;
    size_t size;
};
static uint8_t file[sizeof bytes + 4096];
static size_t file_size, local_at[8], central_at[8], data_at[8], end_at;

static void put(size_t at, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        file[at + (size_t)i] = (uint8_t)(v >> (8 * i));
}

/* A sound archive of stored entries. */
static void zip(const struct entry *e, size_t n)
{
    size_t at = 0;
    memset(file, 0, 4096);
    for (size_t i = 0; i < n; i++) {
        size_t k = strlen(e[i].name);
        memset(file + at, 0, 30);
        local_at[i] = at;
        put(at, 0x04034b50, 4);
        put(at + 18, e[i].size, 4);
        put(at + 22, e[i].size, 4);
        put(at + 26, k, 2);
        memcpy(file + at + 30, e[i].name, k);
        data_at[i] = at + 30 + k;
        if (e[i].size)
            memcpy(file + data_at[i], e[i].data, e[i].size);
        at = data_at[i] + e[i].size;
    }
    size_t directory = at;
    for (size_t i = 0; i < n; i++) {
        size_t k = strlen(e[i].name);
        memset(file + at, 0, 46);
        central_at[i] = at;
        put(at, 0x02014b50, 4);
        put(at + 20, e[i].size, 4);
        put(at + 24, e[i].size, 4);
        put(at + 28, k, 2);
        put(at + 42, local_at[i], 4);
        memcpy(file + at + 46, e[i].name, k);
        at += 46 + k;
    }
    end_at = at;
    memset(file + at, 0, 22);
    put(at, 0x06054b50, 4);
    put(at + 8, n, 2);
    put(at + 10, n, 2);
    put(at + 12, at - directory, 4);
    put(at + 16, directory, 4);
    file_size = at + 22;
}

static const float values[6] = {1, 2, 3, 4, 5, 6};

/* The pickle in `bytes` with one storage of six floats. */
static void archive(void)
{
    zip((const struct entry[]){{"a/data.pkl", bytes, length},
                               {"a/data/0", values, sizeof values},
                               {"a/byteorder", "little", 6}},
        3);
}

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
    says("more than 1500000 values");
    begin(), text("d"), op(']'), many("Na", 4000000), end(), archive();
    says("more than 3000000 values in lists");
    begin(), many("N0", 4000000), end(), archive();
    says("");
    begin(), text("l"), raw("}", 1), laughs();
    says("more than 2000000 values");
    begin(), text("l"), raw("]", 1), laughs();
    says("more than 2000000 values");
    begin(), text("l"), raw("}(", 2), tensor("t", &sound), raw("u", 1), laughs();
    says("more than 100000 tensors");
    begin(), text("d"), raw("}q\1(", 4), text("self"), raw("h\1u", 3), end(), archive(); /* holds itself */
    says("nested more than 16 deep");
}

static void test_limits(void **state)
{
    (void)state;
    hostile();
#if !defined(__SANITIZE_ADDRESS__)
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
        cmocka_unit_test(test_equal_bytes), cmocka_unit_test(test_metadata), cmocka_unit_test(test_scales),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_archives), cmocka_unit_test(test_zip64),
        cmocka_unit_test(test_tensors),     cmocka_unit_test(test_pickles),  cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

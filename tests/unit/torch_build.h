/* torch_build.h - PyTorch's files for tests, byte by byte: a pickle that grows in `bytes`, an archive in `file`.
 *
 * Everything is static, since every test is a program of its own; what one does not use is marked so. */
#ifndef VKA_TEST_TORCH_BUILD_H
#define VKA_TEST_TORCH_BUILD_H

#include "weights/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t bytes[1 << 23];
static size_t length;

static inline void raw(const void *data, size_t n)
{
    assert_true(length + n <= sizeof bytes);
    memcpy(bytes + length, data, n);
    length += n;
}
static inline void op(int code)
{
    uint8_t b = (uint8_t)code;
    raw(&b, 1);
}
static inline void number(uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        op((int)(v >> (8 * i) & 255));
}
static inline void text(const char *s)
{
    op('X');
    number(strlen(s), 4);
    raw(s, strlen(s));
}
static inline void global(const char *module, const char *name)
{
    op('c');
    raw(module, strlen(module));
    op('\n');
    raw(name, strlen(name));
    op('\n');
}
static inline void integer(int64_t v)
{
    op(0x8a);
    op(8);
    number((uint64_t)v, 8);
}
static inline void tuple(const int64_t *v, int n)
{
    op('(');
    for (int i = 0; i < n; i++)
        integer(v[i]);
    op('t');
}
static inline void begin(void)
{
    length = 0;
    raw("\x80\x02}(", 4);
}
static inline void end(void)
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
static inline void tensor(const char *name, const struct tensor *t)
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
enum { ENTRIES = 1200 };
static uint8_t file[5 * sizeof bytes];
static size_t file_size, local_at[ENTRIES], central_at[ENTRIES], data_at[ENTRIES], end_at;

static inline void put(size_t at, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        file[at + (size_t)i] = (uint8_t)(v >> (8 * i));
}

/* A sound archive of stored entries. */
static inline void zip(const struct entry *e, size_t n)
{
    size_t at = 0;
    assert_true(n <= ENTRIES);
    for (size_t i = 0; i < n; i++) {
        size_t k = strlen(e[i].name);
        assert_true(at + e[i].size + 4096 < sizeof file);
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
static inline void archive(void)
{
    zip((const struct entry[]){{"a/data.pkl", bytes, length},
                               {"a/data/0", values, sizeof values},
                               {"a/byteorder", "little", 6}},
        3);
}

/* The tensors as PyTorch would write them, each under prefix + name, in a dictionary below `wrapper` where there is one. */
static inline void write_torch(const char *path, const vka_weight *t, size_t n, const char *prefix, const char *wrapper)
{
    static struct entry entries[ENTRIES];
    static char names[ENTRIES][32];
    char name[640];
    begin();
    if (wrapper)
        text(wrapper), raw("}(", 2);
    for (size_t i = 0; i < n; i++) {
        struct tensor x = {t[i].dtype == VKA_WEIGHT_F16   ? "HalfStorage"
                           : t[i].dtype == VKA_WEIGHT_I64 ? "LongStorage"
                                                          : "FloatStorage",
                           names[i] + strlen("a/data/"),
                           (int64_t)vka_weight_count(&t[i]),
                           0,
                           (int)t[i].rank,
                           (int)t[i].rank,
                           {0},
                           {0}};
        int64_t stride = 1;
        for (int k = (int)t[i].rank; k-- > 0; stride *= x.dims[k]) {
            x.dims[k] = (int64_t)t[i].dims[k];
            x.strides[k] = stride;
        }
        snprintf(names[i], sizeof names[i], "a/data/%zu", i);
        snprintf(name, sizeof name, "%s%s", prefix, t[i].name);
        entries[i] = (struct entry){names[i], t[i].data, (size_t)t[i].bytes};
        tensor(name, &x);
    }
    if (wrapper)
        op('u');
    end();
    assert_true(n < ENTRIES);
    if (n)
        entries[n] = entries[0]; /* the pickle goes first: its folder is the archive's */
    entries[0] = (struct entry){"a/data.pkl", bytes, length};
    zip(entries, n + 1);
    assert_int_equal(vka_write_file(path, file, file_size, NULL), VKA_OK);
}

#endif

/* redraw.c - random-weight models from a short text.
 *
 * Every file is built in memory: a header of fixed-size growth, then the tensors in the order of their lines, each
 * starting where the one before ended.  Shapes: at most 4 axes, every product checked against LIMIT.
 * Element i of a tensor is mean + amplitude (2u - 1) with u the top 24 bits of splitmix64's i-th output for
 * its key, evaluated in binary64, rounded to binary32 and from there to the stored type. */
#define _XOPEN_SOURCE 700
#include "redraw.h"

#include "base/file.h"
#include "base/half.h"

#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT ((size_t)64 << 20) /* bytes of one file, elements of one tensor */

typedef struct {
    char *header; /* JSON without the closing brace */
    size_t header_size, header_room;
    uint8_t *data;
    size_t size, room;
} image;

typedef struct {
    char dtype[4], name[192];
    size_t shape[4], elements;
    int axes;
    bool table; /* sinusoidal positions */
    double mean, amplitude;
    uint64_t key;
} tensor;

static void image_free(image *m)
{
    free(m->header);
    free(m->data);
    *m = (image){0};
}

static bool grow(void **data, size_t *room, size_t need)
{
    if (need <= *room)
        return true;
    size_t want = need < 4096 ? 4096 : need + need / 2;
    void *p = want > LIMIT * 2 ? NULL : realloc(*data, want);
    if (!p)
        return false;
    *data = p;
    *room = want;
    return true;
}

static double uniform(uint64_t key, uint64_t i)
{
    uint64_t z = key + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return (double)(z >> 40) / 16777216.0;
}

static float element(const tensor *t, size_t i)
{
    if (!t->table) { /* two statements, so that no compiler may fuse them */
        double swing = t->amplitude * (2.0 * uniform(t->key, i) - 1.0);
        return (float)(t->mean + swing);
    }
    size_t channels = t->shape[2], c = i % channels, p = i / channels % t->shape[1];
    float step = expf((float)(c & ~(size_t)1) * (float)(-log(10000.0) / (double)channels));
    float angle = (float)p * step;
    return c & 1 ? cosf(angle) : sinf(angle);
}

static bool parse_shape(tensor *t, const char *text)
{
    t->axes = 0;
    t->elements = 1;
    for (const char *s = text; t->axes < 4; s++) {
        char *end;
        unsigned long long n = strtoull(s, &end, 10);
        if (end == s || n == 0 || n > LIMIT || t->elements > LIMIT / (size_t)n)
            return false;
        t->shape[t->axes++] = (size_t)n;
        t->elements *= (size_t)n;
        s = end;
        if (*s == '\0')
            return true;
        if (*s != 'x')
            return false;
    }
    return false;
}

/* Numbers in weights.txt are plain decimals with an optional exponent; parsed here so that no locale matters. */
static bool parse_number(const char *s, double *value)
{
    double sign = 1, v = 0;
    int exponent = 0;
    bool digits = false, point = false;
    if (*s == '-') {
        sign = -1;
        s++;
    }
    for (; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        v = v * 10 + (*s - '0');
        exponent -= point;
        digits = true;
    }
    if (*s == 'e') {
        char *end;
        long e = strtol(s + 1, &end, 10);
        if (end == s + 1 || e < -300 || e > 300)
            return false;
        exponent += (int)e;
        s = end;
    }
    double scale = 1;
    for (int i = 0; i < abs(exponent); i++)
        scale *= 10;
    *value = sign * (exponent < 0 ? v / scale : v * scale);
    return digits && *s == '\0';
}

static bool parse_tensor(tensor *t, const char *line)
{
    char shape[64], mean[32], amplitude[32];
    *t = (tensor){0};
    if (strncmp(line, "pe ", 3) == 0) {
        t->table = true;
        return sscanf(line + 3, "%3s %191s %63s", t->dtype, t->name, shape) == 3 && parse_shape(t, shape) &&
               t->axes == 3;
    }
    return sscanf(line, "%3s %191s %63s %31s %31s %" SCNx64, t->dtype, t->name, shape, mean, amplitude, &t->key) == 6 &&
           parse_shape(t, shape) && parse_number(mean, &t->mean) && parse_number(amplitude, &t->amplitude);
}

static bool image_add(image *m, const tensor *t)
{
    bool half = strcmp(t->dtype, "F16") == 0;
    if (!half && strcmp(t->dtype, "F32") != 0)
        return false;
    size_t bytes = t->elements * (half ? 2 : 4);
    if (bytes > LIMIT - m->size || !grow((void **)&m->data, &m->room, m->size + bytes))
        return false;
    for (size_t i = 0; i < t->elements; i++) {
        float v = element(t, i);
        uint16_t h = vka_float_to_half(v);
        memcpy(m->data + m->size + i * (half ? 2 : 4), half ? (void *)&h : (void *)&v, half ? 2 : 4);
    }
    if (!grow((void **)&m->header, &m->header_room, m->header_size + 512))
        return false;
    char dims[96] = "";
    for (int i = 0; i < t->axes; i++) {
        size_t used = strlen(dims);
        snprintf(dims + used, sizeof dims - used, "%s%zu", i ? "," : "", t->shape[i]);
    }
    int n = snprintf(m->header + m->header_size, 512,
                     "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                     m->header_size ? ',' : '{', t->name, t->dtype, dims, m->size, m->size + bytes);
    if (n < 0 || n >= 512)
        return false;
    m->header_size += (size_t)n;
    m->size += bytes;
    return true;
}

/* Makes the folders that PATH lies in. */
static vka_status make_parent(const char *path, vka_error *err)
{
    const char *base = vka_path_base(path);
    char dir[4096];
    if (base == path)
        return VKA_OK;
    if ((size_t)(base - path) >= sizeof dir)
        return vka_fail(err, VKA_E_INPUT, "the path %s is too long", path);
    memcpy(dir, path, (size_t)(base - path));
    dir[base - path - 1] = '\0';
    return vka_make_dirs(dir, err);
}

static vka_status put(const char *out, const char *name, const void *head, size_t head_size, const void *data,
                      size_t size, vka_error *err)
{
    char *path = vka_path_join(out, name);
    if (!path)
        return vka_fail(err, VKA_E_INTERNAL, "out of memory");
    vka_outfile f;
    vka_status s = make_parent(path, err);
    if (s == VKA_OK)
        s = vka_out_open(&f, path, err);
    if (s == VKA_OK) {
        s = vka_out_write(&f, head, head_size, err);
        if (s == VKA_OK)
            s = vka_out_write(&f, data, size, err);
        if (s == VKA_OK)
            s = vka_out_commit(&f, err);
        else
            vka_out_abandon(&f);
    }
    free(path);
    return s;
}

/* The header is padded with spaces so that the tensors begin at a multiple of 8. */
static vka_status image_write(image *m, const char *out, const char *name, vka_error *err)
{
    if (!grow((void **)&m->header, &m->header_room, m->header_size + 32))
        return vka_fail(err, VKA_E_INTERNAL, "out of memory");
    memmove(m->header + 8, m->header, m->header_size);
    size_t n = m->header_size;
    m->header[8 + n++] = '}';
    while (n % 8)
        m->header[8 + n++] = ' ';
    for (int i = 0; i < 8; i++)
        m->header[i] = (char)((n >> (8 * i)) & 255);
    return put(out, name, m->header, n + 8, m->data, m->size, err);
}

static vka_status copy(const char *from, const char *out, const char *name, vka_error *err)
{
    char *data;
    size_t size;
    vka_status s = vka_read_file(from, LIMIT, &data, &size, err);
    if (s == VKA_OK) {
        s = put(out, name, "", 0, data, size, err);
        free(data);
    }
    return s;
}

static vka_status copy_tokenizer(const char *tokenizer, const char *out, const char *folder, vka_error *err)
{
    static const char *const files[] = {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"};
    vka_status s = VKA_OK;
    for (size_t i = 0; i < 4 && s == VKA_OK; i++) {
        char *from = vka_path_join(tokenizer, files[i]), *to = vka_path_join(folder, files[i]);
        s = from && to ? copy(from, out, to, err) : vka_fail(err, VKA_E_INTERNAL, "out of memory");
        free(from);
        free(to);
    }
    return s;
}

/* The line at `at` without its end, in `line`; returns where the next begins, or NULL at the end of the text. */
static const char *next_line(const char *at, char *line, size_t room)
{
    if (*at == '\0')
        return NULL;
    size_t n = strcspn(at, "\n");
    size_t keep = n < room ? n : room - 1;
    memcpy(line, at, keep);
    line[keep] = '\0';
    return at + n + (at[n] == '\n');
}

/* Replaces the first `from` of a name by `to`. */
static bool replace(char *name, size_t room, const char *from, const char *to)
{
    char *at = strstr(name, from), rest[192];
    if (!at)
        return false;
    snprintf(rest, sizeof rest, "%s", at + strlen(from));
    snprintf(at, room - (size_t)(at - name), "%s%s", to, rest);
    return true;
}

/* A motion module's name as another file has it; false: that file has no such tensor. */
static bool rename_tensor(tensor *t, const char *names)
{
    static const char *const diffusers[][2] = {{".temporal_transformer.", "."},
                                               {"attention_blocks.0.pos_encoder.", "pos_embed."},
                                               {"attention_blocks.0.", "attn1."},
                                               {"attention_blocks.1.", "attn2."},
                                               {"norms.0.", "norm1."},
                                               {"norms.1.", "norm2."},
                                               {"ff_norm.", "norm3."}};
    char plain[192];
    snprintf(plain, sizeof plain, "%s", t->name);
    if (strcmp(names, "diffusers") == 0) {
        if (strstr(t->name, "attention_blocks.1.pos_encoder."))
            return false; /* one table for both */
        for (size_t i = 0; i < sizeof diffusers / sizeof *diffusers; i++)
            replace(t->name, sizeof t->name, diffusers[i][0], diffusers[i][1]);
    } else if (strcmp(names, "original") != 0)
        snprintf(t->name, sizeof t->name, "%.60s%.130s", names, plain);
    return true;
}

/* What a "part" line says, see redraw.h. */
struct change {
    const char *skip, *names;
    size_t length;
};

/* Writes the file NAME from the tensor lines at `at`, changed as a "part" line says, or NULL. */
static vka_status write_section(const char *at, const char *out, const char *name, const struct change *change,
                                vka_error *err)
{
    char line[512];
    image m = {0};
    vka_status s = VKA_OK;
    for (const char *next; s == VKA_OK && (next = next_line(at, line, sizeof line)) != NULL; at = next) {
        tensor t;
        if (strncmp(line, "file ", 5) == 0 || strncmp(line, "part ", 5) == 0)
            break;
        if (!parse_tensor(&t, line)) {
            s = vka_fail(err, VKA_E_INPUT, "weights.txt: cannot read the line \"%s\"", line);
            break;
        }
        if (change && (strncmp(t.name, change->skip, strlen(change->skip)) == 0 || (t.table && !change->length) ||
                       !rename_tensor(&t, change->names)))
            continue;
        if (change && t.table) {
            t.elements = t.elements / t.shape[1] * change->length;
            t.shape[1] = change->length;
        }
        if (!image_add(&m, &t))
            s = vka_fail(err, VKA_E_INPUT, "weights.txt: %s is too large or of an unknown type", t.name);
    }
    if (s == VKA_OK)
        s = image_write(&m, out, name, err);
    image_free(&m);
    return s;
}

static vka_status write_part(const char *text, const char *out, const char *line, vka_error *err)
{
    char name[192], of[192], skip[64], names[64] = "original", head[208], other[512];
    unsigned length;
    if (sscanf(line, "part %191s %191s %63s %u %63s", name, of, skip, &length, names) < 4 || length > 4096)
        return vka_fail(err, VKA_E_INPUT, "weights.txt: cannot read the line \"%s\"", line);
    snprintf(head, sizeof head, "file %s", of);
    const struct change change = {.skip = skip, .names = names, .length = length};
    for (const char *at = text, *next; (next = next_line(at, other, sizeof other)) != NULL; at = next)
        if (strcmp(other, head) == 0)
            return write_section(next, out, name, &change, err);
    return vka_fail(err, VKA_E_INPUT, "weights.txt: there is no file %s", of);
}

vka_status vka_test_redraw(const char *set, const char *tokenizer, const char *out, vka_error *err)
{
    char *path = vka_path_join(set, "weights.txt"), *text = NULL, line[512];
    size_t size;
    vka_status s =
        path ? vka_read_file(path, LIMIT, &text, &size, err) : vka_fail(err, VKA_E_INTERNAL, "out of memory");
    free(path);
    if (s == VKA_OK)
        s = vka_make_dirs(out, err);
    for (const char *at = text, *next; s == VKA_OK && (next = next_line(at, line, sizeof line)) != NULL; at = next) {
        if (strncmp(line, "copy ", 5) == 0) {
            path = vka_path_join(set, line + 5);
            s = path ? copy(path, out, line + 5, err) : vka_fail(err, VKA_E_INTERNAL, "out of memory");
            free(path);
        } else if (strncmp(line, "tokenizer ", 10) == 0)
            s = copy_tokenizer(tokenizer, out, line + 10, err);
        else if (strncmp(line, "file ", 5) == 0)
            s = write_section(next, out, line + 5, NULL, err);
        else if (strncmp(line, "part ", 5) == 0)
            s = write_part(text, out, line, err);
    }
    free(text);
    return s;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int vka_test_remove(const char *folder) { return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

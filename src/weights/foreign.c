/* foreign.c - see foreign.h.  Judged by first bytes alone; a file's extension says what somebody hoped for. */
#include "weights/foreign.h"

#include <string.h>

static bool starts(const uint8_t *p, size_t n, const char *s, size_t len)
{
    return n >= len && !memcmp(p, s, len);
}
#define STARTS(s) starts(p, n, s, sizeof(s) - 1)

bool vka_is_zip(const uint8_t *p, size_t n)
{
    return STARTS("PK\x03\x04") || STARTS("PK\x05\x06");
}

static bool is_text(const uint8_t *p, size_t n)
{
    size_t look = n < 512 ? n : 512;
    for (size_t i = 0; i < look; i++)
        if (p[i] < 9 || (p[i] > 13 && p[i] < 32) || p[i] == 127)
            return false;
    return true;
}

/* A word somewhere in the first bytes, whatever its case. */
static bool mentions(const uint8_t *p, size_t n, const char *word)
{
    size_t k = strlen(word), look = n < 512 ? n : 512;
    for (size_t i = 0; i + k <= look; i++) {
        size_t j = 0;
        while (j < k && (p[i + j] | (p[i + j] >= 'A' && p[i + j] <= 'Z' ? 32 : 0)) == (uint8_t)word[j])
            j++;
        if (j == k)
            return true;
    }
    return false;
}

/* The magic number of torch.save before 1.6, as a pickled integer. */
#define OLD_TORCH "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"

static const char *pickle_kind(const uint8_t *p, size_t n)
{
    if (n < 3 || p[0] != 0x80 || p[1] < 2 || p[1] > 5)
        return NULL;
    bool old = starts(p + 2, n - 2, OLD_TORCH, sizeof OLD_TORCH - 1) ||
               (n > 11 && starts(p + 11, n - 11, OLD_TORCH, sizeof OLD_TORCH - 1)); /* behind a FRAME */
    return old ? "a PyTorch file in the format from before version 1.6" : "a bare Python pickle";
}

static vka_status refuse(const char *path, const char *what, const char *wanted, const char *hint, vka_error *err)
{
    vka_fail(err, VKA_E_INPUT, "'%s' is %s, not %s", path, what, wanted);
    if (hint)
        vka_error_hint(err, "%s", hint);
    return VKA_E_INPUT;
}

vka_status vka_refuse_foreign(const uint8_t *p, size_t n, const char *wanted, const char *path, vka_error *err)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *what, *hint;
    } known[] = {
        {"GGUF", 4, "a GGUF file", NULL},
        {"GGML", 4, "a GGML file", NULL},
        {"lmgg", 4, "a GGML file", NULL},
        {"7z\xbc\xaf\x27\x1c", 6, "a 7-Zip archive", "unpack it"},
        {"Rar!\x1a\x07", 6, "a RAR archive", "unpack it"},
        {"\x1f\x8b", 2, "a gzip file", "unpack it"},
        {"\xfd"
         "7zXZ",
         5, "an xz file", "unpack it"},
        {"\x28\xb5\x2f\xfd", 4, "a Zstandard file", "unpack it"},
        {"\x89HDF\r\n", 6, "an HDF5 file (Keras?)", NULL},
        {"\x93NUMPY", 6, "a NumPy array", NULL},
        {"\x89PNG", 4, "a PNG picture", NULL},
        {"RIFF", 4, "a RIFF file (a WebP picture?)", NULL},
        {"version https://git-lfs", 23, "a Git LFS pointer (the name of a file, not the file itself)",
         "fetch it with 'git lfs pull'"},
    };
    if (n == 0)
        return vka_fail(err, VKA_E_INPUT, "'%s' is empty", path);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (starts(p, n, known[i].magic, known[i].length))
            return refuse(path, known[i].what, wanted, known[i].hint, err);
    if (vka_is_zip(p, n))
        return refuse(path, "a zip archive, as PyTorch's files are (.ckpt, .pt, .pth, .bin)", wanted,
                      "vkanim convert makes safetensors of such a file", err);
    const char *pickle = pickle_kind(p, n);
    if (pickle)
        return refuse(path, pickle, wanted, "load it with PyTorch and save it anew, as .safetensors or with torch.save",
                      err);
    if (n >= 262 && !memcmp(p + 257, "ustar", 5))
        return refuse(path, "a tar archive, perhaps PyTorch's oldest format", wanted,
                      "load it with PyTorch and save it anew, or unpack it", err);
    if (n > 16 && p[0] == 8 && p[1] < 32 && (mentions(p, n, "pytorch") || mentions(p, n, "onnx")))
        return refuse(path, "an ONNX model", wanted, NULL, err);
    if (is_text(p, n) && (mentions(p, n, "<!doctype") || mentions(p, n, "<html")))
        return refuse(path, "a web page (a download that needed a login?)", wanted,
                      "fetch the file again, signed in where it was found", err);
    if (n && p[0] == '{' && mentions(p, n, "\"weight_map\""))
        return refuse(path, "the index of a model in several files", wanted, "vkanim convert makes one file of them", err);
    if (is_text(p, n))
        return refuse(path, "a text file", wanted, NULL, err);
    return vka_fail(err, VKA_E_INPUT, "'%s' is not %s", path, wanted);
}

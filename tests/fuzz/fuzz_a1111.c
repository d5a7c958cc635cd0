/* fuzz_a1111.c - requests of A1111's interface: any JSON becomes a job that the library reads, or a refusal with a sentence; the
 * job's files are those that the store has named, or names of uploads in the request.  The first byte picks txt2img or img2img.  The
 * same bytes go through the readers of base64 and of an APNG's frames. */
#include "server/a1111.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static vka_status keep(void *user, const char *suggested, const void *data, size_t size, char name[80], vka_error *err)
{
    (void)suggested, (void)data, (void)err;
    if (!size || ++*(unsigned *)user > 10000)
        abort();
    memcpy(name, "upload:kept.png", 16);
    return VKA_OK;
}

static bool find(void *user, const char *kind, const char *title, char name[300])
{
    (void)user, (void)kind;
    size_t n = strlen(title);
    if (n >= 300 || strchr(title, '/'))
        return false;
    memcpy(name, title, n + 1);
    return n > 0;
}

static bool take(void *user, unsigned char *png, size_t size)
{
    size_t *sum = user;
    *sum += size;
    if (size < 32 || memcmp(png, "\x89PNG\r\n\x1a\n", 8) != 0)
        abort();
    free(png);
    return *sum < (16u << 20);
}

/* Files by name alone. */
static void check_file(const char *text)
{
    if ((strncmp(text, "upload:", 7) != 0 && strncmp(text, "result:", 7) != 0) || strpbrk(text, "/\\"))
        abort();
}

static void check_job(const json_t *job)
{
    static const char *const files[] = {"init", "init-last", "mask"};
    char *text = json_dumps(job, 0);
    vka_job *again = vka_job_create();
    if (!text || !again || vka_job_read(again, text, strlen(text), NULL) != VKA_OK)
        abort();
    for (size_t i = 0; i < 3; i++)
        if (json_object_get(job, files[i]))
            check_file(json_string_value(json_object_get(job, files[i])));
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(job, "keyframe"), i, item)
        check_file(strchr(json_string_value(item), '=') + 1);
    json_array_foreach(json_object_get(job, "output"), i, item)
        if (strpbrk(json_string_value(item), "/\\%"))
            abort();
    free(text);
    vka_job_destroy(&again);
}

static void read_bytes(const uint8_t *data, size_t size)
{
    size_t n, sum = 0;
    unsigned char *bytes = srv_a1111_bytes((const char *)data, size, &n);
    char *text = bytes ? srv_a1111_base64(bytes, n) : NULL;
    if (bytes) {
        size_t m;
        unsigned char *again = srv_a1111_bytes(text, strlen(text), &m);
        if (!again || m != n || memcmp(again, bytes, n) != 0)
            abort();
        srv_a1111_split(bytes, n, take, &sum);
        free(again);
    }
    srv_a1111_split(data, size, take, &sum);
    free(bytes);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned kept = 0;
    const struct srv_a1111_store store = {keep, find, &kept};
    if (!size)
        return 0;
    read_bytes(data + 1, size - 1);
    json_t *request = json_loadb((const char *)data + 1, size - 1, 0, NULL), *options = srv_a1111_options_make();
    if (request && options) {
        struct srv_a1111_work work;
        struct srv_a1111_error err = {0};
        bool good = srv_a1111_translate(&work, request, data[0] & 1 ? A1111_IMG2IMG : A1111_TXT2IMG, options, "webui-0", &store, &err);
        if (good != (err.status == 0) || (!good && (err.status < 400 || err.status > 599 || !err.text[0])))
            abort();
        if (good)
            check_job(work.job);
        srv_a1111_work_free(&work);
    }
    json_decref(options);
    json_decref(request);
    return 0;
}

/* fuzz_state.c - what lies in a job folder, and a map of previews in the cache folder.  The input's first byte chooses: 's' a
 * checkpoint, 'S' a checkpoint whose checksum is made right first, so that what is behind it is reached too, 'p' a map of previews,
 * anything else a JSON file that checks itself.  What is read must write back to the same. */
#include "render/preview.h"
#include "render/state.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t mix(const void *data, size_t size)
{
    uint8_t m = 0;
    for (size_t i = 0; i < size; i++)
        m = (uint8_t)(m ^ ((const uint8_t *)data)[i]);
    return m;
}

static void read_checkpoint(uint8_t *data, size_t size, bool seal)
{
    vka_checkpoint c;
    vka_error err = {0};
    if (seal && size > 64) {
        char hex[65];
        vka_sha256 sha;
        vka_sha256_init(&sha);
        vka_sha256_add(&sha, data, size - 64);
        vka_sha256_hex(&sha, hex);
        memcpy(data + size - 64, hex, 64);
    }
    vka_status st = vka_checkpoint_parse(data, size, "state-A", &c, &err);
    if (st != VKA_OK && !err.what[0])
        abort();        /* every refusal has its sentence */
    if (st == VKA_OK) { /* every byte that was promised is there, for the sanitizer to see */
        volatile uint8_t seen = mix(c.step_s, c.timings * sizeof *c.step_s);
        for (int i = 0; i < VKA_SLOTS; i++)
            seen = (uint8_t)(seen ^ mix(c.slot[i], c.slots >> i & 1 ? vka_checkpoint_values(&c) * sizeof(float) : 0));
        seen = (uint8_t)(seen ^ mix(c.rng, (size_t)c.rng_bytes));
        (void)seen;
    }
    vka_checkpoint_free(&c);
}

static void read_json(const char *text, size_t size)
{
    vka_error err = {0};
    json_t *object = vka_checked_json_parse(text, size, "job.json", &err);
    if (!object) {
        if (!err.what[0])
            abort();
        return;
    }
    char *again = vka_checked_json_text(object);
    json_t *back = again ? vka_checked_json_parse(again, strlen(again), "job.json", NULL) : NULL;
    if (!back || !json_equal(object, back))
        abort();
    free(again);
    json_decref(back);
    json_decref(object);
}

static void read_map(const char *text, size_t size)
{
    struct vka_latent_map m, back;
    if (!vka_preview_map_read(&m, text, size, "x", 4))
        return;
    char *again = vka_preview_map_write(&m, "x");
    if (!again || !vka_preview_map_read(&back, again, strlen(again), "x", 4))
        abort();
    for (int k = 0; k < 3; k++)
        for (int c = 0; c < 4; c++)
            for (int t = 0; t < VKA_LATENT_TAPS; t++)
                if (m.weight[k][c][t] < back.weight[k][c][t] || m.weight[k][c][t] > back.weight[k][c][t])
                    abort();
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    uint8_t *copy = malloc(size);
    if (!copy)
        abort();
    memcpy(copy, data + 1, size - 1);
    if (data[0] == 's' || data[0] == 'S')
        read_checkpoint(copy, size - 1, data[0] == 'S');
    else if (data[0] == 'p')
        read_map((const char *)copy, size - 1);
    else
        read_json((const char *)copy, size - 1);
    free(copy);
    return 0;
}

/* spool.c - see spool.h. */
#include "render/spool.h"

#include "base/clock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

const struct vka_spool_names vka_spool_frames = {"frames-%u.raw", "frames-%u.json"},
                             vka_spool_between = {"between-%u.raw", "between-%u.json"};

vka_status vka_spool_open(struct vka_spool *s, struct vka_state *state, const struct vka_spool_names *names, uint32_t clip,
                          bool keeps, uint32_t most, size_t unit, uint8_t *buffer, const vka_log *log, vka_error *err)
{
    char *path = vka_state_path(state, names->raw, clip);
    vka_status st = vka_disk_open(&s->file, path, err);
    free(path);
    vka_sha256_init(&s->sha);
    s->count = 0;
    json_t *says = st == VKA_OK && keeps ? vka_state_json(state, names->says, clip) : NULL;
    json_int_t frames = json_integer_value(json_object_get(says, "frames"));
    const char *want = json_string_value(json_object_get(says, "sha256"));
    if (want && frames > 0 && frames <= most) {
        bool good = true;
        char hex[65];
        for (json_int_t f = 0; good && f < frames; f++) {
            good = vka_disk_read(&s->file, (uint64_t)f * unit, buffer, unit, NULL) == VKA_OK;
            if (good)
                vka_sha256_add(&s->sha, buffer, unit);
        }
        vka_spool_hex(s, hex);
        if (good && strcmp(hex, want) == 0)
            s->count = (uint32_t)frames;
        else {
            vka_logf(log, VKA_LOG_WARN, "the frames kept in the job's folder are damaged: they are %s again",
                     names == &vka_spool_frames ? "decoded" : "made");
            vka_sha256_init(&s->sha);
        }
    }
    json_decref(says);
    return st;
}

vka_status vka_spool_add(struct vka_spool *s, const uint8_t *data, size_t unit, vka_error *err)
{
    vka_status st = vka_disk_write(&s->file, (uint64_t)s->count * unit, data, unit, err);
    if (st != VKA_OK)
        return st;
    vka_sha256_add(&s->sha, data, unit);
    s->count++;
    return VKA_OK;
}

vka_status vka_spool_keep(struct vka_spool *s, struct vka_state *state, const struct vka_spool_names *names, uint32_t clip,
                          vka_error *err)
{
    char hex[65];
    if (!state->folder)
        return VKA_OK;
    double began = vka_now();
    vka_status st = vka_disk_sync(&s->file, err);
    vka_spool_hex(s, hex);
    json_t *says = json_pack("{s:i, s:s}", "frames", (int)s->count, "sha256", hex);
    if (st == VKA_OK && says && vka_state_keep_json(state, names->says, clip, says))
        state->worth = true;
    json_decref(says);
    vka_pace_wrote(&state->pace, began, vka_now());
    return st;
}

void vka_spool_hex(const struct vka_spool *s, char hex[65])
{
    vka_sha256 copy = s->sha;
    vka_sha256_hex(&copy, hex);
}

void vka_spool_remove(struct vka_spool *s, struct vka_state *state, const struct vka_spool_names *names, uint32_t clip)
{
    vka_disk_close(&s->file);
    vka_state_remove(state, names->says, clip);
    vka_state_remove(state, names->raw, clip);
}

/* frame_store.c - see frame_store.h. */
#include "render/frame_store.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

vka_status vka_frame_store_open(struct vka_frame_store *s, uint32_t count, size_t bytes, uint64_t memory, vka_error *err)
{
    uint64_t all;
    *s = (struct vka_frame_store){.bytes = bytes, .count = count};
    if (!vka_mul_u64(count, bytes, &all) || all > INT64_MAX)
        return vka_fail(err, VKA_E_MEMORY, "%u frames of %zu bytes are too many to keep", count, bytes);
    if (all <= memory) {
        s->memory = vka_calloc(count ? count : 1, bytes ? bytes : 1);
        return s->memory ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    char *folder = vka_cache_dir();
    vka_status st = folder ? vka_disk_open_in(&s->file, folder, NULL) : VKA_E_OUTPUT;
    free(folder);
    return st == VKA_OK ? st : vka_disk_open(&s->file, NULL, err);
}

vka_status vka_frame_store_put(struct vka_frame_store *s, uint32_t index, const void *frame, vka_error *err)
{
    if (index >= s->count)
        return vka_fail(err, VKA_E_INTERNAL, "frame %u of a store of %u", index, s->count);
    if (!s->memory)
        return vka_disk_write(&s->file, (uint64_t)index * s->bytes, frame, s->bytes, err);
    memcpy(s->memory + (size_t)index * s->bytes, frame, s->bytes);
    return VKA_OK;
}

vka_status vka_frame_store_get(struct vka_frame_store *s, uint32_t index, void *frame, vka_error *err)
{
    if (index >= s->count)
        return vka_fail(err, VKA_E_INTERNAL, "frame %u of a store of %u", index, s->count);
    if (!s->memory)
        return vka_disk_read(&s->file, (uint64_t)index * s->bytes, frame, s->bytes, err);
    memcpy(frame, s->memory + (size_t)index * s->bytes, s->bytes);
    return VKA_OK;
}

void vka_frame_store_close(struct vka_frame_store *s)
{
    free(s->memory);
    vka_disk_close(&s->file);
    *s = (struct vka_frame_store){0};
}

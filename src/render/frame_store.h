/* frame_store.h - frames of equal size that a render keeps for later: in memory while they are few, else in a file without a
 * name in the cache folder, so that memory does not grow with the clip. */
#ifndef VKA_RENDER_FRAME_STORE_H
#define VKA_RENDER_FRAME_STORE_H

#include "base/folder.h"

/* What a store takes of memory unless its user knows better: 256 MiB. */
#define VKA_FRAME_STORE_MEMORY (UINT64_C(256) << 20)

struct vka_frame_store {
    size_t bytes; /* of a frame */
    uint32_t count;
    uint8_t *memory;    /* NULL: they are in the file */
    vka_disk_file file; /* where there is no cache folder, in that for temporary files */
};

/* Room for `count` frames of `bytes` bytes; more than `memory` bytes of them go to the file.  VKA_E_MEMORY, VKA_E_OUTPUT. */
vka_status vka_frame_store_open(struct vka_frame_store *s, uint32_t count, size_t bytes, uint64_t memory, vka_error *err);
/* Frames in any order, each as often as wanted.  VKA_E_OUTPUT: the disk is full. */
vka_status vka_frame_store_put(struct vka_frame_store *s, uint32_t index, const void *frame, vka_error *err);
/* A frame that was put; others are zeros or VKA_E_INPUT. */
vka_status vka_frame_store_get(struct vka_frame_store *s, uint32_t index, void *frame, vka_error *err);
void vka_frame_store_close(struct vka_frame_store *s); /* a zeroed one is fine */

#endif

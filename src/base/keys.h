/* keys.h - keys on the frames of a clip (or the steps of a render): where they stand, as text, and how the way from one to the
 * next is gone.  Values (sample/values.h) and prompts (text/travel.h) that change over the frames share it.
 *
 *     8          frame 8, counted from 0
 *     -1         the last frame; -2 the one before
 *     0.5        with a point: a fraction of the clip, 0.0 being the first frame and 1.0 the last; what lies between two frames
 *                stays there
 *     4-9        frames 4 to 9, over which the key holds; of two places of any kind
 *     8 ease-in  the name of an ease behind the place: of the way from this key to the next */
#ifndef VKA_BASE_KEYS_H
#define VKA_BASE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The share s of a way as its ease has it; in, out and in-out are Robert Penner's cubic ones. */
enum vka_ease {
    VKA_EASE_LINEAR, /* s */
    VKA_EASE_HOLD,   /* 0 up to the next key */
    VKA_EASE_IN,     /* s^3: slow at first */
    VKA_EASE_OUT,    /* 1 - (1 - s)^3: slow at last */
    VKA_EASE_IN_OUT  /* 4 s^3 up to the middle, 1 - 4 (1 - s)^3 behind it */
};
/* "linear", "hold", "ease-in", "ease-out", "ease-in-out"; false for anything else. */
bool vka_ease_from_name(const char *name, size_t size, enum vka_ease *out);
/* s from 0 to 1 -> 0 to 1; 0 and 1 stay what they are, to the bit. */
double vka_ease_at(enum vka_ease ease, double s);

struct vka_key_place {
    double at; /* whole, negative from the end on; or a fraction */
    bool fraction;
};
struct vka_key {
    struct vka_key_place first, last; /* the same where there is no range */
    bool range, eased;
    enum vka_ease ease; /* where eased */
};

/* A key at the beginning of `text`, spaces before it: returns what is behind it and further spaces; NULL where there is none. */
const char *vka_key_read(const char *text, struct vka_key *out);
/* The frame that a place means among `count`; may lie between two, or behind the last.  False where it lies before the first. */
bool vka_key_frame(const struct vka_key_place *place, uint32_t count, double *frame);

/* A key among others, resolved. */
struct vka_key_span {
    double first, last;
    enum vka_ease ease;
};
/* What frame `at` has of `count` spans that rise and do not meet: span *from by 1 - share, and *to by the share, which is
 * returned.  Before the first and behind the last span these hold.  `closed` is the number of frames of a clip whose last span
 * leads back to the first, else 0. */
double vka_key_share(const struct vka_key_span *spans, uint32_t count, uint32_t closed, double at, uint32_t *from, uint32_t *to);

#endif

/* travel.h - prompts that change over the frames of a clip.
 *
 * A prompt travels when it is lines of which at least one begins with a key (base/keys.h), a colon and white space:
 *
 *     a photo of a valley          head: in front of every text
 *     0: at noon
 *     8 ease-in: at dusk           an ease of the way from here to the next key
 *     12-15: at night              holds over these frames
 *     highly detailed              tail: behind every text
 *
 * which is how A1111's AnimateDiff extension has it (but for eases, ranges, fractions and places from the end).  Head, text and
 * tail are joined by ", ", lines between two keys go on with the text above them.  Between back quotes stands an expression
 * (maths.h) of the frame t, of max_f, the number of frames, and of pw_a, pw_b, pw_c and pw_d, which are 0; as FizzNodes has it,
 * both texts between two keys are worked out for every frame.
 *
 * Other forms are made into such lines by vka_travel_read. */
#ifndef VKA_TEXT_TRAVEL_H
#define VKA_TEXT_TRAVEL_H

#include "base/error.h"
#include "base/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Different texts of one prompt, which are encoded each, and the bytes of all; a prompt with more is refused. */
enum { VKA_TRAVEL_TEXTS = 1024, VKA_TRAVEL_BYTES = 16 << 20 };

/* Whether a prompt travels. */
bool vka_travel_is(const char *prompt);

struct vka_travel {
    uint32_t frames;
    uint32_t closed;            /* of a loop: the frames, after which the first key comes again; else 0 */
    struct vka_key_span *spans; /* [count], by rising place */
    uint32_t count;
    char **texts; /* [text_count], all different */
    uint32_t text_count;
    uint32_t *text;  /* [count]: the text of each key; or where each_frame [frames][2]: what vka_travel_at gives */
    bool each_frame; /* there are expressions */
};

/* Reads a prompt that travels for a clip of `frames` frames; `ease` is that of keys without one, `closed` whether the last key
 * leads back to the first behind the end.  VKA_E_USAGE with a sentence about the `name` ("prompt") for keys beyond the clip or
 * upon each other, and expressions that cannot be worked out. */
vka_status vka_travel_make(struct vka_travel *t, const char *name, const char *prompt, uint32_t frames, bool closed,
                           enum vka_ease ease, vka_error *err);
/* What a frame shows: text[0] by 1 - share and text[1] by the share, which is returned.  Where they are the same it is 0. */
double vka_travel_at(const struct vka_travel *t, uint32_t frame, uint32_t text[2]);
void vka_travel_free(struct vka_travel *t);

/* ---- files ---------------------------------------------------------------------------------------------------- */

struct vka_travel_setting {
    char *name, *value; /* of an option, as people wrote it; a value over frames as values.h has it */
};
/* What --travel holds. */
struct vka_travel_file {
    char *prompt, *negative; /* as lines; NULL where nothing is said */
    struct vka_travel_setting *settings;
    size_t count, capacity;
};
/* Whether --travel's value is the text itself and not a file's name: it has a new line, or begins with '{', '"' or a key, a colon
 * and a space. */
bool vka_travel_is_text(const char *value);
/* Reads lines; or an object in JSON, in which commas at ends, single quotes, '=' for ':' and missing braces and quotes of keys are
 * taken too (FizzNodes' and ADE's forms).  Its keys are
 *     places              texts of the prompt: "8", "4-9", "-1", "0.5", "8 hold"; also ADE's "4:9", without 9, and "8:" for hold
 *     head, tail          lines of the prompt (also head_prompt, tail_prompt)
 *     prompt, negative    objects of places and texts, or texts (also prompt_map)
 *     pw_a ... pw_d       numbers for the expressions
 *     anything else       a setting; an object of places and numbers becomes "0:1, 8:2"
 * What follows " --neg " in a text is the negative prompt of that place.
 * VKA_E_USAGE for what is none of these or says nothing. */
vka_status vka_travel_read(struct vka_travel_file *out, const char *text, vka_error *err);
void vka_travel_file_free(struct vka_travel_file *file);

#endif

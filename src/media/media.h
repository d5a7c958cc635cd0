/* media.h - clips and frames as files, and what a written file says about itself.
 *
 * A clip is F frames of 8-bit sRGB, [F,H,W,3] row-major, handed over one frame at a time by a callback;
 * nothing here holds more than a few frames (WebP and GIF hold their compressed frames).  The output's
 * name chooses the format:
 *
 *   .webp   animated WebP, lossy at quality 90 or lossless, every frame whole.  Delays are whole milliseconds, rounded
 *           so that they do not drift.
 *   .gif    one palette for the clip (palettegen, paletteuse), GIF89a.  Delays are whole centiseconds and at
 *           least 2: viewers play shorter ones ten times slower.                         [needs FFmpeg]
 *   .mp4    H.264, yuv420p, limited range, BT.709, index at the front.                    [needs FFmpeg]
 *   .webm   VP9, likewise; lossless as 4:4:4 RGB (profile 1), every bit as it was.        [needs FFmpeg]
 *           Odd sizes are padded to even ones by repeating the last column and row (not in lossless WebM).
 *           No loop count.
 *   .apng   animated PNG, lossless.
 *   .png    one lossless image; of a clip with more than one frame only as a pattern:
 *   x%05d.png, a folder ("out/", an existing folder, or a name without an extension: %05d.png inside it)
 *           one lossless image per frame, numbered from 0; missing folders are made.  Frames of an earlier,
 *           longer clip in the same folder stay.
 *   .y4m    raw 4:4:4 YCbCr, limited range, BT.601 (what readers assume of a file that cannot say).
 *
 * Metadata (UTF-8 JSON, one object) lies in: WebP an XMP packet, element vkanim:metadata; GIF a comment extension;
 * MP4 and WebM the tag "comment"; PNG (every frame of a pattern) and APNG an uncompressed iTXt chunk with the keyword
 * "vkanim"; y4m has no place for it and carries none.
 *
 * Infotext, the lines in which A1111's web UI and its AnimateDiff extension say how a picture was made, lies beside it where
 * they have it: PNG and APNG a chunk with the keyword "parameters" (tEXt, or iTXt where it is not ASCII); WebP the UserComment
 * of EXIF; GIF a second comment extension; MP4 and WebM the tag "description", since "comment" is taken.  Of their files it is
 * read there, and where a comment is no JSON.
 *
 * Files appear under their name only when whole (base/file.h); a pattern's frames only when all are written.
 * After a failure nothing of this run is left: no part files, no frames, no folders it made.
 *
 * FFmpeg's log is silenced for the process unless the program has chosen a log level of its own.  Calls are
 * independent of each other and may run in several threads, each with its own output. */
#ifndef VKA_MEDIA_H
#define VKA_MEDIA_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef enum vka_media_format {
    VKA_MEDIA_NONE, /* not a format of this list */
    VKA_MEDIA_WEBP,
    VKA_MEDIA_GIF,
    VKA_MEDIA_MP4,
    VKA_MEDIA_WEBM,
    VKA_MEDIA_PNG,
    VKA_MEDIA_APNG,
    VKA_MEDIA_Y4M,
    VKA_MEDIA_FRAMES /* PNG files by pattern or in a folder; only of output names */
} vka_media_format;

/* "webp", "gif", ...; "frames"; "none". */
const char *vka_media_format_name(vka_media_format format);

/* How a file holds the frames; all zero is what it does unasked.  Formats pass over what they have no place for:
 * vka_media_takes tells. */
typedef struct vka_media_look {
    bool lossless;      /* WebP, WebM; PNG, APNG and frames always are */
    bool has_quality;   /* else WebP has 90, MP4 and WebM 68 */
    uint32_t quality;   /* 0 to 100.  WebP: libwebp's; MP4: CRF 51 - q/2; WebM: CRF 63 - 0.63 q */
    uint32_t colors;    /* GIF: of the palette, 4 to 256, one of them kept for what does not change; 0: 256 */
    const char *dither; /* GIF: "floyd-steinberg" (NULL), "sierra2-4a", "sierra2", "heckbert", "bayer", "none" */
} vka_media_look;

typedef struct vka_clip {
    uint32_t width, height; /* pixels, 1 to 65535 (WebP and the video formats: 16383) */
    uint32_t frames;        /* at least 1 */
    double fps;             /* frames per second, 0.01 to 1000; 0 means 8 */
    uint32_t plays;         /* how often the clip is played in all; 0: for ever.  WebP, GIF, APNG */
    const char *metadata;   /* one JSON object as UTF-8, or NULL for none; the caller's */
    const char *infotext;   /* UTF-8, or NULL for none; the caller's */
    vka_media_look look;

    /* Frame `index` as [H,W,3] without padding, valid until the next call; NULL with `err` set when it cannot be
     * had, which ends the writing with that error (so a cancelled job returns VKA_E_STOPPED here).  Writers ask
     * for 0..frames-1 in order; GIF does so twice. */
    const uint8_t *(*get)(void *user, uint32_t index, vka_error *err);
    void *user;
} vka_clip;

/* The files that a write made, in order of the frames. */
typedef struct vka_media_file {
    char *path;
    uint64_t bytes;
    char sha256[65]; /* of the file's bytes, lower-case hex */
} vka_media_file;
typedef struct vka_media_result {
    vka_media_file *files;
    size_t count, capacity;
} vka_media_result;
void vka_media_result_free(vka_media_result *result);

/* The format that an output name asks for.  VKA_E_USAGE for an unknown extension, for a bad pattern, and for a
 * plain .png with frames > 1. */
vka_status vka_media_format_of(const char *path, uint32_t frames, vka_media_format *format, vka_error *err);

/* To be called before a render starts: can a clip of this size be written to `path` at all?  VKA_E_USAGE as above and
 * for a size the format cannot hold; VKA_E_OUTPUT when the folder is missing or not writable, or an encoder is
 * missing.  Leaves nothing behind. */
vka_status vka_media_check(const char *path, uint32_t width, uint32_t height, uint32_t frames, vka_error *err);

/* Also before a render: whether a file that vka_media_check allows can look so.  VKA_E_OUTPUT when an encoder cannot. */
vka_status vka_media_check_look(const char *path, uint32_t width, uint32_t height, const vka_media_look *look,
                                vka_error *err);

/* What formats have a place for, as a mask; LOSSLESS: a file of the format can be, or always is. */
enum vka_media_ability {
    VKA_MEDIA_PLAYS = 1,
    VKA_MEDIA_QUALITY = 2,
    VKA_MEDIA_LOSSLESS = 4,
    VKA_MEDIA_COLORS = 8,
    VKA_MEDIA_DITHER = 16
};
unsigned vka_media_takes(vka_media_format format);

/* Whether writing would replace a file that exists (of a pattern: any of its frames). */
bool vka_media_would_overwrite(const char *path, uint32_t frames);

/* Writes the clip, replacing what is there, and appends the files to `result` (may be NULL), which must start zeroed
 * and is freed by the caller in every case.  VKA_E_USAGE and VKA_E_OUTPUT as above, VKA_E_MEMORY, or whatever
 * `get` reported. */
vka_status vka_media_write(const char *path, const vka_clip *clip, vka_media_result *result, vka_error *err);

/* A clip as a file in memory, malloc'ed: WEBP, or PNG of one frame.  VKA_E_USAGE for another format and for a size that it
 * cannot hold. */
vka_status vka_media_encode(vka_media_format format, const vka_clip *clip, uint8_t **data, size_t *size, vka_error *err);

/* SHA-256 of the raw frames, F*H*W*3 bytes in order: what --verify compares. */
vka_status vka_frames_sha256(const vka_clip *clip, char hex[65], vka_error *err);

/* What a file says about itself. */
typedef struct vka_media_info {
    vka_media_format format; /* NONE: not a picture or animation that this room knows */
    uint32_t width, height;  /* pixels */
    uint32_t frames;         /* stored frames */
    double duration;         /* seconds for one play; 0 when the file does not say */
    uint32_t plays;          /* 0: for ever; 1 where the format has no loop count */
    char *metadata;          /* malloc'ed JSON object as text, or NULL when there is none */
    char *infotext;          /* malloc'ed UTF-8 as A1111 writes it, or any other comment; NULL when there is none */
} vka_media_info;

/* Reads headers, never pixels.  A file of another kind is VKA_OK with format NONE; VKA_E_INPUT when the file is
 * missing or is of a known format and damaged.  MP4 and WebM need FFmpeg: without it format, and nothing else. */
vka_status vka_media_info_read(const char *path, vka_media_info *info, vka_error *err);
/* The same for WebP, GIF, PNG, APNG and y4m in memory; `name` is for messages.  MP4 and WebM: the format only. */
vka_status vka_media_info_parse(const void *data, size_t size, const char *name, vka_media_info *info, vka_error *err);
void vka_media_info_free(vka_media_info *info);
/* The text alone, malloc'ed, for --from; VKA_E_INPUT when the file is no animation or carries none. */
vka_status vka_media_read_metadata(const char *path, char **json, vka_error *err);

#endif

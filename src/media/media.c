/* media.c - output names, checks before a render, and the way of every file from a part to its name.
 *
 * One file: open the part, let the format's writer fill it, hash it, rename.  Frames: each goes to NAME.part first
 * (whole and synchronised); only when all are there do they get their names, so a full disk leaves an earlier clip in
 * the same folder as it was; while they get them, what was there waits as NAME.part.old. */
#include "media/media_int.h"

#include "base/folder.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 65535, MAX_SIDE_VIDEO = 16383, MAX_DIGITS = 9 };

static const struct {
    vka_media_format format;
    const char *name, *extension;
    uint32_t max_side;
    unsigned takes;
} formats[] = {
    {VKA_MEDIA_WEBP, "webp", ".webp", MAX_SIDE_VIDEO, VKA_MEDIA_PLAYS | VKA_MEDIA_QUALITY | VKA_MEDIA_LOSSLESS},
    {VKA_MEDIA_GIF, "gif", ".gif", MAX_SIDE, VKA_MEDIA_PLAYS | VKA_MEDIA_COLORS | VKA_MEDIA_DITHER},
    {VKA_MEDIA_MP4, "mp4", ".mp4", MAX_SIDE_VIDEO, VKA_MEDIA_QUALITY},
    {VKA_MEDIA_WEBM, "webm", ".webm", MAX_SIDE_VIDEO, VKA_MEDIA_QUALITY | VKA_MEDIA_LOSSLESS},
    {VKA_MEDIA_PNG, "png", ".png", MAX_SIDE, VKA_MEDIA_LOSSLESS},
    {VKA_MEDIA_APNG, "apng", ".apng", MAX_SIDE, VKA_MEDIA_PLAYS | VKA_MEDIA_LOSSLESS},
    {VKA_MEDIA_Y4M, "y4m", ".y4m", MAX_SIDE, 0},
    {VKA_MEDIA_FRAMES, "frames", NULL, MAX_SIDE, VKA_MEDIA_LOSSLESS},
};
enum { FORMATS = sizeof formats / sizeof *formats };

unsigned vka_media_takes(vka_media_format format)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i].format == format)
            return formats[i].takes;
    return 0;
}

const char *vka_media_format_name(vka_media_format format)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i].format == format)
            return formats[i].name;
    return "none";
}

/* ---- names ------------------------------------------------------------------------------------------------- */

static bool same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a - 'A' + 'a') : *a;
        if (x != *b)
            return false;
    }
    return *a == *b;
}

static vka_media_format format_of_extension(const char *extension)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i].extension && same_word(extension, formats[i].extension))
            return formats[i].format;
    return VKA_MEDIA_NONE;
}

/* Length of a number's place (%d, %5d, %05d) at p, 0 when there is none; *digits is its width. */
static size_t number_place(const char *p, uint32_t *digits)
{
    const char *s = p;
    if (*s++ != '%')
        return 0;
    uint32_t n = 0;
    for (int i = 0; *s >= '0' && *s <= '9'; s++, i++) {
        if (i >= 3)
            return 0;
        n = n * 10 + (uint32_t)(*s - '0');
    }
    if (*s != 'd')
        return 0;
    *digits = n;
    return (size_t)(s + 1 - p);
}

static int count_places(const char *name, uint32_t *digits)
{
    int n = 0;
    for (const char *p = name; *p;) {
        uint32_t d = 0;
        size_t len = p[0] == '%' && p[1] == '%' ? 2 : number_place(p, &d);
        if (len && p[1] != '%') {
            *digits = d;
            n++;
        }
        p += len ? len : 1;
    }
    return n;
}

vka_status vka_media_format_of(const char *path, uint32_t frames, vka_media_format *format, vka_error *err)
{
    *format = VKA_MEDIA_NONE;
    const char *base = vka_path_base(path), *extension = vka_path_extension(path);
    size_t len = strlen(path);
    if (!len || !strcmp(path, "-"))
        return vka_fail(err, VKA_E_USAGE, "an output needs a file name, not '%s'", path);
    vka_media_format f = format_of_extension(extension);
    if (path[len - 1] == '/' || (f == VKA_MEDIA_NONE && vka_path_is_dir(path))) {
        *format = VKA_MEDIA_FRAMES;
        return VKA_OK;
    }
    uint32_t digits = 0;
    int places = count_places(base, &digits);
    if (format_of_extension(base) != VKA_MEDIA_NONE)
        return vka_fail(err, VKA_E_USAGE, "the output '%s' is an extension without a name", path);
    if (f == VKA_MEDIA_NONE && *extension) {
        vka_fail(err, VKA_E_USAGE, "the output '%s' has the unknown extension '%s'", path, extension);
        vka_error_hint(err, "known are .webp .gif .mp4 .webm .png .apng .y4m, a folder, and patterns like %%05d.png");
        return VKA_E_USAGE;
    }
    if (places && f != VKA_MEDIA_PNG) {
        vka_fail(err, VKA_E_USAGE, "the pattern '%s' does not end in .png", path);
        vka_error_hint(err, "frames are written as PNG: try a name like frame-%%05d.png");
        return VKA_E_USAGE;
    }
    if (places > 1 || digits > MAX_DIGITS)
        return vka_fail(err, VKA_E_USAGE, "the pattern '%s' must have one number, of at most %d digits", path,
                        MAX_DIGITS);
    if (places || f == VKA_MEDIA_NONE)
        f = VKA_MEDIA_FRAMES;
    if (f == VKA_MEDIA_PNG && frames > 1) {
        vka_fail(err, VKA_E_USAGE, "'%s' is one picture, the clip has %u frames", path, (unsigned)frames);
        vka_error_hint(err, "for frames use a pattern like frame-%%05d.png or a folder, for an animated PNG .apng");
        return VKA_E_USAGE;
    }
    *format = f;
    return VKA_OK;
}

/* The folder that `path`'s file lies in, in fresh memory: "." when the name has none. */
static char *folder_of(const char *path)
{
    const char *base = vka_path_base(path);
    if (base == path)
        return vka_strdup(".");
    char *dir = vka_strdup(path);
    if (dir)
        dir[base - path > 1 ? base - path - 1 : 1] = '\0';
    return dir;
}

static size_t frame_room(const char *path)
{
    return strlen(path) + MAX_DIGITS + 32;
}

/* The name of one frame, into frame_room(path) bytes.  Only the last component is a pattern; a folder's frames are
 * %05d.png. */
static void put_frame_path(char *out, const char *path, uint32_t frame)
{
    const char *base = vka_path_base(path);
    uint32_t digits = 0;
    size_t room = frame_room(path), n = (size_t)(base - path);
    if (!*base || vka_path_is_dir(path) || !count_places(base, &digits)) {
        snprintf(out, room, "%s%s%05u.png", path, *base ? "/" : "", (unsigned)frame);
        return;
    }
    memcpy(out, path, n);
    for (const char *p = base; *p;) {
        size_t len = p[0] == '%' && p[1] == '%' ? 2 : number_place(p, &digits);
        if (len && p[1] != '%')
            n += (size_t)snprintf(out + n, room - n, "%0*u", (int)digits, (unsigned)frame);
        else
            out[n++] = *p;
        p += len ? len : 1;
    }
    out[n] = '\0';
}

static char *frame_path(const char *path, uint32_t frame)
{
    char *out = malloc(frame_room(path));
    if (out)
        put_frame_path(out, path, frame);
    return out;
}

bool vka_media_would_overwrite(const char *path, uint32_t frames)
{
    vka_media_format format;
    if (vka_media_format_of(path, frames, &format, NULL) != VKA_OK)
        return false;
    if (format != VKA_MEDIA_FRAMES)
        return vka_path_exists(path);
    for (uint32_t i = 0; i < frames; i++) {
        char *name = frame_path(path, i);
        bool there = name && vka_path_exists(name);
        free(name);
        if (there)
            return true;
    }
    return false;
}

/* ---- numbers ----------------------------------------------------------------------------------------------- */

void vka_fps_ratio(double fps, uint32_t limit, uint32_t *num, uint32_t *den)
{
    /* Continued fraction; p/q are its convergents.  It ends when the next one would pass the limit or adds nothing. */
    double x = fps;
    uint64_t p0 = 0, q0 = 1, p1 = 1, q1 = 0;
    for (int i = 0; i < 32; i++) {
        double whole = floor(x);
        if (whole > (double)limit)
            break;
        uint64_t a = (uint64_t)whole, p2 = a * p1 + p0, q2 = a * q1 + q0;
        if (p2 > limit || q2 > limit)
            break;
        p0 = p1, q0 = q1, p1 = p2, q1 = q2;
        if (fabs((double)p1 / (double)q1 - fps) <= 1e-9 * fps || x - whole < 1e-9)
            break;
        x = 1.0 / (x - whole);
    }
    *num = q1 && p1 ? (uint32_t)p1 : 1;
    *den = q1 && p1 ? (uint32_t)q1 : 1;
}

int64_t vka_frame_time(const vka_clip *clip, uint32_t frame, uint32_t per_second)
{
    return (int64_t)floor((double)frame * per_second / clip->fps + 0.5);
}

vka_status vka_clip_frame(const vka_clip *clip, uint32_t index, const uint8_t **rgb, vka_error *err)
{
    vka_error own = {0};
    *rgb = clip->get(clip->user, index, &own);
    if (*rgb)
        return VKA_OK;
    vka_fail(&own, VKA_E_INTERNAL, "frame %u cannot be had", (unsigned)index);
    if (err && err->status == VKA_OK)
        *err = own;
    return own.status;
}

/* ---- checks ------------------------------------------------------------------------------------------------ */

static vka_status check_size(vka_media_format format, const char *path, uint32_t width, uint32_t height,
                             uint32_t frames, vka_error *err)
{
    uint32_t most = MAX_SIDE;
    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i].format == format)
            most = formats[i].max_side;
    uint64_t bytes;
    if (!width || !height || !frames || width > most || height > most)
        return vka_fail(err, VKA_E_USAGE, "'%s' cannot hold %u frames of %ux%u pixels (a side has 1 to %u)", path,
                        (unsigned)frames, (unsigned)width, (unsigned)height, (unsigned)most);
    if (!vka_mul_u64((uint64_t)width * height, 4, &bytes) || bytes > SIZE_MAX / 4)
        return vka_fail(err, VKA_E_USAGE, "frames of %ux%u pixels are too large", (unsigned)width, (unsigned)height);
    return VKA_OK;
}

/* Length of the longest prefix of `path` that is there, cut at a slash; "." counts as 0. */
static size_t existing_prefix(char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    for (;;) {
        char keep = path[n];
        path[n] = '\0';
        bool there = n == 0 || vka_path_exists(path);
        path[n] = keep;
        if (there)
            return n;
        while (n > 0 && path[n - 1] != '/')
            n--;
        while (n > 1 && path[n - 1] == '/')
            n--;
    }
}

/* Removes the folders of `path` below the first `keep` characters, as far as they are empty. */
static void remove_folders(char *path, size_t keep)
{
    for (size_t n = strlen(path); n > keep; n--) {
        if (path[n] != '\0' && path[n] != '/')
            continue;
        path[n] = '\0';
        if (path[n - 1] != '/')
            (void)remove(path); /* an empty folder or nothing: remove() keeps a folder with files in it */
    }
}

/* Can a file appear here?  Tried, since permission bits alone do not say (root, read-only mounts). */
static vka_status probe(const char *path, vka_error *err)
{
    vka_outfile out;
    vka_status s = vka_out_open(&out, path, err);
    if (s == VKA_OK)
        vka_out_abandon(&out);
    return s;
}

static vka_status check_place(const char *path, vka_media_format format, vka_error *err)
{
    if (format != VKA_MEDIA_FRAMES) {
        char *dir = folder_of(path);
        if (!dir)
            return vka_fail(err, VKA_E_MEMORY, "out of memory");
        bool there = vka_path_is_dir(dir);
        vka_status s = VKA_OK;
        if (!there) {
            s = vka_fail(err, VKA_E_OUTPUT, "cannot write '%s'", path);
            vka_error_why(err, "there is no folder '%s'", dir);
            vka_error_hint(err, "make the folder first");
        }
        free(dir);
        return s == VKA_OK ? probe(path, err) : s;
    }
    char *name = frame_path(path, 0), *dir = name ? folder_of(name) : NULL, *at = NULL, *file = NULL;
    vka_status s = VKA_OK;
    if (!dir)
        s = vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (s == VKA_OK) {
        size_t n = existing_prefix(dir);
        at = n ? vka_strdup(dir) : vka_strdup(".");
        if (at && n)
            at[n] = '\0';
        file = at ? vka_path_join(at, vka_path_base(name)) : NULL;
        if (!file)
            s = vka_fail(err, VKA_E_MEMORY, "out of memory");
        else if (!vka_path_is_dir(at)) {
            s = vka_fail(err, VKA_E_OUTPUT, "cannot write frames to '%s'", path);
            vka_error_why(err, "'%s' is a file, not a folder", at);
        } else
            s = probe(file, err);
    }
    free(file);
    free(at);
    free(dir);
    free(name);
    return s;
}

vka_status vka_media_check(const char *path, uint32_t width, uint32_t height, uint32_t frames, vka_error *err)
{
    vka_media_format format;
    vka_status s = vka_media_format_of(path, frames, &format, err);
    if (s == VKA_OK)
        s = check_size(format, path, width, height, frames, err);
    if (s == VKA_OK && format == VKA_MEDIA_GIF)
        s = vka_gif_check(err);
    if (s == VKA_OK && (format == VKA_MEDIA_MP4 || format == VKA_MEDIA_WEBM))
        s = vka_video_check(format, width, height, NULL, err);
    if (s == VKA_OK)
        s = check_place(path, format, err);
    return s;
}

vka_status vka_media_check_look(const char *path, uint32_t width, uint32_t height, const vka_media_look *look,
                                vka_error *err)
{
    vka_media_format format;
    vka_status s = vka_media_format_of(path, 1, &format, err);
    if (s == VKA_OK && (format == VKA_MEDIA_MP4 || format == VKA_MEDIA_WEBM))
        s = vka_video_check(format, width, height, look, err);
    return s;
}

/* ---- results ----------------------------------------------------------------------------------------------- */

void vka_media_result_free(vka_media_result *result)
{
    for (size_t i = 0; i < result->count; i++)
        free(result->files[i].path);
    free(result->files);
    *result = (vka_media_result){0};
}

/* Bytes and hash of a file, read piece by piece: a map of it would be resident memory that grows with the clip. */
static vka_status hash_written(const char *at, uint64_t *bytes, char hex[65], vka_error *err)
{
    enum { PIECE = 1 << 16 };
    FILE *file = fopen(at, "rb");
    uint8_t *piece = malloc(PIECE);
    bool good = file && piece;
    vka_sha256 sha;
    vka_sha256_init(&sha);
    *bytes = 0;
    for (size_t n = 1; good && n > 0; *bytes += n) {
        n = fread(piece, 1, PIECE, file);
        vka_sha256_add(&sha, piece, n);
        good = !ferror(file);
    }
    vka_sha256_hex(&sha, hex);
    if (file)
        fclose(file);
    free(piece);
    if (good)
        return VKA_OK;
    if (!piece)
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    return vka_fail(err, VKA_E_OUTPUT, "cannot read back '%s'", at);
}

/* Hashes the file at `at`, which is to be called `path`, and appends it. */
static vka_status result_add(vka_media_result *result, const char *at, const char *path, vka_error *err)
{
    if (!result)
        return VKA_OK;
    vka_media_file made;
    vka_status st = hash_written(at, &made.bytes, made.sha256, err);
    if (st != VKA_OK)
        return st;
    vka_media_file *files = vka_grow(result->files, &result->capacity, result->count + 1, sizeof *files);
    if (files)
        result->files = files;
    made.path = vka_strdup(path);
    if (!files || !made.path) {
        free(made.path);
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    }
    files[result->count++] = made;
    return VKA_OK;
}

static void result_cut(vka_media_result *result, size_t count)
{
    while (result && result->count > count)
        free(result->files[--result->count].path);
}

/* ---- writing ----------------------------------------------------------------------------------------------- */

static vka_status write_png(vka_outfile *out, const vka_clip *clip, uint32_t frame, vka_error *err)
{
    vka_bytes png = {0};
    const uint8_t *rgb;
    vka_status s = vka_clip_frame(clip, frame, &rgb, err);
    if (s == VKA_OK)
        s = vka_png_encode(rgb, clip->width, clip->height, clip->metadata, clip->infotext, &png, err);
    if (s == VKA_OK)
        s = vka_out_write(out, png.data, png.size, err);
    vka_bytes_free(&png);
    return s;
}

static vka_status write_one(const char *path, vka_media_format format, const vka_clip *clip, vka_media_result *result,
                            vka_error *err)
{
    vka_outfile out;
    size_t before = result ? result->count : 0;
    vka_status s = vka_out_open(&out, path, err);
    if (s != VKA_OK)
        return s;
    switch (format) {
    case VKA_MEDIA_WEBP:
        s = vka_webp_write(&out, clip, err);
        break;
    case VKA_MEDIA_GIF:
        s = vka_gif_write(&out, clip, err);
        break;
    case VKA_MEDIA_MP4:
    case VKA_MEDIA_WEBM:
        s = vka_video_write(&out, clip, format, err);
        break;
    case VKA_MEDIA_PNG:
        s = write_png(&out, clip, 0, err);
        break;
    case VKA_MEDIA_APNG:
        s = vka_apng_write(&out, clip, err);
        break;
    case VKA_MEDIA_Y4M:
        s = vka_y4m_write(&out, clip, err);
        break;
    case VKA_MEDIA_NONE:
    case VKA_MEDIA_FRAMES:
        s = vka_fail(err, VKA_E_INTERNAL, "'%s' has no writer", path);
        break;
    }
    if (s == VKA_OK && fflush(out.file) != 0) {
        int e = errno;
        s = vka_fail(err, VKA_E_OUTPUT, "cannot write '%s'", path);
        vka_error_why(err, "%s", strerror(e));
    }
    if (s == VKA_OK)
        s = result_add(result, out.part, path, err);
    if (s != VKA_OK) {
        vka_out_abandon(&out);
        return s;
    }
    s = vka_out_commit(&out, err);
    if (s != VKA_OK)
        result_cut(result, before);
    return s;
}

/* Frame `frame` whole and synchronised in NAME.part; NAME.part.part is what is left to abandon. */
static vka_status stage_frame(const char *name, const char *part, const vka_clip *clip, uint32_t frame,
                              vka_media_result *result, vka_error *err)
{
    vka_outfile out;
    vka_status s = vka_out_open(&out, part, err);
    if (s != VKA_OK)
        return s;
    s = write_png(&out, clip, frame, err);
    if (s != VKA_OK) {
        vka_out_abandon(&out);
        return s;
    }
    s = vka_out_commit(&out, err);
    return s == VKA_OK ? result_add(result, part, name, err) : s;
}

/* A frame's name, and those of its part and of what was in its place before; allocated once, so that cleaning up does
 * not depend on memory. */
struct frame_names {
    const char *path;
    char *name, *part, *old;
};

static bool names_open(struct frame_names *n, const char *path)
{
    size_t room = frame_room(path) + 16;
    n->path = path;
    n->name = malloc(3 * room);
    n->part = n->name ? n->name + room : NULL;
    n->old = n->name ? n->part + room : NULL;
    return n->name != NULL;
}

static void names_set(struct frame_names *n, uint32_t frame)
{
    put_frame_path(n->name, n->path, frame);
    size_t length = strlen(n->name);
    memcpy(n->part, n->name, length);
    memcpy(n->part + length, ".part", 6);
    memcpy(n->old, n->name, length);
    memcpy(n->old + length, ".part.old", 10);
}

/* A file in the frame's place gets a second name, or goes aside where there are no such things, while the new ones get
 * their names; *aside says that it did. */
static vka_status name_frame(const struct frame_names *n, bool *aside, vka_error *err)
{
    if (vka_path_exists(n->name) && !vka_path_is_dir(n->name)) {
        (void)remove(n->old); /* a kill has left it */
        *aside = vka_file_link(n->name, n->old) || rename(n->name, n->old) == 0 || *aside;
    }
    if (rename(n->part, n->name) == 0)
        return VKA_OK;
    int e = errno;
    vka_fail(err, VKA_E_OUTPUT, "cannot write '%s'", n->name);
    vka_error_why(err, "%s", strerror(e));
    return VKA_E_OUTPUT;
}

/* Takes back a frame, named already or not.  A disk on which not even that can be done keeps the new frame, whole. */
static void undo_frame(const struct frame_names *n, bool named)
{
    bool old = vka_path_exists(n->old);
    if (!named)
        (void)remove(n->part);
    if (!old && named)
        (void)remove(n->name);
    if (old && (named || !vka_path_exists(n->name)) && rename(n->old, n->name) != 0 && !vka_path_exists(n->name))
        return; /* the only one there is */
    (void)remove(n->old);
}

static vka_status write_frames(const char *path, const vka_clip *clip, vka_media_result *result, vka_error *err)
{
    size_t before = result ? result->count : 0, keep = 0;
    uint32_t staged = 0, named = 0;
    struct frame_names names = {0};
    char *first = frame_path(path, 0), *dir = first ? folder_of(first) : NULL;
    bool made = dir && !vka_path_exists(dir), aside = false;
    vka_status s = dir && names_open(&names, path) ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (s == VKA_OK && made) {
        keep = existing_prefix(dir);
        s = vka_make_dirs(dir, err);
    }
    for (; s == VKA_OK && staged < clip->frames; staged += s == VKA_OK) {
        names_set(&names, staged);
        s = stage_frame(names.name, names.part, clip, staged, result, err);
        if (s != VKA_OK)
            (void)remove(names.part);
    }
    for (; s == VKA_OK && named < clip->frames; named += s == VKA_OK) {
        names_set(&names, named);
        s = name_frame(&names, &aside, err);
    }
    for (uint32_t i = 0; i < staged && (s != VKA_OK || aside); i++) {
        names_set(&names, i);
        if (s != VKA_OK)
            undo_frame(&names, i < named);
        else
            (void)remove(names.old);
    }
    if (s != VKA_OK) {
        if (made && dir)
            remove_folders(dir, keep);
        result_cut(result, before);
    }
    free(names.name);
    free(dir);
    free(first);
    return s;
}

vka_status vka_media_write(const char *path, const vka_clip *clip, vka_media_result *result, vka_error *err)
{
    vka_media_format format;
    vka_clip c = *clip;
    vka_status s = vka_media_format_of(path, c.frames, &format, err);
    if (s == VKA_OK)
        s = check_size(format, path, c.width, c.height, c.frames, err);
    if (s != VKA_OK)
        return s;
    if (c.fps == 0)
        c.fps = 8;
    if (!(c.fps >= 0.01 && c.fps <= 1000))
        return vka_fail(err, VKA_E_USAGE, "%g frames per second cannot be written (0.01 to 1000 can)", c.fps);
    if (c.look.has_quality && c.look.quality > 100)
        return vka_fail(err, VKA_E_USAGE, "the quality %u is not within 0 to 100", (unsigned)c.look.quality);
    if (c.look.lossless && !(vka_media_takes(format) & VKA_MEDIA_LOSSLESS))
        return vka_fail(err, VKA_E_USAGE, "'%s' cannot be lossless", path);
    if (c.metadata && !*c.metadata)
        c.metadata = NULL;
    if (c.infotext && !*c.infotext)
        c.infotext = NULL;
    s = c.metadata ? vka_json_check(c.metadata, strlen(c.metadata)) : VKA_OK;
    if (s == VKA_E_MEMORY)
        return vka_fail(err, s, "out of memory writing '%s'", path);
    if (s != VKA_OK)
        return vka_fail(err, VKA_E_INTERNAL, "the metadata for '%s' is not a JSON object", path);
    return format == VKA_MEDIA_FRAMES ? write_frames(path, &c, result, err) : write_one(path, format, &c, result, err);
}

vka_status vka_media_encode(vka_media_format format, const vka_clip *clip, uint8_t **data, size_t *size, vka_error *err)
{
    static const char name[] = "a file in memory";
    vka_clip c = *clip;
    vka_bytes out = {0};
    const uint8_t *rgb;
    *data = NULL;
    *size = 0;
    if (format != VKA_MEDIA_WEBP && (format != VKA_MEDIA_PNG || c.frames != 1))
        return vka_fail(err, VKA_E_USAGE, "%u frames cannot be put into memory as %s", (unsigned)c.frames,
                        vka_media_format_name(format));
    vka_status s = check_size(format, name, c.width, c.height, c.frames, err);
    if (c.fps == 0)
        c.fps = 8;
    if (s == VKA_OK && format == VKA_MEDIA_WEBP)
        s = vka_webp_encode(name, &c, &out, err);
    else if (s == VKA_OK && (s = vka_clip_frame(&c, 0, &rgb, err)) == VKA_OK)
        s = vka_png_encode(rgb, c.width, c.height, c.metadata, c.infotext, &out, err);
    if (s != VKA_OK) {
        vka_bytes_free(&out);
        return s;
    }
    *data = out.data;
    *size = out.size;
    return VKA_OK;
}

vka_status vka_frames_sha256(const vka_clip *clip, char hex[65], vka_error *err)
{
    vka_sha256 sha;
    hex[0] = '\0';
    vka_sha256_init(&sha);
    for (uint32_t i = 0; i < clip->frames; i++) {
        const uint8_t *rgb;
        vka_status s = vka_clip_frame(clip, i, &rgb, err);
        if (s != VKA_OK)
            return s;
        vka_sha256_add(&sha, rgb, (size_t)clip->width * clip->height * 3);
    }
    vka_sha256_hex(&sha, hex);
    return VKA_OK;
}

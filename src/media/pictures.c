/* pictures.c - see pictures.h: which files there are, which of their pictures are wanted, and of what size.
 *
 * A sequence is read twice: once without pixels, to count it and to meet what is damaged, and once by the caller. */
#include "media/pictures_int.h"

#include "base/folder.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one file ----------------------------------------------------------------------------------------------------- */

vka_status vka_reader_open(vka_reader *r, const uint8_t *data, size_t size, const char *name, vka_error *err)
{
    *r = (vka_reader){.name = name, .data = data, .size = size, .turn = 1};
    vka_status s = vka_media_info_parse(data, size, name, &r->info, err);
    if (s != VKA_OK)
        return s;
    free(r->info.metadata);
    free(r->info.infotext);
    r->info.metadata = r->info.infotext = NULL;
    switch (r->info.format) {
    case VKA_MEDIA_PNG:
        r->still = true;
        return vka_picture_limits(r->info.width, r->info.height, name, err);
    case VKA_MEDIA_WEBP:
        r->still = r->info.frames == 1 && !(r->info.duration > 0);
        return vka_webp_open(r, err);
    default:
        return vka_av_open(r, err);
    }
}

vka_status vka_reader_next(vka_reader *r, bool pixels, struct vka_picture *p, bool *end, vka_error *err)
{
    vka_status s = VKA_OK;
    *end = r->still && r->given;
    if (*end)
        return VKA_OK;
    p->at = p->lasts = 0;
    if (r->info.format == VKA_MEDIA_PNG)
        s = vka_png_decode(r, pixels, p, err);
    else if (r->info.format == VKA_MEDIA_WEBP)
        s = vka_webp_next(r, pixels, p, end, err);
    else
        s = vka_av_next(r, pixels, p, end, err);
    r->given = true;
    if (s != VKA_OK || *end)
        return s;
    if (pixels)
        return vka_picture_upright(p, err);
    if (p->turn >= 5) {
        uint32_t w = p->width;
        p->width = p->height;
        p->height = w;
    }
    return VKA_OK;
}

void vka_reader_skip(vka_reader *r, double seconds)
{
    if (!r->still && r->info.format != VKA_MEDIA_WEBP)
        vka_av_skip(r, seconds);
}

void vka_reader_close(vka_reader *r)
{
    if (r->info.format == VKA_MEDIA_WEBP)
        vka_webp_close(r);
    else if (r->info.format != VKA_MEDIA_PNG)
        vka_av_close(r);
    *r = (vka_reader){0};
}

/* ---- the sequence --------------------------------------------------------------------------------------------------- */

struct vka_pictures {
    struct vka_picture_ask ask;
    char *path; /* ask.path */
    char **files;
    size_t file_count;
    bool many; /* a folder or a pattern: of each file the first picture */
    uint32_t count, width, height, stored_width, stored_height;
    /* where it is */
    size_t file;       /* the next to open */
    vka_map map;       /* the one that is open */
    vka_reader reader;
    bool open, ended;
    uint64_t seen;     /* pictures of the time asked for, strides not left out */
    uint32_t given;
    struct vka_picture now, ahead; /* ahead is read where pictures are taken by time */
    bool has_now, has_ahead;
};

static void close_file(vka_pictures *p)
{
    if (p->open) {
        vka_reader_close(&p->reader);
        vka_map_close(&p->map);
    }
    p->open = false;
}

static vka_status open_file(vka_pictures *p, vka_error *err)
{
    const char *name = p->files[p->file];
    vka_status s = vka_map_open(&p->map, name, err);
    if (s != VKA_OK)
        return s;
    p->open = true;
    p->file++;
    s = vka_reader_open(&p->reader, p->map.data, p->map.size, name, err);
    if (s == VKA_OK && !p->many)
        vka_reader_skip(&p->reader, p->ask.start);
    return s;
}

/* The next stored picture of the whole sequence. */
static vka_status next_stored(vka_pictures *p, bool pixels, struct vka_picture *to, bool *end, vka_error *err)
{
    vka_status s = VKA_OK;
    *end = false;
    if (!p->open) {
        *end = p->file >= p->file_count;
        s = *end ? VKA_OK : open_file(p, err);
    }
    if (s == VKA_OK && !*end)
        s = vka_reader_next(&p->reader, pixels, to, end, err);
    if (p->many)
        close_file(p);
    return s;
}

/* The next picture from `start` on, before strides. */
static vka_status next_in_order(vka_pictures *p, bool pixels, bool *end, vka_error *err)
{
    const double slack = 1e-6; /* seconds: time stamps are rounded */
    vka_status s;
    do {
        s = next_stored(p, pixels, &p->now, end, err);
    } while (s == VKA_OK && !*end && !p->many && p->ask.start > 0 && p->now.at < p->ask.start - slack);
    return s;
}

/* What is shown at a time, seconds from the file's first picture.  Times rise from call to call. */
static vka_status shown_at(vka_pictures *p, bool pixels, double time, bool *end, vka_error *err)
{
    const double slack = 1e-6;
    *end = false;
    for (;;) {
        if (!p->has_ahead && !p->ended) {
            vka_status s = next_stored(p, pixels, &p->ahead, &p->ended, err);
            if (s != VKA_OK)
                return s;
            p->has_ahead = !p->ended;
        }
        if (!p->has_ahead || (p->has_now && p->ahead.at > time + slack))
            break;
        struct vka_picture spare = p->now;
        p->now = p->ahead;
        p->ahead = spare;
        p->has_now = true;
        p->has_ahead = false;
    }
    bool still = p->reader.still;
    bool over = still ? p->given > 0 : time > p->now.at + slack && time >= p->now.at + p->now.lasts - slack;
    *end = !p->has_now || (!p->has_ahead && over);
    return VKA_OK;
}

static vka_status next_wanted(vka_pictures *p, bool pixels, bool *end, vka_error *err)
{
    uint32_t stride = p->ask.stride ? p->ask.stride : 1;
    vka_status s = VKA_OK;
    *end = p->ask.most && p->given >= p->ask.most;
    if (*end)
        return VKA_OK;
    if (p->ask.fps > 0)
        s = shown_at(p, pixels, p->ask.start + (double)p->given * stride / p->ask.fps, end, err);
    else
        for (bool taken = false; s == VKA_OK && !*end && !taken;) {
            taken = p->seen % stride == 0;
            s = next_in_order(p, pixels && taken, end, err);
            p->seen += !*end;
        }
    if (s == VKA_OK && !*end)
        p->given++;
    return s;
}

void vka_pictures_rewind(vka_pictures *p)
{
    close_file(p);
    p->file = 0;
    p->seen = 0;
    p->given = 0;
    p->ended = p->has_now = p->has_ahead = false;
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

/* Names as people count: runs of digits by their value. */
static int by_nature(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    const char *whole_x = x, *whole_y = y;
    while (*x && *y) {
        if (*x >= '0' && *x <= '9' && *y >= '0' && *y <= '9') {
            while (*x == '0')
                x++;
            while (*y == '0')
                y++;
            size_t n = strspn(x, "0123456789"), m = strspn(y, "0123456789");
            int c = n != m ? (n > m ? 1 : -1) : memcmp(x, y, n);
            if (c)
                return c;
            x += n;
            y += m;
        } else if (*x != *y)
            return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
        else
            x++, y++;
    }
    int c = (unsigned char)*x - (unsigned char)*y;
    return c ? c : strcmp(whole_x, whole_y);
}

static bool is_picture_name(const char *name)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".apng", ".tif", ".tiff",
                                          ".ppm", ".pgm", ".pbm"};
    const char *e = vka_path_extension(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const char *a = e, *b = endings[i];
        while (*a && (*a >= 'A' && *a <= 'Z' ? *a - 'A' + 'a' : *a) == *b)
            a++, b++;
        if (!*a && !*b)
            return true;
    }
    return false;
}

static bool add_file(vka_pictures *p, size_t *capacity, char *path)
{
    char **more = path ? vka_grow(p->files, capacity, p->file_count + 1, sizeof *more) : NULL;
    if (!more) {
        free(path);
        return false;
    }
    p->files = more;
    p->files[p->file_count++] = path;
    return true;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static vka_status list_folder(vka_pictures *p, const char *folder, vka_error *err)
{
    size_t count, capacity = 0;
    bool good;
    char **names = vka_folder_list(folder, &count, &good);
    if (count > 1)
        qsort(names, count, sizeof *names, by_nature);
    for (size_t i = 0; good && i < count; i++)
        if (is_picture_name(names[i]))
            good = add_file(p, &capacity, vka_path_join(folder, names[i]));
    free_names(names, count);
    if (!good)
        return vka_picture_no_memory(folder, err);
    return p->file_count ? VKA_OK : vka_fail(err, VKA_E_INPUT, "the folder '%s' holds no pictures", folder);
}

/* "head%05dtail" as its parts: the place of the number, its length in the pattern and its digits. */
static const char *number_place(const char *name, size_t *length, size_t *digits)
{
    for (const char *p = strchr(name, '%'); p; p = strchr(p + 1, '%')) {
        size_t n = strspn(p + 1, "0123456789");
        if (p[1 + n] == 'd' && n <= 2) {
            *length = n + 2;
            *digits = n ? (size_t)strtoul(p + 1, NULL, 10) : 0;
            return p;
        }
    }
    return NULL;
}

/* The number of a name that fits the pattern; -1: it does not. */
static long long number_of(const char *name, const char *pattern, const char *place, size_t length, size_t digits)
{
    size_t head = (size_t)(place - pattern), n = strncmp(name, pattern, head) ? 0 : strspn(name + head, "0123456789");
    if (n == 0 || n > 15 || n < digits || (n > digits && n > 1 && name[head] == '0') || strcmp(name + head + n, place + length) != 0)
        return -1;
    return strtoll(name + head, NULL, 10);
}

static vka_status list_pattern(vka_pictures *p, const char *path, vka_error *err)
{
    size_t length = 0, digits = 0, count = 0, capacity = 0;
    const char *base = vka_path_base(path), *place = number_place(base, &length, &digits);
    char *folder = base == path ? vka_strdup(".") : vka_strdup(path);
    if (!folder)
        return vka_picture_no_memory(path, err);
    if (base != path)
        folder[base - path] = 0;
    bool good;
    char **names = vka_folder_list(folder, &count, &good);
    long long before = -1;
    vka_status s = VKA_OK;
    if (count > 1)
        qsort(names, count, sizeof *names, by_nature);
    for (size_t i = 0; good && s == VKA_OK && i < count; i++) {
        long long n = number_of(names[i], base, place, length, digits);
        if (n < 0)
            continue;
        if (before >= 0 && n != before + 1) {
            s = vka_fail(err, VKA_E_INPUT, "'%s' has no file number %lld", path, before + 1);
            vka_error_why(err, "there are %lld and %lld", before, n);
        }
        before = n;
        good = add_file(p, &capacity, base == path ? vka_strdup(names[i]) : vka_path_join(folder, names[i]));
    }
    free_names(names, count);
    free(folder);
    if (!good)
        return vka_picture_no_memory(path, err);
    return s == VKA_OK && !p->file_count ? vka_fail(err, VKA_E_INPUT, "no file fits '%s'", path) : s;
}

static vka_status list_files(vka_pictures *p, vka_error *err)
{
    const char *path = p->ask.path;
    size_t length, digits, capacity = 0;
    if (vka_path_is_dir(path)) {
        p->many = true;
        return list_folder(p, path, err);
    }
    if (number_place(vka_path_base(path), &length, &digits) && !vka_path_exists(path)) {
        p->many = true;
        return list_pattern(p, path, err);
    }
    return add_file(p, &capacity, vka_strdup(path)) ? VKA_OK : vka_picture_no_memory(path, err);
}

/* ---- interface ------------------------------------------------------------------------------------------------------ */

bool vka_resize_from_name(const char *name, enum vka_resize *out)
{
    static const char *const names[] = {"crop", "fit", "stretch"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, names[i])) {
            *out = (enum vka_resize)i;
            return true;
        }
    return false;
}

static vka_status count_all(vka_pictures *p, vka_error *err)
{
    bool end = false;
    vka_status s = VKA_OK;
    while (s == VKA_OK && !end) {
        s = next_wanted(p, false, &end, err);
        if (s == VKA_OK && !end && p->given == 1) {
            p->stored_width = p->now.width;
            p->stored_height = p->now.height;
        }
        if (p->given == UINT32_MAX)
            break;
    }
    p->count = p->given;
    if (s == VKA_OK && !p->count)
        s = p->ask.start > 0 ? vka_fail(err, VKA_E_INPUT, "'%s' has no picture from second %g on", p->ask.path, p->ask.start)
                             : vka_fail(err, VKA_E_INPUT, "'%s' holds no picture that can be decoded", p->ask.path);
    vka_pictures_rewind(p);
    return s;
}

vka_status vka_pictures_open(vka_pictures **out, const struct vka_picture_ask *ask, vka_error *err)
{
    *out = NULL;
    vka_pictures *p = vka_calloc(1, sizeof *p);
    if (!p)
        return vka_picture_no_memory(ask->path, err);
    p->ask = *ask;
    p->ask.path = p->path = vka_strdup(ask->path);
    vka_status s = p->path ? list_files(p, err) : vka_picture_no_memory(ask->path, err);
    if (s == VKA_OK && p->many && (ask->fps > 0 || ask->start > 0)) {
        s = vka_fail(err, VKA_E_USAGE, "the pictures of '%s' have no times to take a rate or a start from", ask->path);
        vka_error_hint(err, "a stride takes every N-th of them");
    }
    if (s == VKA_OK)
        s = count_all(p, err);
    p->width = ask->width ? ask->width : p->stored_width;
    p->height = ask->height ? ask->height : p->stored_height;
    if (s != VKA_OK) {
        vka_pictures_close(p);
        return s;
    }
    *out = p;
    return VKA_OK;
}

uint32_t vka_pictures_count(const vka_pictures *p) { return p->count; }
uint32_t vka_pictures_width(const vka_pictures *p) { return p->width; }
uint32_t vka_pictures_height(const vka_pictures *p) { return p->height; }

void vka_pictures_stored(const vka_pictures *p, uint32_t *width, uint32_t *height)
{
    *width = p->stored_width;
    *height = p->stored_height;
}

vka_status vka_pictures_next(vka_pictures *p, uint8_t *rgb, bool *end, vka_error *err)
{
    vka_status s = next_wanted(p, true, end, err);
    if (s != VKA_OK || *end)
        return s;
    return vka_picture_resize(p->now.rgb, p->now.width, p->now.height, rgb, p->width, p->height, p->ask.resize,
                              p->ask.filter, err);
}

void vka_pictures_close(vka_pictures *p)
{
    if (!p)
        return;
    close_file(p);
    free_names(p->files, p->file_count);
    free(p->now.rgb);
    free(p->ahead.rgb);
    free(p->path);
    free(p);
}

vka_status vka_pictures_sha256(const char *path, char hex[65], vka_error *err)
{
    vka_pictures p = {.ask = {.path = path}};
    vka_sha256 sha;
    vka_sha256_init(&sha);
    vka_status s = list_files(&p, err);
    for (size_t i = 0; s == VKA_OK && i < p.file_count; i++) {
        vka_map map;
        s = vka_map_open(&map, p.files[i], err);
        if (s != VKA_OK)
            break;
        vka_sha256_add(&sha, map.data, map.size);
        vka_map_close(&map);
    }
    vka_sha256_hex(&sha, hex);
    free_names(p.files, p.file_count);
    return s;
}

vka_status vka_picture_read(const char *path, enum vka_resize resize, uint32_t *width, uint32_t *height, uint8_t **rgb,
                            vka_error *err)
{
    vka_pictures *p = NULL;
    bool end = false;
    *rgb = NULL;
    vka_status s = vka_pictures_open(
        &p, &(struct vka_picture_ask){.path = path, .width = *width, .height = *height, .resize = resize, .most = 1}, err);
    if (s == VKA_OK) {
        *rgb = vka_calloc((size_t)p->width * p->height, 3);
        s = *rgb ? vka_pictures_next(p, *rgb, &end, err) : vka_picture_no_memory(path, err);
        if (s == VKA_OK && end)
            s = vka_fail(err, VKA_E_INPUT, "'%s' changed while it was read", path);
        *width = p->width;
        *height = p->height;
    }
    vka_pictures_close(p);
    if (s != VKA_OK) {
        free(*rgb);
        *rgb = NULL;
    }
    return s;
}

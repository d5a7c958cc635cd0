/* library_find.c - one model by the name that a person gives it.  See library.h.
 *
 * How well a name fits is a number: 0 the entry's whole name letter by letter, +1 where the case of letters differs, +2 where
 * the extension was left out, +4 where folders in front were.  The best fits are compared; what is still more than one goes
 * by what the folders are for, what the files are, their order, and last by extension. */
#include "render/library.h"

#include "base/file.h"
#include "base/mem.h"
#include "render/filehash.h"
#include "weights/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkanim/vkanim.h>

enum { NO_FIT = 99, MOST_NAMED = 6, LEAST_HASH = 6, NEAREST = 3 };

struct wanted {
    const char *name;
    size_t length;      /* of the name without the hash behind it */
    char hash[65];      /* lower case; empty: none was given */
    enum vka_library_kind kind;
};

/* ---- what was asked for ---------------------------------------------------------------------------------------- */

static bool take_hash(const char *text, size_t length, char out[65])
{
    if (length < LEAST_HASH || length > 64)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        out[i] = c;
    }
    out[length] = '\0';
    return true;
}

/* "name [hash]" taken apart. */
static void read_wanted(struct wanted *w, enum vka_library_kind kind, const char *name)
{
    *w = (struct wanted){.name = name, .length = strlen(name), .kind = kind};
    const char *open = strrchr(name, '[');
    size_t n = w->length;
    if (open && n && name[n - 1] == ']' && take_hash(open + 1, n - 2 - (size_t)(open - name), w->hash)) {
        n = (size_t)(open - name);
        while (n && name[n - 1] == ' ')
            n--;
        w->length = n;
    }
}

static int fit_part(const char *name, const struct wanted *w)
{
    size_t n = strlen(name), stem = vka_library_stem(name);
    for (int any_case = 0; any_case < 2; any_case++) {
        if (vka_library_same(name, n, w->name, w->length, any_case))
            return any_case;
        if (vka_library_same(name, stem, w->name, w->length, any_case))
            return 2 + any_case;
    }
    return NO_FIT;
}

/* An entry's name, and what is left of it when folders in front are left out. */
static int fit(const struct vka_library_entry *e, const struct wanted *w)
{
    int best = fit_part(e->name, w);
    for (const char *p = e->name; best == NO_FIT && (p = strchr(p, '/')) != NULL;) {
        int f = fit_part(++p, w);
        best = f == NO_FIT ? f : 4 + f;
    }
    return best;
}

/* ---- several ------------------------------------------------------------------------------------------------------ */

struct candidates {
    const struct vka_library *lib;
    const struct vka_library_entry **list;
    size_t count;
};

/* Keeps those that `keep` says yes to, unless that is none. */
static void prefer(struct candidates *c, bool (*keep)(const struct candidates *, size_t, void *), void *user)
{
    size_t n = 0;
    bool *yes = c->count > 1 ? vka_calloc(c->count, sizeof *yes) : NULL;
    for (size_t i = 0; yes && i < c->count; i++)
        n += yes[i] = keep(c, i, user);
    if (n && n < c->count) {
        n = 0;
        for (size_t i = 0; i < c->count; i++)
            if (yes[i])
                c->list[n++] = c->list[i];
        c->count = n;
    }
    free(yes);
}

static bool is_first_name(const struct candidates *c, size_t i, void *user)
{
    (void)user; /* a file that links lead to twice is one */
    char id[96], other[96], *path = vka_file_identity(c->list[i]->path, id);
    bool first = path != NULL;
    for (size_t j = 0; path && first && j < i; j++) {
        char *before = vka_file_identity(c->list[j]->path, other);
        first = !before || strcmp(before, path) != 0;
        free(before);
    }
    free(path);
    return first;
}

static bool is_of_folder_kind(const struct candidates *c, size_t i, void *user)
{
    return c->list[i]->kind == *(enum vka_library_kind *)user;
}

static bool is_of_file_kind(const struct candidates *c, size_t i, void *user)
{
    static const enum vka_library_kind kinds[VKA_FILE_KINDS] = {
        [VKA_FILE_CHECKPOINT] = VKA_LIBRARY_CHECKPOINT, [VKA_FILE_UNET] = VKA_LIBRARY_CHECKPOINT,
        [VKA_FILE_VAE] = VKA_LIBRARY_VAE,               [VKA_FILE_LORA] = VKA_LIBRARY_LORA,
        [VKA_FILE_MOTION] = VKA_LIBRARY_MOTION,         [VKA_FILE_MOTION_LORA] = VKA_LIBRARY_MOTION_LORA,
        [VKA_FILE_EMBEDDING] = VKA_LIBRARY_EMBEDDING,   [VKA_FILE_CONTROLNET] = VKA_LIBRARY_CONTROLNET,
        [VKA_FILE_IP_ADAPTER] = VKA_LIBRARY_IP_ADAPTER, [VKA_FILE_VISION] = VKA_LIBRARY_VISION,
    };
    enum vka_library_kind wanted = *(enum vka_library_kind *)user;
    vka_inspection x;
    if (vka_inspect(&x, c->list[i]->path, NULL) != VKA_OK)
        return false;
    bool is = wanted == VKA_LIBRARY_ANY || kinds[x.kind] == wanted;
    vka_inspection_free(&x);
    return is;
}

static bool is_of_first_folder(const struct candidates *c, size_t i, void *user)
{
    (void)user;
    return c->list[i]->folder == c->list[0]->folder;
}

/* Of files that differ in their extension alone, the first of the list of extensions, .safetensors. */
static bool is_best_twin(const struct candidates *c, size_t i, void *user)
{
    (void)user;
    static const char *const order[] = {".safetensors", ".ckpt", ".pt", ".pth", ".bin"};
    size_t rank[2] = {0, 0}, stem = vka_library_stem(c->list[i]->path);
    for (size_t j = 0; j < c->count; j++) {
        const char *other = c->list[j]->path;
        if (j == i || vka_library_stem(other) != stem || strncmp(other, c->list[i]->path, stem) != 0)
            continue;
        for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
            const char *mine = c->list[i]->path + stem, *its = other + stem;
            rank[0] = vka_library_same(mine, strlen(mine), order[k], strlen(order[k]), true) ? k : rank[0];
            rank[1] = vka_library_same(its, strlen(its), order[k], strlen(order[k]), true) ? k : rank[1];
        }
        if (rank[1] < rank[0])
            return false;
    }
    return true;
}

struct hash_query {
    const char *hash;
    json_t *cache;
    bool compute, changed;
};

static bool has_hash(const struct candidates *c, size_t i, void *user)
{
    struct hash_query *q = user;
    char sha[65] = "", legacy[9] = "";
    const char *path = c->list[i]->path;
    if (c->list[i]->is_folder)
        return false;
    if (strlen(q->hash) == 8 && vka_hash_legacy(path, legacy) && strcmp(legacy, q->hash) == 0)
        return true;
    if (!vka_hash_known(q->cache, path, sha) &&
        (!q->compute || vka_hash_of(q->cache, path, NULL, sha, &q->changed, NULL) != VKA_OK))
        return false;
    return strncmp(sha, q->hash, strlen(q->hash)) == 0;
}

/* ---- errors ------------------------------------------------------------------------------------------------------- */

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Letters to insert, delete or replace between two names, in either case; at most 64 of each are looked at. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
    enum { MOST = 64 };
    unsigned row[MOST + 1];
    n = n < MOST ? n : MOST;
    m = m < MOST ? m : MOST;
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned corner = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned up = row[j];
            row[j] = least(up + 1, row[j - 1] + 1, corner + !vka_library_same(a + i - 1, 1, b + j - 1, 1, true));
            corner = up;
        }
    }
    return row[m];
}

static void add_name(char *out, size_t size, const char *name, size_t length)
{
    size_t n = strlen(out);
    snprintf(out + n, size - n, "%s'%.*s'", n ? ", " : "", (int)(length < 60 ? length : 60), name);
}

/* The names nearest to one that is not there, of models that suit; "" when none is near. */
static void nearest_names(const struct vka_library *lib, const struct wanted *w, char *out, size_t size)
{
    const char *best[NEAREST] = {NULL};
    size_t lengths[NEAREST] = {0}, found = 0;
    unsigned far[NEAREST];
    out[0] = '\0';
    for (size_t i = 0; i < lib->count; i++) {
        const struct vka_library_entry *e = &lib->entries[i];
        const char *base = vka_path_base(e->name);
        size_t stem = e->is_folder ? strlen(base) : vka_library_stem(base), n = w->length;
        if (!vka_library_suits(e->kind, w->kind))
            continue;
        unsigned d = distance(base, stem, w->name, n), limit = (unsigned)(n < stem ? n : stem) / 3 + 1;
        char part[96];
        snprintf(part, sizeof part, "%.*s", (int)(n < 90 ? n : 90), w->name);
        if (n >= 3 && vka_library_contains(base, part)) /* half of it was typed */
            d = 1;
        if (d > limit)
            continue;
        bool twice = false;
        for (size_t j = 0; j < found; j++)
            twice = twice || vka_library_same(best[j], lengths[j], base, stem, true);
        size_t at = found;
        while (!twice && at && far[at - 1] > d)
            at--;
        if (twice || at == NEAREST)
            continue;
        found += found < NEAREST;
        for (size_t j = found - 1; j > at; j--)
            best[j] = best[j - 1], lengths[j] = lengths[j - 1], far[j] = far[j - 1];
        best[at] = base, lengths[at] = stem, far[at] = d;
    }
    for (size_t j = 0; j < found; j++)
        add_name(out, size, best[j], lengths[j]);
}

static void nothing(const struct vka_library *lib, const struct wanted *w, const struct vka_library_entry *other, vka_error *err)
{
    char names[200];
    const char *title = vka_library_kind_title(w->kind);
    vka_fail(err, VKA_E_INPUT, "there is no %s '%s'", title, w->name);
    if (other) {
        vka_error_why(err, "'%.300s' lies in a folder for another kind of file", other->path);
        vka_error_hint(err, "give its path, if it is what is wanted");
        return;
    }
    nearest_names(lib, w, names, sizeof names);
    if (names[0])
        vka_error_hint(err, "%s; 'vkanim models' lists what there is", names);
    else
        vka_error_hint(err, "give a file or folder, or put it into a folder of VKANIM_MODEL_PATH; 'vkanim models' lists what there is");
}

static void several(const struct candidates *c, const struct wanted *w, vka_error *err)
{
    char names[400] = "";
    for (size_t i = 0; i < c->count && i < MOST_NAMED; i++)
        add_name(names, sizeof names, c->list[i]->name, strlen(c->list[i]->name));
    vka_fail(err, VKA_E_INPUT, "the name '%.100s' is that of %zu files", w->name, c->count);
    vka_error_why(err, "%s%s", names, c->count > MOST_NAMED ? " and others" : "");
    vka_error_hint(err, "write one with its folder and extension, or give its path");
}

/* ---- the search ----------------------------------------------------------------------------------------------------- */

/* The best fits of the name, of models that suit; *other: one that does not suit. */
static void best_fits(struct candidates *c, const struct wanted *w, const struct vka_library_entry **other)
{
    int best = NO_FIT - 1;
    c->count = 0;
    for (size_t i = 0; i < c->lib->count; i++) {
        const struct vka_library_entry *e = &c->lib->entries[i];
        int f = fit(e, w);
        if (f == NO_FIT)
            continue;
        if (!vka_library_suits(e->kind, w->kind)) {
            *other = *other ? *other : e;
            continue;
        }
        if (f < best)
            c->count = 0;
        if (f <= best)
            c->list[c->count++] = e;
        best = f < best ? f : best;
    }
}

/* All files with the hash, of those whose hash is known. */
static void fits_of_hash(struct candidates *c, const struct wanted *w, struct hash_query *q)
{
    c->count = 0;
    for (size_t i = 0; i < c->lib->count; i++) {
        c->list[c->count] = &c->lib->entries[i];
        if (vka_library_suits(c->lib->entries[i].kind, w->kind) && has_hash(c, c->count, q))
            c->count++;
    }
}

static vka_status search(struct candidates *c, struct wanted *w, vka_error *err)
{
    const struct vka_library_entry *other = NULL;
    char *cache_path = NULL, sha[65];
    struct hash_query q = {.hash = w->hash};
    bool by_hash = false;
    if (w->length)
        best_fits(c, w, &other);
    prefer(c, is_first_name, NULL);
    if (!c->count && !w->hash[0])
        by_hash = take_hash(w->name, w->length, w->hash);
    if (w->hash[0] && c->lib->count) {
        q.cache = vka_cache_load("hashes.json", &cache_path);
        if (!c->count)
            fits_of_hash(c, w, &q);
        else {
            q.compute = c->count > 1;
            prefer(c, has_hash, &q);
            if (c->count == 1 && vka_hash_known(q.cache, c->list[0]->path, sha) && !has_hash(c, 0, &q)) {
                vka_fail(err, VKA_E_INPUT, "the model '%.*s' is not the one with the hash %s", (int)w->length, w->name, w->hash);
                vka_error_why(err, "'%.300s' has %.10s", c->list[0]->path, sha);
            }
        }
        if (q.changed)
            vka_cache_store(cache_path, q.cache);
        json_decref(q.cache);
        free(cache_path);
        if (err && err->status != VKA_OK)
            return err->status;
    }
    if (by_hash)
        w->hash[0] = '\0';
    prefer(c, is_of_folder_kind, &w->kind);
    prefer(c, is_best_twin, NULL);
    prefer(c, is_of_file_kind, &w->kind);
    prefer(c, is_of_first_folder, NULL);
    if (c->count == 1)
        return VKA_OK;
    if (c->count)
        several(c, w, err);
    else
        nothing(c->lib, w, other, err);
    return VKA_E_INPUT;
}

/* What lies under exactly this name right in a folder without being an entry: a folder of parts, another extension. */
static char *lies_there(const struct vka_library *lib, const char *name)
{
    for (size_t i = 0; i < lib->folder_count; i++) {
        char *path = vka_path_join(lib->folders[i].path, name);
        if (path && vka_path_exists(path))
            return path;
        free(path);
    }
    return NULL;
}

static char *find_by_name(enum vka_library_kind kind, const char *name, vka_error *err)
{
    struct vka_library lib;
    struct wanted w;
    char *path = NULL;
    read_wanted(&w, kind, name);
    vka_error e = {0};
    vka_status st = vka_library_scan(&lib, &e);
    struct candidates c = {&lib, NULL, 0};
    if (st == VKA_OK && !(c.list = vka_calloc(lib.count + 1, sizeof *c.list)))
        st = vka_fail(&e, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = search(&c, &w, &e);
    if (st == VKA_OK && !(path = vka_strdup(c.list[0]->path)))
        vka_fail(&e, VKA_E_MEMORY, "out of memory");
    if (st == VKA_E_INPUT && !c.count)
        path = lies_there(&lib, name);
    if (!path && err && err->status == VKA_OK)
        *err = e;
    free(c.list);
    vka_library_free(&lib);
    return path;
}

bool vka_library_is_name(const char *name)
{
    for (const char *p = name;; p++) {
        size_t n = strcspn(p, "/");
        if (!n || *p == '.')
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

char *vka_find_named_model(enum vka_library_kind kind, const char *name, vka_error *err)
{
    if (vka_library_is_name(name))
        return find_by_name(kind, name, err);
    vka_fail(err, VKA_E_INPUT, "'%.200s' is not the name of a %s", name, vka_library_kind_title(kind));
    vka_error_hint(err, "the name of one in the folders of models: a path is not taken here");
    return NULL;
}

char *vka_find_model(enum vka_library_kind kind, const char *name, vka_error *err)
{
    bool given = vka_path_exists(name); /* a path that is there is what it says */
    if (!given && *name && *name != '/' && strncmp(name, "./", 2) != 0 && strncmp(name, "../", 3) != 0)
        return find_by_name(kind, name, err);
    char *path = given ? vka_strdup(name) : NULL;
    if (!given) {
        vka_fail(err, VKA_E_INPUT, "there is no %s '%s'", vka_library_kind_title(kind), name);
        vka_error_hint(err, "give a file or folder, or the name of one in the folders of VKANIM_MODEL_PATH");
    } else if (!path)
        vka_fail(err, VKA_E_MEMORY, "out of memory");
    return path;
}

vka_status vka_find(const char *kind, const char *name, char **path, vka_error *err)
{
    static const struct {
        const char *name;
        enum vka_library_kind kind;
    } kinds[] = {{"checkpoint", VKA_LIBRARY_CHECKPOINT}, {"vae", VKA_LIBRARY_VAE},
                 {"lora", VKA_LIBRARY_LORA},             {"motion-module", VKA_LIBRARY_MOTION},
                 {"motion-lora", VKA_LIBRARY_MOTION_LORA}, {"embedding", VKA_LIBRARY_EMBEDDING},
                 {"controlnet", VKA_LIBRARY_CONTROLNET}, {"ip-adapter", VKA_LIBRARY_IP_ADAPTER},
                 {"vision", VKA_LIBRARY_VISION}};
    vka_error own = {0};
    *path = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, kind) == 0 && (*path = vka_find_named_model(kinds[i].kind, name, &own)) != NULL)
            return VKA_OK;
    if (own.status == VKA_OK)
        vka_fail(&own, VKA_E_USAGE, "no model is of the kind '%.60s'", kind);
    if (err && err->status == VKA_OK)
        *err = own;
    return own.status;
}

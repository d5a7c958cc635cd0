/* state.c - see state.h.
 *
 * A checkpoint: 8 bytes of magic; u32 clip, eval, step, frames, channels, height, width, slots, timings, pass; u64 seed,
 * serial, rng_bytes; timings as f64, generators as bytes, each slot of the mask in order as f32; 64 hexadecimal digits
 * of the SHA-256 of all before.  It is streamed slot by slot: a long clip's tensors are not copied together. */
#include "render/state.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "render/report.h"

#include <stdlib.h>
#include <string.h>

static const char magic[8] = {'V', 'K', 'A', 'S', 'T', 'A', 'T', '1'};
enum { WORDS = 10, HEADER = 8 + WORDS * 4 + 3 * 8, DIGEST = 64, JSON_LIMIT = 64 << 20 };

/* ---- checkpoints ---------------------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *p++ = (uint8_t)(v >> 8 * i);
    return p;
}

static uint64_t get(const uint8_t **p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t) * (*p)++ << 8 * i;
    return v;
}

size_t vka_checkpoint_values(const vka_checkpoint *c)
{
    return (size_t)c->frames * c->channels * c->height * c->width;
}

struct sink {
    vka_outfile file;
    vka_sha256 sha;
};

static vka_status sink_add(struct sink *s, const void *data, size_t size, vka_error *err)
{
    vka_sha256_add(&s->sha, data, size);
    return vka_out_write(&s->file, data, size, err);
}

/* Floats and doubles as they lie in memory: every machine that Vulkan runs on is little-endian, as safetensors are. */
vka_status vka_checkpoint_write(const vka_checkpoint *c, const char *path, vka_error *err)
{
    uint8_t header[HEADER], *p = header + sizeof magic;
    const uint32_t words[WORDS] = {c->clip,   c->eval,  c->step,  c->frames,  c->channels,
                                   c->height, c->width, c->slots, c->timings, c->pass};
    struct sink s;
    memcpy(header, magic, sizeof magic);
    for (int i = 0; i < WORDS; i++)
        p = put(p, words[i], 4);
    put(put(put(p, c->seed, 8), c->serial, 8), c->rng_bytes, 8);
    vka_sha256_init(&s.sha);
    vka_status st = vka_out_open(&s.file, path, err);
    if (st != VKA_OK)
        return st;
    st = sink_add(&s, header, sizeof header, err);
    if (st == VKA_OK)
        st = sink_add(&s, c->step_s, c->timings * sizeof *c->step_s, err);
    if (st == VKA_OK)
        st = sink_add(&s, c->rng, (size_t)c->rng_bytes, err);
    for (int i = 0; st == VKA_OK && i < VKA_SLOTS; i++)
        if (c->slots >> i & 1)
            st = sink_add(&s, c->slot[i], vka_checkpoint_values(c) * sizeof(float), err);
    char hex[65];
    vka_sha256_hex(&s.sha, hex);
    if (st == VKA_OK)
        st = vka_out_write(&s.file, hex, DIGEST, err);
    if (st == VKA_OK)
        return vka_out_commit(&s.file, err);
    vka_out_abandon(&s.file);
    return st;
}

static vka_status damaged(vka_error *err, const char *name, const char *why)
{
    vka_fail(err, VKA_E_INPUT, "'%s' is damaged", name);
    vka_error_why(err, "%s", why);
    return VKA_E_INPUT;
}

/* The bytes behind the header, or false when the sizes do not add up to `size`. */
static bool sizes_fit(const vka_checkpoint *c, size_t size)
{
    uint64_t values, bytes, slots = 0, total = HEADER + DIGEST;
    for (uint32_t m = c->slots; m; m &= m - 1)
        slots++;
    return (c->slots & 1u << VKA_SLOT_X) && c->slots < 1u << VKA_SLOTS && c->frames && c->channels && c->height &&
           c->width && vka_mul_u64(c->frames, c->channels, &values) && vka_mul_u64(values, c->height, &values) &&
           vka_mul_u64(values, c->width, &values) && vka_mul_u64(values, sizeof(float) * slots, &bytes) &&
           vka_add_u64(total, bytes, &total) && vka_add_u64(total, (uint64_t)c->timings * sizeof(double), &total) &&
           vka_add_u64(total, c->rng_bytes, &total) && total == size;
}

static void *taken(const uint8_t **p, size_t size)
{
    void *copy = malloc(size ? size : 1);
    if (copy && size)
        memcpy(copy, *p, size);
    *p += size;
    return copy;
}

vka_status vka_checkpoint_parse(const uint8_t *data, size_t size, const char *name, vka_checkpoint *out, vka_error *err)
{
    *out = (vka_checkpoint){0};
    if (size < HEADER + DIGEST || memcmp(data, magic, sizeof magic) != 0)
        return damaged(err, name, size ? "it is not a checkpoint of this version" : "it is empty");
    vka_checkpoint c = {0};
    const uint8_t *p = data + sizeof magic;
    uint32_t *const words[WORDS] = {&c.clip,   &c.eval,  &c.step,  &c.frames, &c.channels,
                                        &c.height, &c.width, &c.slots, &c.timings, &c.pass};
    for (int i = 0; i < WORDS; i++)
        *words[i] = (uint32_t)get(&p, 4);
    c.seed = get(&p, 8);
    c.serial = get(&p, 8);
    c.rng_bytes = get(&p, 8);
    if (!sizes_fit(&c, size))
        return damaged(err, name, "its length is not what it says");
    char hex[65];
    vka_sha256 sha;
    vka_sha256_init(&sha);
    vka_sha256_add(&sha, data, size - DIGEST);
    vka_sha256_hex(&sha, hex);
    if (memcmp(hex, data + size - DIGEST, DIGEST) != 0)
        return damaged(err, name, "its checksum does not match");
    *out = c;
    bool whole = (out->step_s = taken(&p, c.timings * sizeof *c.step_s)) && (out->rng = taken(&p, (size_t)c.rng_bytes));
    for (int i = 0; whole && i < VKA_SLOTS; i++)
        if (c.slots >> i & 1)
            whole = (out->slot[i] = taken(&p, vka_checkpoint_values(&c) * sizeof(float))) != NULL;
    return whole ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", name);
}

vka_status vka_checkpoint_read(const char *path, vka_checkpoint *out, vka_error *err)
{
    vka_map map;
    *out = (vka_checkpoint){0};
    vka_status st = vka_map_open(&map, path, err);
    if (st == VKA_OK)
        st = vka_checkpoint_parse(map.data, map.size, path, out, err);
    vka_map_close(&map);
    return st;
}

void vka_checkpoint_free(vka_checkpoint *c)
{
    for (int i = 0; i < VKA_SLOTS; i++)
        free(c->slot[i]);
    free(c->rng);
    free(c->step_s);
    *c = (vka_checkpoint){0};
}

/* ---- JSON files that check themselves ------------------------------------------------------------------- */

static bool json_digest(const json_t *object, char hex[65])
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    if (!text)
        return false;
    vka_sha256 sha;
    vka_sha256_init(&sha);
    vka_sha256_add(&sha, text, strlen(text));
    vka_sha256_hex(&sha, hex);
    free(text);
    return true;
}

char *vka_checked_json_text(const json_t *object)
{
    char hex[65], *text = NULL;
    json_t *copy = json_copy((json_t *)(uintptr_t)object);
    if (copy && json_digest(object, hex) && json_object_set_new(copy, "check", json_string(hex)) == 0)
        text = json_dumps(copy, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    json_decref(copy);
    return text;
}

json_t *vka_checked_json_parse(const char *text, size_t size, const char *name, vka_error *err)
{
    json_error_t where;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    const char *check = json_string_value(json_object_get(object, "check"));
    char hex[65], said[65] = "";
    if (check && strlen(check) == 64)
        memcpy(said, check, 65);
    if (json_is_object(object))
        json_object_del(object, "check");
    if (said[0] && json_digest(object, hex) && strcmp(hex, said) == 0)
        return object;
    damaged(err, name, object ? "its checksum does not match" : where.text);
    json_decref(object);
    return NULL;
}

vka_status vka_checked_json_write(const char *path, const json_t *object, vka_error *err)
{
    char *text = vka_checked_json_text(object);
    vka_status st = text ? vka_write_file(path, text, strlen(text), err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
    free(text);
    return st;
}

json_t *vka_checked_json_read(const char *path, vka_error *err)
{
    char *text;
    size_t size;
    if (vka_read_file(path, JSON_LIMIT, &text, &size, err) != VKA_OK)
        return NULL;
    json_t *object = vka_checked_json_parse(text, size, path, err);
    free(text);
    return object;
}

/* ---- pace ----------------------------------------------------------------------------------------------- */

bool vka_pace_due(const struct vka_pace *p, double now, double item_s)
{
    return !p->wrote || now - p->last >= 5 || item_s >= 50 * p->cost;
}

void vka_pace_wrote(struct vka_pace *p, double began, double ended)
{
    *p = (struct vka_pace){.last = ended, .cost = ended - began, .wrote = true};
}

/* ---- the folder ----------------------------------------------------------------------------------------- */

char *vka_state_path(const struct vka_state *s, const char *format, uint32_t clip)
{
    if (!s->folder)
        return NULL;
    /* the formats are this room's own: at most one %u */
    const char *u = strstr(format, "%u");
    return u ? vka_asprintf("%s/%.*s%u%s", s->folder, (int)(u - format), format, clip, u + 2)
             : vka_path_join(s->folder, format);
}

static bool kept(struct vka_state *s, vka_status st, const vka_error *e)
{
    if (st == VKA_OK)
        return true;
    if (!s->warned)
        vka_logf(s->log, VKA_LOG_WARN,
                 "the render goes on, but what is done from here on may be lost if it is stopped: %s%s%s", e->what,
                 e->why[0] ? ": " : "", e->why);
    s->warned = true;
    return false;
}

/* Whether all of a folder could be a job's: nothing else is removed. */
static bool holds_ours_alone(const char *folder, const char *id)
{
    static const char *const ours[] = {"lock", "job.json", "state-", "latents-", "frames-", "between-", "outputs-"};
    bool good = strlen(id) == 8 && strspn(id, "0123456789abcdef") == 8;
    size_t count = 0;
    char **names = good ? vka_folder_names(folder, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
            known = known || strncmp(names[i], ours[k], strlen(ours[k])) == 0;
        good = good && known;
        free(names[i]);
    }
    free(names);
    return good;
}

/* A render that is killed before job.json is there, or while its folder is being removed, leaves what nobody can go on
 * with.  Its lock tells that it is over; the minute is for one that has made its folder and not yet the lock. */
static void sweep(const char *jobs)
{
    enum { YOUNG_S = 60 };
    size_t count = 0;
    char **names = vka_folder_names(jobs, &count);
    for (size_t i = 0; i < count; i++) {
        struct vka_state s = {.folder = vka_path_join(jobs, names[i])};
        char *job = vka_state_path(&s, "job.json", 0), *lock = vka_state_path(&s, "lock", 0);
        bool over = false;
        if (job && lock && !vka_path_exists(job) && vka_folder_age(s.folder) > YOUNG_S &&
            holds_ours_alone(s.folder, names[i]) && vka_lock_take(&s.lock, lock, &over, NULL) == VKA_OK && over &&
            !vka_path_exists(job))
            vka_folder_remove(s.folder);
        vka_lock_drop(&s.lock);
        free(s.folder);
        free(job);
        free(lock);
        free(names[i]);
    }
    free(names);
}

void vka_state_create(struct vka_state *s, const vka_log *log)
{
    *s = (struct vka_state){.log = log};
    vka_error e = {0};
    char *jobs = vka_jobs_dir();
    vka_status st = jobs ? VKA_OK : vka_fail(&e, VKA_E_OUTPUT, "there is no folder for the state of jobs");
    bool fresh = false, locked = false;
    if (jobs)
        sweep(jobs);
    for (int attempt = 0; st == VKA_OK && !locked && attempt < 100; attempt++) { /* an id may be taken */
        free(s->id);
        free(s->folder);
        s->id = vka_asprintf("%08x", vka_rng_fresh_seed());
        s->folder = s->id ? vka_path_join(jobs, s->id) : NULL;
        st = s->folder ? vka_folder_make(s->folder, &fresh, &e) : vka_fail(&e, VKA_E_MEMORY, "out of memory");
        char *path = st == VKA_OK && fresh ? vka_state_path(s, "lock", 0) : NULL;
        if (path)
            st = vka_lock_take(&s->lock, path, &locked, &e);
        free(path);
    }
    free(jobs);
    s->facts = json_object();
    if (!locked || !s->facts) {
        if (fresh && s->folder)
            vka_folder_remove(s->folder);
        free(s->id);
        free(s->folder);
        s->id = s->folder = NULL;
        kept(s, st == VKA_OK ? VKA_E_OUTPUT : st, &e);
    }
}

static vka_status no_job(const char *name, vka_error *err)
{
    vka_fail(err, VKA_E_INPUT, "there is no job '%s'", name);
    vka_error_hint(err, "vkanim resume, which lists those there are");
    return VKA_E_INPUT;
}

vka_status vka_state_open(struct vka_state *s, const char *name, const vka_log *log, vka_error *err)
{
    *s = (struct vka_state){.log = log, .resumed = true, .worth = true};
    char *jobs = vka_jobs_dir(), *path = NULL, *lock = NULL;
    if (jobs && !strchr(name, '/') && strcmp(name, "..") != 0 && strcmp(name, ".") != 0)
        s->folder = vka_path_join(jobs, name);
    free(jobs);
    if (!s->folder || !vka_path_is_dir(s->folder)) {
        free(s->folder);
        s->folder = vka_path_absolute(name);
    }
    size_t n = s->folder ? strlen(s->folder) : 0;
    while (n > 1 && s->folder[n - 1] == '/')
        s->folder[--n] = '\0';
    s->id = s->folder ? vka_strdup(vka_path_base(s->folder)) : NULL;
    path = vka_state_path(s, "job.json", 0);
    lock = vka_state_path(s, "lock", 0);
    bool mine = false;
    vka_status st = s->id && path && lock ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK && (!*name || !vka_path_exists(path)))
        st = no_job(name, err);
    if (st == VKA_OK)
        st = vka_lock_take(&s->lock, lock, &mine, err);
    if (st == VKA_OK && !mine) {
        st = vka_fail(err, VKA_E_USAGE, "the job %s is running in another process", s->id);
        vka_error_hint(err, "wait for it, or stop it first");
    }
    if (st == VKA_OK && !vka_path_exists(path)) /* done and removed while we came for the lock */
        st = no_job(name, err);
    if (st == VKA_OK) {
        s->facts = vka_checked_json_read(path, err);
        st = s->facts ? VKA_OK : VKA_E_INPUT;
    }
    free(path);
    free(lock);
    if (st != VKA_OK)
        vka_state_close(s, false);
    return st;
}

void vka_state_close(struct vka_state *s, bool done)
{
    if (s->folder && s->lock.held && done) {
        vka_state_remove(s, "job.json", 0); /* first: killed from here on, it is not taken for one to go on with */
        vka_folder_remove(s->folder);
    }
    vka_lock_drop(&s->lock);
    json_decref(s->facts);
    free(s->id);
    free(s->folder);
    *s = (struct vka_state){0};
}

/* ---- writing -------------------------------------------------------------------------------------------- */

bool vka_state_keep_json(struct vka_state *s, const char *format, uint32_t clip, const json_t *object)
{
    vka_error e = {0};
    if (!s->folder)
        return false;
    char *path = vka_state_path(s, format, clip);
    vka_status st = path ? vka_checked_json_write(path, object, &e) : vka_fail(&e, VKA_E_MEMORY, "out of memory");
    free(path);
    return kept(s, st, &e);
}

bool vka_state_keep_facts(struct vka_state *s)
{
    return vka_state_keep_json(s, "job.json", 0, s->facts);
}

static bool keep_checkpoint(struct vka_state *s, vka_checkpoint *c, const char *format)
{
    vka_error e = {0};
    if (!s->folder)
        return false;
    char *path = vka_state_path(s, format, c->clip);
    c->serial = s->serial + 1;
    vka_status st = path ? vka_checkpoint_write(c, path, &e) : vka_fail(&e, VKA_E_MEMORY, "out of memory");
    free(path);
    if (!kept(s, st, &e))
        return false;
    s->serial++;
    s->worth = true;
    return true;
}

bool vka_state_keep_step(struct vka_state *s, vka_checkpoint *c)
{
    double began = vka_now();
    bool good = keep_checkpoint(s, c, s->second ? "state-B" : "state-A");
    if (good)
        s->second = !s->second;
    vka_pace_wrote(&s->pace, began, vka_now()); /* one that failed is not tried again at once either */
    return good;
}

bool vka_state_keep_latents(struct vka_state *s, vka_checkpoint *c)
{
    return keep_checkpoint(s, c, "latents-%u");
}

/* ---- reading -------------------------------------------------------------------------------------------- */

static void warn_damage(struct vka_state *s, const vka_error *e, const char *instead)
{
    vka_logf(s->log, VKA_LOG_WARN, "%s (%s): %s", e->what, e->why, instead);
}

vka_status vka_state_newest(struct vka_state *s, vka_checkpoint *out, vka_error *err)
{
    static const char *const names[] = {"state-A", "state-B"};
    vka_error e[2] = {{0}, {0}};
    unsigned there = 0, bad = 0;
    *out = (vka_checkpoint){0};
    for (int i = 0; i < 2; i++) {
        vka_checkpoint c;
        char *path = vka_state_path(s, names[i], 0);
        if (!path || !vka_path_exists(path)) {
            free(path);
            continue;
        }
        there++;
        vka_status st = vka_checkpoint_read(path, &c, &e[i]);
        free(path);
        if (st != VKA_OK) {
            vka_checkpoint_free(&c);
            if (st == VKA_E_MEMORY) {
                vka_checkpoint_free(out);
                return vka_fail(err, st, "%s", e[i].what);
            }
            bad++;
        } else if (!out->slots || c.serial > out->serial) {
            vka_checkpoint_free(out);
            *out = c;
            s->second = i == 0;
        } else
            vka_checkpoint_free(&c);
    }
    s->serial = s->serial > out->serial ? s->serial : out->serial;
    if (bad && bad == there) {
        const vka_error *first = e[0].what[0] ? &e[0] : &e[1];
        vka_fail(err, VKA_E_INPUT, "%.400s", first->what);
        vka_error_why(err, "%.400s%s", first->why, bad == 2 ? ", and the checkpoint before it is damaged too" : "");
        vka_error_hint(
            err, "remove state-A and state-B from the job's folder: the clip is then rendered from its beginning");
        return VKA_E_INPUT;
    }
    for (int i = 0; i < 2; i++)
        if (e[i].what[0])
            warn_damage(s, &e[i], "the other checkpoint is taken");
    return VKA_OK;
}

bool vka_state_latents(struct vka_state *s, uint32_t clip, vka_checkpoint *out)
{
    vka_error e = {0};
    char *path = vka_state_path(s, "latents-%u", clip);
    bool good = false;
    *out = (vka_checkpoint){0};
    if (path && vka_path_exists(path)) {
        good = vka_checkpoint_read(path, out, &e) == VKA_OK && out->clip == clip;
        if (!good) {
            vka_checkpoint_free(out);
            warn_damage(s, &e, "the clip is sampled again");
        } else if (out->serial > s->serial)
            s->serial = out->serial;
    }
    free(path);
    return good;
}

json_t *vka_state_json(struct vka_state *s, const char *format, uint32_t clip)
{
    vka_error e = {0};
    char *path = vka_state_path(s, format, clip);
    json_t *object = path && vka_path_exists(path) ? vka_checked_json_read(path, &e) : NULL;
    if (!object && e.what[0])
        warn_damage(s, &e, "it counts as missing");
    free(path);
    return object;
}

void vka_state_remove(struct vka_state *s, const char *format, uint32_t clip)
{
    char *path = vka_state_path(s, format, clip);
    if (path)
        vka_file_remove(path);
    free(path);
}

/* ---- the list ------------------------------------------------------------------------------------------- */

static json_t *describe(const char *jobs, const char *id, bool *whole)
{
    struct vka_state s = {.folder = vka_path_join(jobs, id)};
    char *lock = vka_state_path(&s, "lock", 0), *path = vka_state_path(&s, "job.json", 0), made[32];
    json_t *facts = path && vka_path_exists(path) ? vka_checked_json_read(path, NULL) : NULL, *entry = NULL;
    bool running = lock && vka_lock_is_held(lock), there = path && vka_path_exists(path);
    if (s.folder && (there || running)) {
        json_t *job = json_object_get(facts, "job");
        const char *prompt = json_string_value(json_object_get(job, "prompt"));
        entry = json_pack("{s:s, s:s}", "id", id, "state", running ? "running" : facts ? "stopped" : "damaged");
        vka_report_put(whole, entry, "folder", vka_report_path(s.folder));
        if (entry && facts) {
            vka_clock_text((int64_t)json_integer_value(json_object_get(facts, "created")), made);
            vka_report_put(whole, entry, "created", json_string(made));
            vka_report_put(whole, entry, "prompt", json_string(prompt ? prompt : ""));
            if (json_object_get(job, "output"))
                vka_report_put(whole, entry, "outputs", json_incref(json_object_get(job, "output")));
        }
        *whole = *whole && entry;
    }
    json_decref(facts);
    free(lock);
    free(path);
    free(s.folder);
    return entry;
}

static int by_age(const void *a, const void *b)
{
    const char *x = json_string_value(json_object_get(*(json_t *const *)a, "created"));
    const char *y = json_string_value(json_object_get(*(json_t *const *)b, "created"));
    return strcmp(x ? x : "", y ? y : "");
}

json_t *vka_state_list(void)
{
    size_t count = 0, found = 0;
    char *jobs = vka_jobs_dir();
    if (jobs)
        sweep(jobs);
    char **names = jobs ? vka_folder_names(jobs, &count) : NULL;
    json_t **entries = vka_calloc(count ? count : 1, sizeof *entries), *list = json_array();
    bool whole = entries && list;
    for (size_t i = 0; i < count; i++) {
        json_t *entry = entries ? describe(jobs, names[i], &whole) : NULL;
        if (entry)
            entries[found++] = entry;
        free(names[i]);
    }
    if (entries && found)
        qsort(entries, found, sizeof *entries, by_age);
    for (size_t i = 0; i < found; i++)
        vka_report_add(&whole, list, entries[i]);
    if (!whole) {
        json_decref(list);
        list = NULL;
    }
    free(entries);
    free(names);
    free(jobs);
    return list;
}

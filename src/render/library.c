/* library.c - folders of models: which there are, and what lies in them.  See library.h. */
#include "render/library.h"

#include "base/file.h"
#include "base/folder.h"
#include "base/mem.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

enum { MOST_DEPTH = 8, MOST_MODELS = 20000, MOST_FOLDERS = 20000, MOST_YAML = 1 << 20 };

struct scan {
    struct vka_library *lib;
    char **seen; /* real paths of folders that were read */
    size_t seen_count, seen_capacity;
    bool failed;
};

static const char *const extensions[] = {".safetensors", ".ckpt", ".pt", ".pth", ".bin"};

const char *vka_library_kind_title(enum vka_library_kind kind)
{
    static const char *const titles[VKA_LIBRARY_KINDS] = {
        [VKA_LIBRARY_ANY] = "model",        [VKA_LIBRARY_CHECKPOINT] = "model",
        [VKA_LIBRARY_VAE] = "VAE",          [VKA_LIBRARY_LORA] = "LoRA",
        [VKA_LIBRARY_MOTION] = "motion module", [VKA_LIBRARY_MOTION_LORA] = "motion LoRA",
        [VKA_LIBRARY_EMBEDDING] = "embedding", [VKA_LIBRARY_CONTROLNET] = "ControlNet",
        [VKA_LIBRARY_IP_ADAPTER] = "IP-Adapter", [VKA_LIBRARY_VISION] = "image encoder",
    };
    return titles[kind];
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool vka_library_same(const char *a, size_t n, const char *b, size_t m, bool any_case)
{
    if (n != m)
        return false;
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] && !(any_case && lower(a[i]) == lower(b[i])))
            return false;
    return true;
}

static bool same(const char *a, const char *b)
{
    return vka_library_same(a, strlen(a), b, strlen(b), true);
}

bool vka_library_contains(const char *text, const char *part)
{
    size_t n = strlen(text), m = strlen(part);
    for (size_t i = 0; i + m <= n; i++)
        if (vka_library_same(text + i, m, part, m, true))
            return true;
    return false;
}

size_t vka_library_stem(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        size_t m = strlen(extensions[i]);
        if (n > m && same(name + n - m, extensions[i]))
            return n - m;
    }
    return n;
}

bool vka_library_suits(enum vka_library_kind kind, enum vka_library_kind wanted)
{
    if (kind == VKA_LIBRARY_ANY || wanted == VKA_LIBRARY_ANY || kind == wanted)
        return true;
    /* A1111 has motion LoRAs among the others, and IP-Adapters among ControlNets */
    return (kind == VKA_LIBRARY_LORA && wanted == VKA_LIBRARY_MOTION_LORA) ||
           (kind == VKA_LIBRARY_CONTROLNET && wanted == VKA_LIBRARY_IP_ADAPTER);
}

enum vka_library_kind vka_library_folder_kind(const char *name, bool *skip)
{
    static const struct {
        const char *name;
        enum vka_library_kind kind;
    } known[] = {
        {"stable-diffusion", VKA_LIBRARY_CHECKPOINT},  {"checkpoints", VKA_LIBRARY_CHECKPOINT},
        {"diffusers", VKA_LIBRARY_CHECKPOINT},         {"vae", VKA_LIBRARY_VAE},
        {"lora", VKA_LIBRARY_LORA},                    {"loras", VKA_LIBRARY_LORA},
        {"lycoris", VKA_LIBRARY_LORA},                 {"embeddings", VKA_LIBRARY_EMBEDDING},
        {"controlnet", VKA_LIBRARY_CONTROLNET},        {"animatediff", VKA_LIBRARY_MOTION},
        {"animatediff_models", VKA_LIBRARY_MOTION},    {"motion_modules", VKA_LIBRARY_MOTION},
        {"animatediff_motion_lora", VKA_LIBRARY_MOTION_LORA}, {"motion_lora", VKA_LIBRARY_MOTION_LORA},
        {"motion_loras", VKA_LIBRARY_MOTION_LORA},     {"ipadapter", VKA_LIBRARY_IP_ADAPTER},
        {"ip-adapter", VKA_LIBRARY_IP_ADAPTER},        {"clip_vision", VKA_LIBRARY_VISION},
    };
    static const char *const others[] = {"esrgan",     "realesrgan",    "upscale_models", "gfpgan",      "codeformer",
                                         "clip",       "text_encoder",  "text_encoders",
                                         "insightface", "hypernetworks", "style_models",   "gligen",      "photomaker",
                                         "deepbooru",  "blip",          "vae_approx",     "vae-approx",  "configs"};
    *skip = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (same(name, known[i].name))
            return known[i].kind;
    for (size_t i = 0; i < sizeof others / sizeof *others && !*skip; i++)
        *skip = same(name, others[i]);
    return VKA_LIBRARY_ANY;
}

/* ---- entries ------------------------------------------------------------------------------------------------ */

/* Takes `path`, whose name within its folder begins at `at`. */
static void add_entry(struct scan *s, char *path, size_t at, enum vka_library_kind kind, bool is_folder)
{
    struct vka_library *lib = s->lib;
    if (lib->count >= MOST_MODELS) {
        lib->cut = true;
        free(path);
        return;
    }
    struct vka_library_entry *e = vka_grow(lib->entries, &lib->capacity, lib->count + 1, sizeof *e);
    if (!e) {
        s->failed = true;
        free(path);
        return;
    }
    lib->entries = e;
    if (vka_library_contains(path + at, ".vae.")) /* A1111 has VAEs beside checkpoints under such names */
        kind = VKA_LIBRARY_VAE;
    size_t folder = lib->folder_count - 1;
    e[lib->count++] = (struct vka_library_entry){path, path + at, kind, folder, is_folder};
    lib->folders[folder].models++;
}

static bool has(struct scan *s, const char *dir, const char *name)
{
    char *path = vka_path_join(dir, name);
    bool there = path && vka_path_exists(path);
    s->failed = s->failed || !path;
    free(path);
    return there;
}

/* A diffusers pipeline, or one part of one with its config. */
static bool is_model_folder(struct scan *s, const char *dir)
{
    if (has(s, dir, "model_index.json") || has(s, dir, "vkanim.json"))
        return true;
    return has(s, dir, "config.json") && (has(s, dir, "diffusion_pytorch_model.safetensors") ||
                                       has(s, dir, "diffusion_pytorch_model.fp16.safetensors") ||
                                       has(s, dir, "diffusion_pytorch_model.bin"));
}

/* Whether a folder is met for the first time, whatever links lead to it. */
static bool is_new(struct scan *s, const char *dir)
{
    char id[96], *real = vka_file_identity(dir, id);
    s->failed = s->failed || (!real && vka_path_is_dir(dir)); /* what can be asked about has a real path */
    if (!real)
        return false;
    for (size_t i = 0; i < s->seen_count; i++)
        if (strcmp(s->seen[i], real) == 0) {
            free(real);
            return false;
        }
    bool room = s->seen_count < MOST_FOLDERS;
    char **seen = room ? vka_grow(s->seen, &s->seen_capacity, s->seen_count + 1, sizeof *seen) : NULL;
    if (!seen) {
        s->lib->cut = s->lib->cut || !room;
        s->failed = s->failed || room;
        free(real);
        return false;
    }
    s->seen = seen;
    seen[s->seen_count++] = real;
    return true;
}

enum depth {
    WHOLE,  /* folders of any name */
    NAMED,  /* folders whose name tells their kind */
    SHALLOW /* files alone */
};

/* Reads a folder; names count from `root` bytes of a path on. */
static void walk(struct scan *s, const char *dir, size_t root, enum vka_library_kind kind, enum depth how, int depth)
{
    size_t count;
    bool whole;
    if (s->failed || s->lib->cut || !is_new(s, dir))
        return;
    char **names = vka_folder_list(dir, &count, &whole);
    s->failed = s->failed || !whole;
    for (size_t i = 0; i < count; i++) {
        char *path = s->failed || s->lib->cut ? NULL : vka_path_join(dir, names[i]);
        s->failed = s->failed || (!path && !s->lib->cut);
        if (path && vka_path_is_dir(path)) {
            bool skip;
            enum vka_library_kind own = vka_library_folder_kind(names[i], &skip);
            if (how != SHALLOW && is_model_folder(s, path)) {
                add_entry(s, path, root, own != VKA_LIBRARY_ANY ? own : kind, true);
                path = NULL;
            } else if (how == SHALLOW || depth >= MOST_DEPTH || (how == NAMED && own == VKA_LIBRARY_ANY) ||
                       (skip && kind == VKA_LIBRARY_ANY))
                ;
            else if (own != VKA_LIBRARY_ANY && kind == VKA_LIBRARY_ANY)
                walk(s, path, strlen(path) + 1, own, WHOLE, depth + 1);
            else
                walk(s, path, root, kind, WHOLE, depth + 1);
        } else if (path && names[i][vka_library_stem(names[i])]) {
            add_entry(s, path, root, kind, false);
            path = NULL;
        }
        free(path);
        free(names[i]);
    }
    free(names);
}

/* ---- folders ------------------------------------------------------------------------------------------------- */

static bool add_folder(struct scan *s, const char *path, const char *layout)
{
    struct vka_library *lib = s->lib;
    struct vka_library_folder *f = vka_grow(lib->folders, &lib->folder_capacity, lib->folder_count + 1, sizeof *f);
    char *copy = f ? vka_strdup(path) : NULL;
    if (f)
        lib->folders = f;
    s->failed = s->failed || !copy;
    if (!copy)
        return false;
    f[lib->folder_count++] = (struct vka_library_folder){copy, layout, 0};
    return true;
}

static const struct {
    const char *path;
    enum vka_library_kind kind;
    bool comfy, other; /* whether the folder tells the one tree or the other */
} tree[] = {
    {"models/Stable-diffusion", VKA_LIBRARY_ANY, false, true},
    {"models/Lora", VKA_LIBRARY_ANY, false, true},
    {"models/checkpoints", VKA_LIBRARY_ANY, true, false},
    {"models/loras", VKA_LIBRARY_ANY, true, false},
    {"models/animatediff_models", VKA_LIBRARY_ANY, true, false},
    {"embeddings", VKA_LIBRARY_EMBEDDING, false, false},
    {"extensions/sd-webui-animatediff/model", VKA_LIBRARY_MOTION, false, true},
    {"extensions/sd-webui-controlnet/models", VKA_LIBRARY_CONTROLNET, false, false},
    {"custom_nodes/ComfyUI-AnimateDiff-Evolved/models", VKA_LIBRARY_MOTION, true, false},
    {"custom_nodes/ComfyUI-AnimateDiff-Evolved/motion_lora", VKA_LIBRARY_MOTION_LORA, true, false},
    {"custom_nodes/comfyui-animatediff-evolved/models", VKA_LIBRARY_MOTION, true, false},
    {"custom_nodes/comfyui-animatediff-evolved/motion_lora", VKA_LIBRARY_MOTION_LORA, true, false},
};

static const char *layout_of(struct scan *s, const char *dir)
{
    for (size_t i = 0; i < sizeof tree / sizeof *tree; i++)
        if ((tree[i].comfy || tree[i].other) && has(s, dir, tree[i].path))
            return tree[i].comfy ? "comfyui" : "a1111";
    return "flat";
}

static void read_tree(struct scan *s, const char *dir)
{
    char *models = vka_path_join(dir, "models");
    s->failed = s->failed || !models;
    if (models)
        walk(s, models, strlen(models) + 1, VKA_LIBRARY_ANY, NAMED, 0);
    free(models);
    for (size_t i = 0; i < sizeof tree / sizeof *tree; i++) {
        char *path = tree[i].kind != VKA_LIBRARY_ANY ? vka_path_join(dir, tree[i].path) : NULL;
        if (path && vka_path_is_dir(path))
            walk(s, path, strlen(path) + 1, tree[i].kind, WHOLE, 1);
        free(path);
    }
    walk(s, dir, strlen(dir) + 1, VKA_LIBRARY_ANY, SHALLOW, 0);
}

static void read_yaml_folders(struct scan *s, const struct vka_model_paths *paths, bool first)
{
    for (size_t i = 0; i < paths->count; i++) {
        const struct vka_model_path *p = &paths->items[i];
        if (p->first == first && vka_path_is_dir(p->path) && add_folder(s, p->path, "yaml"))
            walk(s, p->path, strlen(p->path) + 1, p->kind, WHOLE, 0);
    }
}

static void read_folder(struct scan *s, const char *dir)
{
    if (!vka_path_is_dir(dir))
        return;
    struct vka_model_paths paths = {0};
    char *yaml = vka_path_join(dir, "extra_model_paths.yaml"), *text = NULL;
    size_t size;
    vka_error e = {0};
    s->failed = s->failed || !yaml;
    if (yaml && vka_path_exists(yaml) && vka_read_file(yaml, MOST_YAML, &text, &size, &e) == VKA_OK) {
        vka_status st = vka_model_paths_read(&paths, text, size, dir, getenv("HOME"), &e);
        s->failed = s->failed || st == VKA_E_MEMORY;
    }
    s->failed = s->failed || e.status == VKA_E_MEMORY;
    if (e.status == VKA_E_INPUT && !s->lib->note[0])
        snprintf(s->lib->note, sizeof s->lib->note, "%.120s: %.60s%s%.60s", yaml, e.what, e.why[0] ? ": " : "", e.why);
    free(text);
    free(yaml);
    read_yaml_folders(s, &paths, true);
    const char *layout = layout_of(s, dir);
    if (add_folder(s, dir, layout)) {
        if (strcmp(layout, "flat") == 0)
            walk(s, dir, strlen(dir) + 1, VKA_LIBRARY_ANY, WHOLE, 0);
        else
            read_tree(s, dir);
    }
    read_yaml_folders(s, &paths, false);
    vka_model_paths_free(&paths);
}

/* DIR/tail of each of a list with colons. */
static void read_list(struct scan *s, const char *list, const char *tail)
{
    while (list && *list) {
        size_t n = strcspn(list, ":"), m = n;
        while (m > 1 && list[m - 1] == '/')
            m--;
        char *dir = n ? vka_asprintf("%.*s%s", (int)m, list, tail) : NULL;
        s->failed = s->failed || (n && !dir);
        if (dir)
            read_folder(s, dir);
        free(dir);
        list += n + (list[n] == ':');
    }
}

vka_status vka_library_scan(struct vka_library *library, vka_error *err)
{
    *library = (struct vka_library){0};
    struct scan s = {.lib = library};
    const char *home = getenv("HOME"), *xdg = getenv("XDG_DATA_HOME"), *dirs = getenv("XDG_DATA_DIRS");
    read_list(&s, getenv("VKANIM_MODEL_PATH"), "");
    char *own = xdg && *xdg ? vka_path_join(xdg, "vkanim/models")
                : home      ? vka_path_join(home, ".local/share/vkanim/models")
                            : NULL;
    if (own)
        read_folder(&s, own);
    free(own);
    read_list(&s, dirs && *dirs ? dirs : "/usr/local/share:/usr/share", "/vkanim/models");
    char *program = vka_program_dir();
    /* Installed; an archive where it was unpacked; a build folder in the sources. */
    static const char *const beside[] = {"../share/vkanim/models", "models", "../models"};
    for (size_t i = 0; program && i < sizeof beside / sizeof *beside; i++) {
        char *path = vka_path_join(program, beside[i]);
        if (path)
            read_folder(&s, path);
        free(path);
    }
    free(program);
    for (size_t i = 0; i < s.seen_count; i++)
        free(s.seen[i]);
    free(s.seen);
    return s.failed ? vka_fail(err, VKA_E_MEMORY, "out of memory") : VKA_OK;
}

void vka_library_free(struct vka_library *library)
{
    for (size_t i = 0; i < library->count; i++)
        free(library->entries[i].path);
    for (size_t i = 0; i < library->folder_count; i++)
        free(library->folders[i].path);
    free(library->entries);
    free(library->folders);
    *library = (struct vka_library){0};
}

/* library.h - the models of a user: which folders are searched, what lies in them, and one of it by name.
 *
 * Folders, in this order: those of VKANIM_MODEL_PATH, $XDG_DATA_HOME/vkanim/models (or ~/.local/share/...), vkanim/models of
 * XDG_DATA_DIRS, and the program's own.  Each may be
 *   flat      files and diffusers folders, to any reasonable depth; a folder called "loras", "VAE" and so on tells the kind;
 *   a1111     a tree of A1111's or Forge's web UI;
 *   comfyui   a tree of ComfyUI;
 *   and may hold ComfyUI's extra_model_paths.yaml, whose folders follow it (before it where the section says is_default).
 * Hidden files, *.part and what has no extension of a model are passed over; a folder that links lead to twice is read once;
 * folders are read to a depth of 8, and 20,000 models are the most.
 *
 * Scanning reads names only; vka_models (vkanim.h) reads headers. */
#ifndef VKA_RENDER_LIBRARY_H
#define VKA_RENDER_LIBRARY_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* What a model is wanted as, and what the folder that it lies in is for. */
enum vka_library_kind {
    VKA_LIBRARY_ANY, /* of a folder: it does not say */
    VKA_LIBRARY_CHECKPOINT,
    VKA_LIBRARY_VAE,
    VKA_LIBRARY_LORA,
    VKA_LIBRARY_MOTION,
    VKA_LIBRARY_MOTION_LORA,
    VKA_LIBRARY_EMBEDDING,
    VKA_LIBRARY_CONTROLNET,
    VKA_LIBRARY_IP_ADAPTER,
    VKA_LIBRARY_VISION,
    VKA_LIBRARY_KINDS
};
/* For sentences: "model" (of ANY and CHECKPOINT), "VAE", "LoRA", "motion module" ... */
const char *vka_library_kind_title(enum vka_library_kind kind);

struct vka_library_entry {
    char *path;
    const char *name; /* end of `path`: below the folder of its kind, with the extension, such as "style/ink.safetensors" */
    enum vka_library_kind kind; /* of its folder */
    size_t folder;              /* which of the folders */
    bool is_folder;             /* a model in diffusers' layout */
};
struct vka_library_folder {
    char *path;
    const char *layout; /* "flat", "a1111", "comfyui", "yaml" (named by one) */
    size_t models;
};
struct vka_library {
    struct vka_library_entry *entries; /* by folder, then as the folders list them, sorted */
    size_t count, capacity;
    struct vka_library_folder *folders;
    size_t folder_count, folder_capacity;
    bool cut;       /* there is more than the limits allow */
    char note[256]; /* a faulty extra_model_paths.yaml; empty where there is none */
};
/* VKA_E_MEMORY alone.  Freed by the caller in every case. */
vka_status vka_library_scan(struct vka_library *library, vka_error *err);
void vka_library_free(struct vka_library *library);

/* Whether two names are equal; whether one is part of another.  Only ASCII letters have two cases. */
bool vka_library_same(const char *a, size_t n, const char *b, size_t m, bool any_case);
bool vka_library_contains(const char *text, const char *part);
/* Length of a name without a model file's extension. */
size_t vka_library_stem(const char *name);
/* Whether a model that lies in a folder for `kind` may be wanted as `wanted`. */
bool vka_library_suits(enum vka_library_kind kind, enum vka_library_kind wanted);

/* A model by path; else by name in the folders: with sub-folders and extension or without, in either case of letters, with
 * or without a short hash behind it as A1111 prints it ("dreamshaper_8 [879db523c3]"), or by the hash alone where it is
 * known.  Of equal names an earlier folder's wins, and in one folder .safetensors.  malloc'ed; NULL with VKA_E_INPUT, the
 * error naming the candidates where there are several, and the nearest names where there is none. */
char *vka_find_model(enum vka_library_kind kind, const char *name, vka_error *err);
/* The same by name alone, for names that others have written: no path is taken or looked at, whatever the name says. */
char *vka_find_named_model(enum vka_library_kind kind, const char *name, vka_error *err);
/* Whether a text can be such a name: not empty, no '/' at an end or twice in a row, no part that begins with a dot. */
bool vka_library_is_name(const char *name);

/* ---- extra_model_paths.yaml (library_yaml.c) ------------------------------------------------------------------- */

struct vka_model_path {
    char *path;
    enum vka_library_kind kind;
    bool first; /* its section says is_default */
};
struct vka_model_paths {
    struct vka_model_path *items;
    size_t count, capacity;
};
/* The folders that the text of such a file names: of each section those keys that the table of folder names has.  Relative
 * ones are below base_path, and that below `dir`, where the file lies; "~" is `home` (may be NULL).  VKA_E_INPUT when it is
 * not YAML of that form, VKA_E_MEMORY.  Freed by the caller in every case. */
vka_status vka_model_paths_read(struct vka_model_paths *paths, const char *text, size_t size, const char *dir,
                                const char *home, vka_error *err);
void vka_model_paths_free(struct vka_model_paths *paths);
/* The kind that a folder's name tells (of A1111's, Forge's and ComfyUI's trees, in either case), ANY when it tells none;
 * *skip: it holds what is no model of this program. */
enum vka_library_kind vka_library_folder_kind(const char *name, bool *skip);

#endif

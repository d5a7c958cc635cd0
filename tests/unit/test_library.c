/* test_library.c - folders of models as people have them, names in place of paths, short hashes, and what `models` lists.  The
 * trees are made here; their files are a few bytes. */
#define _XOPEN_SOURCE 700
#include "base/file.h"
#include "base/mem.h"
#include "render/filehash.h"
#include "render/library.h"
#include "weights/safetensors.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vkanim/vkanim.h>

#include <cmocka.h>

static char folder[200];

static int open_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    char path[256];
    snprintf(folder, sizeof folder, "%s/vkanim-library-XXXXXX", base && *base ? base : P_tmpdir);
    if (!mkdtemp(folder))
        return -1;
    /* nothing of this machine is seen */
    snprintf(path, sizeof path, "%s/none", folder);
    setenv("XDG_DATA_HOME", path, 1);
    setenv("XDG_DATA_DIRS", path, 1);
    setenv("HOME", folder, 1);
    snprintf(path, sizeof path, "%s/cache", folder);
    setenv("VKANIM_CACHE_DIR", path, 1);
    unsetenv("VKANIM_MODEL_PATH");
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static const char *in(const char *name)
{
    static char path[4][400];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void put(const char *name, const void *data, size_t size)
{
    char path[400];
    snprintf(path, sizeof path, "%s", in(name));
    *strrchr(path, '/') = '\0';
    assert_int_equal(vka_make_dirs(path, NULL), VKA_OK);
    assert_int_equal(vka_write_file(in(name), data, size, NULL), VKA_OK);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* A safetensors file with one tensor. */
static void put_model(const char *name, const char *tensor, const char *const (*metadata)[2], size_t count)
{
    static const float data[4 * 768];
    vka_weight w = {.name = tensor, .dtype = VKA_WEIGHT_F32, .rank = 2, .dims = {4, 768}, .data = (const void *)data};
    put_text(name, "");
    assert_int_equal(vka_safetensors_write(in(name), &w, 1, metadata, count, NULL), VKA_OK);
}

static void search(const char *folders)
{
    char path[1200] = "";
    for (const char *p = folders; *p;) {
        size_t n = strcspn(p, ":"), at = strlen(path);
        snprintf(path + at, sizeof path - at, "%s%s/%.*s", at ? ":" : "", folder, (int)n, p);
        p += n + (p[n] == ':');
    }
    setenv("VKANIM_MODEL_PATH", path, 1);
}

/* Finds, or fails with `words` in the error; `want` is a path in the folder, NULL where it must fail. */
static void finds(enum vka_library_kind kind, const char *name, const char *want, const char *words)
{
    vka_error err = {0};
    char *path = vka_find_model(kind, name, &err);
    if (want && !(path && strcmp(path, in(want)) == 0))
        fail_msg("'%s': %s instead of %s (%s; %s)", name, path ? path : "nothing", want, err.what, err.why);
    if (!want) {
        if (path)
            fail_msg("'%s' is %s", name, path);
        assert_int_equal(err.status, VKA_E_INPUT);
        if (!strstr(err.what, words) && !strstr(err.why, words) && !strstr(err.hint, words))
            fail_msg("'%s': no '%s' in '%s', '%s', '%s'", name, words, err.what, err.why, err.hint);
    }
    free(path);
}

#define CHECKPOINT VKA_LIBRARY_CHECKPOINT
#define LORA       VKA_LIBRARY_LORA
#define MOTION     VKA_LIBRARY_MOTION

/* ---- trees ---------------------------------------------------------------------------------------------------- */

static void a1111(void **state)
{
    (void)state;
    static const char *const files[] = {"models/Stable-diffusion/dreamshaper_8.safetensors",
                                        "models/Stable-diffusion/anime/meina.ckpt",
                                        "models/Stable-diffusion/.hidden.safetensors",
                                        "models/Stable-diffusion/half.safetensors.part",
                                        "models/Stable-diffusion/readme.txt",
                                        "models/Stable-diffusion/meina.vae.pt",
                                        "models/VAE/mse.pt",
                                        "models/Lora/style/add_detail.safetensors",
                                        "models/LyCORIS/ink.safetensors",
                                        "models/ESRGAN/4x.pth",
                                        "models/ControlNet/canny.pth",
                                        "embeddings/bad-hands.pt",
                                        "extensions/sd-webui-animatediff/model/mm_sd15_v3.safetensors",
                                        "venv/lib/torch/thing.pt",
                                        "repositories/k/model.bin"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[200];
        snprintf(name, sizeof name, "webui/%s", files[i]);
        put_text(name, "x");
    }
    search("webui");
    struct vka_library lib;
    assert_int_equal(vka_library_scan(&lib, NULL), VKA_OK);
    assert_string_equal(lib.folders[0].layout, "a1111");
    assert_int_equal(lib.folders[0].models, 9);
    for (size_t i = 0; i < lib.count; i++)
        assert_null(strstr(lib.entries[i].path, "venv"));
    vka_library_free(&lib);
    finds(CHECKPOINT, "dreamshaper_8", "webui/models/Stable-diffusion/dreamshaper_8.safetensors", NULL);
    finds(CHECKPOINT, "DreamShaper_8.SafeTensors", "webui/models/Stable-diffusion/dreamshaper_8.safetensors", NULL);
    finds(CHECKPOINT, "meina", "webui/models/Stable-diffusion/anime/meina.ckpt", NULL);
    finds(CHECKPOINT, "anime/meina", "webui/models/Stable-diffusion/anime/meina.ckpt", NULL);
    finds(VKA_LIBRARY_VAE, "mse", "webui/models/VAE/mse.pt", NULL);
    finds(VKA_LIBRARY_VAE, "meina.vae", "webui/models/Stable-diffusion/meina.vae.pt", NULL);
    finds(LORA, "add_detail", "webui/models/Lora/style/add_detail.safetensors", NULL);
    finds(VKA_LIBRARY_MOTION_LORA, "ink", "webui/models/LyCORIS/ink.safetensors", NULL);
    finds(VKA_LIBRARY_EMBEDDING, "bad-hands", "webui/embeddings/bad-hands.pt", NULL);
    finds(MOTION, "mm_sd15_v3", "webui/extensions/sd-webui-animatediff/model/mm_sd15_v3.safetensors", NULL);
    finds(CHECKPOINT, "half", NULL, "no model 'half'");
    finds(CHECKPOINT, ".hidden", NULL, "no model");
    finds(CHECKPOINT, "add_detail", NULL, "another kind");
    finds(CHECKPOINT, "dreamshapr", NULL, "'dreamshaper_8'");
    finds(CHECKPOINT, "dreamshaper", NULL, "'dreamshaper_8'"); /* half of a name is no name, but is told */
    finds(LORA, "nothing like it", NULL, "VKANIM_MODEL_PATH");
    finds(CHECKPOINT, "/no-such-place", NULL, "there is no model '/no-such-place'");
    finds(CHECKPOINT, "", NULL, "no model");
}

static void comfyui(void **state)
{
    (void)state;
    static const char *const files[] = {"models/checkpoints/a.safetensors", "models/loras/b.safetensors",
                                        "models/animatediff_models/mm.ckpt", "models/animatediff_motion_lora/pan.safetensors",
                                        "models/clip_vision/c.safetensors", "models/ipadapter/d.bin",
                                        "models/text_encoders/e.safetensors",
                                        "custom_nodes/ComfyUI-AnimateDiff-Evolved/models/old.ckpt",
                                        "custom_nodes/ComfyUI-AnimateDiff-Evolved/motion_lora/tilt.ckpt",
                                        "custom_nodes/other/big.ckpt", "output/x.bin"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[200];
        snprintf(name, sizeof name, "comfy/%s", files[i]);
        put_text(name, "x");
    }
    search("comfy");
    struct vka_library lib;
    assert_int_equal(vka_library_scan(&lib, NULL), VKA_OK);
    assert_string_equal(lib.folders[0].layout, "comfyui");
    assert_int_equal(lib.folders[0].models, 8);
    vka_library_free(&lib);
    finds(VKA_LIBRARY_VISION, "c", "comfy/models/clip_vision/c.safetensors", NULL);
    finds(VKA_LIBRARY_IP_ADAPTER, "d", "comfy/models/ipadapter/d.bin", NULL);
    finds(CHECKPOINT, "a", "comfy/models/checkpoints/a.safetensors", NULL);
    finds(MOTION, "MM", "comfy/models/animatediff_models/mm.ckpt", NULL);
    finds(MOTION, "old", "comfy/custom_nodes/ComfyUI-AnimateDiff-Evolved/models/old.ckpt", NULL);
    finds(VKA_LIBRARY_MOTION_LORA, "tilt", "comfy/custom_nodes/ComfyUI-AnimateDiff-Evolved/motion_lora/tilt.ckpt", NULL);
    finds(LORA, "pan", NULL, "another kind");
}

static void flat(void **state)
{
    (void)state;
    put_text("f/a.safetensors", "x");
    put_text("f/a.ckpt", "x");
    put_text("f/deep/deeper/b.pt", "x");
    put_text("f/diffusers-model/model_index.json", "{}");
    put_text("f/diffusers-model/unet/weights.safetensors", "x");
    put_text("f/parts/unet.weights", "x");
    put_text("g/a.safetensors", "x");
    put_text("g/only.pth", "x");
    put_text("g/one/twin.safetensors", "x");
    put_text("g/two/twin.safetensors", "x");
    assert_int_equal(symlink(in("f"), in("f/deep/loop")), 0);
    assert_int_equal(symlink(in("nowhere"), in("f/deep/gone.safetensors")), 0);
    assert_int_equal(symlink(in("g/only.pth"), in("f/link.pth")), 0);
    search("f:g:missing");
    struct vka_library lib;
    assert_int_equal(vka_library_scan(&lib, NULL), VKA_OK);
    assert_int_equal(lib.folders[0].models, 6); /* a link to nowhere is still a name; vka_models leaves it out */
    assert_int_equal(lib.folders[1].models, 4);
    assert_false(lib.cut);
    vka_library_free(&lib);
    finds(CHECKPOINT, "a", "f/a.safetensors", NULL);
    finds(CHECKPOINT, "a.ckpt", "f/a.ckpt", NULL);
    finds(CHECKPOINT, "b", "f/deep/deeper/b.pt", NULL);
    finds(CHECKPOINT, "deeper/b.pt", "f/deep/deeper/b.pt", NULL);
    finds(CHECKPOINT, "diffusers-model", "f/diffusers-model", NULL);
    finds(CHECKPOINT, "weights", NULL, "no model"); /* within a model's folder are its parts */
    finds(CHECKPOINT, "parts", "f/parts", NULL);
    finds(CHECKPOINT, "link", "f/link.pth", NULL);
    finds(CHECKPOINT, "twin", NULL, "'one/twin.safetensors', 'two/twin.safetensors'");
    finds(CHECKPOINT, "two/twin", "g/two/twin.safetensors", NULL);
    search("g:f");
    finds(CHECKPOINT, "a", "g/a.safetensors", NULL);
    finds(CHECKPOINT, in("f/a.ckpt"), "f/a.ckpt", NULL);
}

/* In a flat folder files of two kinds may have one name: their headers tell which is meant. */
static void kinds(void **state)
{
    (void)state;
    put_model("f/x/same.safetensors", "lora_unet_a.lora_down.weight", NULL, 0);
    put_model("f/y/same.safetensors", "emb_params", NULL, 0);
    search("f");
    finds(LORA, "same", "f/x/same.safetensors", NULL);
    finds(VKA_LIBRARY_EMBEDDING, "same", "f/y/same.safetensors", NULL);
    finds(MOTION, "same", NULL, "2 files");
}

/* ---- extra_model_paths.yaml --------------------------------------------------------------------------------------- */

static void yaml_in_a_folder(void **state)
{
    (void)state;
    char text[1000];
    put_text("ui/own.safetensors", "x");
    put_text("far/sd/a.safetensors", "x");
    put_text("far/loras/b.safetensors", "x");
    put_text("far/lyco/c.safetensors", "x");
    put_text("home/vae/d.safetensors", "x");
    put_text("ui/rel/e.ckpt", "x");
    put_text("default/own.safetensors", "x");
    setenv("HOME", in("home"), 1);
    snprintf(text, sizeof text,
             "# a comment\nwebui:\n    base_path: %s\n    checkpoints: sd/\n    loras: |\n        loras\n        lyco\n"
             "    upscale_models: |\n        sd\n    configs: sd\n"
             "home:\n    vae: ~/vae\n    animatediff_models: rel\nempty:\n"
             "best:\n    checkpoints: ../default\n    is_default: true\n",
             in("far"));
    put_text("ui/extra_model_paths.yaml", text);
    search("ui");
    struct vka_library lib;
    assert_int_equal(vka_library_scan(&lib, NULL), VKA_OK);
    assert_string_equal(lib.note, "");
    assert_string_equal(lib.folders[0].layout, "yaml");
    assert_non_null(strstr(lib.folders[0].path, "default"));
    assert_string_equal(lib.folders[1].layout, "flat");
    vka_library_free(&lib);
    finds(CHECKPOINT, "a", "far/sd/a.safetensors", NULL);
    finds(LORA, "b", "far/loras/b.safetensors", NULL);
    finds(LORA, "c", "far/lyco/c.safetensors", NULL);
    finds(VKA_LIBRARY_VAE, "d", "home/vae/d.safetensors", NULL);
    finds(MOTION, "e", "ui/rel/e.ckpt", NULL);
    finds(CHECKPOINT, "own", "ui/../default/own.safetensors", NULL); /* is_default: before the folder's own */
    put_text("ui/extra_model_paths.yaml", "a: [1, 2");
    assert_int_equal(vka_library_scan(&lib, NULL), VKA_OK);
    assert_non_null(strstr(lib.note, "extra_model_paths.yaml: it is not sections"));
    vka_library_free(&lib);
    finds(CHECKPOINT, "own", "ui/own.safetensors", NULL);
}

static void yaml_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        vka_status status;
        const char *paths; /* kind:path, in order, with spaces between */
    } cases[] = {
        {"", VKA_OK, ""},
        {"---\n...\n", VKA_OK, ""},
        {"a:\n  loras: x\n", VKA_OK, "3:/d/x "},
        {"a:\n  loras: x\n  base_path: /b\n", VKA_OK, "3:/b/x "}, /* whatever the order */
        {"a:\n  base_path: b/\n  loras: ./x/\nc:\n  vae: y\n", VKA_OK, "3:/d/b/x 2:/d/y "},
        {"a:\n  loras: /x\n  checkpoints: ~/y\n  vae: ~\n", VKA_OK, "3:/x 1:/h/y 2:/h "},
        {"a:\n  loras: |\n    x y\n\n    \n    z\r\n", VKA_OK, "3:/d/x_y 3:/d/z "},
        {"a:\n  loras: [x, 'y']\n", VKA_OK, "3:/d/x 3:/d/y "},
        {"a:\n  loras: ''\n  nonsense: x\n", VKA_OK, ""},
        {"a: null\nb: 5\n", VKA_OK, ""},
        {"just text\n", VKA_E_INPUT, ""},
        {"- a\n- b\n", VKA_E_INPUT, ""},
        {"a:\n  loras:\n    deep: x\n", VKA_E_INPUT, ""},
        {"a: &x\n  loras: y\nb: *x\n", VKA_E_INPUT, ""},
        {"a:\n  loras: [[x]]\n", VKA_E_INPUT, ""},
        {"a:\n\tloras: x\n", VKA_E_INPUT, ""},
        {"a:\n  loras: \"x\\0y\"\n", VKA_E_INPUT, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vka_model_paths p;
        vka_error err = {0};
        char got[300] = "";
        vka_status st = vka_model_paths_read(&p, cases[i].text, strlen(cases[i].text), "/d", "/h", &err);
        for (size_t k = 0; k < p.count; k++) {
            size_t n = strlen(got);
            snprintf(got + n, sizeof got - n, "%d:%s ", (int)p.items[k].kind, p.items[k].path);
            for (char *c = got + n; c[1]; c++)
                *c = *c == ' ' ? '_' : *c;
        }
        if (st != cases[i].status || strcmp(got, cases[i].paths) != 0)
            fail_msg("case %zu: status %d, '%s', %s %s", i, (int)st, got, err.what, err.why);
        assert_true(st == VKA_OK || err.what[0]);
        vka_model_paths_free(&p);
    }
}

/* ---- hashes --------------------------------------------------------------------------------------------------------- */

static void hashes(void **state)
{
    (void)state;
    size_t size = 0x111000;
    uint8_t *big = calloc(1, size);
    assert_non_null(big);
    for (size_t i = 0; i < size; i++)
        big[i] = (uint8_t)(i * 7 + (i >> 12));
    put("f/big.ckpt", big, size);
    char sha[65], legacy[9], addnet[13], hex[65];
    vka_sha256 s;
    vka_sha256_init(&s);
    vka_sha256_add(&s, big + 0x100000, 0x10000);
    vka_sha256_hex(&s, hex);
    assert_true(vka_hash_legacy(in("f/big.ckpt"), legacy));
    assert_memory_equal(legacy, hex, 8);
    assert_int_equal(strlen(legacy), 8);
    free(big);
    put_text("f/small.ckpt", "abc");
    assert_false(vka_hash_legacy(in("f/small.ckpt"), legacy));
    assert_true(vka_hash_addnet(in("f/small.ckpt"), addnet)); /* of what has no header, of all: SHA-256 of "abc" */
    assert_string_equal(addnet, "ba7816bf8f01");
    put("f/l.safetensors", "\2\0\0\0\0\0\0\0{}abc", 13);
    assert_true(vka_hash_addnet(in("f/l.safetensors"), addnet));
    assert_string_equal(addnet, "ba7816bf8f01");
    put("f/cut.safetensors", "\377\377\377\377\377\377\377\377abc", 11); /* a header that reaches past the end */
    assert_true(vka_hash_addnet(in("f/cut.safetensors"), addnet));
    assert_false(vka_hash_addnet(in("f/none"), addnet));

    /* names with hashes: before they are known, and after */
    put_text("f/one/x.safetensors", "abc");
    put_text("f/two/x.safetensors", "abcd");
    search("f");
    finds(CHECKPOINT, "small [0123456789]", "f/small.ckpt", NULL); /* not known, and the name is that of one file */
    finds(CHECKPOINT, "x [ba7816bf8f]", "f/one/x.safetensors", NULL);
    char *path;
    json_t *cache = vka_cache_load("hashes.json", &path);
    bool changed = false;
    assert_true(vka_hash_known(cache, in("f/two/x.safetensors"), sha)); /* asking among several has hashed them */
    assert_false(vka_hash_known(cache, in("f/small.ckpt"), sha));
    assert_int_equal(vka_hash_of(cache, in("f/small.ckpt"), NULL, sha, &changed, NULL), VKA_OK);
    assert_true(changed);
    vka_cache_store(path, cache);
    json_decref(cache);
    free(path);
    finds(CHECKPOINT, "small [0123456789]", NULL, "not the one");
    finds(CHECKPOINT, "small [BA7816BF8F]", "f/small.ckpt", NULL);
    char name[40];
    snprintf(name, sizeof name, "[%.8s]", hex);
    finds(CHECKPOINT, name, "f/big.ckpt", NULL); /* the old short hash, alone */
    finds(CHECKPOINT, hex + 56, NULL, "no model");
    finds(CHECKPOINT, "[88d4266fd4]", "f/two/x.safetensors", NULL); /* SHA-256 of "abcd" */
    finds(CHECKPOINT, "88d4266fd4", "f/two/x.safetensors", NULL);
    put_text("f/small.ckpt", "changed");
    finds(CHECKPOINT, "small [0123456789]", "f/small.ckpt", NULL); /* another file now: not known again */
}

/* ---- the list ---------------------------------------------------------------------------------------------------------- */

static json_t *list(const vka_models_query *query, vka_status want)
{
    vka_context *cx;
    char *report = NULL;
    vka_error err = {0};
    assert_int_equal(vka_context_create(&cx, NULL, &err), VKA_OK);
    assert_int_equal(vka_models(cx, query, &report, &err), want);
    json_t *o = report ? json_loads(report, 0, NULL) : NULL;
    assert_int_equal(o != NULL, want == VKA_OK);
    vka_free(report);
    vka_context_destroy(&cx);
    return o;
}

static const json_t *model(const json_t *report, const char *name)
{
    json_t *models = json_object_get(report, "models");
    for (size_t i = 0; i < json_array_size(models); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(models, i), "name")), name) == 0)
            return json_array_get(models, i);
    fail_msg("'%s' is not listed", name);
    return NULL;
}

static void says(const json_t *model, const char *key, const char *want)
{
    const json_t *v = json_object_get(model, key);
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text || strcmp(text, want) != 0)
        fail_msg("%s is %s, not %s", key, text ? text : "missing", want);
    free(text);
}

static void listing(void **state)
{
    (void)state;
    static const char *const metadata[][2] = {
        {"ss_tag_frequency", "{\"10_a\":{\"girl\":5,\"hat\":2},\"5_b\":{\"hat\":9,\"odd\":null,\"sky\":2}}"},
        {"modelspec.trigger_phrase", "inkstyle"},
        {"modelspec.title", "Ink"}};
    put_model("f/ink.safetensors", "lora_unet_a.lora_down.weight", metadata, 3);
    put_text("f/ink.json", "{\"activation text\": \"ink, brush\"}");
    put_text("f/ink.civitai.info", "{\"trainedWords\": [\"inkstyle\", \"wash\", 5]}");
    put_model("f/bad-hands.safetensors", "emb_params", NULL, 0);
    put_text("f/bad-hands.json", "not JSON");
    put_text("f/damaged.safetensors", "\xff\xff");
    put_text("f/empty.ckpt", "");
    search("f");
    json_t *report = list(NULL, VKA_OK);
    says(report, "schema", "1");
    says(report, "command", "\"models\"");
    const json_t *m = model(report, "ink");
    says(m, "kind", "\"lora\"");
    says(m, "triggers", "[\"inkstyle\",\"ink, brush\",\"wash\"]");
    says(m, "tags", "[\"hat\",\"girl\",\"sky\"]");
    says(m, "title", "\"Ink\"");
    says(m, "sha256", "null");
    says(m, "problem", "null");
    assert_true(json_integer_value(json_object_get(m, "bytes")) > 4 * 768 * 4);
    says(model(report, "bad-hands"), "kind", "\"embedding\"");
    says(model(report, "damaged"), "kind", "\"unknown\"");
    assert_true(json_is_string(json_object_get(model(report, "damaged"), "problem")));
    assert_true(json_is_string(json_object_get(model(report, "empty"), "problem")));
    json_decref(report);

    vka_models_query query = {.kind = "embedding"};
    report = list(&query, VKA_OK);
    assert_int_equal(json_array_size(json_object_get(report, "models")), 1);
    json_decref(report);
    static const char *const names[] = {"INK", "nope"};
    query = (vka_models_query){.names = names, .name_count = 2, .hash = 1};
    report = list(&query, VKA_OK);
    assert_int_equal(json_array_size(json_object_get(report, "models")), 1);
    m = model(report, "ink");
    char *bytes, hex[65], want[70];
    size_t size;
    vka_sha256 s;
    assert_int_equal(vka_read_file(in("f/ink.safetensors"), 1 << 20, &bytes, &size, NULL), VKA_OK);
    vka_sha256_init(&s);
    vka_sha256_add(&s, bytes, size);
    vka_sha256_hex(&s, hex);
    free(bytes);
    snprintf(want, sizeof want, "\"%s\"", hex);
    says(m, "sha256", want);
    snprintf(want, sizeof want, "\"%.10s\"", hex);
    says(m, "hash", want);
    for (char *c = want; *c; c++)
        *c = *c >= 'a' && *c <= 'f' ? (char)(*c - 32) : *c;
    says(m, "autov2", want);
    assert_int_equal(strlen(json_string_value(json_object_get(m, "lora_hash"))), 12);
    json_decref(report);
    query = (vka_models_query){.names = names + 1, .name_count = 1};
    list(&query, VKA_E_INPUT);

    /* The second time comes from the cache: a file that changed behind its size and time is not read again; one that
     * changed as files do is. */
    struct stat before;
    assert_int_equal(stat(in("f/damaged.safetensors"), &before), 0);
    FILE *f = fopen(in("cache/library.json"), "r+");
    assert_non_null(f);
    static char text[20000];
    size_t n = fread(text, 1, sizeof text - 1, f);
    char *kind = strstr(text, "\"embedding\"");
    assert_non_null(kind);
    memcpy(kind, "\"unharmful\"", 11); /* as long */
    rewind(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    report = list(NULL, VKA_OK);
    says(model(report, "bad-hands"), "kind", "\"unharmful\"");
    json_decref(report);
    put_model("f/damaged.safetensors", "emb_params", NULL, 0);
    report = list(NULL, VKA_OK);
    says(model(report, "damaged"), "kind", "\"embedding\"");
    json_decref(report);
    put_text("cache/library.json", "[]"); /* a cache that is none */
    report = list(NULL, VKA_OK);
    says(model(report, "bad-hands"), "kind", "\"embedding\"");
    json_decref(report);
}

/* ---- names from others ------------------------------------------------------------------------------------------- */

/* vka_find takes no path, whether there is such a file or not, and nothing beside the program. */
static void names_alone(void **state)
{
    (void)state;
    char here[400], *path = NULL;
    put_model("m/style/ink.safetensors", "lora_unet_x.lora_down.weight", NULL, 0);
    put_model("cwd/beside.safetensors", "lora_unet_x.lora_down.weight", NULL, 0);
    put_model("cwd/ink.safetensors", "lora_unet_x.lora_down.weight", NULL, 0);
    search("m");
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(in("cwd")), 0);
    path = vka_find_model(LORA, "ink.safetensors", NULL); /* an option's value is a path first */
    assert_non_null(path);
    assert_string_equal(path, "ink.safetensors");
    free(path);
    const char *const good[] = {"ink", "INK.safetensors", "style/ink", "style/ink.safetensors"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        vka_error err = {0};
        if (vka_find("lora", good[i], &path, &err) != VKA_OK || strcmp(path, in("m/style/ink.safetensors")) != 0)
            fail_msg("'%s': %s (%s)", good[i], path ? path : "nothing", err.what);
        vka_free(path);
    }
    const char *const bad[] = {"beside.safetensors", "beside", in("m/style/ink.safetensors"), "./ink.safetensors",
                               "../cwd/ink.safetensors", "style/../../cwd/ink.safetensors", "style/./ink", "style//ink", "/", "", ".", "..",
                               "ink/", "./",
                               "style/.hidden", "../m/style/ink.safetensors"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vka_error err = {0};
        if (vka_find("lora", bad[i], &path, &err) != VKA_E_INPUT || path || !err.what[0])
            fail_msg("'%s' is %s", bad[i], path ? path : err.what);
    }
    vka_error err = {0};
    assert_int_equal(vka_find("vehicle", "ink", &path, &err), VKA_E_USAGE);
    assert_int_equal(chdir(here), 0);
}

/* The first line of the error of a plan of this prompt or travel. */
static const char *planned(int names_only, const char *option, const char *value, vka_error *err)
{
    vka_context *cx = NULL;
    vka_job *job = vka_job_create();
    char *report = NULL;
    *err = (vka_error){0};
    assert_int_equal(vka_context_create(&cx, &(vka_context_params){.names_only = names_only}, err), VKA_OK);
    assert_int_equal(vka_job_set(job, "model", VKA_SOURCE_DIR "/models/miniature", err), VKA_OK);
    assert_int_equal(vka_job_set(job, "device-memory", "4G", err), VKA_OK);
    assert_int_equal(vka_job_set(job, option, value, err), VKA_OK);
    (void)vka_plan(cx, job, &report, err);
    vka_free(report);
    vka_job_destroy(&job);
    vka_context_destroy(&cx);
    return err->what;
}

/* A prompt's <lora:...>, however it comes about, opens no file by its path where the context says so. */
static void prompts_alone(void **state)
{
    (void)state;
    char text[1200];
    vka_error err;
    put_text("secret.txt", "not a model");
    const char *path = in("secret.txt");
    snprintf(text, sizeof text, "a <lora:%s:1> b", path);
    if (!strstr(planned(0, "prompt", text, &err), "secret.txt") || strstr(err.what, "not the name"))
        fail_msg("a path in a prompt is not what it was: %s", err.what);
    if (!strstr(planned(1, "prompt", text, &err), "is not the name of a LoRA"))
        fail_msg("prompt: %s", err.what);
    snprintf(text, sizeof text, "0: a <lora:%s:1>\n8: b <lora:%s:1>", path, path);
    if (!strstr(planned(1, "travel", text, &err), "is not the name of a LoRA"))
        fail_msg("lines: %s", err.what);
    snprintf(text, sizeof text, "{\"0\": \"\\u003clora:%s:1>\", \"8\": \"\\u003clora:%s:1>\"}", path, path);
    if (!strstr(planned(1, "travel", text, &err), "is not the name of a LoRA"))
        fail_msg("escapes: %s", err.what);
}

#define IN(test) cmocka_unit_test_setup_teardown(test, open_folder, close_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {IN(a1111),  IN(comfyui),          IN(flat),       IN(kinds), IN(yaml_in_a_folder),
                                       IN(yaml_forms), IN(hashes), IN(listing), IN(names_alone), IN(prompts_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* pipelines.c - compiles every pipeline that a clip needs on the device at hand and tells what the driver's compiler made of
 * each: registers, spills, shared memory, scratch, waves.  Computes nothing, so that a stand-in device will do.
 *
 *     pipelines [--model sd15|FOLDER] [--size WxHxF | --grid] [--precision f16|f32] [--path NAME] [--limit N] [--json]
 *               [--table STEM]
 *
 * The networks of one model (text encoder, UNet with its motion module and the sampler's arithmetic, VAE decoder) are planned
 * with room for everything and with none: both plans must ask for exactly the same pipelines, since memory must not change a
 * bit.  With --grid that is done for each clip of the table in bench/README.md (six pictures; 16 and 32 frames, 64 in windows),
 * also within its budgets and what the device's heap leaves, as far as the device has them: a plan that fits no such budget
 * is told and counts for nothing, any other must keep each block below the largest that the driver allows.  `sd15` stands for Stable Diffusion 1.5 with AnimateDiff v2, from tables of shapes; FOLDER is a diffusers folder with
 * motion.safetensors in it.
 * The path is the device's own choice, or fp32, fp16, khr, nv2.  --table writes STEM.json and STEM.md besides.
 * Fails when a pipeline does not compile, spills registers or takes scratch memory (on AMD: any; elsewhere: more than a little),
 * when the plans differ, or when there are more than N pipelines (150); on AMD also when a matrix kernel takes more than half of
 * a workgroup processor's shared memory or leaves fewer than four subgroups on a SIMD of a large chip (occupancy.h).
 * 77: there is no device, or it does not have the path. */
#include "networks.h"

#include "occupancy.h"
#include "ops/launch.h"
#include "render/stages.h"
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_KEYS = 1024,
    MOST_FIGURES = 128,
    AMD = 0x1002,
    FEW_BYTES = 64,         /* of scratch: what a driver puts there without calling it a spill (NVK 25.0: 20) */
    HALF_PROCESSOR = 65536, /* of an RDNA workgroup processor's 128 KiB */
    LEAST_WAVES = 4
};

struct figure {
    char name[64];
    double value;
};

struct entry {
    vka_pipeline_key key;
    uint32_t network, plan; /* the last that asked: a network's first plan, and any plan; counted from 1 */
    char label[96];         /* of the first node that asks for it */
    uint32_t launches;
    struct figure figures[MOST_FIGURES];
    uint32_t figure_count, executables;
    double waves; /* on a SIMD, by occupancy.h or else the driver; negative: unknown */
};

struct survey {
    const struct vka_kernel_table *table;
    const vka_gpu_info *info;
    struct entry *entries;
    uint32_t count;
    uint32_t network, plan; /* the present ones, counted from 1 */
    bool closed;            /* the network's first plan is done: no other may ask for more, or for less */
    uint64_t budgets[12];   /* bytes, for each network; the first is no limit */
    uint32_t budget_count;
    uint32_t fitting, refused; /* plans within their budgets and beyond, without the first and the smallest */
    uint32_t failures;
};

struct options {
    const char *model;
    uint32_t width, height, frames, window, limit;
    bool grid;
    const char *path, *table; /* NULL: the device's own; no files */
    bool f16, json;
};

static int fail(const vka_error *err)
{
    fprintf(stderr, "pipelines: %s\n", err->what);
    if (err->why[0])
        fprintf(stderr, "  %s\n", err->why);
    return err->status == VKA_E_DEVICE ? 77 : 1;
}

/* ---- what a plan asks for ------------------------------------------------------------------------------ */

static void note(struct survey *v, const struct vka_dispatch *d, const char *label)
{
    vka_pipeline_key key;
    memset(&key, 0, sizeof key);
    key.shader = d->shader;
    key.subgroup_size = d->subgroup_size;
    key.full_subgroups = d->subgroup_size && d->constants[0] % d->subgroup_size == 0;
    key.count = d->count;
    memcpy(key.constants, d->constants, d->count * sizeof *d->constants);
    uint32_t i = 0;
    while (i < v->count && memcmp(&v->entries[i].key, &key, sizeof key) != 0)
        i++;
    if (i == MOST_KEYS)
        return;
    if (i == v->count) {
        v->entries[v->count].key = key;
        snprintf(v->entries[v->count++].label, sizeof v->entries[0].label, "%s", label);
    }
    if (v->closed && v->entries[i].network != v->network) {
        fprintf(stderr, "pipelines: '%s' takes another kernel, %s, when memory is short\n", label,
                vka_shaders[d->shader].name);
        v->failures++;
    }
    v->entries[i].network = v->network;
    v->entries[i].plan = v->plan;
    v->entries[i].launches += !v->closed;
    for (int k = 0; k < 3; k++)
        if (d->groups[k] == 0 || d->groups[k] > v->info->max_groups[k]) {
            fprintf(stderr, "pipelines: '%s' launches %u x %u x %u workgroups, too many\n", label, d->groups[0],
                    d->groups[1], d->groups[2]);
            v->failures++;
        }
}

/* What the driver would not give. */
static void check_blocks(struct survey *v, const struct vka_plan *p)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < p->arena_block_count; i++)
        most = p->arena_blocks[i] > most ? p->arena_blocks[i] : most;
    for (uint32_t i = 0; i < p->weight_block_count; i++)
        most = p->weight_blocks[i] > most ? p->weight_blocks[i] : most;
    if (vka_block_footprint(most) > v->info->max_block) {
        fprintf(stderr, "pipelines: %s: a block of %.0f MiB, the driver allows %.0f\n", p->graph->name,
                (double)most / 1048576, (double)v->info->max_block / 1048576);
        v->failures++;
    }
}

/* The pipelines of the network's present plan. */
static vka_status survey_plan(struct survey *v, const struct vka_netrun *run, vka_error *err)
{
    struct vka_rates rates = vka_exec_rates(v->info, 0);
    struct vka_addresses at;
    uint64_t *store;
    vka_status s = vka_addresses_fake(run->plan, &at, &store, err);
    if (s != VKA_OK)
        return s;
    struct vka_program *p = vka_program_record(run->plan, v->table, &at, &rates, err);
    free(store);
    if (!p)
        return err->status;
    v->plan++;
    for (uint32_t i = 0; i < p->step_count; i++)
        for (uint32_t l = 0; l < p->steps[i].launches; l++)
            note(v, &p->launches[p->steps[i].launch + l], p->steps[i].node->label);
    for (uint32_t i = 0; v->closed && i < v->count; i++)
        if (v->entries[i].network == v->network && v->entries[i].plan != v->plan) {
            fprintf(stderr, "pipelines: %s: %s for '%s' is not asked for when memory is short\n", run->graph->name,
                    vka_shaders[v->entries[i].key.shader].name, v->entries[i].label);
            v->failures++;
        }
    vka_program_destroy(&p);
    return VKA_OK;
}

/* `other` bytes are taken beside the network. */
static vka_status survey_run(struct survey *v, struct vka_netrun *run, uint64_t other, vka_error *err)
{
    vka_status s = VKA_OK;
    v->network++;
    for (uint32_t k = 0; s == VKA_OK && k < v->budget_count; k++) {
        uint64_t budget = v->budgets[k];
        s = vka_netrun_plan(run, budget, other, err);
        bool fits = s == VKA_OK && run->need + other <= budget;
        v->closed = k > 0;
        if (s == VKA_OK && (k == 0 || budget == 0 || fits))
            s = survey_plan(v, run, err);
        if (s != VKA_OK || k == 0 || budget == 0)
            continue;
        v->fitting += fits;
        v->refused += !fits;
        if (fits)
            check_blocks(v, run->plan);
    }
    v->closed = false;
    return s;
}

/* ---- the networks of a model --------------------------------------------------------------------------- */

struct parts {
    const vka_text_config *text_config;
    vka_weights *text, *unet, *motion, *vae;
    const vka_unet_config *unet_config;
    const vka_motion_info *motion_info;
    const vka_vae_config *vae_config;
    bool vae_f16;
};

static vka_status survey_parts(struct survey *v, const struct parts *p, const struct options *o, vka_error *err)
{
    uint32_t factor = 1u << (p->vae_config->levels - 1);
    uint64_t io, need;
    struct vka_text_stage text = {0};
    struct vka_unet_stage unet = {0};
    struct vka_vae_stage vae = {0};
    vka_sampler_params sampling = vka_sampler_params_default();
    vka_sampler *sampler = vka_sampler_create(&sampling, err);
    if (!sampler)
        return err->status;
    vka_status s = vka_text_stage_build(&text, p->text, p->text_config, 0, 2, p->text_config->max_positions, o->f16,
                                        v->table, err);
    if (s == VKA_OK)
        s = survey_run(v, &text.run, vka_block_footprint(text.io.bytes), err);
    struct vka_unet_stage_params u = {.weights = p->unet,
                                      .motion_weights = p->motion,
                                      .config = p->unet_config,
                                      .motion = p->motion_info,
                                      .frames = o->frames,
                                      .height = o->height / factor,
                                      .width = o->width / factor,
                                      .branches = 2,
                                      .prompts = 2,
                                      .tokens = p->text_config->max_positions,
                                      .text_width = p->text_config->hidden,
                                      .f16 = o->f16,
                                      .sampler = sampler,
                                      .table = *v->table,
                                      .window = {o->window, 1, o->window / 4}};
    if (s == VKA_OK)
        s = vka_unet_stage_build(&unet, &u, err);
    if (s == VKA_OK)
        s = vka_unet_stage_plan(&unet, UINT64_MAX, &need, err);
    io = s == VKA_OK ? need - unet.unet.need : 0;
    if (s == VKA_OK)
        s = survey_run(v, &unet.begin, 0, err);
    if (s == VKA_OK)
        s = survey_run(v, &unet.unet, io, err);
    if (s == VKA_OK && unet.parked)
        s = survey_run(v, &unet.guide, 0, err);
    for (uint32_t k = 0; s == VKA_OK && k < unet.patterns; k++)
        s = survey_run(v, &unet.pattern[k], 0, err);
    if (s == VKA_OK)
        s = vka_vae_stage_build(&vae, VKA_VAE_PICTURES, p->vae, p->vae_config, 1, o->height / factor, o->width / factor,
                                o->f16 && p->vae_f16, v->table, err);
    if (s == VKA_OK)
        s = survey_run(v, &vae.run, vka_block_footprint(vae.io.bytes), err);
    vka_text_stage_end(&text);
    vka_unet_stage_end(&unet);
    vka_vae_stage_end(&vae);
    vka_sampler_free(sampler);
    return s;
}

/* The clip that was asked for, or each of the grid. */
static vka_status survey_clips(struct survey *v, const struct parts *p, const struct options *o, vka_error *err)
{
    static const uint32_t sizes[][2] = {{256, 256}, {512, 512}, {768, 512}, {768, 768}, {1024, 576}, {1024, 1024}};
    static const uint32_t lengths[][2] = {{16, 0}, {32, 0}, {64, 16}};
    vka_status s = o->grid ? VKA_OK : survey_parts(v, p, o, err);
    for (uint32_t i = 0; s == VKA_OK && o->grid && i < sizeof sizes / sizeof *sizes; i++)
        for (uint32_t k = 0; s == VKA_OK && k < sizeof lengths / sizeof *lengths; k++) {
            struct options clip = *o;
            uint32_t before = v->count, refused = v->refused, fitting = v->fitting;
            clip.width = sizes[i][0], clip.height = sizes[i][1], clip.frames = lengths[k][0],
            clip.window = lengths[k][1];
            s = survey_parts(v, p, &clip, err);
            printf("%ux%u, %u frames%s: %u plans, %u budgets too small, %u pipelines more\n", clip.width, clip.height,
                   clip.frames, clip.window ? " in windows" : "", v->fitting - fitting, v->refused - refused,
                   v->count - before);
        }
    return s;
}

static vka_status survey_sd15(struct survey *v, const struct options *o, vka_error *err)
{
    const vka_unet_config unet = networks_sd15_unet();
    const vka_vae_config vae = networks_sd15_vae();
    const vka_text_config text = networks_sd15_text();
    const vka_motion_info motion = networks_v2_motion(&unet);
    struct parts p = {&text,
                      networks_text_table(&text, NULL),
                      networks_unet_table(&unet, NULL),
                      networks_motion_table(&motion, &unet, NULL),
                      networks_vae_table(&vae, NULL),
                      &unet,
                      &motion,
                      &vae,
                      true};
    vka_status s = p.text && p.unet && p.motion && p.vae ? survey_clips(v, &p, o, err)
                                                         : vka_fail(err, VKA_E_MEMORY, "out of memory");
    vka_weights_free(p.text);
    vka_weights_free(p.unet);
    vka_weights_free(p.motion);
    vka_weights_free(p.vae);
    return s;
}

static vka_status survey_folder(struct survey *v, const struct options *o, vka_error *err)
{
    char path[1024];
    vka_model *model = NULL;
    vka_motion *motion = NULL;
    snprintf(path, sizeof path, "%s/motion.safetensors", o->model);
    vka_status s = vka_model_open(&model, o->model, err);
    if (s == VKA_OK)
        s = vka_motion_open(&motion, path, err);
    if (s == VKA_OK) {
        struct parts p = {vka_model_text(model, err),
                          vka_model_weights(model, VKA_PART_TEXT, err),
                          vka_model_weights(model, VKA_PART_UNET, err),
                          vka_motion_weights(motion),
                          vka_model_weights(model, VKA_PART_VAE, err),
                          vka_model_unet(model, err),
                          vka_motion_describe(motion),
                          vka_model_vae(model, err),
                          false};
        bool whole = p.text_config && p.text && p.unet && p.vae && p.unet_config && p.vae_config;
        if (whole)
            p.vae_f16 = !json_is_true(json_object_get(vka_model_json(model, VKA_PART_VAE), "force_upcast"));
        s = whole ? survey_clips(v, &p, o, err) : err->status;
    }
    vka_motion_close(motion);
    vka_model_close(model);
    return s;
}

/* ---- what the compiler says ---------------------------------------------------------------------------- */

static void keep(void *user, uint32_t executable, const char *name, double value)
{
    struct entry *e = user;
    if (e->figure_count == MOST_FIGURES)
        return;
    struct figure *f = &e->figures[e->figure_count++];
    snprintf(f->name, sizeof f->name, "%s%s", executable ? "2: " : "", name);
    f->value = value;
}

/* The first of the drivers' names for a quantity that is there; -1: none is. Names end with NULL. */
static double look(const struct entry *e, const char *const *names)
{
    for (; *names; names++)
        for (uint32_t i = 0; i < e->figure_count; i++)
            if (strcmp(e->figures[i].name, *names) == 0)
                return e->figures[i].value;
    return -1;
}

static const char *const registers[] = {"VGPRs", "Number of GPRs", "Registers", "GPRs", "Max full registers", NULL};
static const char *const scalars[] = {"SGPRs", "Uniform GPRs", "Uniforms", NULL};
static const char *const shared[] = {
    "LDS size", "LDS Size", "Shared Memory Size", "Shared memory size", "Workgroup Memory Size", "Local Memory", NULL};
static const char *const scratch[] = {"Scratch size", "Scratch Memory Size", "SLM size", "SLM Size", "Scratch", NULL};
static const char *const code[] = {"Code size", "Code Size", "Code size (in bytes)", "Instruction Count", NULL};
static const char *const waves[] = {
    "Subgroups per SIMD", "Max warps/SM", "Max Waves Per Core", "Threads", "Max threads per core", NULL};
static const char *const width[] = {"Subgroup size", NULL};

/* All that is spilled to memory, whatever the driver calls it (NVK counts moves between register files too). */
static double spills(const struct entry *e)
{
    double sum = 0;
    for (uint32_t i = 0; i < e->figure_count; i++)
        if (strstr(e->figures[i].name, "pill") && !strstr(e->figures[i].name, "to reg"))
            sum += e->figures[i].value;
    return sum;
}

/* Kernels of cooperative matrices carry their path in their name (shaders/variants.txt). */
static bool uses_matrices(const struct entry *e)
{
    const char *name = vka_shaders[e->key.shader].name;
    return strstr(name, "khr") || strstr(name, "nv2");
}

static double count_waves(const struct survey *v, const struct entry *e)
{
    double driver = look(e, waves), vgprs = look(e, registers), sgprs = look(e, scalars), bytes = look(e, shared);
    double lanes = look(e, width);
    struct rig_kernel k = {.subgroup = lanes > 0 ? (uint32_t)lanes : v->info->subgroup_size,
                           .invocations = e->key.constants[0],
                           .vgprs = vgprs > 0 ? (uint32_t)vgprs : 0,
                           .sgprs = sgprs > 0 ? (uint32_t)sgprs : 0,
                           .shared = bytes > 0 ? (uint32_t)bytes : 0};
    return vgprs >= 0 ? rig_waves(v->info->name, &k, driver) : driver;
}

static void print_constants(char *out, size_t size, const struct entry *e)
{
    out[0] = '\0';
    for (uint32_t i = 0, at = 0; i < e->key.count && at < size - 12; i++)
        at += (uint32_t)snprintf(out + at, size - at, "%s%u", i ? "," : "", e->key.constants[i]);
}

static void print_key(const struct entry *e)
{
    char constants[160];
    print_constants(constants, sizeof constants, e);
    printf("%-21s %-36s ", vka_shaders[e->key.shader].name, constants);
}

static void print_figures(const struct entry *e)
{
    printf("%3.0f %5.0f %5.0f %5.0f %6.0f %6.0f %6.0f %5.1f %5u  %s\n", look(e, width), look(e, registers),
           look(e, scalars), spills(e), look(e, scratch), look(e, shared), look(e, code), e->waves, e->launches,
           e->label);
}

static void write_json(const struct survey *v, const struct options *o, FILE *f, bool all)
{
    const struct vka_kernel_table *t = v->table;
    fprintf(f, "{\"device\":\"%s\",\"driver\":\"%s\",\"model\":\"%s\",\"size\":\"%ux%ux%u\",", v->info->name,
            v->info->driver, o->model, o->width, o->height, o->frames);
    enum vka_path path = o->f16 ? t->path : VKA_PATH_FP32;
    fprintf(f, "\"precision\":\"%s\",\"path\":\"%s\",", o->f16 ? "f16" : "f32", vka_path_name(path));
    if (path == VKA_PATH_KHR)
        fprintf(f, "\"fragment\":\"%ux%ux%u\",", t->matrix.m, t->matrix.n, t->matrix.k);
    fprintf(f, "\"pipelines\":[");
    for (uint32_t i = 0; i < v->count; i++) {
        const struct entry *e = &v->entries[i];
        fprintf(f, "%s\n{\"shader\":\"%s\",\"constants\":[", i ? "," : "", vka_shaders[e->key.shader].name);
        for (uint32_t k = 0; k < e->key.count; k++)
            fprintf(f, "%s%u", k ? "," : "", e->key.constants[k]);
        fprintf(f, "],\"subgroup\":%.17g,\"registers\":%.17g,\"scalar_registers\":%.17g,\"spills\":%.17g,",
                look(e, width), look(e, registers), look(e, scalars), spills(e));
        fprintf(f, "\"scratch\":%.17g,\"shared\":%.17g,\"code\":%.17g,\"waves\":%.17g,", look(e, scratch),
                look(e, shared), look(e, code), e->waves);
        fprintf(f, "\"launches\":%u,\"first\":\"%s\"", e->launches, e->label);
        for (uint32_t k = 0; all && k < e->figure_count; k++)
            fprintf(f, "%s\"%s\":%.17g", k ? "," : ",\"figures\":{", e->figures[k].name, e->figures[k].value);
        fprintf(f, all && e->figure_count ? "}}" : "}");
    }
    fprintf(f, "]}\n");
}

static void write_markdown(const struct survey *v, const struct options *o, FILE *f, bool all)
{
    const struct vka_kernel_table *t = v->table;
    enum vka_path path = o->f16 ? t->path : VKA_PATH_FP32;
    char fragment[48] = "";
    (void)all;
    if (path == VKA_PATH_KHR)
        snprintf(fragment, sizeof fragment, ", fragments of %u x %u x %u", t->matrix.m, t->matrix.n, t->matrix.k);
    fprintf(f, "## %s: %s%s\n\n%s; %u pipelines.\n\n", v->info->name, vka_path_name(path), fragment, v->info->driver,
            v->count);
    fprintf(f, "| kernel | constants | subgroup | VGPRs | SGPRs | spills | scratch | LDS | code | waves | launches |"
               " first used by |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n");
    for (uint32_t i = 0; i < v->count; i++) {
        const struct entry *e = &v->entries[i];
        char constants[160];
        print_constants(constants, sizeof constants, e);
        fprintf(f, "| %s | %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %.1f | %u | %s |\n",
                vka_shaders[e->key.shader].name, constants, look(e, width), look(e, registers), look(e, scalars),
                spills(e), look(e, scratch), look(e, shared), look(e, code), e->waves, e->launches, e->label);
    }
    fprintf(f, "\n");
}

/* Writes STEM.json and STEM.md. */
static void write_files(struct survey *v, const struct options *o)
{
    static const struct {
        const char *tail;
        void (*write)(const struct survey *v, const struct options *o, FILE *f, bool all);
    } kinds[] = {{"json", write_json}, {"md", write_markdown}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s.%s", o->table, kinds[i].tail);
        FILE *f = fopen(path, "w");
        if (f)
            kinds[i].write(v, o, f, false);
        if (!f || fclose(f) != 0) {
            fprintf(stderr, "pipelines: cannot write '%s'\n", path);
            v->failures++;
        }
    }
}

/* What a kernel may not take. */
static void judge(struct survey *v, const struct entry *e)
{
    const char *name = vka_shaders[e->key.shader].name;
    bool amd = v->info->vendor == AMD;
    if (spills(e) > 0 || look(e, scratch) > (amd ? 0 : FEW_BYTES)) {
        fprintf(stderr, "pipelines: %s spills in '%s'\n", name, e->label);
        v->failures++;
    }
    if (!amd || !uses_matrices(e))
        return;
    if (look(e, shared) > HALF_PROCESSOR) {
        fprintf(stderr, "pipelines: %s takes %.0f bytes of shared memory in '%s'\n", name, look(e, shared), e->label);
        v->failures++;
    }
    if (rig_wants_four(v->info->name) && e->waves < LEAST_WAVES) {
        fprintf(stderr, "pipelines: %s leaves %.1f subgroups on a SIMD in '%s'\n", name, e->waves, e->label);
        v->failures++;
    }
}

static int by_shader(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->key.shader != y->key.shader)
        return x->key.shader < y->key.shader ? -1 : 1;
    for (uint32_t i = 0; i < VKA_MAX_CONSTANTS; i++)
        if (x->key.constants[i] != y->key.constants[i])
            return x->key.constants[i] < y->key.constants[i] ? -1 : 1;
    return 0;
}

static void compile_all(struct survey *v, vka_gpu *gpu, const struct options *o)
{
    qsort(v->entries, v->count, sizeof *v->entries, by_shader);
    if (!o->json)
        printf("%-21s %-36s %3s %5s %5s %5s %6s %6s %6s %5s %5s  %s\n", "kernel", "constants", "sg", "regs", "sregs",
               "spill", "scrtch", "shared", "code", "waves", "uses", "first used by");
    for (uint32_t i = 0; i < v->count; i++) {
        struct entry *e = &v->entries[i];
        vka_pipeline *p;
        vka_error err = {0};
        if (!o->json) { /* first, for a driver may crash */
            print_key(e);
            fflush(stdout);
        }
        if (vka_gpu_pipeline(gpu, &e->key, &p, &err) != VKA_OK) {
            fail(&err);
            fprintf(stderr, "  for '%s'\n", e->label);
            if (!o->json)
                printf("%s\n", err.what);
            v->failures++;
            continue;
        }
        e->executables = vka_pipeline_statistics(gpu, p, keep, e);
        e->waves = count_waves(v, e);
        if (!o->json)
            print_figures(e);
        judge(v, e);
    }
    if (o->json)
        write_json(v, o, stdout, true);
    if (o->table)
        write_files(v, o);
}

/* ---- main ------------------------------------------------------------------------------------------------ */

static bool parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){.model = "sd15", .limit = 150, .f16 = true};
    const char *size = NULL;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--json") == 0) {
            o->json = true;
            continue;
        }
        if (strcmp(argv[i], "--grid") == 0) {
            o->grid = true;
            continue;
        }
        if (!value)
            return false;
        if (strcmp(argv[i], "--model") == 0)
            o->model = value;
        else if (strcmp(argv[i], "--size") == 0)
            size = value;
        else if (strcmp(argv[i], "--limit") == 0)
            o->limit = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--precision") == 0)
            o->f16 = strcmp(value, "f16") == 0;
        else if (strcmp(argv[i], "--path") == 0)
            o->path = value;
        else if (strcmp(argv[i], "--table") == 0)
            o->table = value;
        else
            return false;
        i++;
    }
    if (!size)
        size = strcmp(o->model, "sd15") == 0 ? "512x512x16" : "128x128x16";
    return sscanf(size, "%ux%ux%u", &o->width, &o->height, &o->frames) == 3;
}

/* No limit, as little as can be; with --grid those of bench/README.md and what a render takes by itself, nine tenths of the heap. */
static void choose_budgets(struct survey *v, bool grid)
{
    static const uint32_t gib[] = {2, 4, 6, 8, 12, 16, 24};
    uint64_t most = v->info->device_heap / 10 * 9;
    v->budgets[v->budget_count++] = UINT64_MAX;
    v->budgets[v->budget_count++] = 0;
    if (grid)
        v->budgets[v->budget_count++] = most;
    for (uint32_t i = 0; grid && i < sizeof gib / sizeof *gib; i++)
        if ((uint64_t)gib[i] << 30 < most)
            v->budgets[v->budget_count++] = (uint64_t)gib[i] << 30;
}

int main(int argc, char **argv)
{
    struct options o;
    if (!parse(&o, argc, argv)) {
        fprintf(stderr,
                "usage: pipelines [--model sd15|FOLDER] [--size WxHxF | --grid] [--precision f16|f32] [--path NAME] "
                "[--limit N] [--json] [--table STEM]\n");
        return 2;
    }
    vka_error err = {0};
    vka_gpu *gpu;
    vka_gpu_params params = {.statistics = true};
    if (vka_gpu_create(&gpu, &params, &err) != VKA_OK)
        return fail(&err);
    struct vka_kernel_table table;
    struct survey v = {.table = &table, .info = vka_gpu_describe(gpu), .entries = calloc(MOST_KEYS, sizeof *v.entries)};
    choose_budgets(&v, o.grid);
    vka_kernel_table_init(&table, v.info);
    vka_status s = v.entries ? vka_kernel_table_take(&table, v.info, o.path, NULL, &err)
                             : vka_fail(&err, VKA_E_MEMORY, "out of memory");
    if (s == VKA_OK && o.f16 && !table.storage_f16)
        s = vka_fail(&err, VKA_E_DEVICE, "this device has no fp16 storage");
    if (s == VKA_OK)
        s = strcmp(o.model, "sd15") == 0 ? survey_sd15(&v, &o, &err) : survey_folder(&v, &o, &err);
    if (s == VKA_OK)
        compile_all(&v, gpu, &o);
    int code_out = s == VKA_OK ? 0 : fail(&err);
    if (s == VKA_OK && v.count > o.limit) {
        fprintf(stderr, "pipelines: %u pipelines, more than %u\n", v.count, o.limit);
        v.failures++;
    }
    char clip[48] = "the grid";
    if (!o.grid)
        snprintf(clip, sizeof clip, "%ux%ux%u", o.width, o.height, o.frames);
    if (s == VKA_OK && o.grid && v.fitting == 0) {
        fprintf(stderr, "pipelines: no plan fits\n");
        v.failures++;
    }
    if (s == VKA_OK)
        fprintf(stderr, "%s, %s, %s, %s: %u plans, %u pipelines, %u failures\n", v.info->name, o.model, clip,
                vka_path_name(o.f16 ? table.path : VKA_PATH_FP32), v.plan, v.count, v.failures);
    free(v.entries);
    vka_gpu_destroy(&gpu);
    return v.failures && code_out == 0 ? 1 : code_out;
}

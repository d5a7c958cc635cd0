/* setup_ip.c - the image prompts of a job; see setup_ip.h. */
#include "render/setup_ip.h"

#include "base/file.h"
#include "base/folder.h"
#include "base/number.h"
#include "render/vision_stage.h"
#include "sample/values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const keys[] = {"image", "frames", "weight", "start", "end", NULL};
enum { KEY_IMAGE, KEY_FRAMES, KEY_WEIGHT, KEY_START, KEY_END };

static const double most_weight = 100;

/* ---- what the option says ---- */

static vka_status read_share(const struct vka_setup_ip *ip, int key, double *out, vka_error *err)
{
    const char *text = ip->spec.values[key];
    char *end;
    if (!text)
        return VKA_OK;
    double v = vka_parse_real(text, &end);
    if (end == text || *end || !(v >= 0 && v <= 1))
        return vka_fail(err, VKA_E_USAGE, "--ip-adapter: %s=%.60s is no share of the steps from 0 to 1", keys[key], text);
    *out = v;
    return VKA_OK;
}

static vka_status read_keys(struct vka_setup_ip *ip, vka_error *err)
{
    const char *text = ip->spec.values[KEY_FRAMES], *p = text;
    if (!text)
        return VKA_OK;
    uint32_t count = 1;
    for (; *p; p++)
        count += *p == ';';
    if (!(ip->keys = vka_calloc(count, sizeof *ip->keys)))
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    p = text;
    for (uint32_t i = 0; i < count; i++) {
        char *end;
        double v = vka_parse_real(p, &end);
        if (end == p || (*end && *end != ';') || v != floor(v) || fabs(v) > 1e9) {
            vka_fail(err, VKA_E_USAGE, "--ip-adapter: frames=%.60s is no list of frames", text);
            vka_error_hint(err, "whole numbers from 0 with ';' between them, such as frames=0;8, -1 being the last frame");
            return VKA_E_USAGE;
        }
        ip->keys[i] = (int64_t)v;
        p = *end ? end + 1 : end;
    }
    ip->key_count = count;
    return VKA_OK;
}

static vka_status read_spec(struct vka_setup_ip *ip, const char *text, vka_error *err)
{
    vka_status st = vka_spec_parse(&ip->spec, "--ip-adapter", text, keys, err);
    ip->end = 1;
    if (st == VKA_OK)
        st = read_share(ip, KEY_START, &ip->start, err);
    if (st == VKA_OK)
        st = read_share(ip, KEY_END, &ip->end, err);
    if (st == VKA_OK && !(ip->start < ip->end))
        st = vka_fail(err, VKA_E_USAGE, "--ip-adapter: start=%g lies behind end=%g, so that it never works", ip->start, ip->end);
    if (st == VKA_OK && ip->spec.values[KEY_WEIGHT])
        st = vka_values_parse("--ip-adapter weight", ip->spec.values[KEY_WEIGHT], -most_weight, most_weight, 0, NULL, err);
    return st == VKA_OK ? read_keys(ip, err) : st;
}

/* ---- files ---- */

/* The folder image_encoder that adapters are published with, or the model's own. */
static char *near_by(const struct vka_setup *s)
{
    char *dir = vka_asprintf("%.*simage_encoder", (int)(vka_path_base(s->ips[0].path) - s->ips[0].path), s->ips[0].path);
    if (dir && vka_path_is_dir(dir))
        return dir;
    free(dir);
    dir = vka_path_is_dir(s->model_path) ? vka_path_join(s->model_path, "image_encoder") : NULL;
    if (dir && vka_path_is_dir(dir))
        return dir;
    free(dir);
    return NULL;
}

static vka_status open_vision(struct vka_setup *s, vka_error *err)
{
    const char *given = s->job->vision;
    char *path = given && *given ? vka_find_model(VKA_LIBRARY_VISION, given, err) : s->ip_count ? near_by(s) : NULL;
    if (!path && (!given || !*given)) {
        if (s->ip_count)
            vka_fail(err, VKA_E_USAGE, "the IP-Adapter '%s' needs an image encoder", s->ips[0].path);
        else
            vka_fail(err, VKA_E_USAGE, "no image encoder is given");
        vka_error_hint(err, "--vision PATH: the folder image_encoder that adapters are published with (CLIP ViT-H/14 for SD1.5's)");
        return VKA_E_USAGE;
    }
    vka_status st = path ? vka_vision_open(&s->vision, path, err) : err && err->status != VKA_OK ? err->status : VKA_E_INPUT;
    free(path);
    return st;
}

static vka_status check_pair(const struct vka_setup_ip *ip, const vka_vision *vision, vka_error *err)
{
    const vka_ip_info *i = vka_ip_adapter_describe(ip->file);
    const vka_vision_config *c = vka_vision_describe(vision);
    bool plain = i->kind == VKA_IP_PLAIN;
    uint32_t gives = plain ? c->projection : c->hidden;
    if (i->takes == gives)
        return VKA_OK;
    vka_fail(err, VKA_E_INPUT, "the IP-Adapter '%s' does not go with the image encoder '%s'", ip->path, vka_vision_path(vision));
    vka_error_why(err, "it takes %s %u wide, the encoder's are %u", plain ? "an embedding" : "layers", (unsigned)i->takes, (unsigned)gives);
    vka_error_hint(err, "SD1.5's go with CLIP ViT-H/14, those that are called vit-G with ViT-bigG/14");
    return VKA_E_INPUT;
}

/* ---- the clip ---- */

/* The frame of a key, or -1 where it lies outside of the clip. */
static int64_t frame_of(int64_t key, uint32_t frames)
{
    int64_t f = key < 0 ? key + frames : key;
    return f >= 0 && f < frames ? f : -1;
}

static vka_status check_keys(const struct vka_setup_ip *ip, uint32_t frames, vka_error *err)
{
    int64_t before = -1;
    for (uint32_t k = 0; k < ip->key_count; k++) {
        int64_t f = frame_of(ip->keys[k], frames);
        if (f < 0)
            return vka_fail(err, VKA_E_USAGE, "--ip-adapter: frame %lld is none of the clip's %u frames", (long long)ip->keys[k], frames);
        if (f <= before)
            return vka_fail(err, VKA_E_USAGE, "--ip-adapter: frames=%.60s do not rise", ip->spec.values[KEY_FRAMES]);
        before = f;
    }
    return VKA_OK;
}

static vka_status read_pictures(const struct vka_setup *s, struct vka_setup_ip *ip, vka_error *err)
{
    const char *image = ip->spec.values[KEY_IMAGE];
    if (!image || !*image) {
        vka_fail(err, VKA_E_USAGE, "--ip-adapter '%s' is shown no picture", ip->spec.path);
        vka_error_hint(err, "--ip-adapter %s,image=FILE", ip->spec.path);
        return VKA_E_USAGE;
    }
    vka_status st = check_keys(ip, s->frames, err);
    ip->pictures = ip->key_count;
    return st == VKA_OK ? vka_setup_ip_read(vka_vision_describe(s->vision), image, s->frames, &ip->pictures, &ip->patches, err) : st;
}

vka_status vka_setup_ips(struct vka_setup *s, bool clip, bool vision, vka_error *err)
{
    const vka_text_list *list = &s->job->ip_adapter;
    vka_status st = VKA_OK;
    if (list->count > VKA_MAX_IPS)
        return vka_fail(err, VKA_E_USAGE, "--ip-adapter can be given %d times, not %zu", VKA_MAX_IPS, list->count);
    if (list->count && !(s->ips = vka_calloc(list->count, sizeof *s->ips)))
        return vka_fail(err, VKA_E_MEMORY, "out of memory");
    for (size_t i = 0; st == VKA_OK && i < list->count; i++) {
        struct vka_setup_ip *ip = &s->ips[s->ip_count++];
        st = read_spec(ip, list->items[i], err);
        if (st == VKA_OK && !(ip->path = vka_find_model(VKA_LIBRARY_IP_ADAPTER, ip->spec.path, err)))
            st = err && err->status != VKA_OK ? err->status : VKA_E_INPUT;
        if (st == VKA_OK)
            st = vka_ip_adapter_open(&ip->file, ip->path, err);
        if (st == VKA_OK && s->unet)
            st = vka_ip_adapter_fit(ip->file, s->unet, err);
    }
    if (st == VKA_OK && (vision || (clip && s->ip_count)))
        st = open_vision(s, err);
    for (size_t i = 0; st == VKA_OK && s->vision && i < s->ip_count; i++)
        st = check_pair(&s->ips[i], s->vision, err);
    for (size_t i = 0; st == VKA_OK && clip && i < s->ip_count; i++)
        st = read_pictures(s, &s->ips[i], err);
    return st;
}

void vka_setup_ips_close(struct vka_setup *s)
{
    for (size_t i = 0; i < s->ip_count; i++) {
        vka_spec_free(&s->ips[i].spec);
        vka_ip_adapter_close(s->ips[i].file);
        free(s->ips[i].path);
        free(s->ips[i].keys);
        free(s->ips[i].patches);
    }
    free(s->ips);
    vka_vision_close(s->vision);
    s->ips = NULL;
    s->vision = NULL;
    s->ip_count = 0;
}

vka_status vka_setup_ip_frames(const struct vka_setup *s, size_t i, uint32_t frames, int32_t **picture, float **weight, vka_error *err)
{
    const struct vka_setup_ip *ip = &s->ips[i];
    const char *text = ip->spec.values[KEY_WEIGHT];
    double *values = vka_calloc(frames, sizeof *values);
    *picture = vka_calloc(frames, sizeof **picture);
    *weight = vka_calloc(frames, sizeof **weight);
    vka_status st = values && *picture && *weight ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = vka_values_parse_loop("--ip-adapter weight", text ? text : "1", -most_weight, most_weight, frames, vka_setup_closed(s),
                                   values, err);
    for (uint32_t f = 0, k = 0; st == VKA_OK && f < frames; f++) {
        while (ip->key_count && k + 1 < ip->pictures && frame_of(ip->keys[k + 1], frames) >= 0 && frame_of(ip->keys[k + 1], frames) <= f)
            k++;
        (*picture)[f] = (int32_t)(ip->key_count ? k : (uint32_t)((uint64_t)f * (ip->pictures ? ip->pictures : 1) / frames));
        (*weight)[f] = (float)values[f];
    }
    free(values);
    if (st == VKA_OK)
        return VKA_OK;
    free(*picture);
    free(*weight);
    *picture = NULL;
    *weight = NULL;
    return st;
}

/* ---- for those who keep a job ---- */

char **vka_setup_ip_images(const struct vka_setup_ip *ip)
{
    const char *p = ip->spec.values[KEY_IMAGE] ? ip->spec.values[KEY_IMAGE] : "";
    size_t count = 1, n = 0;
    for (const char *c = p; *c; c++)
        count += *c == ';';
    char **list = vka_calloc(count + 1, sizeof *list);
    bool whole = list != NULL;
    for (; whole && *p; p += strcspn(p, ";"), p += *p == ';')
        if (strcspn(p, ";"))
            whole = (list[n++] = vka_asprintf("%.*s", (int)strcspn(p, ";"), p)) != NULL;
    if (whole)
        return list;
    for (size_t i = 0; list && i < n; i++)
        free(list[i]);
    free(list);
    return NULL;
}

/* "image=" with whole paths. */
static char *absolute_images(const struct vka_setup_ip *ip)
{
    char **images = vka_setup_ip_images(ip), *text = images ? vka_strdup("") : NULL;
    for (size_t i = 0; images && images[i]; i++) {
        char *full = vka_path_absolute(images[i]), *longer = text && full ? vka_asprintf("%s%s%s", text, i ? ";" : "", full) : NULL;
        free(text);
        free(full);
        free(images[i]);
        text = longer;
    }
    free(images);
    return text;
}

char *vka_setup_ip_text(const struct vka_setup *s, size_t i)
{
    const struct vka_setup_ip *ip = &s->ips[i];
    char *text = vka_path_absolute(ip->path);
    for (int k = 0; text && keys[k]; k++) {
        if (!ip->spec.values[k])
            continue;
        char *value = k == KEY_IMAGE ? absolute_images(ip) : vka_strdup(ip->spec.values[k]);
        char *longer = value ? vka_asprintf("%s,%s=%s", text, keys[k], value) : NULL;
        free(value);
        free(text);
        text = longer;
    }
    return text;
}

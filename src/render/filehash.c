/* filehash.c - see filehash.h. */
#include "render/filehash.h"

#include "base/file.h"
#include "base/mem.h"
#include "weights/config.h"

#include <stdlib.h>
#include <string.h>

enum { HASH_CHUNK = 1 << 22, LEGACY_AT = 0x100000, LEGACY_SIZE = 0x10000 };

json_t *vka_cache_load(const char *name, char **path)
{
    char *dir = vka_cache_dir();
    *path = dir ? vka_path_join(dir, name) : NULL;
    free(dir);
    json_t *j = *path && vka_path_exists(*path) ? vka_json_load(*path, NULL) : NULL;
    if (j && !json_is_object(j)) {
        json_decref(j);
        j = NULL;
    }
    return j ? j : json_object();
}

void vka_cache_store(const char *path, const json_t *cache)
{
    char *text = path ? json_dumps(cache, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (text)
        vka_write_file(path, text, strlen(text), NULL);
    free(text);
}

/* What the cache has of `full`, as it was when it had `id`. */
static bool lookup(const json_t *cache, const char *full, const char *id, char sha256[65])
{
    const json_t *entry = json_object_get(cache, full);
    const char *known = json_string_value(json_object_get(entry, "id"));
    const char *sha = json_string_value(json_object_get(entry, "sha256"));
    if (!known || !sha || strcmp(known, id) != 0 || strlen(sha) != 64 || strspn(sha, "0123456789abcdef") != 64)
        return false;
    memcpy(sha256, sha, 65);
    return true;
}

bool vka_hash_known(const json_t *cache, const char *file, char sha256[65])
{
    char id[96], *full = vka_file_identity(file, id);
    bool known = full && lookup(cache, full, id, sha256);
    free(full);
    return known;
}

vka_status vka_hash_of(json_t *cache, const char *file, const atomic_bool *stop, char sha256[65], bool *changed,
                       vka_error *err)
{
    char id[96], *full = vka_file_identity(file, id);
    vka_map map;
    vka_status st = VKA_OK;
    if (!full)
        return vka_fail(err, VKA_E_INPUT, "cannot read '%s'", file);
    if (!lookup(cache, full, id, sha256) && (st = vka_map_open(&map, full, err)) == VKA_OK) {
        vka_sha256 s;
        vka_sha256_init(&s);
        for (size_t at = 0; at < map.size && !(stop && atomic_load(stop)); at += HASH_CHUNK)
            vka_sha256_add(&s, map.data + at, map.size - at < HASH_CHUNK ? map.size - at : HASH_CHUNK);
        vka_sha256_hex(&s, sha256);
        vka_map_close(&map);
        if (!(stop && atomic_load(stop))) {
            json_object_set_new(cache, full, json_pack("{s:s, s:s}", "id", id, "sha256", sha256));
            *changed = true;
        }
    }
    free(full);
    return st;
}

bool vka_hash_legacy(const char *file, char out[9])
{
    vka_map map;
    if (vka_path_is_dir(file) || vka_map_open(&map, file, NULL) != VKA_OK)
        return false;
    bool enough = map.size >= LEGACY_AT + LEGACY_SIZE;
    if (enough) {
        char hex[65];
        vka_sha256 s;
        vka_sha256_init(&s);
        vka_sha256_add(&s, map.data + LEGACY_AT, LEGACY_SIZE);
        vka_sha256_hex(&s, hex);
        memcpy(out, hex, 8);
        out[8] = '\0';
    }
    vka_map_close(&map);
    return enough;
}

bool vka_hash_addnet(const char *file, char out[13])
{
    vka_map map;
    if (vka_path_is_dir(file) || vka_map_open(&map, file, NULL) != VKA_OK)
        return false;
    uint64_t header = 0, from = 0;
    for (int i = 7; i >= 0 && map.size >= 8; i--)
        header = header << 8 | map.data[i];
    if (strcmp(vka_path_extension(file), ".safetensors") == 0 && map.size >= 8 && header <= map.size - 8)
        from = 8 + header;
    char hex[65];
    vka_sha256 s;
    vka_sha256_init(&s);
    vka_sha256_add(&s, map.data + from, map.size - (size_t)from);
    vka_sha256_hex(&s, hex);
    memcpy(out, hex, 12);
    out[12] = '\0';
    vka_map_close(&map);
    return true;
}

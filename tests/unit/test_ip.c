/* test_ip.c - image encoders and IP-Adapters as files: kinds, sizes, the order of the pairs, what is refused; the option's text; which
 * picture a frame takes; and pictures as CLIPImageProcessor prepares them (tests/golden/ip, by tests/reference/ip_golden.py). */
#include "weights_build.h"

#include "render/setup_ip.h"

#include <math.h>

/* ---- files ---- */

enum { UNET_LEVELS = 4 };

/* SD1.5's. */
static const vka_unet_config sd15 = {.levels = UNET_LEVELS,
                                     .channels = {320, 640, 1280, 1280},
                                     .layers = {2, 2, 2, 2},
                                     .depth = {1, 1, 1, 0},
                                     .up_depth = {0, 1, 1, 1},
                                     .mid_depth = 1,
                                     .mid_resnets = 2,
                                     .cross_attention_dim = 768};

/* Channels of SD1.5's cross-attentions in diffusers' order: down, up, mid. */
static const unsigned order[16] = {320, 320, 640, 640, 1280, 1280, 1280, 1280, 1280, 640, 640, 640, 320, 320, 320, 1280};

static void add_pairs(build *b, unsigned width, unsigned count)
{
    char name[64];
    for (unsigned n = 0; n < count; n++) {
        snprintf(name, sizeof name, "ip_adapter.%u.to_k_ip.weight", 2 * n + 1);
        build_add(b, name, 2, order[n % 16], width);
        snprintf(name, sizeof name, "ip_adapter.%u.to_v_ip.weight", 2 * n + 1);
        build_add(b, name, 2, order[n % 16], width);
    }
}

static void add_plain(build *b, unsigned width, unsigned takes)
{
    build_pair(b, "image_proj.proj", 2, 4 * width, takes, 0);
    build_pair(b, "image_proj.norm", 1, width, 0, 0);
}

static void add_plus(build *b, unsigned hidden, unsigned inner, unsigned queries)
{
    char at[64], name[96];
    build_add(b, "image_proj.latents", 3, 1, queries, hidden);
    build_pair(b, "image_proj.proj_in", 2, hidden, 1280, 0);
    build_pair(b, "image_proj.proj_out", 2, 768, hidden, 0);
    build_pair(b, "image_proj.norm_out", 1, 768, 0, 0);
    for (unsigned l = 0; l < 4; l++) {
        static const char *const norms[] = {"0.norm1", "0.norm2", "1.0"};
        for (int i = 0; i < 3; i++) {
            snprintf(at, sizeof at, "image_proj.layers.%u.%s", l, norms[i]);
            build_pair(b, at, 1, hidden, 0, 0);
        }
        snprintf(name, sizeof name, "image_proj.layers.%u.0.to_q.weight", l);
        build_add(b, name, 2, inner, hidden);
        snprintf(name, sizeof name, "image_proj.layers.%u.0.to_kv.weight", l);
        build_add(b, name, 2, 2 * inner, hidden);
        snprintf(name, sizeof name, "image_proj.layers.%u.0.to_out.weight", l);
        build_add(b, name, 2, hidden, inner);
        snprintf(name, sizeof name, "image_proj.layers.%u.1.1.weight", l);
        build_add(b, name, 2, 4 * hidden, hidden);
        snprintf(name, sizeof name, "image_proj.layers.%u.1.3.weight", l);
        build_add(b, name, 2, hidden, 4 * hidden);
    }
}

static vka_ip_adapter *opened(const char *path)
{
    vka_ip_adapter *a = NULL;
    vka_error e = {0};
    if (vka_ip_adapter_open(&a, path, &e) != VKA_OK)
        fail_msg("%s: %s", e.what, e.why);
    return a;
}

/* VKA_E_INPUT, and the sentence has these words. */
static void refused(const char *path, const char *words)
{
    vka_ip_adapter *a = NULL;
    vka_error e = {0};
    assert_int_equal(vka_ip_adapter_open(&a, path, &e), VKA_E_INPUT);
    if (!strstr(e.what, words))
        fail_msg("'%s' has not '%s'", e.what, words);
    assert_null(a);
}

static void kinds(void **state)
{
    (void)state;
    build b = {0};
    add_plain(&b, 768, 1024);
    add_pairs(&b, 768, 16);
    vka_ip_adapter *a = opened(build_write(&b, "plain.safetensors"));
    const vka_ip_info *i = vka_ip_adapter_describe(a);
    assert_int_equal(i->kind, VKA_IP_PLAIN);
    assert_int_equal(i->tokens, 4);
    assert_int_equal(i->takes, 1024);
    assert_int_equal(i->width, 768);
    assert_int_equal(i->pairs, 16);
    vka_ip_adapter_close(a);

    add_plus(&b, 768, 768, 16);
    add_pairs(&b, 768, 16);
    a = opened(build_write(&b, "plus.safetensors"));
    i = vka_ip_adapter_describe(a);
    assert_int_equal(i->kind, VKA_IP_PLUS);
    assert_int_equal(i->tokens, 16);
    assert_int_equal(i->takes, 1280);
    assert_int_equal(i->layers, 4);
    assert_int_equal(i->heads, 12);
    vka_ip_adapter_close(a);

    build_pair(&b, "image_proj.proj.0", 2, 1280, 1280, 0);
    build_pair(&b, "image_proj.proj.2", 2, 768, 1280, 0);
    build_pair(&b, "image_proj.proj.3", 1, 768, 0, 0);
    add_pairs(&b, 768, 16);
    a = opened(build_write(&b, "full.safetensors"));
    assert_int_equal(vka_ip_adapter_describe(a)->kind, VKA_IP_FULL);
    vka_ip_adapter_close(a);
}

/* Pair n is the n-th cross-attention of the down blocks, then of the up blocks, then the middle's. */
static void order_of_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *layer;
        unsigned n;
    } some[] = {{"down_blocks.0.attentions.0", 1}, {"down_blocks.2.attentions.1", 11}, {"up_blocks.1.attentions.0", 13},
                {"up_blocks.3.attentions.2", 29},  {"mid_block.attentions.0", 31}};
    build b = {0};
    vka_error e = {0};
    add_plain(&b, 768, 1024);
    add_pairs(&b, 768, 16);
    vka_ip_adapter *a = opened(build_write(&b, "order.safetensors"));
    assert_int_equal(vka_ip_adapter_fit(a, &sd15, &e), VKA_OK);
    vka_weights *w = vka_ip_adapter_pairs(a);
    assert_int_equal(vka_weights_count(w), 32);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        char source[64];
        const vka_weight *t = vka_weights_findf(w, "%s.transformer_blocks.0.attn2.to_v_ip.weight", some[i].layer);
        assert_non_null(t);
        snprintf(source, sizeof source, "ip_adapter.%u.to_v_ip.weight", some[i].n);
        assert_string_equal(t->source ? t->source : t->name, source);
    }
    vka_ip_adapter_close(a);

    vka_unet_config other = sd15;
    other.channels[1] = 512;
    a = opened(in_folder("order.safetensors"));
    assert_int_equal(vka_ip_adapter_fit(a, &other, &e), VKA_E_INPUT);
    assert_non_null(strstr(e.why, "640"));
    assert_null(vka_ip_adapter_pairs(a));
    vka_ip_adapter_close(a);
    vka_error_clear(&e);
    other = sd15;
    other.cross_attention_dim = 1024;
    a = opened(in_folder("order.safetensors"));
    assert_int_equal(vka_ip_adapter_fit(a, &other, &e), VKA_E_INPUT);
    vka_ip_adapter_close(a);
}

static void what_is_refused(void **state)
{
    (void)state;
    build b = {0};
    add_plain(&b, 2048, 1280);
    add_pairs(&b, 2048, 16);
    refused(build_write(&b, "sdxl.safetensors"), "SDXL");

    add_plain(&b, 768, 1024);
    add_pairs(&b, 768, 16);
    build_add(&b, "ip_adapter.0.to_k_lora.down.weight", 2, 128, 320);
    refused(build_write(&b, "faceid.safetensors"), "FaceID");

    build_pair(&b, "image_proj.proj.0", 2, 1024, 512, 0);
    build_pair(&b, "image_proj.proj.2", 2, 3072, 1024, 0);
    build_pair(&b, "image_proj.norm", 1, 768, 0, 0);
    add_pairs(&b, 768, 16);
    refused(build_write(&b, "faceid2.safetensors"), "FaceID");

    add_plain(&b, 768, 1024);
    add_pairs(&b, 768, 16);
    build_add(&b, "ip_adapter.33.to_k_ip.weight", 2, 320, 768);
    refused(build_write(&b, "half.safetensors"), "pairs");

    add_plain(&b, 768, 1024);
    add_pairs(&b, 640, 16);
    refused(build_write(&b, "narrow.safetensors"), "768");

    build_pair(&b, "image_proj.proj", 2, 4 * 768 + 1, 1024, 0);
    build_pair(&b, "image_proj.norm", 1, 768, 0, 0);
    add_pairs(&b, 768, 16);
    refused(build_write(&b, "rows.safetensors"), "odd shape");

    add_plus(&b, 768, 100, 16); /* heads of 64 do not divide it */
    add_pairs(&b, 768, 16);
    refused(build_write(&b, "heads.safetensors"), "odd shape");

    build_add(&b, "conv_in.weight", 4, 320, 4, 3, 3);
    refused(build_write(&b, "other.safetensors"), "not an IP-Adapter");
}

/* ---- image encoders ---- */

static void add_vision(build *b, unsigned width, unsigned layers, unsigned mlp, unsigned positions, unsigned patch)
{
    char at[80];
    build_add(b, "vision_model.embeddings.class_embedding", 1, width);
    build_add(b, "vision_model.embeddings.patch_embedding.weight", 4, width, 3, patch, patch);
    build_add(b, "vision_model.embeddings.position_embedding.weight", 2, positions, width);
    build_pair(b, "vision_model.pre_layrnorm", 1, width, 0, 0);
    build_pair(b, "vision_model.post_layernorm", 1, width, 0, 0);
    build_add(b, "visual_projection.weight", 2, 1024, width);
    for (unsigned l = 0; l < layers; l++) {
        static const struct {
            const char *name;
            int rank, rows, columns; /* 1: width, 2: mlp */
        } pairs[] = {{"layer_norm1", 1, 1, 0},         {"layer_norm2", 1, 1, 0},      {"self_attn.q_proj", 2, 1, 1},
                     {"self_attn.k_proj", 2, 1, 1},    {"self_attn.v_proj", 2, 1, 1}, {"self_attn.out_proj", 2, 1, 1},
                     {"mlp.fc1", 2, 2, 1},             {"mlp.fc2", 2, 1, 2}};
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
            snprintf(at, sizeof at, "vision_model.encoder.layers.%u.%s", l, pairs[i].name);
            build_pair(b, at, (unsigned)pairs[i].rank, pairs[i].rows == 2 ? mlp : width, pairs[i].columns == 2 ? mlp : width, 0);
        }
    }
}

static void encoders(void **state)
{
    (void)state;
    static const struct {
        unsigned width, layers, mlp, positions, patch, heads;
        enum vka_text_act act;
    } sizes[] = {{1280, 32, 5120, 257, 14, 16, VKA_TEXT_GELU}, {1664, 3, 8192, 257, 14, 16, VKA_TEXT_GELU},
                 {1024, 2, 4096, 257, 14, 16, VKA_TEXT_QUICK_GELU}};
    build b = {0};
    vka_error e = {0};
    vka_vision *v;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        add_vision(&b, sizes[i].width, sizes[i].layers, sizes[i].mlp, sizes[i].positions, sizes[i].patch);
        if (vka_vision_open(&v, build_write(&b, "vision.safetensors"), &e) != VKA_OK)
            fail_msg("%s", e.what);
        const vka_vision_config *c = vka_vision_describe(v);
        assert_int_equal(c->image, 224);
        assert_int_equal(c->layers, sizes[i].layers);
        assert_int_equal(c->heads, sizes[i].heads);
        assert_int_equal(c->act, sizes[i].act);
        assert_int_equal(c->projection, 1024);
        const vka_weight *patch = vka_weights_find(vka_vision_weights(v), "vision_model.embeddings.patch_embedding.weight");
        assert_int_equal(patch->rank, 2);
        assert_int_equal(patch->dims[1], 588);
        vka_vision_close(v);
    }
    add_vision(&b, 64, 1, 128, 258, 14); /* no square of patches */
    assert_int_equal(vka_vision_open(&v, build_write(&b, "odd.safetensors"), &e), VKA_E_INPUT);
    vka_error_clear(&e);
    add_vision(&b, 64, 2, 128, 257, 14);
    build_add(&b, "vision_model.encoder.layers.2.layer_norm1.weight", 1, 64); /* a layer that is cut off */
    assert_int_equal(vka_vision_open(&v, build_write(&b, "cut.safetensors"), &e), VKA_E_INPUT);
    assert_non_null(strstr(e.what, "lacks"));
    vka_error_clear(&e);
    build_add(&b, "text_model.embeddings.token_embedding.weight", 2, 100, 64);
    assert_int_equal(vka_vision_open(&v, build_write(&b, "text.safetensors"), &e), VKA_E_INPUT);
    assert_non_null(strstr(e.what, "not an image encoder"));
}

/* ---- the option ---- */

static void specs(void **state)
{
    (void)state;
    static const char *const keys[] = {"image", "weight", NULL};
    struct vka_spec s;
    vka_error e = {0};
    assert_int_equal(vka_spec_parse(&s, "--x", "dir,with/file.safetensors,image=a,b.png,weight=0:1,8:0.5", keys, &e), VKA_OK);
    assert_string_equal(s.path, "dir,with/file.safetensors");
    assert_string_equal(s.values[0], "a,b.png");
    assert_string_equal(s.values[1], "0:1,8:0.5");
    vka_spec_free(&s);
    assert_int_equal(vka_spec_parse(&s, "--x", "plain", keys, &e), VKA_OK);
    assert_string_equal(s.path, "plain");
    assert_null(s.values[0]);
    vka_spec_free(&s);
    static const char *const bad[] = {"", "f,wight=1", "f,image=a,image=b", ",image=a", "f,im=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vka_error_clear(&e);
        assert_int_equal(vka_spec_parse(&s, "--x", bad[i], keys, &e), VKA_E_USAGE);
        assert_int_equal(strncmp(e.what, "--x", 3), 0);
    }
}

static void frames_of_keys(void **state)
{
    (void)state;
    int64_t keys[] = {1, 4, -1};
    struct vka_setup_ip ip = {.spec.values = {NULL, NULL, "0:1;6:0.4"}, .keys = keys, .key_count = 3, .pictures = 3};
    struct vka_setup s = {.ips = &ip, .ip_count = 1};
    static const int32_t keyed[7] = {0, 0, 0, 0, 1, 1, 2}, spread[7] = {0, 0, 0, 1, 1, 2, 2};
    int32_t *picture;
    float *weight;
    vka_error e = {0};
    assert_int_equal(vka_setup_ip_frames(&s, 0, 7, &picture, &weight, &e), VKA_OK);
    assert_memory_equal(picture, keyed, sizeof keyed);
    assert_true(fabsf(weight[0] - 1) < 1e-6f && fabsf(weight[3] - 0.7f) < 1e-6f && fabsf(weight[6] - 0.4f) < 1e-6f);
    free(picture), free(weight);
    ip.key_count = 0;
    assert_int_equal(vka_setup_ip_frames(&s, 0, 7, &picture, &weight, &e), VKA_OK);
    assert_memory_equal(picture, spread, sizeof spread);
    free(picture), free(weight);
}

/* ---- pictures ---- */

static void prepared(void **state)
{
    (void)state;
    static const char *const names[] = {"wide", "high"};
    const vka_vision_config c = {.image = 20, .patch = 4};
    enum { SIDE = 20, PATCH = 4, ALL = 3 * SIDE * SIDE };
    vka_safetensors st;
    vka_error e = {0};
    if (vka_safetensors_open(&st, VKA_SOURCE_DIR "/tests/golden/ip/pictures.safetensors", &e) != VKA_OK)
        fail_msg("%s", e.what);
    for (int i = 0; i < 2; i++) {
        char path[400];
        float *got, want[ALL], most = 0;
        uint32_t count = 0;
        snprintf(path, sizeof path, "%s/tests/golden/ip/%s.png", VKA_SOURCE_DIR, names[i]);
        if (vka_setup_ip_read(&c, path, 4, &count, &got, &e) != VKA_OK)
            fail_msg("%s", e.what);
        assert_int_equal(count, 1);
        const vka_weight *w = vka_safetensors_find(&st, names[i]);
        assert_true(w && vka_weight_count(w) == ALL);
        vka_weight_to_f32(w, 0, ALL, want);
        for (int k = 0; k < 3; k++)
            for (int y = 0; y < SIDE; y++)
                for (int x = 0; x < SIDE; x++) {
                    int patch = y / PATCH * (SIDE / PATCH) + x / PATCH, in = k * PATCH * PATCH + y % PATCH * PATCH + x % PATCH;
                    most = fmaxf(most, fabsf(got[patch * 3 * PATCH * PATCH + in] - want[(k * SIDE + y) * SIDE + x]));
                }
        print_message("%s: %g from CLIPImageProcessor\n", names[i], (double)most);
        assert_true(most < 1e-5f); /* one step of 8 bits would be 0.014 */
        free(got);
    }
    vka_safetensors_close(&st);
}

static void pictures_refused(void **state)
{
    (void)state;
    const vka_vision_config c = {.image = 20, .patch = 4};
    float *got = NULL;
    vka_error e = {0};
    uint32_t count = 0;
    write_text(in_folder("no.png"), "not a picture");
    assert_int_equal(vka_setup_ip_read(&c, in_folder("no.png"), 4, &count, &got, &e), VKA_E_INPUT);
    vka_error_clear(&e);
    assert_int_equal(vka_setup_ip_read(&c, in_folder("missing.png"), 4, &count, &got, &e), VKA_E_INPUT);
    vka_error_clear(&e);
    assert_int_equal(vka_setup_ip_read(&c, ";", 4, &count, &got, &e), VKA_E_USAGE);
    vka_error_clear(&e);
    uint8_t line[3 * 64] = {0};
    float patches[3 * 20 * 20];
    assert_int_equal(vka_setup_ip_prepare(&c, line, 64, 1, patches, &e), VKA_E_INPUT);
    assert_null(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),    cmocka_unit_test(order_of_pairs), cmocka_unit_test(what_is_refused), cmocka_unit_test(encoders),
        cmocka_unit_test(specs),    cmocka_unit_test(frames_of_keys), cmocka_unit_test(prepared),        cmocka_unit_test(pictures_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

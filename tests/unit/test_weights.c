/* test_weights.c - element types, the safetensors reader and writer, tables of names, configs as JSON. */
#include "weights_build.h"

#include <math.h>

/* ---- element types ---- */

static float one(enum vka_weight_dtype t, uint64_t bits)
{
    uint8_t bytes[9] = {0};
    float f;
    memcpy(bytes + 1, &bits, 8); /* off by one: nothing is aligned */
    vka_dtype_to_f32(&f, bytes + 1, t, 1);
    return f;
}

static uint64_t bits_of(double v)
{
    uint64_t b;
    memcpy(&b, &v, 8);
    return b;
}

static void test_dtypes(void **state)
{
    (void)state;
    for (int i = 0; i < VKA_WEIGHT_DTYPES; i++) {
        enum vka_weight_dtype t;
        assert_true(vka_dtype_parse(vka_dtype_name((enum vka_weight_dtype)i), &t));
        assert_int_equal(t, i);
    }
    enum vka_weight_dtype t;
    assert_false(vka_dtype_parse("F4", &t));
    assert_int_equal(vka_dtype_size(VKA_WEIGHT_F64), 8);
    assert_int_equal(vka_dtype_size(VKA_WEIGHT_BF16), 2);
    assert_int_equal(vka_dtype_size(VKA_WEIGHT_F8_E5M2), 1);
    assert_float_equal(one(VKA_WEIGHT_F64, bits_of(-0.1)), -0.1f, 0);
    assert_float_equal(one(VKA_WEIGHT_F32, 0x3fc00000), 1.5f, 0);
    assert_float_equal(one(VKA_WEIGHT_F16, 0x3555), 0.333251953125f, 0);
    assert_float_equal(one(VKA_WEIGHT_F16, 0x0001), 5.9604644775390625e-8f, 0);
    assert_float_equal(one(VKA_WEIGHT_BF16, 0xc049), -3.140625f, 0);
    assert_float_equal(one(VKA_WEIGHT_I64, (uint64_t)-5), -5.0f, 0);
    assert_float_equal(one(VKA_WEIGHT_I32, 0xfffffffe), -2.0f, 0);
    assert_float_equal(one(VKA_WEIGHT_I16, 0x8000), -32768.0f, 0);
    assert_float_equal(one(VKA_WEIGHT_I8, 0x80), -128.0f, 0);
    assert_float_equal(one(VKA_WEIGHT_U8, 0x80), 128.0f, 0);
    assert_float_equal(one(VKA_WEIGHT_U64, UINT64_C(1) << 40), 1099511627776.0f, 0);
    assert_float_equal(one(VKA_WEIGHT_BOOL, 2), 1.0f, 0);
}

/* The table of OFP8: largest, smallest normal, smallest subnormal, one, NaN. */
static void test_float8(void **state)
{
    (void)state;
    assert_float_equal(one(VKA_WEIGHT_F8_E4M3, 0x7e), 448.0f, 0);
    assert_float_equal(one(VKA_WEIGHT_F8_E4M3, 0x08), 0.015625f, 0);
    assert_float_equal(one(VKA_WEIGHT_F8_E4M3, 0x01), 0.001953125f, 0);
    assert_float_equal(one(VKA_WEIGHT_F8_E4M3, 0xb8), -1.0f, 0);
    assert_float_equal(one(VKA_WEIGHT_F8_E4M3, 0x78), 256.0f, 0);
    assert_true(isnan(one(VKA_WEIGHT_F8_E4M3, 0x7f)));
    assert_true(isnan(one(VKA_WEIGHT_F8_E4M3, 0xff)));
    assert_true(signbit(one(VKA_WEIGHT_F8_E4M3, 0x80)));
    assert_float_equal(one(VKA_WEIGHT_F8_E5M2, 0x7b), 57344.0f, 0);
    assert_float_equal(one(VKA_WEIGHT_F8_E5M2, 0x01), 1.52587890625e-5f, 0);
    assert_float_equal(one(VKA_WEIGHT_F8_E5M2, 0xbc), -1.0f, 0);
    assert_true(isinf(one(VKA_WEIGHT_F8_E5M2, 0x7c)));
    assert_true(isnan(one(VKA_WEIGHT_F8_E5M2, 0x7f)));
}

/* ---- the reader ---- */

/* Parses a header with `data` zero bytes behind it; the file may be cut to `cut` bytes (0: whole). */
static vka_status parse_cut(const char *header, size_t data, size_t cut, vka_error *err)
{
    size_t n = strlen(header), size = 8 + n + data;
    uint8_t *bytes = calloc(size, 1);
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(bytes + 8, header, n);
    if (cut && cut < size) { /* an exact block, so that ASan sees a byte too far */
        uint8_t *less = malloc(cut);
        memcpy(less, bytes, cut);
        free(bytes);
        bytes = less;
        size = cut;
    }
    vka_safetensors st;
    *err = (vka_error){0};
    vka_status s = vka_safetensors_parse(&st, bytes, size, "f.safetensors", err);
    vka_safetensors_close(&st);
    free(bytes);
    return s;
}

static void refused(const char *header, size_t data, const char *why)
{
    vka_error err;
    assert_int_equal(parse_cut(header, data, 0, &err), VKA_E_INPUT);
    assert_int_equal(err.status, VKA_E_INPUT);
    if (!strstr(err.what, why))
        fail_msg("\"%s\" does not say \"%s\"", err.what, why);
    assert_null(strchr(err.what, '\n'));
}

#define T(dtype, shape, range) "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" range "]}"

static void test_hostile_headers(void **state)
{
    (void)state;
    vka_error err;
    assert_int_equal(parse_cut("{\"a\":" T("F16", "2,3", "0,12") "}   ", 12, 0, &err), VKA_OK);
    assert_int_equal(parse_cut("{}", 0, 0, &err), VKA_OK);
    assert_int_equal(parse_cut("{\"a\":" T("F16", "", "0,2") ",\"e\":" T("I8", "0,9", "2,2") "}", 2, 0, &err), VKA_OK);
    refused("{\"a\":" T("F16", "2,3", "0,11") "}", 11, "has 11 bytes, but its shape needs 12");
    refused("{\"a\":" T("F16", "2,3", "0,12") "}", 11, "truncated");
    refused("{\"a\":" T("F16", "2,3", "0,12") "}", 13, "goes on behind its last tensor (bytes: 1)");
    refused("{\"a\":" T("F16", "1", "0,2") ",\"b\":" T("F16", "1", "1,3") "}", 3, "overlaps");
    refused("{\"a\":" T("F16", "1", "0,2") ",\"b\":" T("F16", "1", "0,2") "}", 2, "overlaps");
    refused("{\"a\":" T("F16", "1", "0,2") ",\"b\":" T("F16", "1", "3,5") "}", 5, "unused bytes");
    refused("{\"a\":" T("F16", "1", "2,4") "}", 4, "unused bytes");
    refused("{\"a\":" T("F16", "1", "4,2") "}", 4, "ends before it begins");
    refused("{\"a\":" T("F16", "-1", "0,2") "}", 2, "not a whole number");
    refused("{\"a\":" T("F16", "1.0", "0,2") "}", 2, "not a whole number");
    refused("{\"a\":" T("F16", "1", "0,-2") "}", 2, "not whole numbers");
    refused("{\"a\":" T("F16", "1", "0,2,4") "}", 2, "lacks its dtype, shape or data_offsets");
    refused("{\"a\":" T("F16", "4294967296,4294967296", "0,0") "}", 0, "impossibly large");
    refused("{\"a\":" T("F16", "9223372036854775807,2", "0,0") "}", 0, "impossibly large");
    refused("{\"a\":" T("F16", "9223372036854775808", "0,0") "}", 0, "not valid JSON");
    refused("{\"a\":" T("U8", "9223372036854775807", "0,9223372036854775807") "}", 0, "truncated");
    refused("{\"a\":" T("F17", "1", "0,2") "}", 2, "unknown dtype 'F17'");
    refused("{\"a\":" T("U8", "1,1,1,1,1,1,1,1,1", "0,1") "}", 1, "9 dimensions");
    refused("{\"a\":3}", 0, "lacks its dtype");
    refused("{\"a\":{\"dtype\":3,\"shape\":[],\"data_offsets\":[0,1]}}", 1, "lacks its dtype");
    refused("{\"\":" T("U8", "1", "0,1") "}", 1, "0 bytes long");
    refused("{\"a\\u001b[31m\":" T("U8", "1", "0,1") "}", 1, "control character");
    refused("{\"a\":" T("U8", "1", "0,1") ",\"a\":" T("U8", "1", "1,2") "}", 2, "the same name twice");
    refused("{\"__metadata__\":[],\"a\":" T("U8", "1", "0,1") "}", 1, "__metadata__ is not");
    refused("{\"__metadata__\":{\"k\":1},\"a\":" T("U8", "1", "0,1") "}", 1, "not a string");
    refused("{\"a\":" T("U8", "1", "0,1"), 1, "not valid JSON");
    refused("{\"a\":" T("U8", "1", "0,1") "} x", 1, "not valid JSON");
    refused("{\"a\xff\":" T("U8", "1", "0,1") "}", 1, "not valid JSON");
}

static void test_long_names(void **state)
{
    (void)state;
    char header[800], name[600];
    vka_error err;
    memset(name, 'n', sizeof name);
    for (size_t n = 512; n <= 513; n++) {
        snprintf(header, sizeof header, "{\"%.*s\":%s}", (int)n, name, T("U8", "1", "0,1"));
        assert_int_equal(parse_cut(header, 1, 0, &err), n <= 512 ? VKA_OK : VKA_E_INPUT);
    }
    assert_non_null(strstr(err.what, "513 bytes long"));
}

static void test_deep_and_wide_json(void **state)
{
    (void)state;
    enum { DEEP = 100000, WIDE = 2100000 };
    char *header = malloc(WIDE + 64);
    header[0] = '{';
    memcpy(header + 1, "\"a\":", 4);
    memset(header + 5, '[', DEEP);
    header[5 + DEEP] = '\0';
    refused(header, 0, "not valid JSON");
    memset(header + 5, ',', WIDE);
    header[5 + WIDE] = '\0';
    refused(header, 0, "too many entries");
    free(header);
}

/* Every shorter version of a good file is refused, with a sentence. */
static void test_truncated_everywhere(void **state)
{
    (void)state;
    const char *header = "{\"a\":" T("F16", "2,3", "0,12") ",\"b\":" T("U8", "3", "12,15") "}";
    size_t whole = 8 + strlen(header) + 15;
    vka_error err;
    for (size_t cut = 1; cut < whole; cut++) {
        assert_int_equal(parse_cut(header, 15, cut, &err), VKA_E_INPUT);
        if (cut >= 10)
            assert_non_null(strstr(err.what, "truncated"));
    }
    assert_int_equal(parse_cut(header, 15, whole, &err), VKA_OK);
}

static void says(const char *path, const char *what)
{
    vka_safetensors st;
    vka_error err = {0};
    assert_int_equal(vka_safetensors_open(&st, path, &err), VKA_E_INPUT);
    if (!strstr(err.what, what) || !strstr(err.what, path))
        fail_msg("\"%s\" does not say \"%s\"", err.what, what);
    vka_safetensors_close(&st);
}

static void test_other_files(void **state)
{
    (void)state;
    const char *p = in_folder("other.safetensors");
    write_text(p, "");
    says(p, "is empty");
    write_text(p, "dear diary,\ntoday I renamed a file\n");
    says(p, "is a text file");
    write_text(p, "short");
    says(p, "is a text file");
    write_text(p, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n");
    says(p, "Git LFS pointer");
    write_text(p, "<!DOCTYPE html><html></html>");
    says(p, "web page");
    write_text(p, "PK\x03\x04 and so on");
    says(p, "is a zip archive");
    write_text(p, "\x80\x02}q\x01(X\x04");
    says(p, "is a bare Python pickle");
    write_text(p, "GGUF\x03 and so on");
    says(p, "GGUF");
    write_text(p, "\x7f"
                  "ELF\x02\x01\x01\x02\x03\x04\x05");
    says(p, "is not a safetensors file");
    write_text(p, "\x01\x02\x03");
    says(p, "truncated: it has only 3 bytes");
    write_text(p, "\xff\xff\xff\xff\x01\x02\x03\x04{}");
    says(p, "is not a safetensors file");
    uint8_t large[16] = {0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}'}; /* 100,000,001 */
    assert_int_equal(vka_write_file(p, large, sizeof large, NULL), VKA_OK);
    says(p, "claims a header of 100000001 bytes");
    large[0] = 0; /* exactly at the limit: now the file is too short */
    assert_int_equal(vka_write_file(p, large, sizeof large, NULL), VKA_OK);
    says(p, "truncated");
    says(in_folder("missing.safetensors"), "cannot open");
    says(folder, "not a regular file");
}

/* ---- the writer ---- */

static void test_round_trip(void **state)
{
    (void)state;
    const uint8_t bytes[3] = {1, 2, 255};
    const float floats[6] = {0.5f, -1, 2, 3, 4, 1e-30f};
    const int64_t wide = INT64_C(-9007199254740993); /* beyond what a double holds */
    const uint16_t halves[2] = {0x3c00, 0xc000};
    const vka_weight in[] = {
        {.name = "bytes", .dtype = VKA_WEIGHT_U8, .rank = 1, .dims = {3}, .data = bytes},
        {.name = "f \xc3\xbc \"q\"", .dtype = VKA_WEIGHT_F32, .rank = 2, .dims = {2, 3}, .data = floats},
        {.name = "empty", .dtype = VKA_WEIGHT_F16, .rank = 2, .dims = {0, 7}, .data = NULL},
        {.name = "scalar", .dtype = VKA_WEIGHT_I64, .rank = 0, .data = &wide},
        {.name = "halves", .dtype = VKA_WEIGHT_F16, .rank = 1, .dims = {2}, .data = halves},
    };
    const char *const meta[][2] = {{"format", "pt"}, {"note", "line\nbreak \xc3\xbc"}};
    const char *p = in_folder("round.safetensors");
    vka_error err = {0};
    assert_int_equal(vka_safetensors_write(p, in, 5, meta, 2, &err), VKA_OK);
    vka_safetensors st;
    assert_int_equal(vka_safetensors_open(&st, p, &err), VKA_OK);
    assert_int_equal(st.count, 5);
    for (size_t i = 0; i < 5; i++) {
        const vka_weight *t = vka_safetensors_find(&st, in[i].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, in[i].dtype);
        assert_int_equal(t->rank, in[i].rank);
        assert_memory_equal(t->dims, in[i].dims, sizeof t->dims);
        assert_int_equal((uintptr_t)t->data % vka_dtype_size(t->dtype), 0);
        if (t->bytes)
            assert_memory_equal(t->data, in[i].data, t->bytes);
    }
    assert_string_equal(vka_safetensors_metadata(&st, "note"), meta[1][1]);
    assert_string_equal(vka_safetensors_metadata(&st, "format"), "pt");
    assert_null(vka_safetensors_metadata(&st, "absent"));
    assert_null(vka_safetensors_find(&st, "absent"));
    vka_safetensors_close(&st);
    assert_int_equal(vka_safetensors_write(p, in, 0, NULL, 0, &err), VKA_OK); /* no tensors at all */
    assert_int_equal(vka_safetensors_open(&st, p, &err), VKA_OK);
    assert_int_equal(st.count, 0);
    vka_safetensors_close(&st);
}

static void test_writer_refuses(void **state)
{
    (void)state;
    const uint8_t b = 0;
    vka_weight t[2] = {{.name = "a", .dtype = VKA_WEIGHT_U8, .rank = 1, .dims = {1}, .data = &b},
                       {.name = "a", .dtype = VKA_WEIGHT_U8, .rank = 1, .dims = {1}, .data = &b}};
    const char *p = in_folder("refused.safetensors");
    vka_error err = {0};
    assert_int_equal(vka_safetensors_write(p, t, 2, NULL, 0, &err), VKA_E_INTERNAL); /* one name twice */
    t[1].name = "\xff";
    err = (vka_error){0};
    assert_int_equal(vka_safetensors_write(p, t, 2, NULL, 0, &err), VKA_E_INTERNAL);
    t[1] =
        (vka_weight){.name = "b", .dtype = VKA_WEIGHT_F32, .rank = 2, .dims = {UINT64_C(1) << 40, UINT64_C(1) << 40}};
    err = (vka_error){0};
    assert_int_equal(vka_safetensors_write(p, t, 2, NULL, 0, &err), VKA_E_INTERNAL);
    assert_false(vka_path_exists(p));
    err = (vka_error){0};
    assert_int_equal(vka_safetensors_write(in_folder("no/such/folder.safetensors"), t, 1, NULL, 0, &err), VKA_E_OUTPUT);
}

/* ---- tables ---- */

static void test_table(void **state)
{
    (void)state;
    vka_weights *w = vka_weights_new("the UNet of 'x'");
    vka_weight t = {.name = "source", .dtype = VKA_WEIGHT_F16, .rank = 2, .dims = {3, 5}, .bytes = 30};
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "block.%d.weight", i);
        assert_true(vka_weights_add(w, name, &t));
    }
    assert_int_equal(vka_weights_finish(w, NULL), VKA_OK);
    assert_int_equal(vka_weights_count(w), 1000);
    assert_null(vka_weights_find(w, "block.1000.weight"));
    assert_non_null(vka_weights_findf(w, "block.%d.weight", 999));
    assert_string_equal(vka_weights_find(w, "block.7.weight")->source, "source");
    assert_int_equal(vka_weight_count(vka_weights_find(w, "block.7.weight")), 15);
    assert_true(vka_weight_shape_is(&t, 2, (const int64_t[]){-1, 5}));
    assert_false(vka_weight_shape_is(&t, 2, (const int64_t[]){5, -1}));
    assert_false(vka_weight_shape_is(&t, 1, (const int64_t[]){3}));
    vka_weight_shape_text(&t, name, sizeof name);
    assert_string_equal(name, "[3, 5]");
    t.rank = 0;
    vka_weight_shape_text(&t, name, sizeof name);
    assert_string_equal(name, "[]");
    for (int i = 0; i < 1000; i++)
        if (i != 3 && i != 500)
            assert_non_null(vka_weights_use(w, (snprintf(name, sizeof name, "block.%d.weight", i), name)));
    const char *unused[4] = {0};
    assert_int_equal(vka_weights_unused(w, unused, 4), 2);
    assert_string_equal(unused[0], "block.3.weight");
    assert_string_equal(unused[1], "block.500.weight");
    assert_null(unused[2]);
    vka_weights_reset_used(w);
    assert_int_equal(vka_weights_unused(w, NULL, 0), 1000);
    vka_weights_free(w);

    w = vka_weights_new("it");
    vka_error err = {0};
    assert_true(vka_weights_add(w, "same", &t) && vka_weights_add(w, "same", &t));
    assert_int_equal(vka_weights_finish(w, &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "two tensors for the name 'same'"));
    vka_weights_free(w);
}

static void test_missing(void **state)
{
    (void)state;
    vka_missing m = {0};
    vka_error err = {0};
    assert_int_equal(vka_missing_check(&m, "it", &err), VKA_OK);
    vka_missing_add(&m, "conv_in.weight");
    assert_int_equal(vka_missing_check(&m, "the UNet of 'x'", &err), VKA_E_INPUT);
    assert_string_equal(err.what, "the UNet of 'x' lacks 1 tensor: conv_in.weight");
    for (int i = 0; i < 500; i++)
        vka_missing_add(&m, "down_blocks.0.resnets.0.norm1.weight");
    err = (vka_error){0};
    vka_missing_check(&m, "it", &err);
    assert_non_null(strstr(err.what, "it lacks 501 tensors: conv_in.weight, down_blocks.0.resnets.0.norm1.weight, "));
    assert_string_equal(err.what + strlen(err.what) - 5, ", ...");
}

/* ---- configs ---- */

static json_t *json(const char *text)
{
    json_t *j = vka_json_parse(text, strlen(text), "config.json", NULL);
    assert_non_null(j);
    return j;
}

static void test_unet_config(void **state)
{
    (void)state;
    vka_unet_config c;
    json_t *j = json("{}"); /* diffusers' defaults */
    assert_int_equal(vka_unet_config_from_json(&c, j, NULL, "c", NULL), VKA_OK);
    json_decref(j);
    assert_int_equal(c.levels, 4);
    assert_int_equal(c.channels[3], 1280);
    assert_int_equal(c.layers[0], 2);
    assert_int_equal(c.cross_attention_dim, 1280);
    assert_int_equal(c.depth[2], 1);
    assert_int_equal(c.depth[3], 0);
    assert_int_equal(c.up_depth[0], 0);
    assert_int_equal(c.up_depth[1], 1);
    assert_int_equal(c.mid_depth, 1);
    assert_int_equal(c.heads[0], 8);
    assert_int_equal(c.time_embed_dim, 1280);
    j = json(
        "{\"block_out_channels\":[64,128],\"layers_per_block\":[1,3],\"attention_head_dim\":[2,4],"
        "\"transformer_layers_per_block\":[1,2],\"down_block_types\":[\"DownBlock2D\",\"CrossAttnDownBlock2D\"],"
        "\"up_block_types\":[\"CrossAttnUpBlock2D\",\"UpBlock2D\"],\"cross_attention_dim\":32,"
        "\"use_linear_projection\":true,\"norm_num_groups\":16,\"freq_shift\":1,\"flip_sin_to_cos\":false,"
        "\"addition_embed_type\":null,\"sample_size\":16,\"norm_eps\":1e-6,\"only_cross_attention\":[false,false]}");
    assert_int_equal(vka_unet_config_from_json(&c, j, NULL, "c", NULL), VKA_OK);
    json_decref(j);
    assert_int_equal(c.levels, 2);
    assert_int_equal(c.layers[1], 3);
    assert_int_equal(c.heads[0], 2);
    assert_int_equal(c.mid_heads, 4);
    assert_int_equal(c.depth[0], 0);
    assert_int_equal(c.depth[1], 2);
    assert_int_equal(c.up_depth[0], 2);
    assert_int_equal(c.up_depth[1], 0);
    assert_int_equal(c.mid_depth, 2);
    assert_true(c.use_linear_projection);
    assert_false(c.flip_sin_to_cos);
    assert_float_equal(c.freq_shift, 1, 0);
    assert_float_equal(c.norm_eps, 1e-6, 1e-12);
    j = json("{\"attention_head_dim\":64,\"num_attention_heads\":10}"); /* the number of heads, when given */
    assert_int_equal(vka_unet_config_from_json(&c, j, NULL, "c", NULL), VKA_OK);
    json_decref(j);
    assert_int_equal(c.heads[0], 10);
}

/* For each: a setting that this class of UNet does not have is refused by its name. */
static void test_unet_config_refusals(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"addition_embed_type\":\"text_time\"}", "SDXL"},
        {"{\"addition_embed_type\":\"image\"}", "addition_embed_type is 'image'"},
        {"{\"class_embed_type\":\"projection\"}", "class_embed_type"},
        {"{\"num_class_embeds\":1000}", "num_class_embeds is 1000"},
        {"{\"time_cond_proj_dim\":256}", "time_cond_proj_dim is 256"},
        {"{\"center_input_sample\":true}", "center_input_sample"},
        {"{\"encoder_hid_dim\":4096}", "encoder_hid_dim"},
        {"{\"only_cross_attention\":[true,false,false,false]}", "only_cross_attention"},
        {"{\"dual_cross_attention\":true}", "dual_cross_attention"},
        {"{\"resnet_time_scale_shift\":\"scale_shift\"}", "resnet_time_scale_shift is 'scale_shift'"},
        {"{\"time_embedding_type\":\"fourier\"}", "time_embedding_type"},
        {"{\"act_fn\":\"gelu\"}", "act_fn is 'gelu'"},
        {"{\"conv_in_kernel\":1}", "conv_in_kernel"},
        {"{\"mid_block_type\":\"UNetMidBlock2DSimpleCrossAttn\"}", "mid_block_type"},
        {"{\"down_block_types\":[\"AttnDownBlock2D\",\"DownBlock2D\",\"DownBlock2D\",\"DownBlock2D\"]}",
         "AttnDownBlock2D"},
        {"{\"down_block_types\":[\"DownBlock2D\"]}", "down_block_types"},
        {"{\"block_out_channels\":[]}", "block_out_channels"},
        {"{\"block_out_channels\":[1,2,3,4,5,6,7,8,9]}", "block_out_channels"},
        {"{\"block_out_channels\":[320,640,1280,-1]}", "block_out_channels"},
        {"{\"block_out_channels\":[320,640,1280,1e30]}", "block_out_channels"},
        {"{\"block_out_channels\":\"wide\"}", "block_out_channels"},
        {"{\"layers_per_block\":[2,2]}", "layers_per_block has 2 entries"},
        {"{\"layers_per_block\":0}", "layers_per_block"},
        {"{\"norm_num_groups\":0}", "norm_num_groups"},
        {"{\"norm_num_groups\":33}", "cannot be split in 33 groups"},
        {"{\"attention_head_dim\":7}", "cannot be split in 7 heads"},
        {"{\"cross_attention_dim\":[1,2,3,4]}", "cross_attention_dim differs"},
        {"{\"norm_eps\":\"small\"}", "norm_eps"},
        {"{\"transformer_layers_per_block\":[[1],[1],[1],[1]]}", "transformer_layers_per_block"},
        {"{\"_class_name\":\"UNet3DConditionModel\"}", "UNet3DConditionModel"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_unet_config c;
        vka_error err = {0};
        json_t *j = json(cases[i][0]);
        assert_int_equal(vka_unet_config_from_json(&c, j, NULL, "unet/config.json", &err), VKA_E_INPUT);
        json_decref(j);
        if (!strstr(err.what, cases[i][1]) || !strstr(err.what, "unet/config.json"))
            fail_msg("%s gave \"%s\"", cases[i][0], err.what);
    }
}

static void test_other_configs(void **state)
{
    (void)state;
    vka_vae_config v;
    vka_text_config t;
    vka_scheduler_config s;
    vka_error err = {0};
    json_t *j =
        json("{\"_class_name\":\"AutoencoderKL\",\"block_out_channels\":[128,256,512,512],\"layers_per_block\":2}");
    assert_int_equal(vka_vae_config_from_json(&v, j, NULL, "c", NULL), VKA_OK);
    json_decref(j);
    assert_int_equal(v.levels, 4);
    assert_float_equal(v.scaling_factor, 0.18215, 1e-7);
    assert_true(v.use_quant_conv && v.use_post_quant_conv && v.mid_attention);
    j = json("{\"_class_name\":\"AutoencoderTiny\"}");
    assert_int_equal(vka_vae_config_from_json(&v, j, NULL, "c", &err), VKA_E_INPUT);
    json_decref(j);
    j = json("{\"text_config\":{\"hidden_size\":64,\"num_attention_heads\":4,\"hidden_act\":\"gelu\"}}");
    assert_int_equal(vka_text_config_from_json(&t, j, NULL, "c", NULL), VKA_OK);
    json_decref(j);
    assert_int_equal(t.hidden, 64);
    assert_int_equal(t.act, VKA_TEXT_GELU);
    assert_int_equal(t.max_positions, 77);
    err = (vka_error){0};
    j = json("{\"model_type\":\"t5\"}");
    assert_int_equal(vka_text_config_from_json(&t, j, NULL, "c", &err), VKA_E_INPUT);
    json_decref(j);
    err = (vka_error){0};
    j = json("{\"hidden_act\":\"relu\"}");
    assert_int_equal(vka_text_config_from_json(&t, j, NULL, "c", &err), VKA_E_INPUT);
    assert_non_null(strstr(err.what, "hidden_act is 'relu'"));
    json_decref(j);
    j = json("{\"_class_name\":\"PNDMScheduler\",\"beta_end\":0.02,\"prediction_type\":\"v_prediction\"}");
    assert_int_equal(vka_scheduler_config_from_json(&s, j, "c", NULL), VKA_OK);
    json_decref(j);
    assert_int_equal(s.has, VKA_SCHED_CLASS | VKA_SCHED_BETA_END | VKA_SCHED_PREDICTION_TYPE);
    assert_string_equal(s.prediction_type, "v_prediction");
    assert_string_equal(s.beta_schedule, "scaled_linear");
    assert_float_equal(s.beta_end, 0.02, 0);
    err = (vka_error){0};
    j = json("{\"trained_betas\":[0.1]}");
    assert_int_equal(vka_scheduler_config_from_json(&s, j, "c", &err), VKA_E_INPUT);
    json_decref(j);
    err = (vka_error){0};
    assert_null(vka_json_parse("[1]", 3, "c.json", &err));
    assert_non_null(strstr(err.what, "not a JSON object"));
    err = (vka_error){0};
    assert_null(vka_json_parse("{\"a\":1,\"a\":2}", 13, "c.json", &err));
    assert_non_null(strstr(err.what, "not valid JSON"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_float8),
        cmocka_unit_test(test_hostile_headers),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_deep_and_wide_json),
        cmocka_unit_test(test_truncated_everywhere),
        cmocka_unit_test(test_other_files),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_unet_config),
        cmocka_unit_test(test_unet_config_refusals),
        cmocka_unit_test(test_other_configs),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

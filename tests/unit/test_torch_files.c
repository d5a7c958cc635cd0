/* test_torch_files.c - PyTorch's files: what torch.save wrote (tests/golden/torch, by tests/reference/make_torch_files.py) gives
 * the tensors that safetensors wrote beside it, byte for byte; models in such files are those of their safetensors. */
#define _XOPEN_SOURCE 700
#include "torch_build.h"
#include "weights/inspect.h"
#include "weights/model.h"
#include "weights/motion.h"

#include <unistd.h>

static const char *golden(const char *name)
{
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/golden/torch/%s", VKA_TEST_DATA, name);
    return path[turn];
}

/* ---- sound files ---- */

static void open_golden(vka_safetensors *st, const char *name)
{
    vka_error err = {0};
    if (vka_model_file_open(st, golden(name), &err) != VKA_OK)
        fail_msg("%s: %s %s", name, err.what, err.why);
}

/* Each tensor of one is in the other, equal in every byte; `in_torch` may have more. */
static void same_tensors(const char *torch, const char *plain, size_t more)
{
    vka_safetensors a, b;
    open_golden(&a, torch);
    open_golden(&b, plain);
    assert_int_equal(a.count, b.count + more);
    for (size_t i = 0; i < b.count; i++) {
        const vka_weight *y = &b.tensors[i], *x = vka_safetensors_find(&a, y->name);
        if (!x)
            fail_msg("%s lacks '%s'", torch, y->name);
        if (x->dtype != y->dtype || x->rank != y->rank || x->bytes != y->bytes ||
            memcmp(x->dims, y->dims, sizeof x->dims) != 0)
            fail_msg("%s: '%s' is of another kind", torch, y->name);
        if (x->bytes && memcmp(x->data, y->data, x->bytes) != 0)
            fail_msg("%s: '%s' has other bytes", torch, y->name);
    }
    vka_safetensors_close(&a);
    vka_safetensors_close(&b);
}

static void test_equal_bytes(void **state)
{
    (void)state;
    same_tensors("kinds.pt", "kinds.safetensors", 0);
    same_tensors("protocol5.pt", "protocol5.safetensors", 0);
    same_tensors("wrapped.ckpt", "wrapped.safetensors", 0);
    same_tensors("motion.ckpt", "motion.safetensors", 0);
    same_tensors("embedding.pt", "embedding.safetensors", 0);
    same_tensors("parameters.pt", "parameters.safetensors", 0);
    same_tensors("scaled.pt", "scaled.safetensors", 0);
}

static void has_metadata(const char *name, const char *key, const char *value)
{
    vka_safetensors st;
    open_golden(&st, name);
    const char *found = vka_safetensors_metadata(&st, key);
    if (!found || strcmp(found, value) != 0)
        fail_msg("%s: %s is '%s', not '%s'", name, key, found ? found : "nothing", value);
    vka_safetensors_close(&st);
}

static void test_metadata(void **state)
{
    (void)state;
    has_metadata("embedding.pt", "name", "style-x");
    has_metadata("embedding.pt", "step", "500");
    has_metadata("embedding.pt", "sd_checkpoint", "ad2a33c361");
    has_metadata("wrapped.ckpt", "global_step", "840000");
    has_metadata("wrapped.ckpt", "pytorch-lightning_version", "1.4.2");
    has_metadata("parameters.pt", "string_to_token.*", "265");
    vka_safetensors st;
    open_golden(&st, "motion.ckpt");
    assert_int_equal(st.metadata_count, 0); /* animatediff_config is dropped */
    vka_safetensors_close(&st);
}

static void test_scales(void **state)
{
    (void)state;
    static const char *const files[] = {"scaled.pt", "scaled.safetensors"};
    for (int f = 0; f < 2; f++) {
        vka_safetensors st, want;
        open_golden(&st, files[f]);
        open_golden(&want, "scaled-values.safetensors");
        assert_int_equal(want.count, 3);
        for (size_t i = 0; i < want.count; i++) {
            char name[] = "a.weight";
            float got[12], part[5], value[12];
            name[0] = want.tensors[i].name[0];
            const vka_weight *w = vka_safetensors_find(&st, name);
            uint64_t n = vka_weight_count(w);
            vka_weight_to_f32(w, 0, n, got);
            vka_dtype_to_f32(value, want.tensors[i].data, want.tensors[i].dtype, (size_t)n);
            assert_memory_equal(got, value, n * sizeof *got);
            vka_weight_to_f32(w, 3, n - 3 < 5 ? n - 3 : 5, part); /* from the middle of a row on */
            assert_memory_equal(part, got + 3, (n - 3 < 5 ? n - 3 : 5) * sizeof *part);
        }
        vka_safetensors_close(&st);
        vka_safetensors_close(&want);
    }
}

static void refuses(const char *name, const char *sentence)
{
    vka_safetensors st;
    vka_error err = {0};
    assert_int_equal(vka_model_file_open(&st, golden(name), &err), VKA_E_INPUT);
    if (!strstr(err.what, sentence))
        fail_msg("%s: '%s' does not say '%s'", name, err.what, sentence);
}

static void test_refused(void **state)
{
    (void)state;
    char dir[] = "/tmp/vkanim-torch-XXXXXX", home[4096];
    assert_non_null(mkdtemp(dir));
    assert_non_null(getcwd(home, sizeof home));
    assert_int_equal(chdir(dir), 0);
    refuses("attack.ckpt", "posix.system");
    assert_int_not_equal(access("executed", F_OK), 0); /* what it would leave here */
    assert_int_equal(chdir(home), 0);
    assert_int_equal(rmdir(dir), 0);
    refuses("transposed.pt", "'turned' is a transposed or strided view");
    refuses("complex.pt", "torch.ComplexFloatStorage");
    refuses("bare.pt", "one tensor without a name");
    refuses("object.pt", "without named tensors");
    refuses("legacy.pt", "before version 1.6");
    refuses("bare.pkl", "a bare Python pickle");
}

/* ---- whole models ---- */

/* Both tables have the same tensors, equal in every byte. */
static void same_tables(const vka_weights *a, const vka_weights *b)
{
    assert_int_equal(vka_weights_count(a), vka_weights_count(b));
    for (size_t i = 0; i < vka_weights_count(b); i++) {
        const vka_weight *y = vka_weights_at(b, i), *x = vka_weights_find(a, y->name);
        assert_non_null(x);
        assert_true(x->dtype == y->dtype && x->rank == y->rank && x->bytes == y->bytes &&
                    memcmp(x->dims, y->dims, sizeof x->dims) == 0);
        assert_memory_equal(x->data, y->data, y->bytes);
    }
}

static vka_weights *open_part(vka_model **m, const char *path, enum vka_part p)
{
    vka_error err = {0};
    vka_weights *w = vka_model_open(m, path, &err) == VKA_OK ? vka_model_weights(*m, p, &err) : NULL;
    if (!w)
        fail_msg("%s: %s %s", path, err.what, err.why);
    return w;
}

#define MINIATURE VKA_SOURCE_DIR "/models/miniature"
static char folder[] = "/tmp/vkanim-torch-XXXXXX";
static const char *in_folder(const char *name)
{
    static char path[4][600];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void copy(const char *from, const char *to)
{
    char *data;
    size_t size;
    assert_int_equal(vka_read_file(from, 1 << 24, &data, &size, NULL), VKA_OK);
    assert_int_equal(vka_write_file(to, data, size, NULL), VKA_OK);
    free(data);
}

/* A UNet's folder with .bin, whole, in two shards and in fp16's name; safetensors beside it go first. */
static void test_folders(void **state)
{
    (void)state;
    vka_safetensors st;
    vka_model *model, *plain;
    const char *unet = MINIATURE "/unet/diffusion_pytorch_model.safetensors";
    assert_int_equal(vka_safetensors_open(&st, unet, NULL), VKA_OK);
    assert_int_equal(vka_make_dirs(in_folder("m/unet"), NULL), VKA_OK);
    copy(MINIATURE "/unet/config.json", in_folder("m/unet/config.json"));
    vka_weights *want = open_part(&plain, MINIATURE, VKA_PART_UNET);

    write_torch(in_folder("m/unet/diffusion_pytorch_model.fp16.bin"), st.tensors, st.count, "", NULL);
    same_tables(open_part(&model, in_folder("m"), VKA_PART_UNET), want);
    assert_non_null(strstr(vka_model_file(model, 0), "fp16.bin"));
    vka_model_close(model);
    assert_int_equal(
        rename(in_folder("m/unet/diffusion_pytorch_model.fp16.bin"), in_folder("m/unet/diffusion_pytorch_model.bin")),
        0);
    same_tables(open_part(&model, in_folder("m"), VKA_PART_UNET), want);
    vka_model_close(model);
    copy(unet, in_folder("m/unet/diffusion_pytorch_model.safetensors"));
    open_part(&model, in_folder("m"), VKA_PART_UNET);
    assert_non_null(strstr(vka_model_file(model, 0), ".safetensors"));
    vka_model_close(model);
    assert_int_equal(unlink(in_folder("m/unet/diffusion_pytorch_model.safetensors")), 0);
    assert_int_equal(unlink(in_folder("m/unet/diffusion_pytorch_model.bin")), 0);

    size_t half = st.count / 2;
    write_torch(in_folder("m/unet/one.bin"), st.tensors, half, "", NULL);
    write_torch(in_folder("m/unet/two.bin"), st.tensors + half, st.count - half, "", NULL);
    FILE *f = fopen(in_folder("m/unet/diffusion_pytorch_model.bin.index.json"), "w");
    assert_non_null(f);
    fputs("{\"weight_map\":{", f);
    for (size_t i = 0; i < st.count; i++)
        fprintf(f, "%s\"%s\":\"%s.bin\"", i ? "," : "", st.tensors[i].name, i < half ? "one" : "two");
    fputs("}}", f);
    assert_int_equal(fclose(f), 0);
    same_tables(open_part(&model, in_folder("m"), VKA_PART_UNET), want);
    vka_model_close(model);

    /* One part's file, and wrapped the way trainers do. */
    static const char *const ways[][2] = {
        {"", NULL}, {"", "state_dict"}, {"module.", NULL}, {"module.", "state_dict"}, {"module.", "model"}};
    copy(MINIATURE "/unet/config.json", in_folder("config.json"));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        write_torch(in_folder("diffusion_pytorch_model.bin"), st.tensors, st.count, ways[i][0], ways[i][1]);
        same_tables(open_part(&model, in_folder("diffusion_pytorch_model.bin"), VKA_PART_UNET), want);
        vka_model_close(model);
    }
    vka_model_close(plain);
    vka_safetensors_close(&st);
}

/* A checkpoint's names, and those of its averages: what is there is what is used. */
static void test_averages(void **state)
{
    (void)state;
    static const char *const names[] = {"time_embed.0.weight",
                                        "time_embed.2.bias",
                                        "input_blocks.0.0.weight",
                                        "input_blocks.1.0.in_layers.0.weight",
                                        "input_blocks.1.0.emb_layers.1.bias",
                                        "input_blocks.1.1.norm.weight",
                                        "input_blocks.1.1.proj_in.weight",
                                        "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
                                        "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0.bias",
                                        "input_blocks.1.1.transformer_blocks.0.ff.net.0.proj.weight",
                                        "input_blocks.1.1.transformer_blocks.0.ff.net.2.weight",
                                        "input_blocks.1.1.transformer_blocks.0.norm3.bias",
                                        "input_blocks.10.0.out_layers.3.weight",
                                        "input_blocks.11.0.in_layers.2.weight",
                                        "input_blocks.3.0.op.weight",
                                        "input_blocks.7.0.skip_connection.weight",
                                        "input_blocks.7.1.transformer_blocks.9.norm1.weight",
                                        "middle_block.0.in_layers.0.weight",
                                        "middle_block.1.proj_out.bias",
                                        "output_blocks.11.1.transformer_blocks.0.attn2.to_v.weight",
                                        "output_blocks.2.1.conv.weight",
                                        "output_blocks.5.2.conv.bias",
                                        "out.0.weight",
                                        "out.2.bias",
                                        "label_emb.0.0.weight"};
    enum { N = sizeof names / sizeof *names };
    static char flat[N][256];
    vka_weight t[N + 2];
    for (size_t i = 0; i < N; i++) {
        size_t k = (size_t)snprintf(flat[i], sizeof flat[i], "model_ema.diffusion_model");
        for (const char *c = names[i]; *c; c++)
            if (*c != '.')
                flat[i][k++] = *c;
        flat[i][k] = '\0';
        t[i] =
            (vka_weight){.name = flat[i], .dtype = VKA_WEIGHT_F32, .rank = 1, .dims = {6}, .data = values, .bytes = 24};
    }
    t[N] = (vka_weight){.name = "model_ema.decay", .dtype = VKA_WEIGHT_F32, .data = values, .bytes = 4};
    t[N + 1] = (vka_weight){.name = "cond_stage_model.x", .dtype = VKA_WEIGHT_F32, .data = values, .bytes = 4};
    for (int torch = 0; torch < 2; torch++) {
        const char *path = in_folder(torch ? "ema.ckpt" : "ema.safetensors");
        vka_safetensors st;
        if (torch)
            write_torch(path, t, N + 2, "", "state_dict");
        else
            assert_int_equal(vka_safetensors_write(path, t, N + 2, NULL, 0, NULL), VKA_OK);
        assert_int_equal(vka_model_file_open(&st, path, NULL), VKA_OK);
        assert_true(st.is_average);
        assert_int_equal(st.count, N + 2);
        for (size_t i = 0; i < N; i++) {
            char name[300];
            snprintf(name, sizeof name, "model.diffusion_model.%s", names[i]);
            if (!vka_safetensors_find(&st, name))
                fail_msg("'%s' did not become '%s'", flat[i], name);
        }
        assert_non_null(vka_safetensors_find(&st, "model_ema.decay"));
        vka_safetensors_close(&st);
        t[N].name = "model.diffusion_model.out.0.weight"; /* with weights of its own the averages keep their names */
        assert_int_equal(vka_safetensors_write(path, t, N + 1, NULL, 0, NULL), VKA_OK);
        assert_int_equal(vka_model_file_open(&st, path, NULL), VKA_OK);
        assert_true(!st.is_average && vka_safetensors_find(&st, flat[0]));
        vka_safetensors_close(&st);
        t[N].name = "model_ema.decay";
    }
}

/* A VAE alone as it is handed around, with what its training left in it. */
static void test_vae(void **state)
{
    (void)state;
    vka_safetensors st;
    vka_model *model, *plain;
    assert_int_equal(vka_safetensors_open(&st, MINIATURE "/vae/diffusion_pytorch_model.safetensors", NULL), VKA_OK);
    vka_weights *want = open_part(&plain, MINIATURE, VKA_PART_VAE);
    vka_weight *t = calloc(st.count + 2, sizeof *t);
    assert_non_null(t);
    memcpy(t, st.tensors, st.count * sizeof *t);
    t[st.count] = (vka_weight){.name = "loss.discriminator.main.0.weight",
                               .dtype = VKA_WEIGHT_F32,
                               .rank = 1,
                               .dims = {6},
                               .data = values,
                               .bytes = 24};
    t[st.count + 1] = (vka_weight){.name = "loss.logvar", .dtype = VKA_WEIGHT_F32, .data = values, .bytes = 4};
    static const char *const ways[][2] = {{"", NULL}, {"", "state_dict"}};
    for (size_t i = 0; i < 2; i++) {
        write_torch(in_folder("vae.pt"), t, st.count + 2, ways[i][0], ways[i][1]);
        same_tables(open_part(&model, in_folder("vae.pt"), VKA_PART_VAE), want);
        assert_null(vka_model_stranger(model, 0));
        vka_model_close(model);
    }
    write_torch(in_folder("vae.pt"), t, st.count, "first_stage_model.", "state_dict");
    same_tables(open_part(&model, in_folder("vae.pt"), VKA_PART_VAE), want);
    vka_model_close(model);
    free(t);
    vka_model_close(plain);
    vka_safetensors_close(&st);
}

static void kind_of(const char *path, enum vka_file_kind kind, const char *family)
{
    vka_safetensors st;
    vka_classification c;
    assert_int_equal(vka_model_file_open(&st, path, NULL), VKA_OK);
    vka_classify(&c, &st);
    assert_int_equal(c.kind, kind);
    assert_true(family ? c.family && strcmp(c.family, family) == 0 : !c.family);
    vka_safetensors_close(&st);
}

static void test_kinds(void **state)
{
    (void)state;
    kind_of(golden("embedding.pt"), VKA_FILE_EMBEDDING, "sd15");
    kind_of(golden("parameters.pt"), VKA_FILE_EMBEDDING, "sd15");
    kind_of(golden("motion.ckpt"), VKA_FILE_MOTION, NULL);
    static const char *const families[] = {[4] = "sd15", [8] = "sd15-pix2pix", [9] = "sd15-inpaint"};
    static const float zeros[320 * 9];
    for (uint64_t c = 4; c < 10; c++)
        if (families[c]) {
            vka_weight t = {.name = "model.diffusion_model.input_blocks.0.0.weight",
                            .dtype = VKA_WEIGHT_F32,
                            .rank = 4,
                            .dims = {320, c, 1, 1},
                            .data = zeros,
                            .bytes = 320 * c * 4};
            write_torch(in_folder("kind.ckpt"), &t, 1, "", "state_dict");
            kind_of(in_folder("kind.ckpt"), VKA_FILE_CHECKPOINT, families[c]);
            vka_inspection x;
            bool noted = false;
            assert_int_equal(vka_inspect(&x, in_folder("kind.ckpt"), NULL), VKA_OK);
            for (size_t k = 0; k < x.note_count; k++)
                noted = noted || strstr(x.notes[k], "cannot render from a prompt alone");
            assert_int_equal(noted, c > 4);
            vka_inspection_free(&x);
        }
}

/* A motion module's training checkpoint: the whole UNet under "module.", of which the motion tensors count. */
static void test_training(void **state)
{
    (void)state;
    vka_safetensors unet, module;
    vka_motion *a = NULL, *b = NULL;
    vka_error err = {0};
    assert_int_equal(vka_safetensors_open(&unet, MINIATURE "/unet/diffusion_pytorch_model.safetensors", NULL), VKA_OK);
    assert_int_equal(vka_safetensors_open(&module, MINIATURE "/motion.safetensors", NULL), VKA_OK);
    vka_weight *t = calloc(unet.count + module.count, sizeof *t);
    assert_non_null(t);
    memcpy(t, unet.tensors, unet.count * sizeof *t);
    memcpy(t + unet.count, module.tensors, module.count * sizeof *t);
    write_torch(in_folder("training.ckpt"), t, unet.count + module.count, "module.", "state_dict");
    if (vka_motion_open(&a, in_folder("training.ckpt"), &err) != VKA_OK ||
        vka_motion_open(&b, MINIATURE "/motion.safetensors", &err) != VKA_OK)
        fail_msg("%s %s", err.what, err.why);
    same_tables(vka_motion_weights(a), vka_motion_weights(b));
    assert_int_equal(vka_motion_describe(a)->variant, vka_motion_describe(b)->variant);
    vka_motion_close(a);
    assert_int_equal(vka_make_dirs(in_folder("adapter"), NULL), VKA_OK);
    write_torch(in_folder("adapter/diffusion_pytorch_model.bin"), module.tensors, module.count, "", NULL);
    assert_int_equal(vka_motion_open(&a, in_folder("adapter"), &err), VKA_OK);
    same_tables(vka_motion_weights(a), vka_motion_weights(b));
    vka_motion_close(a);
    vka_motion_close(b);
    free(t);
    vka_safetensors_close(&unet);
    vka_safetensors_close(&module);
}

/* Scales that are not of the kinds that are read. */
static void test_odd_scales(void **state)
{
    (void)state;
    static const uint8_t eight[12];
    vka_weight t[] = {
        {.name = "a.weight", .dtype = VKA_WEIGHT_F8_E4M3, .rank = 2, .dims = {3, 4}, .data = eight, .bytes = 12},
        {.name = "a.weight_scale", .dtype = VKA_WEIGHT_F32, .rank = 2, .dims = {3, 2}, .data = values, .bytes = 24}};
    vka_safetensors st;
    for (int i = 0; i < 4; i++) {
        vka_error err = {0};
        t[0].dtype = i == 1 ? VKA_WEIGHT_I8 : VKA_WEIGHT_F8_E4M3;
        t[1].rank = i == 1 ? 0 : i == 2 ? 1 : 2;
        t[1].dims[0] = i == 3 ? 0 : i == 2 ? 6 : 3;
        assert_int_equal(vka_safetensors_write(in_folder("odd.safetensors"), t, 2, NULL, 0, NULL), VKA_OK);
        assert_int_equal(vka_model_file_open(&st, in_folder("odd.safetensors"), &err), VKA_E_INPUT);
        assert_non_null(strstr(err.what, "'a.weight_scale' scales"));
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}
static int remove_folder(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_bytes), cmocka_unit_test(test_metadata), cmocka_unit_test(test_scales),
        cmocka_unit_test(test_refused),

        cmocka_unit_test(test_folders),     cmocka_unit_test(test_averages), cmocka_unit_test(test_vae),
        cmocka_unit_test(test_kinds),       cmocka_unit_test(test_training), cmocka_unit_test(test_odd_scales),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

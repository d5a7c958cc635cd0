/* test_init.c - pictures that a clip begins from: the rule and the steps against tests/golden/init.json (tests/reference/init.py),
 * samplers that begin at a later step against diffusers, what is held, which files are refused; and where frames are kept. */
#include "media_clip.h"

#include "golden_json.h"

#include "render/frame_store.h"
#include "render/init.h"

static json_t *golden(const char *key) { return golden_part(VKA_TEST_DATA "/golden/init.json", key); }

static double item(const json_t *object, const char *key, size_t i)
{
    return number(json_object_get(object, key), i);
}

/* ---- the rule ---------------------------------------------------------------------------------------------------- */

static void shares(void **state)
{
    (void)state;
    json_t *rules = golden("rule");
    assert_true(json_array_size(rules) >= 9);
    for (size_t r = 0; r < json_array_size(rules); r++) {
        const json_t *rule = json_array_get(rules, r);
        uint32_t frames = (uint32_t)named(rule, "frames"), keys = json_object_get(rule, "last") ? 2 : 1;
        struct vka_init_key key[2] = {{.frame = 0, .power = named(rule, "power"), .scale = named(rule, "scale")},
                                      {.frame = frames - 1, .power = named(rule, "last_power"), .scale = named(rule, "last_scale")}};
        for (uint32_t f = 0; f < frames; f++) {
            double w[2];
            vka_init_weights(key, keys, f, w);
            near(w[0], item(rule, "first", f), 1e-15, "first");
            if (keys == 2)
                near(w[1], item(rule, "last", f), 1e-15, "last");
        }
    }
    json_decref(rules);
}

/* Three keys: a key is itself alone, elsewhere nobody has more than all, and what is nearer has more. */
static void keyframes(void **state)
{
    (void)state;
    struct vka_init_key key[3] = {{.frame = 2, .power = 1, .scale = 6}, {.frame = 9, .power = 1, .scale = 6},
                                  {.frame = 13, .power = 1, .scale = 6}};
    for (uint32_t f = 0; f < 16; f++) {
        double w[3], sum = 0;
        vka_init_weights(key, 3, f, w);
        for (int k = 0; k < 3; k++) {
            sum += w[k];
            if (f == key[k].frame)
                near(w[k], 1, 0, "at a key");
        }
        assert_true(sum <= 1 + 1e-15 && sum > 0);
        uint32_t nearest = vka_init_nearest(key, 3, f);
        for (int k = 0; k < 3; k++)
            assert_true(w[nearest] >= w[k]);
    }
    double w[3];
    vka_init_weights(key, 3, 11, w); /* 2 from two keys, 9 from the first: 2/3 each, together 4/3 */
    near(w[0], 0, 0, "far");
    near(w[1], 0.5, 1e-15, "near");
    near(w[2], 0.5, 1e-15, "near");
    assert_int_equal(vka_init_nearest(key, 3, 11), 1);
    vka_init_weights(key, 3, 4, w); /* 2 from the first, 5 from the second */
    near(w[0], 4.0 / 6, 1e-15, "first");
    near(w[1], 1.0 / 6, 1e-15, "second");
}

static void steps_left_out(void **state)
{
    (void)state;
    json_t *list = golden("steps");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);
        uint32_t steps = (uint32_t)json_integer_value(json_array_get(c, 0));
        assert_int_equal(vka_init_first_step(steps, json_number_value(json_array_get(c, 1))),
                         json_integer_value(json_array_get(c, 2)));
    }
    json_decref(list);
}

/* The model and the noise of make_sampler_runs.py, from a picture. */
static void runs_from_a_picture(void **state)
{
    (void)state;
    static const double first[3] = {0.8, -1.1, 0.35}, picture[3] = {0.5, -0.25, 0.1};
    json_t *list = golden("runs");
    size_t bad = 0;
    assert_true(json_array_size(list) >= 90);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);
        vka_sampler_params p = vka_sampler_params_default();
        const char *sampler = json_string_value(json_object_get(c, "sampler"));
        assert_int_equal(vka_sampler_from_name(sampler, &p.sampler, NULL), VKA_OK);
        const char *schedule = json_string_value(json_object_get(c, "schedule"));
        assert_int_equal(vka_schedule_from_name(schedule, &p.schedule, NULL), VKA_OK);
        p.steps = (uint32_t)named(c, "steps");
        p.begin = vka_init_first_step(p.steps, named(c, "strength"));
        vka_sampler *s = vka_sampler_create(&p, NULL);
        assert_non_null(s);
        double data[VKA_SLOTS][3], *slot[VKA_SLOTS], image, noise, most = 1, off = 0;
        int drawn = 0;
        for (int k = 0; k < VKA_SLOTS; k++) {
            slot[k] = data[k];
            for (int j = 0; j < 3; j++)
                data[k][j] = NAN;
        }
        vka_sampler_start_mix(s, 0, &image, &noise);
        for (int j = 0; j < 3; j++)
            data[VKA_SLOT_X][j] = image * picture[j] + noise * first[j];
        for (uint32_t k = 0; k < vka_sampler_evals(s); k++) {
            const vka_sampler_eval *e = vka_sampler_eval_at(s, k);
            for (int j = 0; j < 3; j++) {
                double u = e->input_scale * data[VKA_SLOT_X][j];
                data[VKA_SLOT_EPS][j] = 0.55 * u + 0.35 * tanh(u) + 0.2 * sin((double)e->timestep / 150.0 + j);
                if (e->draws_noise)
                    data[VKA_SLOT_NOISE][j] = 1.3 * sin(2.1 * drawn + 0.9 * j + 0.4);
            }
            drawn += e->draws_noise;
            vka_sampler_apply(e, slot, 3);
        }
        for (size_t j = 0; j < 3; j++) {
            most = fmax(most, fabs(item(c, "x", j)));
            off = fmax(off, fabs(data[VKA_SLOT_X][j] - item(c, "x", j)));
        }
        if (!(off <= 1e-5 * most)) {
            print_error("%s, %s, %u steps from %u: %.9g is not %.9g\n", sampler, schedule, p.steps, p.begin, data[VKA_SLOT_X][0],
                        item(c, "x", 0));
            bad++;
        }
        vka_sampler_free(s);
    }
    json_decref(list);
    assert_int_equal(bad, 0);
}

/* ---- what a clip starts from ---------------------------------------------------------------------------------------- */

enum { F = 5, C = 4, LH = 2, LW = 3, PLANE = LH * LW, ONE = C * PLANE };

static double value(uint32_t which, uint32_t i)
{
    return sin(0.7 * which + 0.31 * i + 0.2);
}

/* Two keys whose latents are numbers of value(), without files. */
static struct vka_init two_keys(void)
{
    struct vka_init in = {.any = true, .frames = F, .width = 8 * LW, .height = 8 * LH, .channels = C, .h = LH, .w = LW,
                          .key_count = 2, .hold = 1, .ready = true};
    in.key = calloc(2, sizeof *in.key);
    in.encoded = calloc(2 * ONE, sizeof *in.encoded);
    assert_true(in.key && in.encoded);
    in.key[0] = (struct vka_init_key){.frame = 0, .power = 1, .scale = 4};
    in.key[1] = (struct vka_init_key){.frame = 4, .power = 1, .scale = 3};
    for (uint32_t i = 0; i < 2 * ONE; i++)
        in.encoded[i] = (float)value(i / ONE, i % ONE);
    return in;
}

static void starts(void **state)
{
    (void)state;
    struct vka_init in = two_keys();
    float noise[F * ONE], x[F * ONE], keep[PLANE];
    for (uint32_t i = 0; i < F * ONE; i++)
        x[i] = 1, noise[i] = (float)value(9, i);
    assert_true(vka_init_wants_noise(&in));
    assert_int_equal(vka_init_clip(&in, noise, NULL), VKA_OK);
    /* shares of the first key: 1, 3/4, 1/2, 1/4 0; of the last 0, 0, 1/3, 2/3, 1 */
    static const double a[F] = {1, 0.75, 0.5, 0.25, 0}, b[F] = {0, 0, 1.0 / 3, 2.0 / 3, 1};
    for (uint32_t f = 0; f < F; f++)
        for (uint32_t i = 0; i < ONE; i++) {
            double want = a[f] * (double)in.encoded[i] + b[f] * (double)in.encoded[ONE + i] +
                          (1 - a[f] - b[f]) * (double)noise[f * ONE + i];
            near((double)in.latents[f * ONE + i], want, 1e-7, "latents");
        }
    assert_memory_equal(in.latents, in.encoded, ONE * sizeof(float));
    assert_memory_equal(in.latents + 4 * ONE, in.encoded + ONE, ONE * sizeof(float));
    vka_init_start(&in, 0.5, 3, x);
    near((double)x[2 * ONE + 1], 0.5 * (double)in.latents[2 * ONE + 1] + 3, 1e-6, "start");
    /* held: the keys, of nearest pictures */
    assert_true(vka_init_holds(&in));
    assert_int_equal(vka_init_held(&in, 7), 7);
    in.hold = 0.5;
    assert_int_equal(vka_init_held(&in, 7), 4);
    for (uint32_t f = 0; f < F; f++) {
        vka_init_keep(&in, f, keep);
        for (int p = 0; p < PLANE; p++)
            near((double)keep[p], f == 0 || f == 4, 0, "keep");
        assert_ptr_equal(vka_init_target(&in, f), in.encoded + (f <= 2 ? 0 : ONE));
    }
    in.hold = 0;
    assert_false(vka_init_holds(&in));
    assert_int_equal(vka_init_held(&in, 7), 0);
    vka_init_close(&in);
}

static void masks(void **state)
{
    (void)state;
    struct vka_init in = two_keys();
    float noise[F * ONE], keep[PLANE];
    for (uint32_t i = 0; i < F * ONE; i++)
        noise[i] = (float)value(9, i);
    assert_int_equal(vka_init_clip(&in, noise, NULL), VKA_OK);
    float *bare = malloc(F * ONE * sizeof *bare);
    assert_non_null(bare);
    memcpy(bare, in.latents, F * ONE * sizeof *bare);
    in.mask_frames = 1;
    in.mask = calloc(PLANE, sizeof *in.mask);
    assert_non_null(in.mask);
    in.mask[0] = 1;
    in.mask[1] = 0.25f;
    assert_int_equal(vka_init_clip(&in, noise, NULL), VKA_OK);
    for (uint32_t f = 0; f < F; f++) {
        const float *kept = vka_init_target(&in, f);
        for (uint32_t i = 0; i < ONE; i++) {
            double m = (double)in.mask[i % PLANE];
            near((double)in.latents[f * ONE + i], m * (double)bare[f * ONE + i] + (1 - m) * (double)kept[i], 1e-7, "latents");
        }
        vka_init_keep(&in, f, keep);
        near((double)keep[0], 0, 0, "white");
        near((double)keep[1], 0.75, 0, "grey");
        near((double)keep[2], 1, 0, "black");
    }
    free(bare);
    vka_init_close(&in);
}

/* ---- options and files ------------------------------------------------------------------------------------------------ */

static const char *given(const char *name)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/unit/pictures/%s", VKA_TEST_DATA, name);
    return path[turn];
}

static vka_job *new_job(void)
{
    vka_job *job = vka_job_create();
    assert_non_null(job);
    return job;
}

static void put(char **field, const char *value_)
{
    assert_true(vka_job_text(field, value_));
}

static vka_status opens(vka_job *job, struct vka_init *in, const char *word)
{
    vka_error err = {0};
    vka_status st = vka_init_open(in, job, 6, 24, 16, 8, 4, &err);
    if (st != err.status || (word && !strstr(err.what, word) && !strstr(err.hint, word)))
        fail_msg("%s (%s) %s", err.what, err.why, err.hint);
    vka_job_destroy(&job);
    if (st != VKA_OK)
        vka_init_close(in);
    return st;
}

static void add_keyframe(vka_job *job, const char *text)
{
    vka_text_list *l = &job->keyframe;
    l->items = realloc(l->items, (l->count + 1) * sizeof *l->items);
    assert_non_null(l->items);
    l->capacity = l->count + 1;
    l->items[l->count++] = vka_strdup(text);
}

static void keyframe_places(void **state)
{
    (void)state;
    uint32_t frame = 9;
    const char *image;
    vka_error err = {0};
    assert_int_equal(vka_init_parse_key("3=a=b.png", 16, &frame, &image, NULL), VKA_OK);
    assert_int_equal(frame, 3);
    assert_string_equal(image, "a=b.png");
    assert_int_equal(vka_init_parse_key("-1=x", 16, &frame, &image, NULL), VKA_OK);
    assert_int_equal(frame, 15);
    assert_int_equal(vka_init_parse_key("-16=x", 16, &frame, &image, NULL), VKA_OK);
    assert_int_equal(frame, 0);
    assert_int_equal(vka_init_parse_key("16=x", 16, &frame, &image, &err), VKA_E_USAGE);
    assert_non_null(strstr(err.what, "outside"));
    static const char *const bad[] = {"-17=x", "=x", "x", "3", "3=", "3.5=x", "+3=x", "--3=x", "99999999999=x", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(vka_init_parse_key(bad[i], 16, &frame, &image, NULL), VKA_E_USAGE);
}

static void files(void **state)
{
    (void)state;
    struct vka_init in;
    vka_job *job = new_job();
    char key[600];
    assert_int_equal(opens(job, &in, NULL), VKA_OK); /* nothing asked for */
    assert_false(in.any);
    vka_init_close(&in);

    job = new_job();
    put(&job->init, given("rgb.png"));
    put(&job->init_last, given("alpha.png"));
    snprintf(key, sizeof key, "-3=%s", given("turn6.png"));
    add_keyframe(job, key);
    assert_int_equal(opens(job, &in, NULL), VKA_OK);
    assert_int_equal(in.key_count, 3);
    assert_int_equal(in.key[1].frame, 3);
    assert_int_equal(in.key[2].frame, 5);
    assert_int_equal(vka_init_pictures(&in), 3);
    near(in.key[2].power, 1, 0, "the first's"), near(in.key[2].scale, 32, 0, "the first's");
    assert_memory_equal(in.key[0].rgb, in.key[1].rgb, 24 * 16 * 3); /* turn6.png is rgb.png turned */
    assert_true(vka_init_bytes(&in) > 0);
    vka_init_close(&in);

    job = new_job();
    put(&job->init, given("rgb.png"));
    put(&job->mask, given("bits.png")); /* white where red is more than 128: from column 12 on */
    assert_int_equal(opens(job, &in, NULL), VKA_OK);
    assert_int_equal(in.mask_frames, 1);
    near((double)in.mask[0], 0, 0, "black"), near((double)in.mask[2], 1, 0, "white"), near((double)in.mask[1], 0.5, 1e-6, "half");
    vka_init_close(&in);

    static const struct {
        const char *init, *last, *video, *mask, *keyframe, *word;
        vka_status status;
    } bad[] = {
        {"missing.png", NULL, NULL, NULL, NULL, "missing.png", VKA_E_INPUT},
        {NULL, NULL, NULL, "bits.png", NULL, "--mask", VKA_E_USAGE},
        {"rgb.png", NULL, NULL, "noise.png", NULL, "13 x 11", VKA_E_INPUT},
        {"rgb.png", NULL, NULL, NULL, "6=x", "outside", VKA_E_USAGE},
        {"rgb.png", NULL, NULL, NULL, "0=x", "two pictures", VKA_E_USAGE},
        {NULL, "rgb.png", NULL, NULL, "-1=x", "two pictures", VKA_E_USAGE},
        {NULL, NULL, "rgb.png", NULL, NULL, "1 picture", VKA_E_INPUT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        job = new_job();
        if (bad[i].init)
            put(&job->init, given(bad[i].init));
        if (bad[i].last)
            put(&job->init_last, given(bad[i].last));
        if (bad[i].video)
            put(&job->init_video, given(bad[i].video));
        if (bad[i].mask)
            put(&job->mask, given(bad[i].mask));
        if (bad[i].keyframe)
            add_keyframe(job, bad[i].keyframe);
        assert_int_equal(opens(job, &in, bad[i].word), bad[i].status);
    }
#ifdef VKANIM_FFMPEG
    job = new_job(); /* six pictures for six frames; every second one is three */
    put(&job->init_video, given("grey.mp4"));
    assert_int_equal(opens(job, &in, NULL), VKA_OK);
    assert_int_equal(vka_init_pictures(&in), 6);
    assert_false(vka_init_wants_noise(&in));
    assert_false(vka_init_holds(&in));
    vka_init_close(&in);
    job = new_job();
    put(&job->init_video, given("grey.mp4"));
    job->video_stride = 2;
    assert_int_equal(opens(job, &in, "3 pictures"), VKA_E_INPUT);
#endif
}

/* ---- frames that are kept ------------------------------------------------------------------------------------------------- */

static void frame_store(void **state)
{
    (void)state;
    for (int disk = 0; disk < 2; disk++) {
        struct vka_frame_store s;
        uint8_t frame[700], back[700];
        assert_int_equal(vka_frame_store_open(&s, 9, sizeof frame, disk ? 6299 : 6300, NULL), VKA_OK);
        assert_true(disk ? !s.memory : !s.file.open);
        for (uint32_t i = 9; i-- > 0;) {
            memset(frame, (int)i, sizeof frame);
            assert_int_equal(vka_frame_store_put(&s, i, frame, NULL), VKA_OK);
        }
        for (uint32_t i = 0; i < 9; i++) {
            assert_int_equal(vka_frame_store_get(&s, i, back, NULL), VKA_OK);
            assert_true(back[0] == i && back[699] == i);
        }
        assert_int_equal(vka_frame_store_put(&s, 9, frame, NULL), VKA_E_INTERNAL);
        assert_int_equal(vka_frame_store_get(&s, 9, frame, NULL), VKA_E_INTERNAL);
        vka_frame_store_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares),         cmocka_unit_test(keyframes), cmocka_unit_test(steps_left_out),
        cmocka_unit_test(runs_from_a_picture), cmocka_unit_test(starts), cmocka_unit_test(masks),
        cmocka_unit_test(keyframe_places), cmocka_unit_test(files),    cmocka_unit_test(frame_store),
    };
    return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}

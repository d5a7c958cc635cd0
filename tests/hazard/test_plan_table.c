/* test_plan_table.c - what fits: Stable Diffusion 1.5 with AnimateDiff v2 in fp16 with guidance, on a GPU's kernels, planned for
 * six pictures, three lengths of clip and seven budgets, as `vkanim plan` plans it: each stage for itself, the largest counts.
 * The table in bench/README.md must be what comes out, byte for byte; and the goals of the project hold.
 *
 *     test_plan_table                     compares
 *     test_plan_table --readme FILE       writes the table into FILE, between its two marks
 *
 * A cell holds the planned bytes and the estimated time of one evaluation of the UNet over that of the plan without a limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "sd15_stage.h"

#include "base/file.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN "<!-- plans: begin -->"
#define END   "<!-- plans: end -->"
#define GIB   0x1p30

/* gcc tells of a sanitizer by a macro, clang by a feature */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const uint32_t sizes[][2] = {{256, 256}, {512, 512}, {768, 512}, {768, 768}, {1024, 576}, {1024, 1024}};
static const uint32_t lengths[][2] = {{16, 0}, {32, 0}, {64, 16}}; /* frames, window */
static const uint32_t budgets[] = {2, 4, 6, 8, 12, 16, 24};        /* GiB */
enum {
    SIZES = sizeof sizes / sizeof *sizes,
    LENGTHS = sizeof lengths / sizeof *lengths,
    BUDGETS = sizeof budgets / sizeof *budgets,
    ROWS = SIZES * LENGTHS,
    LINE = 512,
    MOST_README = 1 << 20
};

/* ---- the three stages --------------------------------------------------------------------------------------- */

static struct vka_kernel_table table;
static vka_text_config text_config;
static vka_vae_config vae_config;
static vka_weights *text_weights, *vae_weights;
static struct vka_text_stage text_stage;

struct clip {
    struct sd15_stage unet;
    struct vka_vae_stage vae;
};

struct planned {
    uint64_t bytes;  /* of the largest stage */
    double seconds;  /* estimate of an evaluation of the UNet */
    const char *who; /* the largest stage */
};

static void ok(vka_status s, const vka_error *err)
{
    if (s != VKA_OK)
        fail_msg("%s: %s", err->what, err->why);
}

static struct sd15_shape shape_of(uint32_t size, uint32_t length)
{
    return (struct sd15_shape){sizes[size][0], sizes[size][1], lengths[length][0], lengths[length][1],
                               vka_sampler_params_default().sampler};
}

static void begin(struct clip *c, const struct sd15_shape *s)
{
    vka_error err = {0};
    sd15_build(&c->unet, &table, s);
    ok(vka_vae_stage_build(&c->vae, VKA_VAE_PICTURES, vae_weights, &vae_config, 1, s->height / 8, s->width / 8, true,
                           &table, &err),
       &err);
}

static void end(struct clip *c)
{
    sd15_end(&c->unet);
    vka_vae_stage_end(&c->vae);
}

/* The estimate of a plan, and its argument bytes, by a recording for made-up addresses. */
static double estimate(const struct vka_plan *plan, uint64_t *args)
{
    struct vka_addresses at;
    uint64_t *store;
    vka_error err = {0};
    const struct vka_rates rates = vka_exec_rates(NULL, table.flops);
    ok(vka_addresses_fake(plan, &at, &store, &err), &err);
    struct vka_program *p = vka_program_record(plan, &table, &at, &rates, &err);
    free(store);
    if (!p)
        fail_msg("%s: %s", err.what, err.why);
    double seconds = vka_program_seconds(p);
    if (args)
        *args = p->args_bytes;
    vka_program_destroy(&p);
    return seconds;
}

static struct planned plan(struct clip *c, uint64_t budget)
{
    static const char *const names[] = {"text encoder", "UNet", "VAE"};
    uint64_t need[3] = {0};
    vka_error err = {0};
    struct planned p = {0};
    ok(vka_text_stage_plan(&text_stage, budget, &need[0], &err), &err);
    need[1] = sd15_plan(&c->unet, budget);
    ok(vka_vae_stage_plan(&c->vae, budget, &need[2], &err), &err);
    for (int i = 0; i < 3; i++)
        if (need[i] > p.bytes)
            p = (struct planned){need[i], 0, names[i]};
    p.seconds = estimate(c->unet.stage.unet.plan, NULL);
    return p;
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

static void cell(char *line, const struct planned *p, uint64_t budget, double fastest)
{
    char gib[32], times[32];
    size_t n = strlen(line);
    vka_format_real(gib, sizeof gib, (double)p->bytes / GIB, 'f', 2);
    vka_format_real(times, sizeof times, p->seconds / fastest, 'f', 2);
    if (p->bytes <= budget)
        snprintf(line + n, LINE - n, " %s GiB, %sx |", gib, times);
    else
        snprintf(line + n, LINE - n, " no: %s GiB |", gib);
}

static uint32_t in_vain; /* plans that copy what would fit */

static void row(char *line, uint32_t size, uint32_t length)
{
    struct sd15_shape s = shape_of(size, length);
    struct clip c;
    begin(&c, &s);
    struct planned free_of_limits = plan(&c, UINT64_MAX);
    snprintf(line, LINE, "| %ux%u, %u frames%s |", s.width, s.height, s.frames, s.window ? " in windows" : "");
    for (uint32_t b = 0; b < BUDGETS; b++) {
        uint64_t budget = (uint64_t)budgets[b] << 30;
        struct planned p = plan(&c, budget);
        const struct vka_plan *unet = c.unet.stage.unet.plan;
        if (free_of_limits.bytes <= budget && unet->stream_bytes + unet->parked_bytes > 0)
            printf("%s %u GiB: copies %.0f MB a step, though all would fit\n", line, budgets[b],
                   (double)(unet->stream_bytes + unet->parked_bytes) / 1e6),
                in_vain++;
        cell(line, &p, budget, free_of_limits.seconds);
    }
    cell(line, &free_of_limits, UINT64_MAX, free_of_limits.seconds);
    end(&c);
}

static void head(char *line)
{
    size_t n = (size_t)snprintf(line, LINE, "| clip |");
    for (uint32_t b = 0; b < BUDGETS; b++)
        n += (size_t)snprintf(line + n, LINE - n, " %u GiB |", budgets[b]);
    n += (size_t)snprintf(line + n, LINE - n, " no limit |\n|---|");
    for (uint32_t b = 0; b <= BUDGETS; b++)
        n += (size_t)snprintf(line + n, LINE - n, "--:|");
}

/* ---- the README ------------------------------------------------------------------------------------------------ */

/* The text between the marks begins at *from and ends before *to. */
static bool find_block(const char *readme, const char **from, const char **to)
{
    const char *first = strstr(readme, "\n" BEGIN "\n"), *last = strstr(readme, "\n" END "\n");
    if (!first || !last || last < first || strstr(first + 1, "\n" BEGIN "\n"))
        return false;
    *from = first + strlen("\n" BEGIN "\n");
    *to = last + 1;
    return true;
}

static char *read_readme(const char *path, const char **from, const char **to)
{
    vka_error err = {0};
    char *readme = NULL;
    size_t size = 0;
    if (vka_read_file(path, MOST_README, &readme, &size, &err) != VKA_OK) {
        fprintf(stderr, "test_plan_table: %s\n", err.what);
        return NULL;
    }
    if (find_block(readme, from, to))
        return readme;
    fprintf(stderr, "test_plan_table: '%s' has no lines '" BEGIN "' and '" END "'\n", path);
    free(readme);
    return NULL;
}

static vka_status write_readme(const char *path, vka_error *err)
{
    const char *from, *to;
    char line[LINE];
    vka_outfile out;
    char *readme = read_readme(path, &from, &to);
    vka_status s =
        readme ? vka_out_open(&out, path, err) : vka_fail(err, VKA_E_INPUT, "there is no place for the table");
    if (s != VKA_OK)
        return s;
    s = vka_out_write(&out, readme, (size_t)(from - readme), err);
    for (uint32_t r = 0; s == VKA_OK && r <= ROWS; r++) {
        if (r == 0)
            head(line);
        else
            row(line, (r - 1) / LENGTHS, (r - 1) % LENGTHS);
        s = r ? VKA_OK : vka_out_write(&out, "\n", 1, err);
        if (s == VKA_OK)
            s = vka_out_write(&out, line, strlen(line), err);
        if (s == VKA_OK)
            s = vka_out_write(&out, "\n", 1, err);
    }
    if (s == VKA_OK)
        s = vka_out_write(&out, "\n", 1, err);
    if (s == VKA_OK)
        s = vka_out_write(&out, to, strlen(to), err);
    free(readme);
    if (s == VKA_OK)
        return vka_out_commit(&out, err);
    vka_out_abandon(&out);
    return s;
}

/* Under a sanitizer, which is slow, only the first row. */
static void the_table_is_fresh(void **state)
{
    (void)state;
    const char *root = getenv("VKA_TEST_ROOT"); /* of a tree that has moved since it was built */
    const char *from, *to;
    char path[1024], line[LINE];
    snprintf(path, sizeof path, "%s/bench/README.md", root ? root : VKA_SOURCE_DIR);
    char *readme = read_readme(path, &from, &to);
    assert_non_null(readme);
    uint32_t stale = 0, last = SANITIZED ? 1 : ROWS;
    const char *at = from + 1; /* behind the empty line */
    for (uint32_t r = 0; r <= last; r++) {
        if (r == 0)
            head(line);
        else
            row(line, (r - 1) / LENGTHS, (r - 1) % LENGTHS);
        size_t n = strlen(line);
        const char *next = strchr(at, '\n');
        for (uint32_t more = r ? 0 : 1; next && more; more--)
            next = strchr(next + 1, '\n');
        if (!next || next > to || (size_t)(next - at) != n || memcmp(at, line, n) != 0) {
            printf("in the README: %.*s\nplanned now:   %s\n", next ? (int)(next - at) : 0, at, line);
            stale++;
        }
        at = next && next < to ? next + 1 : to;
    }
    if (stale)
        fail_msg("%u rows of the table in bench/README.md are stale; test_plan_table --readme bench/README.md writes "
                 "it anew",
                 stale);
    assert_int_equal(in_vain, 0);
    assert_true(SANITIZED || (*from == '\n' && at[0] == '\n' && at + 1 == to));
    free(readme);
}

/* ---- goals ------------------------------------------------------------------------------------------------------ */

static void sixteen_frames_of_512(void **state)
{
    (void)state;
    const struct sd15_shape s = shape_of(1, 0);
    struct clip c;
    begin(&c, &s);
    struct planned all = plan(&c, UINT64_MAX);
    const struct vka_plan *p = c.unet.stage.unet.plan;
    for (uint32_t i = 0; i < p->segment_count; i++)
        assert_int_equal(p->segments[i].parts, 1);
    struct planned fast = plan(&c, (uint64_t)(3.3 * GIB)), least = plan(&c, 0);
    /* all weights on the device, everything else as small as can be: the UNet's network, and what is around it */
    vka_error err = {0};
    struct vka_knobs knobs = vka_knobs_free();
    uint64_t args, other = sd15_plan(&c.unet, UINT64_MAX) - c.unet.stage.unet.need;
    knobs.branches_per_pass = 1;
    knobs.arena_limit = 0;
    struct vka_plan *small = vka_plan_make(c.unet.stage.unet.graph, &knobs, &err);
    assert_non_null(small);
    assert_true(small->unit_count == 0);
    double slow = estimate(small, &args) / all.seconds;
    double resident = (double)(vka_exec_footprint(small, args) + other);
    vka_plan_destroy(&small);
    printf("512x512, 16 frames: %.3f GiB without a limit; %.3f GiB and %.2f times the time within 3.3 GiB; %.3f GiB "
           "and %.2f with "
           "weights resident; %.3f GiB (%s) and %.2f at least\n",
           (double)all.bytes / GIB, (double)fast.bytes / GIB, fast.seconds / all.seconds, resident / GIB, slow,
           (double)least.bytes / GIB, least.who, least.seconds / all.seconds);
    assert_true((double)fast.bytes <= 3.3 * GIB && fast.seconds <= 1.02 * all.seconds);
    assert_true(resident <= 2.85 * GIB);
    assert_true((double)least.bytes <= 0.5 * GIB);
    end(&c);
}

static void larger_clips(void **state)
{
    (void)state;
    static const struct {
        uint32_t size, length;
        double most; /* GiB */
    } goals[] = {{4, 2, 3.1}, {5, 0, 4}};
    for (size_t i = 0; i < sizeof goals / sizeof *goals; i++) {
        struct sd15_shape s = shape_of(goals[i].size, goals[i].length);
        struct clip c;
        begin(&c, &s);
        struct planned all = plan(&c, UINT64_MAX), p = plan(&c, (uint64_t)(goals[i].most * GIB));
        printf("%ux%u, %u frames: %.3f GiB and %.2f times the time within %.1f GiB\n", s.width, s.height, s.frames,
               (double)p.bytes / GIB, p.seconds / all.seconds, goals[i].most);
        assert_true((double)p.bytes <= goals[i].most * GIB);
        end(&c);
    }
}

static int set_up(void **state)
{
    (void)state;
    vka_error err = {0};
    vka_kernel_table_init(&table, NULL);
    text_config = networks_sd15_text();
    vae_config = networks_sd15_vae();
    text_weights = networks_text_table(&text_config, NULL);
    vae_weights = networks_vae_table(&vae_config, NULL);
    return text_weights && vae_weights &&
                   vka_text_stage_build(&text_stage, text_weights, &text_config, 0, 2, 77, true, &table, &err) == VKA_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vka_text_stage_end(&text_stage);
    vka_weights_free(text_weights);
    vka_weights_free(vae_weights);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_frames_of_512),
        cmocka_unit_test(larger_clips),
        cmocka_unit_test(the_table_is_fresh),
    };
    if (argc == 1)
        return cmocka_run_group_tests(tests, set_up, tear_down);
    vka_error err = {0};
    if (argc != 3 || strcmp(argv[1], "--readme") != 0) {
        fprintf(stderr, "usage: test_plan_table [--readme FILE]\n");
        return 2;
    }
    if (set_up(NULL) != 0 || write_readme(argv[2], &err) != VKA_OK) {
        fprintf(stderr, "test_plan_table: %s\n", err.what);
        return 1;
    }
    return tear_down(NULL);
}

/* test_fault.c - faults on purpose: a small render in which one thing goes wrong, again and again, another thing each time.
 *
 * What: every Vulkan call that can fail, with each result that it may return; allocations of vkanim's own code and of the
 * libraries it writes with; operations on files; a disk without room; waits that never end, and Ctrl-C.  What has to be
 * seen each time is in fault_run.c's verdicts: a fitting exit code, at most three lines that begin with what happened, no
 * crash and no hang, no partial file, the earlier output untouched or the new one whole and right; with a sanitizer build
 * no leak either.
 *
 * Sites are counted in a run without a fault.  The short run tries the first, the last and some others of each kind,
 * --all every one: of allocations of vkanim's own the first and the last of every distinct call stack, of the libraries'
 * some; --every N takes only every N-th of all these.  That takes most of an hour on two cores.  Exit code 77: no Vulkan device. */
#define _XOPEN_SOURCE 700
#include "fault_run.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 1u << 0, INTERNAL = 1u << 1, INPUT = 1u << 3, DEVICE = 1u << 4, MEMORY = 1u << 5, LOST = 1u << 6, OUTPUT = 1u << 7 };
static const unsigned STOPPED = 1u << STOPPED_BIT;

/* Results by their numbers in vulkan_core.h, which this program does not need otherwise. */
enum {
    NOT_READY = 1,
    TIMEOUT = 2,
    HOST_MEMORY = -1,
    DEVICE_MEMORY = -2,
    INITIALIZATION = -3,
    DEVICE_LOST = -4,
    MAP_FAILED = -5,
    EXTENSION = -7,
    TOO_MANY = -10,
    UNKNOWN = -13
};

/* What each call may return by the specification, and how the render may then end.  A render may end well where a
 * loss, or a device without memory, is answered with a second try (retry_test.sh says where it has to), or where the call
 * is not needed. */
struct result {
    int value;
    unsigned codes;
};
#define USUAL {HOST_MEMORY, MEMORY}, {DEVICE_MEMORY, MEMORY | OK}, {UNKNOWN, DEVICE}
static const struct {
    const char *call;
    bool may_miss; /* how often it is called depends on time */
    struct result results[6];
} calls[] = {
    {"vkCreateInstance", false, {{HOST_MEMORY, MEMORY}, {INITIALIZATION, DEVICE}, {UNKNOWN, DEVICE}}},
    {"vkEnumeratePhysicalDevices", false, {{HOST_MEMORY, MEMORY}, {INITIALIZATION, DEVICE}, {UNKNOWN, DEVICE}}},
    {"vkEnumerateDeviceExtensionProperties", false, {{HOST_MEMORY, MEMORY | OK}, {UNKNOWN, DEVICE | OK}}},
    {"vkCreateDevice", false, {USUAL, {INITIALIZATION, DEVICE}, {TOO_MANY, DEVICE | MEMORY}, {DEVICE_LOST, LOST | OK}}},
    {"vkAllocateMemory", false, {USUAL, {TOO_MANY, MEMORY}}},
    {"vkCreateBuffer", false, {USUAL}},
    {"vkBindBufferMemory", false, {USUAL}},
    {"vkMapMemory", false, {USUAL, {MAP_FAILED, MEMORY}}},
    {"vkCreateShaderModule", false, {USUAL}},
    {"vkCreatePipelineLayout", false, {USUAL}},
    {"vkCreateComputePipelines", false, {USUAL}},
    {"vkCreatePipelineCache", false, {{HOST_MEMORY, MEMORY | OK}, {UNKNOWN, DEVICE | OK}}},
    {"vkGetPipelineCacheData", false, {{HOST_MEMORY, OK}, {UNKNOWN, OK}}},
    {"vkCreateCommandPool", false, {USUAL}},
    {"vkAllocateCommandBuffers", false, {USUAL}},
    {"vkBeginCommandBuffer", false, {USUAL}},
    {"vkEndCommandBuffer", false, {USUAL}},
    {"vkCreateSemaphore", false, {USUAL}},
    {"vkCreateFence", false, {USUAL}},
    {"vkCreateQueryPool", false, {USUAL}},
    {"vkGetQueryPoolResults", false, {{HOST_MEMORY, OK}, {UNKNOWN, OK}, {NOT_READY, OK}, {DEVICE_LOST, LOST | OK}}},
    {"vkQueueSubmit", false, {USUAL, {DEVICE_LOST, LOST | OK}}},
    {"vkWaitSemaphores", true, {USUAL, {TIMEOUT, OK}, {DEVICE_LOST, LOST | OK}}},
    {"vkGetSemaphoreCounterValue", true, {USUAL, {DEVICE_LOST, LOST | OK}}},
    {"vkDeviceWaitIdle", true, {{HOST_MEMORY, MEMORY | OK}, {DEVICE_LOST, LOST | OK}}},
    {"vkQueueWaitIdle", true, {{HOST_MEMORY, MEMORY | OK}, {DEVICE_LOST, LOST | OK}}},
};
enum { CALLS = sizeof calls / sizeof *calls, MOST = 20000, MOST_SITES = 4096 };

static const char own_modules[] = "libvkanim.:/vkanim";
static const char library_modules[] = "libjansson:libwebp:libpng";

static struct {
    bool all, sanitized;
    size_t every; /* with `all`: only every so many-th site */
    struct fault faults[MOST];
    size_t count;
    struct fault_result results[MOST];
    uint64_t random;
} t;

static uint32_t draw(uint32_t below)
{
    /* xorshift64*, Vigna 2016 */
    t.random ^= t.random >> 12;
    t.random ^= t.random << 25;
    t.random ^= t.random >> 27;
    return below ? (uint32_t)((t.random * UINT64_C(2685821657736338717)) >> 33) % below : 0;
}

static void add(struct fault f)
{
    if (t.count < MOST)
        t.faults[t.count++] = f;
}

/* Does what was added; returns how many went wrong. */
static size_t run_added(const char *title)
{
    size_t met = 0, bad = fault_run_all(t.faults, t.count, t.results);
    double seconds = 0;
    for (size_t i = 0; i < t.count; i++) {
        met += t.results[i].fired;
        seconds += t.results[i].seconds;
    }
    fprintf(stderr, "%s: %zu faults, %zu met, %zu wrong; %.0f s of runs\n", title, t.count, met, bad, seconds);
    t.count = 0;
    return bad;
}

/* ---- Vulkan ------------------------------------------------------------------------------------------------ */

static size_t sweep_vulkan(const char *counted)
{
    for (size_t i = 0; i < CALLS; i++) {
        char name[80];
        snprintf(name, sizeof name, "calls %s", calls[i].call);
        long count = fault_report_value(counted, "layer.txt", name);
        for (size_t k = 0; k < 6 && calls[i].results[k].value; k++) {
            const struct result *r = &calls[i].results[k];
            struct fault f = {.kind = FAULT_VULKAN, .call = calls[i].call, .result = r->value, .codes = r->codes,
                              .may_miss = calls[i].may_miss};
            if (f.may_miss)
                f.codes |= OK;
            if (t.all) {
                for (f.index = 0; f.index < count; f.index += (long)t.every)
                    add(f);
                f.index = 0; /* and a driver that never recovers */
                f.stay = true;
                if (count > 0 && r->value != TIMEOUT)
                    add(f);
                continue;
            }
            /* one result of each function at its first and last call, the others somewhere */
            f.index = count > 0 ? (long)draw((uint32_t)count) : 0;
            if (count > 0 && (k == 0 || r->value == DEVICE_LOST || r->value == TIMEOUT || draw(3) == 0))
                add(f);
            f.index = count - 1;
            if (count > 1 && k == 0)
                add(f);
        }
    }
    return run_added("Vulkan calls");
}

/* The same under the validation layers, which have to stay silent: nothing is destroyed twice, leaked or used after it
 * failed to be made.  The test's layer is nearer to the driver. */
static size_t sweep_validated(const char *counted)
{
    struct fault probe = {.kind = FAULT_NONE, .validate = true, .codes = OK};
    struct fault_result r;
    fault_run_one(&probe, &r);
    fault_remove_folder(r.folder);
    if (r.verdict[0]) {
        fprintf(stderr, "without a fault: %s\n", r.verdict);
        return 1;
    }
    for (size_t i = 0; i < CALLS; i++) {
        char name[80];
        snprintf(name, sizeof name, "calls %s", calls[i].call);
        long count = fault_report_value(counted, "layer.txt", name);
        const struct result *result = &calls[i].results[0];
        /* the layers make objects of their own too, so indices are others; pick a little after the start */
        struct fault f = {.kind = FAULT_VULKAN, .call = calls[i].call, .result = result->value, .validate = true,
                          .codes = result->codes | OK, .may_miss = true,
                          .index = count > 2 ? count / 2 : 0};
        /* newer layers (1.4.309) hold the work of a submission that failed for pending */
        bool seen_right = strcmp(calls[i].call, "vkCreateInstance") != 0 && strcmp(calls[i].call, "vkQueueSubmit") != 0;
        if (count > 0 && (t.all || i % 3 == 0) && seen_right)
            add(f);
    }
    return run_added("Vulkan calls, validated");
}

/* A wait that says that it is not over yet is no error, and one that never ends can be left. */
static size_t sweep_waits(void)
{
    struct fault f = {.kind = FAULT_INTERRUPT, .call = "vkWaitSemaphores", .result = TIMEOUT, .stay = true,
                      .codes = STOPPED};
    add(f);
    if (t.all) {
        f.index = 3;
        add(f);
    }
    return run_added("waits without an end, and Ctrl-C");
}

/* ---- memory ------------------------------------------------------------------------------------------------ */

/* The libraries cannot always tell why they fail, and metadata that could not be put together may be missing: there
 * the least is asked for, no crash, no hang, a sentence, whole files. */
static size_t sweep_memory(const char *modules, unsigned codes, bool other)
{
    static long sites[2 * MOST_SITES];
    struct fault count = {.kind = FAULT_NONE, .report = true, .modules = modules, .formats = true, .codes = OK};
    struct fault_result r;
    fault_run_one(&count, &r);
    long allocs = fault_report_value(r.folder, "shim.txt", "allocs");
    size_t n = fault_report_values(r.folder, "shim.txt", "site", sites, MOST_SITES);
    size_t distinct = n;
    n += fault_report_values(r.folder, "shim.txt", "last", sites + n, MOST_SITES);
    fault_remove_folder(r.folder);
    if (allocs <= 0) {
        fprintf(stderr, "allocations of %s: none seen%s\n", modules,
                t.sanitized ? "; this sanitizer's runtime is in front of the library that counts them" : "");
        return t.sanitized ? 0 : 1;
    }
    struct fault f = {.kind = FAULT_ALLOC, .modules = modules, .formats = true, .codes = codes, .may_miss = true, .other = other};
    for (size_t i = 0; i < n; i++) {
        f.index = sites[i];
        bool first = true;
        for (size_t k = 0; k < i && first; k++)
            first = sites[k] != sites[i];
        if (first && (t.all ? i % t.every == 0 && (!other || draw(10) == 0) : draw((uint32_t)n) < 12))
            add(f);
    }
    f.stay = true; /* memory that stays full */
    for (size_t i = 0; i < distinct; i += t.all ? (other ? 100 : 10) : distinct / 2 + 1) {
        f.index = sites[i];
        add(f);
    }
    char title[160];
    snprintf(title, sizeof title, "allocations of %s (%ld, %zu call stacks)", modules, allocs, distinct);
    return run_added(title);
}

/* ---- files ------------------------------------------------------------------------------------------------- */

static size_t sweep_files(const char *folder, unsigned codes)
{
    struct fault count = {.kind = FAULT_NONE, .report = true, .folder = folder, .formats = true, .codes = OK};
    struct fault_result r;
    fault_run_one(&count, &r);
    long n = fault_report_value(r.folder, "shim.txt", "files");
    fault_remove_folder(r.folder);
    if (n <= 0) {
        fprintf(stderr, "file operations in %s: none seen\n", folder);
        return t.sanitized ? 0 : 1;
    }
    static const int errors[] = {ENOSPC, EIO, 0};
    for (int e = 0; e < 3; e++) {
        struct fault f = {.kind = FAULT_FILE, .folder = folder, .formats = true, .codes = codes | OK, .error = errors[e],
                          .may_miss = true};
        for (f.index = 0; f.index < n; f.index += t.all ? (long)t.every : 1)
            if (f.index == n - 1 || (t.all ? e == 0 || draw(3) == 0 : draw((uint32_t)n * 3) < 4))
                add(f);
        f.stay = true;
        for (f.index = 0; f.index < n && errors[e]; f.index += t.all ? 3 : 1 + n / 2)
            add(f);
    }
    char title[160];
    snprintf(title, sizeof title, "file operations in %s (%ld)", folder, n);
    return run_added(title);
}

static size_t sweep_disk(void)
{
    static const long sizes[] = {0, 1, 500, 1000, 2000, 4096, 8192, 12000, 20000};
    struct fault f = {.kind = FAULT_DISK, .formats = true, .codes = OUTPUT, .may_miss = true};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        f.index = sizes[i];
        if (t.all || i % 4 == 0)
            add(f);
    }
    return run_added("a disk without room");
}

/* ---- main -------------------------------------------------------------------------------------------------- */

static int usage(void)
{
    fputs("usage: test_fault [--all [--every N]] [--part vulkan|validated|waits|memory|libraries|files|disk] [--jobs N] [--seed N]\n"
          "                  [--keep] [--verbose] [--binary VKANIM]\n",
          stderr);
    return 2;
}

static bool parse(int argc, char **argv, const char **part)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--all") == 0)
            t.all = true;
        else if (strcmp(a, "--keep") == 0)
            fault_settings.keep = true;
        else if (strcmp(a, "--verbose") == 0)
            fault_settings.verbose = true;
        else if (!value)
            return false;
        else if (strcmp(a, "--part") == 0)
            *part = argv[++i];
        else if (strcmp(a, "--binary") == 0)
            fault_settings.binary = argv[++i];
        else if (strcmp(a, "--jobs") == 0)
            fault_settings.jobs = atoi(argv[++i]);
        else if (strcmp(a, "--every") == 0)
            t.every = (size_t)strtoull(argv[++i], NULL, 10);
        else if (strcmp(a, "--seed") == 0)
            t.random = strtoull(argv[++i], NULL, 10) * 2 + 1;
        else
            return false;
    }
    return t.every && fault_settings.jobs >= 1 && fault_settings.jobs <= 16;
}

/* The run without a fault, twice where it must be the same: what later runs are held against. */
static int learn(char counted[600])
{
    for (int formats = 0; formats < 2; formats++)
        for (int again = 0; again < 2; again++) {
            struct fault none = {.kind = FAULT_NONE, .codes = OK, .formats = formats != 0};
            struct fault_result r;
            if (!formats && again)
                continue;
            fault_run_one(&none, &r);
            if (r.code == 4)
                return 77;
            if (r.verdict[0] || (!again && !fault_remember(&r, formats != 0))) {
                fprintf(stderr, "a run without a fault: %s\n", r.verdict[0] ? r.verdict : "no output");
                return 1;
            }
            if (formats)
                fault_remove_folder(r.folder);
            else
                snprintf(counted, 600, "%s", r.folder);
        }
    return 0;
}

int main(int argc, char **argv)
{
    const char *part = NULL, *all = getenv("VKANIM_TEST_ALL"), *tmp = getenv("TMPDIR");
    char counted[600] = "";
    fault_settings = (struct fault_settings){.binary = VKA_BINARY, .models = VKA_SOURCE_DIR "/models",
                                             .layers = VKA_FAULT_LIBRARIES, .jobs = 2, .limit_s = 60,
                                             .suppressions = VKA_SOURCE_DIR "/tests/fault/leaks.supp"};
#ifdef VKA_SANITIZED
    fault_settings.leaks = t.sanitized = true;
    fault_settings.limit_s = 300;
#endif
    t.random = 5;
    t.every = 1;
    t.all = all && *all && !t.sanitized; /* ten times slower there; --all does it all the same */
    if (!parse(argc, argv, &part))
        return usage();
    snprintf(fault_settings.root, sizeof fault_settings.root, "%.300s/vkanim-fault-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
    if (!mkdtemp(fault_settings.root)) {
        perror(fault_settings.root);
        return 1;
    }
    int first = learn(counted);
    size_t bad = first != 0;
#define PART(name) (!first && (!part || strcmp(part, name) == 0))
    if (PART("vulkan"))
        bad += sweep_vulkan(counted);
    if (PART("validated"))
        bad += sweep_validated(counted);
    if (PART("waits"))
        bad += sweep_waits();
    if (PART("memory"))
        bad += sweep_memory(own_modules, MEMORY | OK, false);
    if (PART("libraries"))
        bad += sweep_memory(library_modules, MEMORY | OK | INTERNAL | INPUT | OUTPUT, true);
    if (PART("files")) {
        bad += sweep_files("out", OUTPUT);
        bad += sweep_files("cache", OUTPUT);
    }
    if (PART("disk"))
        bad += sweep_disk();
    if (!fault_settings.keep || !bad)
        fault_remove_folder(fault_settings.root);
    return first ? first : bad != 0;
}

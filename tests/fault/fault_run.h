/* fault_run.h - one run of the vkanim command with one fault in it, in a folder of its own, and the verdict on how it ended.
 *
 * A run's folder holds out/ (with a clip "of before" in the place of every output), cache/ (vkanim's own, empty), and the
 * reports and streams of the run.  Several runs go at once. */
#ifndef VKA_FAULT_RUN_H
#define VKA_FAULT_RUN_H

#include <stdbool.h>
#include <stddef.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_VULKAN,    /* `call` number `index` returns `result` */
    FAULT_ALLOC,     /* allocation `index` of `modules` returns NULL */
    FAULT_FILE,      /* file operation `index` in `folder` fails with `error`; 0: writes less than it was asked to */
    FAULT_DISK,      /* no file may grow beyond `index` bytes, by the kernel's own limit */
    FAULT_INTERRUPT, /* `call` answers `result` from number `index` on; SIGINT follows */
};

struct fault {
    enum fault_kind kind;
    const char *call;    /* Vulkan function */
    const char *modules; /* FAULT_ALLOC: parts of module names, ':' between */
    const char *folder;  /* FAULT_FILE: "out" or "cache" */
    long index;
    int result, error;
    bool stay;       /* everything of the kind fails from there on */
    bool formats;    /* writes all output formats, not only WebP */
    bool validate;   /* under VK_LAYER_KHRONOS_validation too */
    bool report;     /* FAULT_NONE: allocations of `modules` are counted, and files of `folder` */
    unsigned codes;  /* allowed exit codes, a bit for each of 0 .. 31; 1u << STOPPED_BIT: 130 */
    bool may_miss;   /* how often the function is called depends on time */
    bool other;      /* what is written may be another whole clip than without the fault */
};
enum { STOPPED_BIT = 31 };

struct fault_result {
    char folder[600]; /* "" once it is removed */
    char verdict[512]; /* "" when all is as it should be */
    char message[2048]; /* standard error */
    int code;          /* exit code, -signal */
    bool fired;
    double seconds, after_signal; /* the latter from SIGINT to the end */
};

struct fault_settings {
    const char *binary, *models; /* the command; the folder with the miniature */
    const char *layers;          /* folder of the layer, its manifest and the preload library */
    char root[400];              /* folder for the runs */
    int jobs;
    double limit_s;
    bool leaks; /* the command is built with AddressSanitizer: look for leaks too */
    const char *suppressions;
    bool keep, verbose;
};
extern struct fault_settings fault_settings;

/* Remembers what a run without a fault wrote (it is in r->folder): later runs that succeed must have written the same. */
bool fault_remember(const struct fault_result *r, bool formats);
/* Does them all; results[i] belongs to faults[i].  Returns how many have a verdict against them; each is printed with
 * the command that repeats it. */
size_t fault_run_all(const struct fault *faults, size_t count, struct fault_result *results);
/* One run whose folder is kept for the caller to read. */
void fault_run_one(const struct fault *fault, struct fault_result *result);
void fault_remove_folder(const char *path);
/* A line "NAME VALUE..." of a report: the value behind the name, -1 when it is not there. */
long fault_report_value(const char *folder, const char *report, const char *name);
/* All of them, in order: at most `most` into `values`; returns how many. */
size_t fault_report_values(const char *folder, const char *report, const char *name, long *values, size_t most);
void fault_describe(const struct fault *f, char *text, size_t size);

#endif

/* options.h - the command line of vkanim-bench. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { BENCH_OUTPUTS = 16, BENCH_FILES = 64, BENCH_GRID = 32 };

enum { BENCH_LEVEL_OP = 1, BENCH_LEVEL_STAGE = 2, BENCH_LEVEL_CLIP = 4 };

struct bench_clip_size {
    uint32_t width, height, frames;
};

struct bench_options {
    unsigned level; /* mask of BENCH_LEVEL_*; all by default */
    const char *filter;
    uint32_t width, height, frames; /* 0: by the model */
    struct bench_clip_size grid[BENCH_GRID];
    uint32_t grid_count;                           /* 0: by the device */
    const char *precision, *device, *path, *model; /* NULL: by the device */
    uint64_t vram;                                 /* 0: by the device */
    uint32_t samples;                              /* 0: default */
    double seconds;                                /* 0: by the device */
    const char *format;                            /* of stdout; NULL: md, or nothing where outputs are named */
    const char *output[BENCH_OUTPUTS], *html, *baseline;
    uint32_t output_count;
    const char *compare[BENCH_FILES]; /* result files to put beside each other, no measuring */
    uint32_t compare_count;
    const char *results_table, *readme; /* a folder of results, the file that has their table */
    bool comparing, probes, tune, quick, quiet, help, version, predict;
    double roof_tflops, roof_gbps; /* of --roof */
    int verbose;
};

/* argv[1..]; texts are borrowed.  VKA_E_USAGE names what is wrong. */
vka_status bench_options_parse(struct bench_options *o, int argc, char **argv, vka_error *err);
void bench_options_help(FILE *to);
void bench_options_man(FILE *to); /* the manual page, man(7) */
/* "512x512x16,..." into o->grid. */
vka_status bench_grid_parse(struct bench_options *o, const char *text, vka_error *err);
/* "md", "csv", "json", "jsonl" by a path's suffix, or NULL. */
const char *bench_format_of(const char *path);

#endif

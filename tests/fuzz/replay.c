/* replay.c - runs a fuzz target over the files of some folders, once each: yesterday's inputs as today's regression
 * test, with any compiler.  It stands in for libFuzzer's main.
 *
 *     fuzz_NAME_replay FOLDER...
 *
 * Every input is also tried cut short at a few places, since truncation is what files suffer most.  The copy handed to
 * the target is exactly as long as the input, so that AddressSanitizer sees a read behind its end. */
#define _POSIX_C_SOURCE 200809L /* opendir, stat */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 0, or 1 when memory is short. */
static int run_prefix(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        return 1;
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    return 0;
}

static int run_file(const char *path, size_t size)
{
    FILE *in = fopen(path, "rb");
    uint8_t *data = malloc(size + 1);
    int bad = !in || !data || fread(data, 1, size + 1, in) != size;
    if (bad)
        fprintf(stderr, "%s: cannot be read\n", path);
    for (size_t part = 0; !bad && part <= 8; part++)
        bad = run_prefix(data, size / 8 * part + (part == 8 ? size % 8 : 0));
    if (in)
        fclose(in);
    free(data);
    return bad;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            fprintf(stderr, "%s: cannot be opened\n", argv[i]);
            return 1;
        }
        for (struct dirent *e; (e = readdir(dir)) != NULL;) {
            char path[4096];
            struct stat st;
            int n = snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            if (n < 0 || (size_t)n >= sizeof path || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
                continue;
            printf("%s\n", e->d_name);
            fflush(stdout); /* the last name printed is the one that failed */
            if (run_file(path, (size_t)st.st_size) != 0) {
                closedir(dir);
                return 1;
            }
            count++;
        }
        closedir(dir);
    }
    printf("%u inputs\n", count);
    return count ? 0 : 1;
}

/* test_house.c - the rules of the house that a program can check, held against the sources themselves.
 *
 * Two kinds of rule.  Text: UTF-8, no tabs, carriage returns, blanks at a line's end or characters that cannot be seen, a
 * newline at the end, under 1,000 lines, no words for work that is not done.  Rooms: who may include whom (the map
 * below), and that nothing outside gpu comes near a Vulkan header, however many headers lie between.
 *
 * Every rule is first shown text that breaks it, so that a rule which has stopped working is found. */
#define _POSIX_C_SOURCE 200809L /* lstat, opendir */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MOST_LINES = 1000, MOST_FILES = 2000, PATH_SIZE = 512 };

/* Who may include whom; own headers always, `base` everywhere but in cli and server.  Not transitive. */
static const struct room {
    const char *name;
    const char *uses; /* rooms, each between blanks; "shaders" is the generated table, "public" is include/vkanim */
} rooms[] = {
    {"base", " "},
    {"gpu", " base shaders "},
    {"graph", " base "},
    {"ops", " base graph gpu shaders "},
    {"nets", " base graph ops "},
    {"weights", " base "},
    {"text", " base "},
    {"sample", " base "},
    {"media", " base "},
    {"render", " base gpu graph ops nets weights text sample media public "},
    {"server", " public "},
    {"cli", " public "},
};

struct file {
    char path[PATH_SIZE]; /* from the sources' root */
    char *text;
    size_t size;
};
static struct file files[MOST_FILES];
static size_t file_count;
static unsigned complaints;
static bool loud;

static void complain(const char *path, unsigned line, const char *what, const char *detail)
{
    complaints++;
    if (loud)
        fprintf(stderr, "%s:%u: %s%s\n", path, line, what, detail);
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

static bool starts_with(const char *s, const char *head) { return strncmp(s, head, strlen(head)) == 0; }

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* ---- text -------------------------------------------------------------------------------------------- */

/* One character of UTF-8 at p < end into *code; its bytes, or 0 when it is none. */
static size_t decode(const unsigned char *p, const unsigned char *end, unsigned *code)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n == 0 || (size_t)(end - p) < n)
        return 0;
    *code = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (p[i] & 0x3fu);
    }
    return *code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000) ? 0 : n;
}

/* Controls, blanks that look like others or like nothing, joiners, marks that turn the direction of reading. */
static bool is_invisible(unsigned c)
{
    static const unsigned ranges[][2] = {
        {0x00, 0x08},     {0x0b, 0x1f},     {0x7f, 0xa0},     {0xad, 0xad},     {0x34f, 0x34f},   {0x61c, 0x61c},
        {0x115f, 0x1160}, {0x1680, 0x1680}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x2000, 0x200f}, {0x2028, 0x202f},
        {0x205f, 0x206f}, {0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},
        {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0xe0000, 0xe0fff},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return true;
    return false;
}

/* Spelt so that this file does not break its own rule.  Marks are upper case, words are not read by their case. */
static const char *const unfinished[] = {"TO" "DO", "FIX" "ME", "X" "XX", "st" "ub", "st" "ubs", "place" "holder",
                                         "for" " now", "not" " implemented", "not" " yet implemented"};
enum { MARKS = 3, OF_FIELDS = 5 };

/* HTML calls the grey text in an empty field so. */
static bool is_of_page(const char *path) { return ends_with(path, ".html") || ends_with(path, ".css") || ends_with(path, ".js"); }

static void check_words(const char *path, unsigned number, const char *line, size_t length)
{
    for (size_t w = 0; w < sizeof unfinished / sizeof *unfinished; w++) {
        if (w == OF_FIELDS && is_of_page(path))
            continue;
        size_t n = strlen(unfinished[w]);
        for (size_t i = 0; i + n <= length; i++)
            if ((w < MARKS ? strncmp : strncasecmp)(line + i, unfinished[w], n) == 0 && (i == 0 || !is_word(line[i - 1])) &&
                (i + n == length || !is_word(line[i + n])))
                complain(path, number, "a word for unfinished work: ", unfinished[w]);
    }
}

static void check_text(const char *path, const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + size;
    unsigned number = 0;
    if (size == 0) {
        complain(path, 0, "the file is empty", "");
        return;
    }
    while (p < end) {
        const unsigned char *stop = memchr(p, '\n', (size_t)(end - p));
        number++;
        if (!stop) {
            complain(path, number, "no newline at the end", "");
            stop = end;
        }
        for (const unsigned char *q = p; q < stop;) {
            unsigned code = 0;
            size_t n = decode(q, stop, &code);
            if (n == 0)
                complain(path, number, "not UTF-8", "");
            else if (code == '\t')
                complain(path, number, "a tab", "");
            else if (code == '\r')
                complain(path, number, "a carriage return", "");
            else if (is_invisible(code))
                complain(path, number, "a character that cannot be seen", "");
            if (n == 0)
                break;
            q += n;
        }
        if (stop > p && stop[-1] == ' ')
            complain(path, number, "a blank at the end of the line", "");
        check_words(path, number, (const char *)p, (size_t)(stop - p));
        p = stop < end ? stop + 1 : end;
    }
    if (number >= MOST_LINES)
        complain(path, number, "a file stays under 1,000 lines", "");
}

/* ---- rooms ------------------------------------------------------------------------------------------- */

/* The room of src/ROOM/..., or NULL. */
static const struct room *room_of(const char *path)
{
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        size_t n = strlen(rooms[i].name);
        if (starts_with(path, "src/") && strncmp(path + 4, rooms[i].name, n) == 0 && path[4 + n] == '/')
            return &rooms[i];
    }
    return NULL;
}

static bool may_use(const struct room *room, const char *name)
{
    char word[64];
    snprintf(word, sizeof word, " %.60s ", name);
    return strstr(room->uses, word) != NULL;
}

/* The next #include of `*at` up to `end`; what stands between the quotes or brackets into `name`. */
static bool next_include(const char **at, const char *end, unsigned *number, bool *quoted, char name[PATH_SIZE])
{
    while (*at < end) {
        const char *p = *at, *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        *at = stop < end ? stop + 1 : end;
        ++*number;
        while (p < stop && *p == ' ')
            p++;
        if (p == stop || *p++ != '#')
            continue;
        while (p < stop && *p == ' ')
            p++;
        if (stop - p < 8 || memcmp(p, "include", 7) != 0)
            continue;
        p += 7;
        while (p < stop && *p == ' ')
            p++;
        *quoted = p < stop && *p == '"';
        const char *close = p < stop ? memchr(p + 1, *quoted ? '"' : '>', (size_t)(stop - p - 1)) : NULL;
        snprintf(name, PATH_SIZE, "%.*s", close ? (int)(close - p - 1) : 0, p + 1);
        return true;
    }
    return false;
}

static bool is_vulkan(const char *name)
{
    return starts_with(name, "vulkan/") || starts_with(name, "vk_video/") || strcmp(name, "volk.h") == 0 ||
           ends_with(name, "/volk.h");
}

static const struct file *find_file(const char *path)
{
    for (size_t i = 0; i < file_count; i++)
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    return NULL;
}

static void check_include(const char *path, unsigned number, const struct room *room, bool quoted, const char *name)
{
    const char *slash = strchr(name, '/');
    char folder[64];
    snprintf(folder, sizeof folder, "%.*s", slash && slash - name < 60 ? (int)(slash - name) : 0, name);
    if (!quoted) {
        bool public_header = starts_with(name, "vkanim/");
        if (is_vulkan(name) && strcmp(room->name, "gpu") != 0)
            complain(path, number, "only gpu sees Vulkan: ", name);
        else if (public_header && !may_use(room, "public") &&
                 !(strcmp(room->name, "base") == 0 && strcmp(name, "vkanim/status.h") == 0))
            complain(path, number, "only render, server and cli use the public headers: ", name);
        return;
    }
    if (strcmp(room->name, "cli") == 0) {
        if (slash && strcmp(name, "server/serve.h") != 0)
            complain(path, number, "cli uses include/vkanim and server/serve.h only: ", name);
        return;
    }
    if (!slash)
        complain(path, number, "headers are named with their room: ", name);
    else if (strcmp(folder, room->name) != 0 && !may_use(room, folder))
        complain(path, number, "this room may not use that one: ", name);
    else if (strcmp(folder, room->name) != 0 && strstr(name, "_int"))
        complain(path, number, "an internal header of another room: ", name);
}

static void check_includes(const char *path, const char *text, size_t size)
{
    const struct room *room = room_of(path);
    const char *at = text;
    unsigned number = 0;
    bool quoted;
    char name[PATH_SIZE];
    if (!room) {
        complain(path, 0, "src/ has no such room", "");
        return;
    }
    while (next_include(&at, text + size, &number, &quoted, name))
        check_include(path, number, room, quoted, name);
}

/* Whether `path` reaches a Vulkan header through any chain of the project's own headers. */
static bool reaches_vulkan(const char *path, unsigned depth)
{
    const struct file *f = find_file(path);
    if (!f || depth > 16)
        return false;
    const char *at = f->text;
    unsigned number = 0;
    bool quoted;
    char name[PATH_SIZE], next[PATH_SIZE + 32];
    while (next_include(&at, f->text + f->size, &number, &quoted, name)) {
        if (is_vulkan(name))
            return true;
        snprintf(next, sizeof next, "%s%s", quoted ? "src/" : "include/", name);
        if (reaches_vulkan(next, depth + 1))
            return true;
    }
    return false;
}

/* ---- the tree ---------------------------------------------------------------------------------------- */

static bool is_source(const char *path)
{
    static const char *const tails[] = {".c", ".h", ".comp", ".glsl", ".cmake", ".sh", ".py", ".md", ".html", ".css", ".js",
                                        "CMakeLists.txt", "CMakePresets.json", "variants.txt", "vkanim.json"};
    static const char *const names[] = {"run", ".ci/run", ".clang-format", ".gitignore", "LICENSE"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (ends_with(path, tails[i]))
            return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(path, names[i]) == 0)
            return true;
    return starts_with(path, "scripts/") || (starts_with(path, "packaging/") && !starts_with(path, "packaging/debian/"));
}

static void load(const char *path, const char *full, size_t size)
{
    assert_true(file_count < MOST_FILES);
    struct file *f = &files[file_count++];
    FILE *in = fopen(full, "rb");
    assert_non_null(in);
    snprintf(f->path, sizeof f->path, "%s", path);
    f->text = malloc(size + 1);
    assert_non_null(f->text);
    f->size = fread(f->text, 1, size, in);
    f->text[f->size] = '\0';
    fclose(in);
    assert_int_equal(f->size, size);
}

/* A build folder, whatever packagers call theirs. */
static bool is_build(const char *folder)
{
    char path[2 * PATH_SIZE + 32];
    struct stat st;
    snprintf(path, sizeof path, "%s/CMakeCache.txt", folder);
    return lstat(path, &st) == 0;
}

static void walk(const char *folder)
{
    char full[2 * PATH_SIZE], path[PATH_SIZE];
    snprintf(full, sizeof full, "%s/%s", VKA_SOURCE_DIR, folder);
    DIR *dir = opendir(full);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        const char *name = e->d_name;
        struct stat st;
        if ((name[0] == '.' && strcmp(name, ".ci") != 0 && strcmp(name, ".clang-format") != 0 &&
             strcmp(name, ".gitignore") != 0) || (!*folder && starts_with(name, "build")) ||
            strcmp(name, "seeds") == 0 || strcmp(name, "__pycache__") == 0)
            continue;
        if (snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name) >= (int)sizeof path)
            fail_msg("%s/%s: the path is too long", folder, name);
        snprintf(full, sizeof full, "%s/%s", VKA_SOURCE_DIR, path);
        if (lstat(full, &st) != 0)
            continue; /* an editor's file that went away meanwhile */
        if (S_ISDIR(st.st_mode) && is_build(full))
            continue;
        if (S_ISDIR(st.st_mode))
            walk(path);
        else if (S_ISREG(st.st_mode) && is_source(path))
            load(path, full, (size_t)st.st_size);
    }
    closedir(dir);
}

static int setup(void **state)
{
    (void)state;
    walk("");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; i++)
        free(files[i].text);
    file_count = 0;
    return 0;
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static unsigned count_text(const char *text)
{
    complaints = 0;
    loud = false;
    check_text("sample.c", text, strlen(text));
    return complaints;
}

static void test_text_rules_object(void **state)
{
    (void)state;
    assert_int_equal(count_text("int a;\n/* caf\xc3\xa9, 1 \xc3\x97 1, a stubborn placeholder_name, todo = 1 */\n"), 0);
    assert_int_equal(count_text(""), 1);
    assert_int_equal(count_text("int a;"), 1);
    assert_int_equal(count_text("\tint a;\n"), 1);
    assert_int_equal(count_text("int a;\r\n"), 1);
    assert_int_equal(count_text("int a; \n"), 1);
    assert_int_equal(count_text("int a\xe2\x80\x8b;\n"), 1); /* zero width space */
    assert_int_equal(count_text("int a\xe2\x80\xae;\n"), 1); /* right-to-left override */
    assert_int_equal(count_text("\xef\xbb\xbfint a;\n"), 1); /* byte order mark */
    assert_int_equal(count_text("int\xc2\xa0" "a;\n"), 1);   /* no-break space */
    assert_int_equal(count_text("int a\x01;\n"), 1);
    assert_int_equal(count_text("caf\xe9\n"), 1);
    assert_int_equal(count_text("\xc0\xaf\n"), 1);
    for (size_t i = 0; i < sizeof unfinished / sizeof *unfinished; i++) {
        char line[64];
        snprintf(line, sizeof line, "/* %s: */\n", unfinished[i]);
        assert_true(count_text(line) >= 1);
    }
    static char lines[2 * MOST_LINES];
    memset(lines, 0, sizeof lines);
    memset(lines, '\n', MOST_LINES - 1);
    assert_int_equal(count_text(lines), 0);
    lines[MOST_LINES - 1] = '\n';
    assert_int_equal(count_text(lines), 1);
}

static unsigned count_includes(const char *path, const char *text)
{
    complaints = 0;
    loud = false;
    check_includes(path, text, strlen(text));
    return complaints;
}

static void test_room_rules_object(void **state)
{
    (void)state;
    assert_int_equal(count_includes("src/ops/a.c", "#include \"ops/a.h\"\n#include \"gpu/gpu.h\"\n#include <math.h>\n"), 0);
    assert_int_equal(count_includes("src/base/error.h", "#include <vkanim/status.h>\n"), 0);
    assert_int_equal(count_includes("src/gpu/volk.c", "#define A\n  #  include <volk.h>\n"), 0);
    assert_int_equal(count_includes("src/cli/main.c", "#include \"cli.h\"\n#include <vkanim/vkanim.h>\n"), 0);
    assert_int_equal(count_includes("src/cli/serve.c", "#include \"server/serve.h\"\n"), 0);
    assert_int_equal(count_includes("src/server/a.c", "#include \"server/a.h\"\n#include <vkanim/vkanim.h>\n"), 0);
    static const char *const bad[][2] = {
        {"src/base/a.c", "#include \"gpu/gpu.h\"\n"},          {"src/base/a.c", "#include <vkanim/vkanim.h>\n"},
        {"src/graph/a.c", "#include \"gpu/gpu.h\"\n"},         {"src/graph/a.c", "#include \"shaders/shaders.h\"\n"},
        {"src/ops/a.c", "#include \"nets/nets.h\"\n"},         {"src/ops/a.c", "#include \"gpu/gpu_internal.h\"\n"},
        {"src/ops/a.c", "#include <vulkan/vulkan.h>\n"},       {"src/ops/a.c", "#include \"ops.h\"\n"},
        {"src/nets/a.c", "#include \"gpu/gpu.h\"\n"},          {"src/nets/a.c", "#include \"weights/weights.h\"\n"},
        {"src/weights/a.c", "#include \"graph/graph.h\"\n"},   {"src/text/a.c", "#include \"weights/weights.h\"\n"},
        {"src/sample/a.c", "#include \"media/media.h\"\n"},    {"src/media/a.c", "#include <vkanim/status.h>\n"},
        {"src/render/a.c", "#include <volk.h>\n"},             {"src/render/a.c", "#include \"cli/cli.h\"\n"},
        {"src/render/a.c", "#include \"shaders/shaders.h\"\n"}, {"src/cli/a.c", "#include \"base/error.h\"\n"},
        {"src/server/a.c", "#include \"base/error.h\"\n"},     {"src/cli/a.c", "#include \"server/server.h\"\n"},
        {"src/server/a.c", "#include <volk.h>\n"},            {"src/render/a.c", "#include \"server/serve.h\"\n"},
        {"src/attic/a.c", "int a;\n"},                         {"src/text/a.c", "  #  include \"gpu/gpu.h\"\n"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (count_includes(bad[i][0], bad[i][1]) != 1)
            fail_msg("%s may hold %s", bad[i][0], bad[i][1]);
    assert_true(reaches_vulkan("src/gpu/gpu_internal.h", 0)); /* and so the search finds what there is to find */
}

static void test_text(void **state)
{
    (void)state;
    complaints = 0;
    loud = true;
    for (size_t i = 0; i < file_count; i++)
        check_text(files[i].path, files[i].text, files[i].size);
    assert_true(file_count > 100); /* the tree was found */
    assert_int_equal(complaints, 0);
}

static void test_rooms(void **state)
{
    (void)state;
    unsigned checked = 0;
    complaints = 0;
    loud = true;
    for (size_t i = 0; i < file_count; i++) {
        const char *path = files[i].path;
        if (!starts_with(path, "src/") || !(ends_with(path, ".c") || ends_with(path, ".h")))
            continue;
        checked++;
        check_includes(path, files[i].text, files[i].size);
        if (!starts_with(path, "src/gpu/") && reaches_vulkan(path, 0))
            complain(path, 0, "a Vulkan header is reached through other headers", "");
    }
    assert_true(checked > 80);
    assert_int_equal(complaints, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_rules_object),
        cmocka_unit_test(test_room_rules_object),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_rooms),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

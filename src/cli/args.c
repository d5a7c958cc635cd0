/* args.c - the command line, on the public option table.
 *
 * --name VALUE, --name=VALUE, -x VALUE; "--" ends options; the command's name comes first.  A word that is itself an
 * option is not taken for a value (write --prompt=--x for that), so a forgotten value is found where it was forgotten.
 * Short options are not bundled: "-prompt" is a slip, not a prompt. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

const struct cli_command_info cli_commands[CLI_COMMANDS] = {
    {"render", VKA_FOR_RENDER, "-p TEXT [OPTION]...", "Turn a prompt into an animation; the default command."},
    {"plan", VKA_FOR_PLAN, "[OPTION]...", "Print the memory plan and the time estimate of a render."},
    {"devices", VKA_FOR_DEVICES, "[OPTION]...", "List every Vulkan device, and why it is or is not usable."},
    {"inspect", VKA_FOR_INSPECT, "[OPTION]... FILE...", "Say what model files and animations are."},
    {"net", VKA_FOR_NET, "NAME [OPTION]...",
     "Run one network alone, tensors in, tensors out: text, unet, vae-decode, vae-encode or vision."},
    {"resume", VKA_FOR_RESUME, "[OPTION]... [JOB]",
     "Continue a render that was stopped or killed, by its id or its folder; without one, list those there are."},
    {"convert", VKA_FOR_CONVERT, "[OPTION]... IN OUT",
     "Write any model file that is read as safetensors; IN may be the index of one in several files."},
    {"models", VKA_FOR_MODELS, "[OPTION]... [NAME]...",
     "List the models in the model folders; with names, those that have one of them in theirs."},
    {"serve", VKA_FOR_SERVE, "[OPTION]...",
     "Serve a page and two HTTP interfaces on this machine: a queue of renders with previews, A1111's API."},
    {"bench", 0, "[OPTION]...", "Measure operators, stages and clips on this device: see 'vkanim bench --help'."},
    {"help", 0, "[COMMAND]", "Print the options of a command."},
};

static const vka_option *find_long(const char *name, size_t length)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; i < count; i++)
        if (strlen(options[i].name) == length && memcmp(options[i].name, name, length) == 0)
            return &options[i];
    return NULL;
}

static const vka_option *find_letter(char letter)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    for (size_t i = 0; i < count; i++)
        if (letter && options[i].letter == letter)
            return &options[i];
    return NULL;
}

/* The option that a word is, with a value behind "=" or without. */
static const vka_option *as_option(const char *word)
{
    if (word[0] != '-' || !word[1])
        return NULL;
    if (word[1] == '-')
        return find_long(word + 2, strcspn(word + 2, "="));
    return word[2] ? NULL : find_letter(word[1]);
}

static vka_status unknown_option(const char *word, vka_error *err)
{
    const char *name = word + strspn(word, "-");
    size_t length = strcspn(name, "=");
    char clean[64];
    snprintf(clean, sizeof clean, "%.*s", (int)(length < 60 ? length : 60), name);
    cli_fail(err, VKA_E_USAGE, "unknown option '%.100s'", word);
    const vka_option *nearest = find_long(clean, strlen(clean));
    if (!nearest)
        nearest = vka_option_nearest(clean);
    if (nearest && !(nearest->marks & VKA_MARK_LATER))
        cli_hint(err, "--%s", nearest->name);
    else if (word[1] != '-' && find_letter(word[1]) && find_letter(word[1])->kind != VKA_OPTION_FLAG)
        cli_hint(err, "-%c %.100s", word[1], word + 2);
    else
        cli_hint(err, "vkanim --help");
    return VKA_E_USAGE;
}

/* The command's own options. */
static vka_status take_own(struct cli_args *a, const vka_option *o, const char *value, vka_error *err)
{
    static const struct {
        const char *name;
        size_t offset;
    } texts[] =
        {
            {"progress", offsetof(struct cli_args, progress)}, {"job", offsetof(struct cli_args, job)},
            {"from", offsetof(struct cli_args, from)},         {"in", offsetof(struct cli_args, in)},
            {"out", offsetof(struct cli_args, out)},           {"kind", offsetof(struct cli_args, kind)},
            {"listen", offsetof(struct cli_args, listen)},     {"port", offsetof(struct cli_args, port)},
            {"results", offsetof(struct cli_args, results)},   {"token-file", offsetof(struct cli_args, token_file)},
            {"queue", offsetof(struct cli_args, queue)},       {"upload-limit", offsetof(struct cli_args, upload_limit)},
        },
      flags[] = {
          {"json", offsetof(struct cli_args, json)},       {"quiet", offsetof(struct cli_args, quiet)},
          {"help", offsetof(struct cli_args, help)},       {"version", offsetof(struct cli_args, version)},
          {"dry-run", offsetof(struct cli_args, dry_run)}, {"hash", offsetof(struct cli_args, hash)},
          {"forget", offsetof(struct cli_args, forget)},
      };
    if (o->kind == VKA_OPTION_FLAG) {
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
            if (strcmp(flags[i].name, o->name) == 0)
                *(bool *)((char *)a + flags[i].offset) = true;
        a->verbose += strcmp(o->name, "verbose") == 0;
        return VKA_OK;
    }
    if (!*value)
        return cli_fail(err, VKA_E_USAGE, "--%s wants a value that is not empty", o->name);
    char list[256];
    if (cli_choices(o, " ", list, sizeof list)) {
        size_t length = strlen(value);
        const char *p = list;
        while (*p && !(strcspn(p, " ") == length && memcmp(p, value, length) == 0)) {
            p += strcspn(p, " ");
            p += strspn(p, " ");
        }
        if (!*p) {
            cli_fail(err, VKA_E_USAGE, "--%s does not know '%.100s'", o->name, value);
            cli_hint(err, "one of: %s", list);
            return VKA_E_USAGE;
        }
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].name, o->name) == 0)
            *(const char **)((char *)a + texts[i].offset) = value;
    return VKA_OK;
}

/* One word of the command line, and its value where it takes one; *i moves over what was used. */
static vka_status take_option(struct cli_args *a, int argc, char **argv, int *i, vka_error *err)
{
    const char *word = argv[*i], *value = NULL;
    const vka_option *o;
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        o = find_long(word + 2, length);
        value = word[2 + length] ? word + 2 + length + 1 : NULL;
    } else
        o = word[2] ? NULL : find_letter(word[1]);
    if (!o)
        return unknown_option(word, err);
    if (o->kind == VKA_OPTION_FLAG && value)
        return cli_fail(err, VKA_E_USAGE, "--%s takes no value", o->name);
    if (o->kind != VKA_OPTION_FLAG && !value) {
        const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;
        if (!next || as_option(next)) {
            cli_fail(err, VKA_E_USAGE, "--%s wants a value", o->name);
            if (next)
                cli_hint(err, "--%s=%.100s if that is the value", o->name, next);
            else
                cli_hint(err, "--%s %s", o->name, o->value);
            return VKA_E_USAGE;
        }
        value = next;
        ++*i;
    }
    if (o->marks & VKA_MARK_LATER) {
        cli_fail(err, VKA_E_USAGE, "--%s is not in this version", o->name);
        return VKA_E_USAGE;
    }
    a->values[a->count++] = (struct cli_value){o, value};
    return o->marks & VKA_MARK_COMMAND ? take_own(a, o, value, err) : VKA_OK;
}

static vka_status take_command(struct cli_args *a, const char *word, vka_error *err)
{
    for (int i = 0; i < CLI_COMMANDS; i++)
        if (strcmp(cli_commands[i].name, word) == 0) {
            a->command = (enum cli_command)i;
            return VKA_OK;
        }
    cli_fail(err, VKA_E_USAGE, "unknown command '%.100s'", word);
    if (strchr(word, ' '))
        cli_hint(err, "vkanim -p '%.100s'", word);
    else
        cli_hint(err, "one of: render plan devices inspect net resume convert models serve bench help");
    return VKA_E_USAGE;
}

static vka_status check_words(const struct cli_args *a, vka_error *err)
{
    size_t most = a->command == CLI_INSPECT || a->command == CLI_MODELS ? (size_t)-1
                  : a->command == CLI_CONVERT ? 2
                                              : a->command == CLI_NET || a->command == CLI_RESUME || a->command == CLI_HELP;
    if (a->word_count > most) {
        const char *word = a->words[most];
        cli_fail(err, VKA_E_USAGE, "unexpected argument '%.100s'", word);
        for (int i = 0; i < CLI_COMMANDS; i++)
            if (strcmp(cli_commands[i].name, word) == 0)
                cli_hint(err, "put the command first: vkanim %s ...", word);
        if (a->command == CLI_RENDER || a->command == CLI_PLAN)
            cli_hint(err, "-p '%.100s', in quotes, if it is part of the prompt", word);
        return VKA_E_USAGE;
    }
    if (a->help || a->version)
        return VKA_OK;
    if (a->command == CLI_INSPECT && !a->word_count) {
        cli_fail(err, VKA_E_USAGE, "no file to inspect");
        cli_hint(err, "vkanim inspect FILE");
        return VKA_E_USAGE;
    }
    if (a->command == CLI_CONVERT && a->word_count < 2) {
        cli_fail(err, VKA_E_USAGE, "convert wants two files, %s", a->word_count ? "and where the second goes is missing" : "one to read and one to write");
        cli_hint(err, "vkanim convert IN.ckpt OUT.safetensors");
        return VKA_E_USAGE;
    }
    if (a->command == CLI_NET) {
        bool text = a->word_count && strcmp(a->words[0], "text") == 0;
        if (!a->word_count) {
            cli_fail(err, VKA_E_USAGE, "no network to run");
            cli_hint(err, "one of: text unet vae-decode vae-encode vision");
        } else if (!a->out || (!a->in && !text))
            cli_fail(err, VKA_E_USAGE, "net %.50s needs --%s FILE", a->words[0], a->out ? "in" : "out");
        else
            return VKA_OK;
        return VKA_E_USAGE;
    }
    return VKA_OK;
}

/* Every option must be one of the command's. */
static vka_status check_options(const struct cli_args *a, vka_error *err)
{
    unsigned mask = cli_commands[a->command].mask;
    if (a->command == CLI_RENDER && a->dry_run)
        mask |= VKA_FOR_PLAN;
    for (size_t i = 0; i < a->count; i++) {
        const vka_option *o = a->values[i].option;
        if (!(o->commands & mask) && a->command != CLI_HELP) {
            cli_fail(err, VKA_E_USAGE, "'%s' takes no --%s", cli_commands[a->command].name, o->name);
            cli_hint(err, "vkanim %s --help", cli_commands[a->command].name);
            return VKA_E_USAGE;
        }
    }
    return VKA_OK;
}

vka_status cli_args_parse(struct cli_args *a, int argc, char **argv, vka_error *err)
{
    *a = (struct cli_args){.bare = argc < 2};
    size_t room = argc > 1 ? (size_t)argc : 1;
    a->values = calloc(room, sizeof *a->values);
    a->words = calloc(room, sizeof *a->words);
    if (!a->values || !a->words)
        return cli_fail(err, VKA_E_MEMORY, "out of memory");
    bool options = true;
    vka_status status = VKA_OK;
    for (int i = 1; i < argc && status == VKA_OK; i++) {
        const char *word = argv[i];
        if (options && strcmp(word, "--") == 0)
            options = false;
        else if (options && word[0] == '-' && word[1])
            status = take_option(a, argc, argv, &i, err);
        else if (i == 1)
            status = take_command(a, word, err);
        else
            a->words[a->word_count++] = word;
    }
    if (status == VKA_OK)
        status = check_words(a, err);
    if (status == VKA_OK)
        status = check_options(a, err);
    /* An error is reported in the form that was asked for, even when it came first. */
    for (int i = 1; status != VKA_OK && i < argc && strcmp(argv[i], "--") != 0; i++)
        a->json |= strcmp(argv[i], "--json") == 0;
    return status;
}

void cli_args_free(struct cli_args *a)
{
    free(a->values);
    free((void *)a->words);
    *a = (struct cli_args){0};
}

/* Whether the command line speaks of an option. */
static bool given(const struct cli_args *a, const char *name)
{
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->values[i].option->name, name) == 0)
            return true;
    return false;
}

static vka_status own_from_file(struct cli_args *a, const json_t *file, vka_error *err)
{
    static const char *const names[] = {"json", "quiet", "verbose", "progress"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *value = json_object_get(file, names[i]);
        const vka_option *o = find_long(names[i], strlen(names[i]));
        if (!value || !o || given(a, names[i]))
            continue;
        bool flag = o->kind == VKA_OPTION_FLAG;
        if (flag ? !json_is_boolean(value) : !json_is_string(value))
            return cli_fail(err, VKA_E_USAGE, "--%s in the job file wants %s", names[i],
                            flag ? "true or false" : "a text");
        if (flag && json_is_false(value))
            continue;
        vka_status status = take_own(a, o, json_string_value(value), err);
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

vka_status cli_args_job(struct cli_args *a, vka_job **job, json_t **file, vka_error *err)
{
    *file = NULL;
    *job = vka_job_create();
    vka_status status = *job ? VKA_OK : cli_fail(err, VKA_E_MEMORY, "out of memory");
    if (status == VKA_OK && a->from)
        status = vka_job_read_animation(*job, a->from, err);
    if (status == VKA_OK && a->job) {
        char *text;
        size_t size;
        status = cli_read_file(a->job, &text, &size, err);
        if (status == VKA_OK) {
            status = vka_job_read(*job, text, size, err);
            if (status == VKA_OK)
                *file = json_loadb(text, size, 0, NULL);
            free(text);
        }
        if (*file)
            status = own_from_file(a, *file, err);
    }
    for (size_t i = 0; i < a->count && status == VKA_OK; i++)
        if (!(a->values[i].option->marks & VKA_MARK_COMMAND))
            status = vka_job_set(*job, a->values[i].option->name, a->values[i].value, err);
    return status;
}

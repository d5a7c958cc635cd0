/* help.c - --help, from the option table: 80 columns, grouped, defaults in brackets. */
#include "cli.h"

#include <string.h>

enum { COLUMNS = 80, INDENT = 28 };

bool cli_choices(const vka_option *option, const char *between, char *out, size_t size)
{
    size_t n = 0;
    if (!option->choices)
        return false;
    out[0] = '\0';
    for (const char *p = option->choices; *p && *p != '|';) {
        size_t length = strcspn(p, " |");
        int put = length ? snprintf(out + n, size - n, "%s%.*s", n ? between : "", (int)length, p) : 0;
        n += put > 0 ? (size_t)put : 0;
        if (n >= size)
            return false;
        p += length;
        p += strspn(p, " ");
    }
    return true;
}

/* Prints words from column `indent` on; the cursor is at `column`. */
static void put_wrapped(FILE *to, const char *text, int column, int indent)
{
    if (indent && column >= indent - 1) {
        fputc('\n', to);
        column = 0;
    }
    fprintf(to, "%*s", indent - column, "");
    column = indent;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > COLUMNS) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", length, text);
        column += length;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

static void put_option(FILE *to, const vka_option *o)
{
    char text[1024], list[256], letter[8] = "    ";
    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    int column = fprintf(to, "  %s--%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
    size_t n = (size_t)snprintf(text, sizeof text, "%s", o->help);
    if (cli_choices(o, ", ", list, sizeof list))
        n += (size_t)snprintf(text + n, sizeof text - n, " (%s)", list);
    if (o->initial && *o->initial)
        snprintf(text + n, sizeof text - n, " [%s]", o->initial);
    put_wrapped(to, text, column, INDENT);
}

static void put_options(FILE *to, unsigned mask)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    const char *group = NULL;
    for (size_t i = 0; i < count; i++) {
        const vka_option *o = &options[i];
        if (!(o->commands & mask) || o->marks & VKA_MARK_LATER)
            continue;
        if (!group || strcmp(group, o->group) != 0)
            fprintf(to, "\n%s:\n", o->group);
        group = o->group;
        put_option(to, o);
    }
}

void cli_print_help(FILE *to, enum cli_command command)
{
    bool general = command == CLI_HELP;
    if (general) {
        fprintf(to, "vkanim %s - AnimateDiff animations on any Vulkan GPU\n\n", vka_version());
        fputs("usage: vkanim [render] -p TEXT [OPTION]...\n", to);
        for (int i = 1; i < CLI_COMMANDS; i++)
            fprintf(to, "       vkanim %s %s\n", cli_commands[i].name, cli_commands[i].arguments);
        fputs("\ncommands:\n", to);
        for (int i = 0; i < CLI_COMMANDS; i++)
            put_wrapped(to, cli_commands[i].help, fprintf(to, "  %s", cli_commands[i].name), 12);
        fputs("\nThese are the options of render and plan; 'vkanim help COMMAND' has those of the\n"
              "others, and vkanim(1) all else.  Defaults are in brackets; a model may bring its\nown.\n",
              to);
    } else {
        const struct cli_command_info *c = &cli_commands[command];
        fprintf(to, "usage: vkanim %s %s\n\n", c->name, c->arguments);
        put_wrapped(to, c->help, 0, 0);
    }
    put_options(to, general ? VKA_FOR_RENDER : cli_commands[command].mask);
}

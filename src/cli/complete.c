/* complete.c - completion for bash, zsh and fish, from the option table. */
#include "cli.h"

#include <string.h>

static const char networks[] = "text unet vae-decode vae-encode vision";

static bool visible(const vka_option *o, unsigned mask)
{
    return (o->commands & mask) && !(o->marks & VKA_MARK_LATER);
}

static bool takes_file(const vka_option *o)
{
    return o->kind == VKA_OPTION_PATH || o->kind == VKA_OPTION_LIST;
}

/* ---- bash -------------------------------------------------------------------------------------------------- */

static void bash_words(FILE *to, unsigned mask)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    const char *between = "";
    for (size_t i = 0; i < count; i++) {
        if (!visible(&options[i], mask))
            continue;
        fprintf(to, "%s--%s", between, options[i].name);
        between = " ";
        if (options[i].letter)
            fprintf(to, " -%c", options[i].letter);
    }
}

static void bash(FILE *to)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    char list[256];
    fputs("# bash completion for vkanim\n_vkanim()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= command=render\n"
          "    local IFS=$' \\t\\n'\n    COMPREPLY=()\n"
          "    case ${COMP_WORDS[1]} in\n        ",
          to);
    for (int i = 0; i < CLI_COMMANDS; i++)
        fprintf(to, "%s%s", i ? "|" : "", cli_commands[i].name);
    fputs(") ((COMP_CWORD > 1)) && command=${COMP_WORDS[1]} ;;\n    esac\n    case $prev in\n", to);
    for (size_t i = 0; i < count; i++) {
        const vka_option *o = &options[i];
        if (o->marks & VKA_MARK_LATER || o->kind == VKA_OPTION_FLAG)
            continue;
        fprintf(to, "        --%s", o->name);
        if (o->letter)
            fprintf(to, "|-%c", o->letter);
        if (cli_choices(o, " ", list, sizeof list))
            fprintf(to, ") COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n", list);
        else if (takes_file(o))
            fputs(") compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n", to);
        else
            fputs(") return ;;\n", to);
    }
    fputs("    esac\n    case $command in\n", to);
    for (int i = 0; i < CLI_COMMANDS; i++) {
        fprintf(to, "        %s) words=\"", cli_commands[i].name);
        if (i == CLI_HELP)
            for (int j = 0; j < CLI_COMMANDS; j++)
                fprintf(to, "%s%s", j ? " " : "", cli_commands[j].name);
        else
            bash_words(to, cli_commands[i].mask);
        if (i == CLI_NET)
            fprintf(to, " %s", networks);
        fputs("\" ;;\n", to);
    }
    fputs("    esac\n    ((COMP_CWORD == 1)) && words+=\" ", to);
    for (int i = 0; i < CLI_COMMANDS; i++)
        fprintf(to, "%s%s", i ? " " : "", cli_commands[i].name);
    fputs("\"\n    if [[ ( $command == inspect || $command == convert ) && $cur != -* ]]; then\n"
          "        compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n        return\n    fi\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _vkanim vkanim\n",
          to);
}

/* ---- zsh --------------------------------------------------------------------------------------------------- */

/* Inside single quotes and an _arguments specification. */
static void zsh_text(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", to);
        else {
            if (strchr("[]:\\", *text))
                fputc('\\', to);
            fputc(*text, to);
        }
    }
}

static void zsh_option(FILE *to, const vka_option *o)
{
    char list[256];
    fputs("        ", to);
    if (o->letter && o->kind != VKA_OPTION_LIST)
        fprintf(to, "'(-%c --%s)'{-%c,--%s}", o->letter, o->name, o->letter, o->name);
    else if (o->letter)
        fprintf(to, "'*'{-%c,--%s}", o->letter, o->name);
    else
        fprintf(to, "'%s--%s'", o->kind == VKA_OPTION_LIST ? "*" : "", o->name);
    fputs("'[", to);
    zsh_text(to, o->help);
    fputc(']', to);
    if (o->kind != VKA_OPTION_FLAG) {
        fputc(':', to);
        zsh_text(to, o->value);
        fputc(':', to);
        if (cli_choices(o, " ", list, sizeof list))
            fprintf(to, "(%s)", list);
        else if (takes_file(o))
            fputs("_files", to);
    }
    fputs("'\n", to);
}

static void zsh(FILE *to)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    fputs("#compdef vkanim\n_vkanim() {\n    local -a commands options\n    commands=(\n", to);
    for (int i = 0; i < CLI_COMMANDS; i++) {
        fprintf(to, "        '%s:", cli_commands[i].name);
        zsh_text(to, cli_commands[i].help);
        fputs("'\n", to);
    }
    fputs("    )\n    local command=render\n"
          "    if (( CURRENT > 2 )) && (( ${commands[(I)${words[2]}:*]} )); then\n"
          "        command=${words[2]}\n        words=(${words[1]} ${words[3,-1]})\n        (( CURRENT-- ))\n"
          "    elif (( CURRENT == 2 )) && [[ ${words[2]} != -* ]]; then\n"
          "        _describe command commands\n        return\n    fi\n    case $command in\n",
          to);
    for (int c = 0; c < CLI_COMMANDS; c++) {
        fprintf(to, "    %s)\n        options=(\n", cli_commands[c].name);
        for (size_t i = 0; i < count; i++)
            if (visible(&options[i], cli_commands[c].mask))
                zsh_option(to, &options[i]);
        if (c == CLI_INSPECT)
            fputs("        '*:file:_files'\n", to);
        if (c == CLI_CONVERT)
            fputs("        '1:in:_files' '2:out:_files'\n", to);
        if (c == CLI_NET)
            fprintf(to, "        '1:network:(%s)'\n", networks);
        if (c == CLI_HELP) {
            fputs("        '1:command:(", to);
            for (int j = 0; j < CLI_COMMANDS; j++)
                fprintf(to, "%s%s", j ? " " : "", cli_commands[j].name);
            fputs(")'\n", to);
        }
        fputs("        ) ;;\n", to);
    }
    fputs("    esac\n    _arguments -S $options\n}\n_vkanim \"$@\"\n", to);
}

/* ---- fish -------------------------------------------------------------------------------------------------- */

static void fish_text(FILE *to, const char *text)
{
    fputc('\'', to);
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', to);
        fputc(*text, to);
    }
    fputc('\'', to);
}

static void fish(FILE *to)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    char list[256];
    fputs("# fish completion for vkanim\ncomplete -c vkanim -f\n", to);
    fputs("set -l others plan devices inspect net resume convert models serve help\n", to);
    for (int i = 0; i < CLI_COMMANDS; i++) {
        fprintf(to, "complete -c vkanim -n __fish_use_subcommand -a %s -d ", cli_commands[i].name);
        fish_text(to, cli_commands[i].help);
        fputc('\n', to);
    }
    for (int c = 0; c < CLI_HELP; c++)
        for (size_t i = 0; i < count; i++) {
            const vka_option *o = &options[i];
            if (!visible(o, cli_commands[c].mask))
                continue;
            if (c == CLI_RENDER)
                fputs("complete -c vkanim -n \"not __fish_seen_subcommand_from $others\"", to);
            else
                fprintf(to, "complete -c vkanim -n '__fish_seen_subcommand_from %s'", cli_commands[c].name);
            if (o->letter)
                fprintf(to, " -s %c", o->letter);
            fprintf(to, " -l %s", o->name);
            if (o->kind != VKA_OPTION_FLAG)
                fputs(takes_file(o) ? " -r -F" : " -x", to);
            if (cli_choices(o, " ", list, sizeof list))
                fprintf(to, " -a '%s'", list);
            fputs(" -d ", to);
            fish_text(to, o->help);
            fputc('\n', to);
        }
    fputs("complete -c vkanim -n '__fish_seen_subcommand_from inspect convert' -F\n", to);
    fprintf(to, "complete -c vkanim -n '__fish_seen_subcommand_from net' -a '%s'\n", networks);
    fputs("complete -c vkanim -n '__fish_seen_subcommand_from help' -a 'render plan devices inspect net resume convert models serve'\n", to);
}

bool cli_print_completion(FILE *to, const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        bash(to);
    else if (strcmp(shell, "zsh") == 0)
        zsh(to);
    else if (strcmp(shell, "fish") == 0)
        fish(to);
    else
        return false;
    return true;
}

/* job_travel.c - --travel made into what the rest of a render knows: lines in the prompts, and options.
 *
 * It is done before anything else, on a copy of the job, so that a job that is resumed, and the settings in an animation, hold the
 * texts and no file. */
#include "render/job.h"

#include "base/file.h"
#include "base/mem.h"
#include "render/options.h"
#include "text/prompt.h"
#include "text/travel.h"

#include <stdlib.h>
#include <string.h>

/* What the option names, or is. */
static vka_status read_travel(const char *value, struct vka_travel_file *out, vka_error *err)
{
    char *text = NULL;
    size_t size = 0;
    if (vka_travel_is_text(value))
        return vka_travel_read(out, value, err);
    vka_status st = vka_read_file(value, VKA_PROMPT_MAX, &text, &size, err);
    if (st != VKA_OK)
        return st;
    const char *begin = text + (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0);
    vka_error inner = {0};
    if (strlen(text) != size || !vka_is_utf8(text))
        st = vka_fail(err, VKA_E_INPUT, "'%.300s' is no text in UTF-8", value);
    else if ((st = vka_travel_read(out, begin, &inner)) != VKA_OK) {
        st = st == VKA_E_MEMORY ? st : VKA_E_INPUT;
        vka_fail(err, st, "'%.200s': %.300s", value, inner.what);
        if (*inner.why)
            vka_error_why(err, "%s", inner.why);
        if (*inner.hint)
            vka_error_hint(err, "%s", inner.hint);
    }
    free(text);
    return st;
}

/* A prompt that the job has as well stands in front of every text. */
static vka_status set_prompt(struct vka_job *job, const char *option, char **field, const char *lines, vka_error *err)
{
    const char *head = *field ? *field : "";
    if (!lines)
        return VKA_OK;
    if (vka_travel_is(head)) {
        vka_fail(err, VKA_E_USAGE, "--travel and --%s both say what the frames show", option);
        vka_error_hint(err, "--%s with what all frames have in common, or with nothing: ''", option);
        return VKA_E_USAGE;
    }
    char *whole = vka_asprintf("%s%s%s", head, *head ? "\n" : "", lines);
    vka_status st = whole ? vka_job_set(job, option, whole, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
    free(whole);
    return st;
}

static vka_status set_option(struct vka_job *job, const struct vka_travel_setting *s, vka_error *err)
{
    double number;
    bool frames = !strcmp(s->name, "cfg") && !vka_parse_whole_real(s->value, &number); /* over the frames it is another option */
    const vka_option *o = vka_option_find(frames ? "cfg-frames" : s->name);
    if (!o || !(o->commands & VKA_FOR_RENDER) || o->marks & (VKA_MARK_COMMAND | VKA_MARK_LATER | VKA_MARK_LOCAL) ||
        !strcmp(o->name, "travel") || o->kind == VKA_OPTION_LIST) {
        vka_fail(err, VKA_E_USAGE, "'%.60s' in the travel is no setting of a clip", s->name);
        vka_error_why(err, "beside frames it takes head, tail, prompt, negative, pw_a to pw_d, and options without paths by their "
                           "long names");
        return VKA_E_USAGE;
    }
    return vka_job_has(job, s->name) || vka_job_has(job, o->name) ? VKA_OK : vka_job_set(job, o->name, s->value, err);
}

vka_status vka_job_travel(const struct vka_job *job, struct vka_job **own, vka_error *err)
{
    struct vka_travel_file file;
    *own = NULL;
    if (!job || !job->travel || !*job->travel)
        return VKA_OK;
    vka_status st = read_travel(job->travel, &file, err);
    if (st != VKA_OK)
        return st;
    struct vka_job *copy = vka_job_copy(job);
    st = copy ? set_prompt(copy, "prompt", &copy->prompt, file.prompt, err) : vka_fail(err, VKA_E_MEMORY, "out of memory");
    if (st == VKA_OK)
        st = set_prompt(copy, "negative", &copy->negative, file.negative, err);
    for (size_t i = 0; st == VKA_OK && i < file.count; i++)
        st = set_option(copy, &file.settings[i], err);
    vka_travel_file_free(&file);
    if (st != VKA_OK) {
        vka_job_destroy(&copy);
        return st;
    }
    free(copy->travel);
    copy->travel = NULL;
    vka_job_unmark(copy, "travel");
    *own = copy;
    return VKA_OK;
}

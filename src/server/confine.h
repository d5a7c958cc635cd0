/* confine.h - from the job that a request asks for to one with real paths, or a refusal.
 *
 * A request names files by names alone: models as `vkanim models` lists them, "upload:NAME" and "result:NAME" for the files
 * of this server, and a plain name for what is to be made.  What comes out has a path wherever an option's value is one, and
 * no path comes out that was not made here.  An option that may name files (VKA_MARK_FILES, or VKA_OPTION_PATH) and has no
 * rule in confine.c is refused, so that a new one is closed until somebody has thought about it.
 *
 * What opens files beside options: <lora:NAME> in a prompt (checked here as far as it can be seen; a travel's JSON and
 * choices can hide one, so the library looks such names up in the folders of models alone, vka_context_params.names_only),
 * and wildcards, which take names below the one folder that whoever started the server has given. */
#ifndef VKA_SERVER_CONFINE_H
#define VKA_SERVER_CONFINE_H

#include <jansson.h>
#include <stdbool.h>
#include <vkanim/vkanim.h>

enum srv_folder { SRV_UPLOAD, SRV_RESULT };

/* Where names lead to.  The functions get names that have passed srv_name_is_model, srv_name_is_upload and srv_name_is_result;
 * what they return is malloc'd, or NULL with the error filled. */
struct srv_confine_rules {
    char *(*model)(void *user, const char *kind, const char *name, vka_error *err); /* kind as `inspect` has it */
    char *(*file)(void *user, enum srv_folder folder, const char *name, vka_error *err);
    void *user;
    const char *results; /* the folder of outputs, absolute, without a final '/' */
};

enum {
    SRV_JOB_KEYS = 128,      /* members of a job object */
    SRV_JOB_ITEMS = 64,      /* values of one list */
    SRV_JOB_TEXT = 64 << 10, /* bytes of one value */
    SRV_JOB_PROMPT = 1 << 20, /* of a prompt or a travel */
    SRV_JOB_COUNT = 100,     /* clips of one job */
    SRV_JOB_OUTPUTS = 8
};

/* A new object for vka_job_read, or NULL: VKA_E_USAGE for what no request may say, VKA_E_INPUT for names that lead
 * nowhere, VKA_E_MEMORY.  Ranges and choices are left to vka_job_read. */
json_t *srv_confine_job(const struct srv_confine_rules *rules, const json_t *request, vka_error *err);

/* Whether a request's job may have the option: not the command's own, the machine's (devices, kernels, budgets), and not
 * those that name files of this machine that no request has a say in (wildcards, tokenizer, trace, save-hints). */
bool srv_option_allowed(const vka_option *option);

#endif

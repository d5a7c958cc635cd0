/* names.h - names of files that requests may say, and what a file is by its ending or its first bytes.  Pure: nothing here
 * looks at the disk. */
#ifndef VKA_SERVER_NAMES_H
#define VKA_SERVER_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { SRV_NAME = 256 }; /* bytes of a name of a file, its final 0 included */

/* Whether a text can be shown: UTF-8 without control characters, at most `most` bytes. */
bool srv_text_is_clean(const char *text, size_t most);
/* Whether a name is that of one file in a folder and of nothing else: clean, shorter than SRV_NAME, no '/' or '\\', no
 * leading dot. */
bool srv_name_is_file(const char *name);
/* A name in the folders of models, as `models` lists it: clean, parts between '/', none empty or with a leading dot. */
bool srv_name_is_model(const char *name);
/* A name that this server gives to an upload: "upload-", 24 hexadecimal digits, the ending of a type below. */
bool srv_name_is_upload(const char *name);
/* A finished clip in the results folder: a file's name with the ending of an output. */
bool srv_name_is_result(const char *name);
/* The same for a clip that is to be made: ASCII letters, digits and " ._+-,()[]@#" alone, at most 200 bytes; no '%', which
 * would make a pattern of it, and no ':'. */
bool srv_name_is_output(const char *name);

struct srv_file_type {
    const char *ending; /* with its dot */
    const char *type;   /* Content-Type; never one that browsers run */
    const char *kind;   /* "image", "animation", "video", "tensors" */
    bool output;        /* a render can write it */
};
/* By the ending of a name, in either case of letters; NULL: none that is known. */
const struct srv_file_type *srv_type_of(const char *name);
/* By the first bytes of a file, of which all are given; NULL for whatever this server does not take. */
const struct srv_file_type *srv_sniff(const void *data, size_t size);

#endif

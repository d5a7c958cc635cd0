/* files.h - the server's two folders: finished clips (the results folder, shown by the gallery) and uploads (".uploads" in it).
 *
 * Requests reach files by name alone; names are checked (names.h), and files are opened below the descriptor of their folder,
 * never through a link.  Names of uploads are made here; what a client calls a file goes into the log alone.  Uploads
 * that no job has named for SRV_UPLOAD_KEPT seconds go when the server starts; when all of them together would take more than
 * four times the limit of one, the oldest go first, but none that came or was named within SRV_UPLOAD_HELD seconds. */
#ifndef VKA_SERVER_FILES_H
#define VKA_SERVER_FILES_H

#include "server/confine.h"
#include "server/server.h"

enum {
    SRV_UPLOAD_NAME = 64,
    SRV_UPLOAD_KEPT = 7 * 24 * 3600,
    SRV_UPLOAD_HELD = 3600,
    SRV_UPLOADS = 2000,     /* files at most */
    SRV_RESULTS_PAGE = 200  /* of the gallery, in one answer */
};

/* The results folder, absolute, without a final '/'. */
const char *srv_results(struct srv *s);
/* A request's job with real paths, new; NULL: VKA_E_USAGE, VKA_E_INPUT (confine.h).  No "output" comes out where none went in.
 * Uploads that the job names stay for another SRV_UPLOAD_HELD seconds at least. */
json_t *srv_confine(struct srv *s, const json_t *request, vka_error *err);
/* Keeps a picture, an animation, a video or tensors under a new name.  VKA_E_INPUT: it is nothing of that kind;
 * VKA_E_OUTPUT: no room. */
vka_status srv_upload_store(struct srv *s, const char *suggested, const void *data, size_t size, char name[SRV_UPLOAD_NAME],
                            vka_error *err);
/* The settings in the bytes of an animation, a picture or a .txt of A1111's, as a new job object without files of this machine;
 * NULL: VKA_E_INPUT, VKA_E_OUTPUT, VKA_E_MEMORY. */
json_t *srv_settings(struct srv *s, const void *data, size_t size, vka_error *err);

#endif

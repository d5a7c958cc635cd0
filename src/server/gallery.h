/* gallery.h - the list of finished clips: what each is, kept as long as the file does not change. */
#ifndef VKA_SERVER_GALLERY_H
#define VKA_SERVER_GALLERY_H

#include "server/server.h"

struct srv_gallery;
/* Of the folder `path`, whose descriptor `fd` stays the caller's.  NULL when memory is short. */
struct srv_gallery *srv_gallery_create(const char *path, int fd);
void srv_gallery_destroy(struct srv_gallery *g);
/* {"results": [{"name", "url", "bytes", "made" (unix s), "frames", "width", "height", "fps", "kind", "prompt", "type"}],
 * "total"}: `limit` of them from `offset` on, the newest first.  A file that cannot be read has null for what is not
 * known of it.  Any thread. */
json_t *srv_gallery_list(struct srv_gallery *g, struct srv *s, size_t offset, size_t limit, vka_error *err);

/* "/results/" and the name with everything escaped that is not plain in a URL; malloc'd, NULL when memory is short. */
char *srv_result_url(const char *name);

#endif

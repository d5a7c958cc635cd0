/* files.c - uploads, results and the gallery. */
#include "server/server.h"

const struct srv_route srv_files_routes[] = {{0}};

vka_status srv_files_open(struct srv *s, const struct srv_config *config, vka_error *err)
{
    (void)s, (void)config, (void)err;
    return VKA_OK;
}

void srv_files_close(struct srv *s) { (void)s; }

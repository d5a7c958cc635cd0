/* a1111.c - the routes of A1111's web UI under /sdapi/v1. */
#include "server/server.h"

const struct srv_route srv_a1111_routes[] = {{0}};

vka_status srv_a1111_open(struct srv *s, const struct srv_config *config, vka_error *err)
{
    (void)s, (void)config, (void)err;
    return VKA_OK;
}

void srv_a1111_close(struct srv *s) { (void)s; }

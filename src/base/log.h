/* log.h - messages go to one callback that the caller of the library owns; NULL is silence. */
#ifndef VKA_BASE_LOG_H
#define VKA_BASE_LOG_H

#include "base/error.h"

enum vka_log_level { VKA_LOG_ERROR, VKA_LOG_WARN, VKA_LOG_INFO, VKA_LOG_DEBUG };

typedef struct vka_log {
    /* `text` has no final newline and lives until the call returns. */
    void (*write)(void *user, int level, const char *text);
    void *user;
    int level; /* messages above it are not formatted */
} vka_log;

void vka_logf(const vka_log *log, int level, const char *fmt, ...) VKA_PRINTF(3, 4);

#endif

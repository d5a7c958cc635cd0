/* log.c - see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void vka_logf(const vka_log *log, int level, const char *fmt, ...)
{
    if (!log || !log->write || level > log->level)
        return;
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log->write(log->user, level, text);
}

/* clock.h - monotonic time. */
#ifndef VKA_BASE_CLOCK_H
#define VKA_BASE_CLOCK_H

/* Seconds since some fixed moment. */
double vka_now(void);

#endif

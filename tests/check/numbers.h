/* numbers.h - the device and the random weights of tests with whole networks: set up and torn down with a group of tests.
 *
 * Include after cmocka.h; every name here belongs to the one test that includes it. */
#ifndef VKA_TESTS_NUMBERS_H
#define VKA_TESTS_NUMBERS_H

#include "harness.h"
#include "networks.h"

#include <stdlib.h>

enum { NUMBERS = 1 << 19 };

static vka_gpu *gpu;
static uint16_t *halves;
static struct networks_numbers numbers;

static inline int set_up(void **state)
{
    (void)state;
    gpu = check_open_gpu();
    halves = check_random_halves(11, NUMBERS, 0.25f);
    numbers = (struct networks_numbers){halves, NUMBERS};
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    free(halves);
    check_close_gpu(&gpu); /* the validation layers kept silent */
    return 0;
}

#endif

/* sanitized.h - SANITIZED: whether this is built with AddressSanitizer, which is slow and keeps what is freed for a while.  gcc tells
 * of it by a macro, clang by a feature. */
#ifndef VKA_TESTS_SANITIZED_H
#define VKA_TESTS_SANITIZED_H

#include <stdbool.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#endif

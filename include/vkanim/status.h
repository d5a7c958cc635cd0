/* status.h - how calls of vkanim end.  The numbers are the exit codes of the command. */
#ifndef VKANIM_STATUS_H
#define VKANIM_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vka_status {
    VKA_OK = 0,
    VKA_E_INTERNAL = 1,   /* a defect of vkanim */
    VKA_E_USAGE = 2,      /* unknown option, bad value, unknown sampler */
    VKA_E_INPUT = 3,      /* an input or model file is missing, damaged or of the wrong kind */
    VKA_E_DEVICE = 4,     /* no usable device */
    VKA_E_MEMORY = 5,     /* does not fit in the memory budget */
    VKA_E_LOST = 6,       /* device lost */
    VKA_E_OUTPUT = 7,     /* an output could not be written */
    VKA_E_VERIFY = 8,     /* NaN or Inf, or a hash that does not match */
    VKA_E_REGRESSION = 9, /* bench --baseline found a real regression */
    VKA_E_STOPPED = 10    /* cancelled; the command turns it into 130 or 143 */
} vka_status;

/* Why a call failed, in at most three lines.  Owned by the caller, zeroed before the first call; the first failure
 * stays until the caller zeroes it again.  Every function that takes one accepts NULL. */
typedef struct vka_error {
    vka_status status; /* VKA_OK while nothing failed */
    char what[512];    /* what happened, one sentence, no final newline */
    char why[512];     /* the reason; may be empty */
    char hint[256];    /* what to try; may be empty */
} vka_error;

#ifdef __cplusplus
}
#endif
#endif

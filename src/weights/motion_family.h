/* motion_family.h - families of motion modules: how one is told, and what it was made for.  Internal to motion*.c; what others
 * need is in motion.h. */
#ifndef VKA_WEIGHTS_MOTION_FAMILY_H
#define VKA_WEIGHTS_MOTION_FAMILY_H

#include "base/arch.h"
#include "weights/safetensors.h"

#include <stdbool.h>

/* The family of a module whose shapes are in *info; `hotshot`: its names are Hotshot-XL's.  `hint` is the file's name, NULL:
 * none. */
enum vka_motion_variant vka_motion_judge(const vka_motion_info *info, bool hotshot, const vka_safetensors *st,
                                         const char *hint);
/* Writes into *info what goes with a family. */
void vka_motion_take_family(vka_motion_info *info, enum vka_motion_variant v, const vka_safetensors *st,
                            const char *hint);

#endif

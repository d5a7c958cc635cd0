# Turns a SPIR-V file into a C array.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1," words "${hex}")
string(REGEX REPLACE "(0x........,0x........,0x........,0x........,0x........,0x........,0x........,0x........,)" "\\1\n" words "${words}")
file(WRITE ${OUT} "#include <stddef.h>
#include <stdint.h>
extern const uint32_t vka_spv_${NAME}[];
extern const size_t vka_spv_${NAME}_bytes;
const uint32_t vka_spv_${NAME}[] = {
${words}
};
const size_t vka_spv_${NAME}_bytes = sizeof vka_spv_${NAME};
")

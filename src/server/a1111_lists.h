/* a1111_lists.h - lists of /sdapi/v1: new JSON, NULL when memory is short.  `models` is what `vkanim models --json` prints,
 * cleaned. */
#ifndef VKA_SERVER_A1111_LISTS_H
#define VKA_SERVER_A1111_LISTS_H

#include "server/a1111.h"

enum srv_a1111_list { A1111_CHECKPOINTS, A1111_VAES, A1111_LORAS, A1111_TITLES };

/* "name.safetensors [hash]", the hash where it is known and wanted. */
void srv_a1111_title(const json_t *model, bool hash, char out[400]);
/* The model of a kind that a title, a name or a hash means, borrowed; NULL: none. */
const json_t *srv_a1111_model(const json_t *models, const char *kind, const char *name);
json_t *srv_a1111_list_models(const json_t *models, const char *kind, enum srv_a1111_list form);
json_t *srv_a1111_list_embeddings(const json_t *models);
json_t *srv_a1111_list_samplers(void);
json_t *srv_a1111_list_schedulers(void);
json_t *srv_a1111_list_upscalers(bool latent);
json_t *srv_a1111_list_scripts(void);
json_t *srv_a1111_list_script_info(void);

#endif

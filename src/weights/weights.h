/* weights.h - the weights room: what a model file holds, under one set of names (diffusers').
 *
 * Everything here is plain CPU code over read-only memory maps; nothing is converted or copied.  A tensor's bytes stay
 * in the file, little-endian, row-major, with NO alignment promised: read them through vka_weight_to_f32().
 *
 *   model.h        a model (diffusers folder or single file) and its parts: UNet, VAE, text encoder, scheduler
 *   motion.h       motion modules of every naming, with what was learnt about their family
 *   ip_adapter.h   IP-Adapters; vision.h the image encoder that they look at pictures with
 *   lora.h         LoRAs of every dialect, and a model's tensors changed by them
 *   control.h      ControlNets and SparseCtrl encoders
 *   config.h       sizes and switches of each part, read from config.json or from the tensors' shapes
 *   table.h        names to tensors, with marks for the names that somebody asked for
 *   file.h         a model file of any format that is read, shards.h one in several files
 *   safetensors.h  the file format: reader, writer
 *   torch_file.h   PyTorch's, over zip.h and pickle.h; foreign.h names what is none of them
 *   dtype.h        element types
 *   inspect.h      what kind of file is this */
#ifndef VKA_WEIGHTS_WEIGHTS_H
#define VKA_WEIGHTS_WEIGHTS_H

#include "weights/config.h"
#include "weights/control.h"
#include "weights/dtype.h"
#include "weights/inspect.h"
#include "weights/ip_adapter.h"
#include "weights/lora.h"
#include "weights/model.h"
#include "weights/motion.h"
#include "weights/safetensors.h"
#include "weights/table.h"
#include "weights/vision.h"

#endif

/* arch.h - what the networks of a model are: sizes and switches, as plain data.  `weights` finds them out, `nets`
 * builds from them. */
#ifndef VKA_BASE_ARCH_H
#define VKA_BASE_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#define VKA_MAX_LEVELS 8 /* resolutions of a UNet or VAE */

/* UNet2DConditionModel of the SD1.5 class.  Level 0 is the full latent resolution. */
typedef struct vka_unet_config {
    uint32_t in_channels, out_channels; /* 4 and 4; 9 in for inpainting */
    uint32_t levels;
    uint32_t channels[VKA_MAX_LEVELS]; /* block_out_channels */
    uint32_t layers[VKA_MAX_LEVELS];   /* ResNets in down_blocks.i; the up block of the level has one more */
    uint32_t depth[VKA_MAX_LEVELS];    /* transformer_blocks in each attention of down_blocks.i; 0: no attention there */
    uint32_t up_depth[VKA_MAX_LEVELS]; /* the same for up_blocks.i (i = 0 is the lowest resolution) */
    uint32_t mid_depth;                /* transformer_blocks of mid_block.attentions.0; 0: none */
    uint32_t mid_resnets;              /* 2; 1 without mid attention in some models; 0: no mid block */
    uint32_t heads[VKA_MAX_LEVELS];    /* attention heads at a level (down_blocks.i; up_blocks.(levels-1-i)) */
    uint32_t mid_heads;
    uint32_t cross_attention_dim; /* width of the text; 0 when no block attends to text */
    uint32_t norm_num_groups;     /* of every GroupNorm in the UNet */
    float norm_eps;               /* ResNets and output; the spatial transformers' GroupNorm has 1e-6, LayerNorm 1e-5 */
    uint32_t time_embed_dim;      /* width behind time_embedding (4 * channels[0] in SD) */
    bool flip_sin_to_cos;         /* true: cosines first */
    float freq_shift;
    bool use_linear_projection; /* proj_in and proj_out are linear layers, not 1x1 convolutions (the same product) */
    bool upcast_attention;
    uint32_t downsample_padding; /* 1 */
    uint32_t sample_size;        /* latent pixels the model was trained at; 0 when not known */
} vka_unet_config;

/* AutoencoderKL. */
typedef struct vka_vae_config {
    uint32_t in_channels, out_channels; /* 3 and 3 */
    uint32_t latent_channels;           /* 4 */
    uint32_t levels;                    /* pixels per latent pixel and axis: 2^(levels-1) */
    uint32_t channels[VKA_MAX_LEVELS];  /* block_out_channels, full resolution first */
    uint32_t layers;                    /* ResNets per encoder block; a decoder block has one more */
    uint32_t norm_num_groups;
    float norm_eps; /* 1e-6 */
    float scaling_factor, shift_factor; /* sampler latents = (vae latents - shift) * scaling */
    bool use_quant_conv, use_post_quant_conv, mid_attention;
    bool has_encoder, has_decoder;
} vka_vae_config;

enum vka_text_act { VKA_TEXT_QUICK_GELU, VKA_TEXT_GELU };

/* CLIPTextModel. */
typedef struct vka_text_config {
    uint32_t hidden, layers, heads, intermediate;
    uint32_t max_positions; /* 77 */
    uint32_t vocab;
    enum vka_text_act act;
    float eps;
    uint32_t projection;         /* rows of text_projection.weight; 0 when there is none */
    int64_t bos_id, eos_id, pad_id; /* -1 when the config does not say; the tokenizer's files decide */
} vka_text_config;

/* CLIPVisionModelWithProjection. */
typedef struct vka_vision_config {
    uint32_t hidden, layers, heads, intermediate;
    uint32_t image, patch; /* pixels a side; whole patches */
    uint32_t projection;   /* width of the picture's embedding; 0 when there is no visual_projection.weight */
    enum vka_text_act act;
    float eps;
} vka_vision_config;

/* How an IP-Adapter makes tokens of what the image encoder says. */
enum vka_ip_kind {
    VKA_IP_PLAIN, /* of the embedding: one linear layer, its output cut in tokens */
    VKA_IP_PLUS,  /* of all patches: a resampler (perceiver) */
    VKA_IP_FULL   /* of all patches: each becomes a token */
};
typedef struct vka_ip_info {
    enum vka_ip_kind kind;
    uint32_t tokens; /* for each picture; VKA_IP_FULL: 0, as many as the encoder has */
    uint32_t width;  /* of a token: the UNet's cross_attention_dim */
    uint32_t takes;  /* width of what it is made of: of the embedding, or of the encoder's layers */
    uint32_t hidden, layers, heads; /* of the resampler */
    uint32_t pairs;  /* cross-attentions that it has keys and values for */
} vka_ip_info;

/* Families of AnimateDiff motion modules. */
enum vka_motion_variant {
    VKA_MOTION_V1,
    VKA_MOTION_V2,
    VKA_MOTION_V3,
    VKA_MOTION_ANIMATELCM,
    VKA_MOTION_LIGHTNING,
    VKA_MOTION_LONG,
    VKA_MOTION_SDXL_BETA,
    VKA_MOTION_HOTSHOT_XL,
    VKA_MOTION_PIA,
    VKA_MOTION_VARIANTS
};

typedef struct vka_motion_info {
    enum vka_motion_variant variant;
    uint32_t levels;                       /* down blocks that the module knows of */
    uint32_t channels[VKA_MAX_LEVELS];     /* of down_blocks.i; 0 where that block has no module */
    uint32_t up_channels[VKA_MAX_LEVELS];  /* of up_blocks.i */
    uint32_t down_modules[VKA_MAX_LEVELS]; /* motion modules in down_blocks.i, one behind each ResNet (+ attention) */
    uint32_t up_modules[VKA_MAX_LEVELS];
    uint32_t mid_modules, mid_channels;
    uint32_t slots;              /* sum of all modules */
    uint32_t transformer_blocks; /* in each module; 1 in every known family */
    uint32_t attention_blocks;   /* 2; 1 in SparseCtrl */
    uint32_t heads;              /* 8 */
    uint32_t norm_num_groups;    /* 32, eps 1e-6 */
    uint32_t pe_length;          /* frames of the positional table; 0: the file has none, make one as long as needed */
    bool is_diffusers;           /* names as in a diffusers MotionAdapter */
    bool norm_frames_resnet;     /* trained with the UNet ResNets' and output GroupNorm taken over all frames (v1, PIA) */
    uint32_t conv_in_channels;   /* PIA: 9, under conv_in.weight; else 0 */
    const char *beta_schedule;   /* diffusers' names: "linear" or "scaled_linear" */
    double beta_start, beta_end;
    const char *timestep_spacing; /* what the family was made for ("trailing" for lightning), or NULL */
    uint32_t window;         /* frames that it was trained on at once: of a context window, unless told otherwise */
    const char *sampler;     /* what a distilled family is sampled with, by --sampler's name; NULL: any */
    uint32_t steps;          /* likewise, 0: any number */
    uint32_t original_steps; /* that it was distilled from; 0: not known */
    double cfg;              /* likewise, 0: any */
    bool needs_picture;      /* made to go on from a first picture: PIA, AnimateLCM-I2V */
    const char *published;   /* the published file that this one is named after, or NULL */
} vka_motion_info;

enum vka_control_kind {
    VKA_CONTROL_NET,            /* ControlNet (Zhang et al. 2023): a picture for each frame */
    VKA_CONTROL_SPARSE_RGB,     /* SparseCtrl (Guo et al. 2023): latents of a picture for some frames, and which these are */
    VKA_CONTROL_SPARSE_SCRIBBLE /* likewise, with pictures as they are */
};

/* A network beside the UNet's down path that adds to its skips, and to what leaves its middle block. */
typedef struct vka_control_info {
    enum vka_control_kind kind;
    vka_unet_config unet;    /* of its down blocks and its middle; nothing in up_depth, 0 out_channels */
    vka_motion_info motion;  /* its own modules, in the down blocks; 0 slots: none */
    uint32_t outputs;        /* what it adds to: one for each skip, and one for the middle (13 in SD1.5) */
    uint32_t hint_channels;  /* 3; 4 latent channels and a mask, or 3 and a mask, in SparseCtrl */
    uint32_t hint_convs;     /* between the first convolution of the hint and the last, every second of stride 2; 0: one in all */
    uint32_t hint_factor;    /* the hint's pixels for one latent pixel, along each axis: 8; 1 for latents */
    bool hint_bgr;           /* it was trained on pictures whose red and blue are swapped */
} vka_control_info;

#endif

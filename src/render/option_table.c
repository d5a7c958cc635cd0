/* option_table.c - the one option table.
 *
 * The command line, --job files, the settings inside animations, --help, the manual page and the shells' completions
 * all come from it.  A row's order here is its order in --help; its place is its bit in vka_job.set. */
#include "render/job.h"

#define RENDER (VKA_FOR_RENDER | VKA_FOR_PLAN)
#define NET    VKA_FOR_NET
#define RESUME VKA_FOR_RESUME
#define CONVERT VKA_FOR_CONVERT
#define MODELS  VKA_FOR_MODELS
#define SERVE   VKA_FOR_SERVE
#define JOB     (RENDER | SERVE) /* of a render, and may be said to a server for all of its jobs */
#define EVERY   (RENDER | NET | VKA_FOR_DEVICES | VKA_FOR_INSPECT | RESUME | CONVERT | MODELS | SERVE)
#define LOCAL  VKA_MARK_LOCAL
#define FILES  VKA_MARK_FILES

static const char g_prompt[] = "What to draw", g_models[] = "Models", g_clip[] = "The clip", g_images[] = "Images and video in", g_sampling[] = "Sampling",
                  g_output[] = "Output", g_device[] = "Device", g_tensors[] = "Tensors in and out", g_job[] = "Jobs",
                  g_server[] = "Server", g_messages[] = "Messages";

/* name, letter, kind, value, default, choices, least, most, commands, group, help, marks */
static const vka_option table[] = {
    {"prompt", 'p', VKA_OPTION_TEXT, "TEXT", "", NULL, 0, 0, RENDER | NET, g_prompt, "What the animation shows.", 0},
    {"negative", 'n', VKA_OPTION_TEXT, "TEXT", "", NULL, 0, 0, JOB, g_prompt, "What it should not show.", 0},
    {"prompt-syntax", 0, VKA_OPTION_CHOICE, "NAME", "a1111", "a1111 comfy plain", 0, 0, JOB | NET, g_prompt,
     "How prompts are read: emphasis and the like as A1111 or as ComfyUI has them, or every character as it stands.",
     0},
    {"pad-prompt", 0, VKA_OPTION_CHOICE, "HOW", "empty", "empty repeat", 0, 0, RENDER | NET, g_prompt,
     "How the shorter of prompt and negative prompt is filled up: with empty chunks, or by repetition, which is as if it "
     "were not (A1111's default).",
     0},
    {"comma-padding", 0, VKA_OPTION_INT, "N", "20", NULL, 0, 74, RENDER | NET, g_prompt,
     "Break a long prompt at a comma where one is among the last N tokens of a chunk (A1111's rule).", 0},
    {"wildcards", 0, VKA_OPTION_PATH, "DIR", NULL, NULL, 0, 0, JOB, g_prompt,
     "Folder of text files: __name__ in a prompt becomes a line of name.txt, drawn with the seed.", LOCAL | FILES},
    {"travel", 0, VKA_OPTION_TEXT, "FILE|TEXT", NULL, NULL, 0, 0, RENDER, g_prompt,
     "Prompts that change over the frames, of a file or as text: lines FRAME: TEXT, or JSON; see PROMPTS OVER THE FRAMES in the "
     "manual page. Such lines in --prompt and --negative travel too; with this option those are put in front of every text.",
     FILES},
    {"travel-blend", 0, VKA_OPTION_CHOICE, "NAME", "lerp", "lerp slerp", 0, 0, RENDER, g_prompt,
     "What frames between two prompts get: what lies on the line between them, or on the arc.", 0},
    {"travel-ease", 0, VKA_OPTION_CHOICE, "NAME", "linear", "linear hold ease-in ease-out ease-in-out", 0, 0, RENDER, g_prompt,
     "How the way from one prompt to the next is gone, where the prompt does not say.", 0},

    {"model", 'm', VKA_OPTION_PATH, "PATH", NULL, NULL, 0, 0, JOB | NET, g_models,
     "A diffusers folder or a checkpoint file of the Stable Diffusion 1.5 family, or its name in a model folder; "
     "without it the bundled miniature.",
     LOCAL | FILES},
    {"motion", 0, VKA_OPTION_PATH, "PATH", NULL, NULL, 0, 0, JOB | NET, g_models,
     "The AnimateDiff motion module, or none; without it the one that the model's folder names.", LOCAL | FILES},
    {"motion-family", 0, VKA_OPTION_CHOICE, "NAME", "auto", "auto v1 v2 v3 animatelcm lightning long", 0, 0, JOB | NET,
     g_models, "Treat the motion module as one of this family: its betas, norm rule and defaults; auto is what the file tells.",
     0},
    {"vae", 0, VKA_OPTION_PATH, "PATH", NULL, NULL, 0, 0, JOB | NET, g_models, "A VAE in place of the model's own.",
     LOCAL | FILES},
    {"lora", 0, VKA_OPTION_LIST, "PATH[:WEIGHT[:TEXT]]", NULL, NULL, 0, 0, JOB | NET, g_models,
     "A LoRA for the model, may be repeated: kohya's, diffusers', PEFT's, LyCORIS's; WEIGHT is 1 without it, TEXT another one "
     "for the text encoder.",
     LOCAL | FILES},
    {"motion-lora", 0, VKA_OPTION_LIST, "PATH[:WEIGHT]", NULL, NULL, 0, 0, JOB | NET, g_models,
     "A LoRA for the motion module, may be repeated.", LOCAL | FILES},
    {"lora-frames", 0, VKA_OPTION_LIST, "NAME=VALUES", NULL, NULL, 0, 0, RENDER, g_models,
     "Weights of a LoRA over the frames, numbers as for --motion-scale; NAME is its file's name without ending, or what --lora or "
     "the prompt calls it.  It is not merged then, and takes this in place of its weight; its part for the text encoder keeps "
     "that.  May be repeated.",
     LOCAL | FILES},
    {"embedding", 0, VKA_OPTION_LIST, "PATH[:NAME]", NULL, NULL, 0, 0, JOB | NET, g_models,
     "A textual-inversion embedding; in the prompt it is NAME, or the file's name without its ending.  Those in the folder "
     "embeddings of a model folder need not be given.", LOCAL | FILES},
    {"motion-scale", 0, VKA_OPTION_TEXT, "VALUES", NULL, NULL, 0, 0, RENDER | NET, g_models,
     "How strongly frames heed each other: multiplies the keys of the motion module's attention, 1 being as trained. A number "
     "from 0 to 10; or FRAME:NUMBER, ... with a line between the frames named, which are whole numbers from 0 on (or from the end "
     "on: -1), ranges as 4-9, or fractions of the clip from 0.0 to 1.0, with the name of a --travel-ease behind them if wanted; or "
     "a plain list, a number for each frame.",
     0},
    {"motion-effect", 0, VKA_OPTION_TEXT, "VALUES", NULL, NULL, 0, 0, RENDER | NET, g_models,
     "How much of the motion module's change is taken: 0 is the picture model alone, 1 all of it. Numbers as for --motion-scale.",
     0},
    {"tokenizer", 0, VKA_OPTION_PATH, "PATH", NULL, NULL, 0, 0, JOB | NET, g_models,
     "A folder with vocab.json and merges.txt, for checkpoint files, which do not carry them.", LOCAL | FILES},
    {"kind", 0, VKA_OPTION_CHOICE, "KIND", NULL, "checkpoint vae motion-module lora motion-lora embedding controlnet ip-adapter vision unknown", 0, 0,
     MODELS, g_models, "List models of this kind only.", VKA_MARK_COMMAND},
    {"hash", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, MODELS, g_models,
     "Hash the files whose hash is not known yet, which reads all of them.", VKA_MARK_COMMAND},

    {"width", 'W', VKA_OPTION_INT, "PIXELS", NULL, NULL, 1, 16384, JOB, g_clip,
     "Width, a multiple of the VAE's factor (8 in Stable Diffusion); without it what the model was made for.", 0},
    {"height", 'H', VKA_OPTION_INT, "PIXELS", NULL, NULL, 1, 16384, JOB, g_clip, "Height, likewise.", 0},
    {"frames", 'f', VKA_OPTION_INT, "N", "16", NULL, 1, 65535, JOB, g_clip,
     "Frames of the clip; beyond what the motion module's table holds it is made in context windows.", 0},
    {"fps", 0, VKA_OPTION_REAL, "RATE", "8", NULL, 0.01, 1000, JOB, g_clip, "Frames per second of playback.", 0},
    {"seed", 's', VKA_OPTION_INT, "N", "-1", NULL, -1, 9223372036854775807.0, RENDER, g_clip,
     "Seed of the noise; -1 draws one and prints it.", 0},
    {"count", 0, VKA_OPTION_INT, "N", "1", NULL, 1, 1000000, RENDER, g_clip,
     "Clips to render, with the seeds s, s+1 and so on.", LOCAL},
    {"context-length", 0, VKA_OPTION_INT, "N", NULL, NULL, 1, 65535, RENDER | NET, g_clip,
     "Frames of a context window; without it windows come only with clips that are longer than the motion module's table, and "
     "have what the module was trained on, mostly 16.",
     0},
    {"context-stride", 0, VKA_OPTION_INT, "N", "1", NULL, 1, 64, RENDER, g_clip,
     "Most spacings of frames in windows of the uniform schedules: every frame, every 2nd, every 4th and so on.", 0},
    {"context-overlap", 0, VKA_OPTION_INT, "N", NULL, NULL, 0, 65535, RENDER | NET, g_clip,
     "Frames that neighbouring windows share; without it a quarter of the window.  Schedules batched and shuffle share none.", 0},
    {"context-schedule", 0, VKA_OPTION_CHOICE, "NAME", "uniform-standard", "uniform-standard uniform static batched shuffle", 0, 0,
     RENDER, g_clip,
     "Where the windows of a step lie.  The uniform ones move from step to step: uniform-standard stays within the clip, uniform "
     "goes on at its beginning behind its end, as loops need it.  static: the same windows in every step; batched: without "
     "overlap; shuffle: frames drawn anew in every step.",
     0},
    {"context-merge", 0, VKA_OPTION_CHOICE, "NAME", "flat", "flat pyramid overlap-linear relative last", 0, 0, RENDER | NET, g_clip,
     "How what windows predict for a frame is merged: by its mean (flat); weighted by the place in the window, most in the middle "
     "(pyramid, relative) or less where windows overlap (overlap-linear); or what the last window says.",
     0},
    {"loop", 0, VKA_OPTION_CHOICE, "NAME", "off", "off reduced full always", 0, 0, RENDER, g_clip,
     "Lets a clip's end go over into its beginning, by context windows that cross it; the clip must have as many frames as a "
     "window at least.  full: prompts that travel come back to the first one too; always: and the end is crossed as often as any "
     "other place.  Other programs call these R-P, R+P and A.",
     0},
    {"noise-kind", 0, VKA_OPTION_CHOICE, "NAME", "random", "random constant repeated shuffled", 0, 0, RENDER, g_clip,
     "How the first noise of the frames is related: each has its own; all have the same; that of a context window's length is "
     "repeated, or repeated in drawn order (FreeNoise).",
     0},
    {"freenoise", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, RENDER | NET, g_clip,
     "The clip goes through the network in one piece, and windows of --context-length are inside the motion module's attention, a "
     "quarter of a window apart, or as --context-overlap says; merged by weights that rise to a window's middle, or equal ones with "
     "--context-merge flat. Memory grows with the frames. Fastest where the frames are a window and whole hops.  The first noise is "
     "shuffled, unless --noise-kind says otherwise.",
     0},
    {"freeinit", 0, VKA_OPTION_INT, "N", "0", NULL, 0, 20, RENDER, g_clip,
     "Further rounds of FreeInit: the clip is made again from noise that has its low frequencies, which calms flicker. --step-noise "
     "may hold the fresh noise of round K as freeinit.K, from 0 on.",
     0},
    {"freeinit-filter", 0, VKA_OPTION_CHOICE, "NAME", "butterworth", "butterworth gaussian ideal box", 0, 0, RENDER, g_clip,
     "What lets the low frequencies through.", 0},
    {"freeinit-cutoff", 0, VKA_OPTION_TEXT, "SPACE[:TIME]", "0.25:0.25", NULL, 0, 0, RENDER, g_clip,
     "How much of them, in space and along the frames: shares of the highest frequency, from 0 to 1; one number is for both.", 0},
    {"freeinit-order", 0, VKA_OPTION_INT, "N", "4", NULL, 1, 16, RENDER, g_clip,
     "How steep the butterworth filter is.", 0},
    {"freeinit-fast", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, RENDER, g_clip,
     "Fewer steps in the first rounds: a third, two thirds, then all of --steps where there are two further rounds.", 0},
    {"hires", 0, VKA_OPTION_TEXT, "SCALE[:STRENGTH]", NULL, NULL, 0, 0, RENDER, g_clip,
     "A second pass at SCALE (1 to 8) times the size, from the clip of the first one enlarged and noised for the last STRENGTH of its "
     "steps (0.6 without it), without controls and held pictures.",
     0},
    {"hires-upscaler", 0, VKA_OPTION_CHOICE, "NAME", "latent", "latent latent-nearest latent-bicubic picture", 0, 0, RENDER, g_clip,
     "What enlarges the clip before the second pass: the latents, on lines between them, to the nearest or bicubic, or the decoded "
     "picture with Lanczos' kernel.",
     0},
    {"hires-steps", 0, VKA_OPTION_INT, "N", NULL, NULL, 1, 1000, RENDER, g_clip,
     "Steps of the second pass, of which STRENGTH says how many are run; without it --steps.", 0},

    {"init", 0, VKA_OPTION_PATH, "IMAGE", NULL, NULL, 0, 0, RENDER, g_images,
     "Begin from this picture: it is the first frame, and the frames behind it resemble it the less the further they are.",
     LOCAL | FILES},
    {"init-last", 0, VKA_OPTION_PATH, "IMAGE", NULL, NULL, 0, 0, RENDER, g_images,
     "The same of the last frame.", LOCAL | FILES},
    {"keyframe", 0, VKA_OPTION_LIST, "N=IMAGE", NULL, NULL, 0, 0, RENDER, g_images,
     "Frame N (from 0, or -1 for the last, -2 ...) is this picture, and its neighbours resemble it; may be repeated.",
     LOCAL | FILES},
    {"init-video", 0, VKA_OPTION_PATH, "FILE|FOLDER|PATTERN", NULL, NULL, 0, 0, RENDER, g_images,
     "Begin each frame from the picture of the same number in a video, an animation, a folder or a pattern like %05d.png.",
     LOCAL | FILES},
    {"video-fps", 0, VKA_OPTION_REAL, "RATE", NULL, NULL, 0.01, 1000, RENDER, g_images,
     "Take so many pictures of a second of the video; without it every one.", 0},
    {"video-start", 0, VKA_OPTION_REAL, "SECONDS", "0", NULL, 0, 1000000, RENDER, g_images,
     "Seconds of the video to leave out.", 0},
    {"video-stride", 0, VKA_OPTION_INT, "N", "1", NULL, 1, 10000, RENDER, g_images,
     "Of the pictures so chosen take every N-th.", 0},
    {"resize", 0, VKA_OPTION_CHOICE, "NAME", "crop", "crop fit stretch", 0, 0, RENDER, g_images,
     "How pictures of another shape are made to fit: the middle cut out, black edges, or stretched.", 0},
    {"strength", 0, VKA_OPTION_REAL, "STRENGTH", "0.75", NULL, 0, 1, RENDER, g_images,
     "How far a clip that begins from pictures goes from them: of the steps the last STRENGTH are run; 1 runs all.", 0},
    {"latent-power", 0, VKA_OPTION_REAL, "POWER", "1", NULL, 0, 100, RENDER, g_images,
     "How pictures fade over the frames: a picture's share of a frame that is i frames away is 1 - i^POWER / SCALE.", 0},
    {"latent-scale", 0, VKA_OPTION_REAL, "SCALE", "32", NULL, 0.01, 1000000, RENDER, g_images,
     "See --latent-power; the rest is noise.", 0},
    {"latent-power-last", 0, VKA_OPTION_REAL, "POWER", NULL, NULL, 0, 100, RENDER, g_images,
     "--latent-power of the last frame's picture, if it is another.", 0},
    {"latent-scale-last", 0, VKA_OPTION_REAL, "SCALE", NULL, NULL, 0.01, 1000000, RENDER, g_images,
     "--latent-scale of the last frame's picture, if it is another.", 0},
    {"hold", 0, VKA_OPTION_REAL, "SHARE", "1", NULL, 0, 1, RENDER, g_images,
     "In this share of the steps, from the first on, frames with a picture of their own (and what a mask keeps) are kept as "
     "they are; 0 lets them change like the others.", 0},
    {"mask", 0, VKA_OPTION_PATH, "FILE|FOLDER|PATTERN", NULL, NULL, 0, 0, RENDER, g_images,
     "Where pictures may change: white may, black is kept; one mask for all frames, or one for each.", LOCAL | FILES},
    {"control", 0, VKA_OPTION_LIST, "PATH[,KEY=VALUE]...", NULL, NULL, 0, 0, RENDER | NET, g_images,
     "A ControlNet or SparseCtrl encoder, may be repeated. Keys: source=FILE, FOLDER or PATTERN of its pictures (without it those of "
     "--init-video or --init) or previous, the frame before (TemporalNet; frame after frame, without a motion module), weight=VALUES over the frames as for --motion-scale, start= and end= for shares of the steps, "
     "mode=balanced, prompt or control (A1111's control modes), process=none, canny, lineart, soft-edge, tile or invert, which makes the "
     "hint of a picture; of SparseCtrl frames=N;N;... for the pictures in "
     "their order, negative from the end, and encode=mean or sample.", LOCAL | FILES},
    {"save-hints", 0, VKA_OPTION_PATH, "FOLDER", NULL, NULL, 0, 0, RENDER, g_images,
     "Write the pictures that controls are given, as the networks see them, as FOLDER/control0-00000.png and so on.",
     LOCAL | FILES},
    {"ip-adapter", 0, VKA_OPTION_LIST, "PATH[,KEY=VALUE]...", NULL, NULL, 0, 0, RENDER | NET, g_images,
     "Image prompt: an IP-Adapter for SD1.5 (plain, plus, full face) with image=FILE[;FILE]... (or a folder, or numbered files), "
     "frames=N;N... (key frames, one for each picture: a frame takes that of the nearest key at or before it; without, pictures "
     "spread evenly), weight=VALUES over the frames (0:1;8:0.5), start= and end= (shares of the steps). Repeatable.",
     LOCAL | FILES},
    {"vision", 0, VKA_OPTION_PATH, "PATH", NULL, NULL, 0, 0, RENDER | NET, g_images,
     "The image encoder of IP-Adapters, a file or a folder; without, the folder image_encoder beside the first adapter, or in the "
     "model's folder.",
     LOCAL | FILES},

    {"steps", 0, VKA_OPTION_INT, "N", "25", NULL, 1, 1000, JOB, g_sampling, "Sampling steps.", 0},
    {"cfg", 0, VKA_OPTION_REAL, "SCALE", "7.5", NULL, 0, 1000, JOB, g_sampling,
     "Guidance scale; at 1 the negative prompt is not used and a step costs half.", 0},
    {"cfg-frames", 0, VKA_OPTION_TEXT, "VALUES", NULL, NULL, 0, 0, RENDER, g_sampling,
     "Guidance scales over the frames, in place of --cfg: numbers as for --motion-scale. Not with --cfg-schedule.", 0},
    {"cfg-schedule", 0, VKA_OPTION_TEXT, "LIST", NULL, NULL, 0, 0, RENDER, g_sampling,
     "Guidance scales over the steps, in place of --cfg: STEP:SCALE, ..., steps from 0 or as fractions (0.0 to 1.0), between "
     "them a line; or a scale for each step.",
     0},
    {"cfg-rescale", 0, VKA_OPTION_REAL, "PHI", "0", NULL, 0, 1, RENDER, g_sampling,
     "How far guidance takes the spread of the output without it, frame by frame: 0 not, 1 wholly.", 0},
    {"pag", 0, VKA_OPTION_REAL, "SCALE", "0", NULL, 0, 100, RENDER, g_sampling,
     "Scale of perturbed-attention guidance, of the middle block's spatial self-attention; 3 is usual. Above 0 a step costs half "
     "as much again.",
     0},
    {"sampler", 0, VKA_OPTION_CHOICE, "NAME", "ddim",
     "ddim euler euler-a heun lms dpm2 dpm2-a dpmpp-2m dpmpp-2m-sde dpmpp-2s-a dpmpp-sde dpmpp-3m-sde unipc pndm deis "
     "lcm tcd ddpm",
     0, 0, JOB, g_sampling,
     "Sampler, as diffusers and k-diffusion have it; but SDE samplers draw plain noise for each interval, so that seeds "
     "do not carry over from torchsde's Brownian trees.",
     0},
    {"schedule", 0, VKA_OPTION_CHOICE, "NAME", "auto",
     "auto leading linspace trailing karras exponential sgm-uniform simple normal ddim-uniform beta kl-optimal ays",
     0, 0, JOB, g_sampling,
     "Where the steps lie: auto is what the model names, else the sampler's own, and with lcm and tcd the steps that the "
     "model was distilled on; leading, linspace and trailing as in diffusers; the others as in A1111, over the range of "
     "noise that the model was trained on (ays is a fixed list made for Stable Diffusion alone).",
     0},
    {"beta", 0, VKA_OPTION_TEXT, "NAME[:START:END]", "auto", NULL, 0, 0, JOB, g_sampling,
     "Noise schedule: auto (what the motion module and the model name), linear, scaled_linear or squaredcos_cap_v2.", 0},
    {"rng", 0, VKA_OPTION_CHOICE, "NAME", "torch-cpu", "torch-cpu nv", 0, 0, JOB, g_sampling,
     "Random numbers: those of torch on the CPU, or those of an NVIDIA card as A1111 makes them.", 0},
    {"noise-layout", 0, VKA_OPTION_CHOICE, "NAME", "5d", "5d clip frame", 0, 0, JOB, g_sampling,
     "How noise is drawn: for the clip as diffusers does, as ComfyUI does, or by frame as A1111 does.", 0},
    {"norm", 0, VKA_OPTION_CHOICE, "NAME", "auto", "auto original diffusers", 0, 0, JOB | NET, g_sampling,
     "What GroupNorm covers in motion modules and ResNets: as the module was trained, or as diffusers has it.", 0},
    {"precision", 0, VKA_OPTION_CHOICE, "TYPE", NULL, "f16 f32", 0, 0, JOB | NET, g_sampling,
     "Type that the networks are stored in, sums being f32; without it f16 where the device can store that.", 0},
    {"clip-skip", 0, VKA_OPTION_INT, "N", "1", NULL, 1, 100, JOB | NET, g_sampling,
     "Take the text encoder's N-th layer from the end, as in A1111; 1 is the last.", 0},
    {"eta", 0, VKA_OPTION_REAL, "ETA", NULL, NULL, 0, 10, RENDER, g_sampling,
     "How much fresh noise a step brings: of ddim (without it 0), of ancestral and SDE samplers (1), of tcd (0.3, its gamma).",
     0},
    {"original-steps", 0, VKA_OPTION_INT, "N", NULL, NULL, 1, 1000, RENDER, g_sampling,
     "Steps that an LCM or TCD model was distilled from; without it what the motion module says, or 50.", 0},
    {"subseed", 0, VKA_OPTION_INT, "N", "-1", NULL, -1, 9223372036854775807.0, RENDER, g_sampling,
     "Seed of a second noise that --subseed-strength mixes in; -1 draws one and prints it. With a strength it is this one "
     "that --count and, in noise layout frame, the frames count up, and not the seed (A1111's rule).",
     0},
    {"subseed-strength", 0, VKA_OPTION_REAL, "SHARE", "0", NULL, 0, 1, RENDER, g_sampling,
     "Share of the second noise, as A1111's variation strength.", 0},

    {"output", 'o', VKA_OPTION_LIST, "FILE", NULL, NULL, 0, 0, RENDER, g_output,
     "Where the clip goes, may be repeated: .webp .gif .mp4 .webm .png .apng .y4m, a folder or a %05d pattern for "
     "frames; without it vkanim-SEED.webp.",
     LOCAL | FILES},
    {"interpolate", 0, VKA_OPTION_INT, "N", "1", NULL, 1, 16, RENDER, g_output,
     "Make N frames of each, so that 8 frames per second become 24 with 3: between two, N - 1 more along the motion that optical "
     "flow finds between them, on the device. A clip of F frames has (F - 1) N + 1 then, one with --loop F N; it is shown at N "
     "times --fps. --verify, the trace and the hash of the frames are of those that are rendered.",
     0},
    {"plays", 0, VKA_OPTION_INT, "N", "0", NULL, 0, 65535, RENDER, g_output,
     "How often viewers play the clip; 0 is for ever (WebP, GIF, APNG).", LOCAL},
    {"ping-pong", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, RENDER, g_output,
     "Play the clip forwards and then backwards: files have the frames between the last and the first once more, in reverse. "
     "--verify, the trace and the hash of the frames are of those that are rendered.",
     0},
    {"quality", 0, VKA_OPTION_INT, "N", NULL, NULL, 0, 100, JOB, g_output,
     "Quality of lossy files: of WebP as libwebp has it, without it 90; of MP4 and WebM 100 for the best rate factor to 0 for the "
     "worst, without it 68, which is CRF 17 and 20.",
     LOCAL},
    {"lossless", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, JOB, g_output,
     "Lossless WebP or WebM (VP9 with RGB planes); PNG and APNG are lossless anyway, GIF, MP4 and y4m cannot be.", LOCAL},
    {"colors", 0, VKA_OPTION_INT, "N", "256", NULL, 4, 256, RENDER, g_output,
     "Colours of a GIF's palette, one of them for what does not change.", LOCAL},
    {"dither", 0, VKA_OPTION_CHOICE, "NAME", "floyd-steinberg", "floyd-steinberg sierra2-4a sierra2 heckbert bayer none", 0, 0,
     RENDER, g_output, "Dithering of a GIF.", LOCAL},
    {"overwrite", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, RENDER | RESUME | CONVERT, g_output,
     "Replace files that exist.", LOCAL},
    {"no-overwrite", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, RENDER | CONVERT, g_output,
     "Never replace files; without either, a terminal is asked and anything else refused.", LOCAL},
    {"verify", 0, VKA_OPTION_TEXT, "SHA256", NULL, NULL, 0, 0, RENDER, g_output,
     "Fail unless the frames' bytes have this hash.", LOCAL},

    {"device", 'd', VKA_OPTION_TEXT, "INDEX|NAME", NULL, NULL, 0, 0, JOB | NET | RESUME, g_device,
     "Device by its number or part of its name in 'vkanim devices'; without it the best GPU.", LOCAL},
    {"path", 0, VKA_OPTION_CHOICE, "NAME", "auto", "auto fp32 fp16 khr nv2", 0, 0, JOB | NET, g_device,
     "Kernels to use: fp32, fp16, or with matrix units khr (of a subgroup) or nv2 (of a workgroup).", LOCAL},
    {"vram", 0, VKA_OPTION_SIZE, "SIZE", NULL, NULL, 0, 0, JOB | NET | RESUME, g_device,
     "Hard budget of device memory, such as 6G or 512M; the picture does not depend on it.", LOCAL},
    {"device-memory", 0, VKA_OPTION_SIZE, "SIZE", NULL, NULL, 0, 0, VKA_FOR_PLAN, g_device,
     "Plan for a device with this much memory, without looking for one.", LOCAL},

    {"in", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, NET, g_tensors, "Tensors that go in.", VKA_MARK_COMMAND | FILES},
    {"out", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, NET, g_tensors, "Where the tensors that come out go.",
     VKA_MARK_COMMAND | FILES},
    {"noise", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_tensors, "Initial noise, in place of the seed's.",
     LOCAL | FILES},
    {"step-noise", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_tensors,
     "Noise of each step, in place of what the sampler draws.", LOCAL | FILES},
    {"embeds", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_tensors,
     "Text embeddings, in place of the text encoder's.", LOCAL | FILES},
    {"trace", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_tensors, "Write every step's tensors there.",
     LOCAL | FILES},

    {"job", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_job,
     "Take options from a JSON object with long names as keys; '-' is standard input.", VKA_MARK_COMMAND | FILES},
    {"from", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, RENDER, g_job,
     "Take the settings from a rendered animation, or from a picture, animation or .txt of A1111's web UI.",
     VKA_MARK_COMMAND | FILES},
    {"dry-run", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, RENDER, g_job,
     "Print the plan and stop, like 'vkanim plan'.", VKA_MARK_COMMAND},

    {"forget", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, RESUME, g_job, "Remove what was kept of the job in place of going on with it.",
     VKA_MARK_COMMAND},

    {"listen", 0, VKA_OPTION_TEXT, "ADDRESS", "127.0.0.1", NULL, 0, 0, SERVE, g_server,
     "Address to serve at, in numbers; any but one of this machine's own (127.0.0.1, ::1) needs --token-file.",
     VKA_MARK_COMMAND},
    {"port", 0, VKA_OPTION_INT, "N", "7860", NULL, 0, 65535, SERVE, g_server,
     "Port to serve at; 0 takes one that is free and prints it.", VKA_MARK_COMMAND},
    {"token-file", 0, VKA_OPTION_PATH, "FILE", NULL, NULL, 0, 0, SERVE, g_server,
     "File with a token in its first line, 16 characters or more: every request must bring it.", VKA_MARK_COMMAND | FILES},
    {"results", 0, VKA_OPTION_PATH, "FOLDER", NULL, NULL, 0, 0, SERVE, g_server,
     "Folder of finished clips; without it vkanim/results in the user's data folder.", VKA_MARK_COMMAND | FILES},
    {"queue", 0, VKA_OPTION_INT, "N", "32", NULL, 1, 10000, SERVE, g_server,
     "Jobs that may wait at most; more are refused.", VKA_MARK_COMMAND},
    {"upload-limit", 0, VKA_OPTION_SIZE, "SIZE", "256M", NULL, 0, 0, SERVE, g_server,
     "Bytes of an uploaded file at most.", VKA_MARK_COMMAND},

    {"json", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, EVERY, g_messages,
     "Print the result on standard output as one JSON object.", VKA_MARK_COMMAND},
    {"progress", 0, VKA_OPTION_CHOICE, "FORM", "auto", "auto bar plain json none", 0, 0, RENDER | NET | RESUME | CONVERT | MODELS,
     g_messages, "Progress on standard error: auto is a bar on a terminal and plain lines elsewhere.", VKA_MARK_COMMAND},
    {"quiet", 'q', VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, EVERY, g_messages, "Errors only.", VKA_MARK_COMMAND},
    {"verbose", 'v', VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, EVERY, g_messages,
     "Details: kernel and stage timings, names in files that nothing uses; twice: more of them.", VKA_MARK_COMMAND},
    {"help", 'h', VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, EVERY, g_messages, "Print the options and stop.",
     VKA_MARK_COMMAND},
    {"version", 0, VKA_OPTION_FLAG, NULL, NULL, NULL, 0, 0, EVERY, g_messages, "Print the version and stop.",
     VKA_MARK_COMMAND},
};
enum { OPTIONS = sizeof table / sizeof *table };
_Static_assert(sizeof table / sizeof *table <= (size_t)VKA_OPTION_LIMIT, "vka_job.set has one bit per option");

const vka_option *vka_options(size_t *count)
{
    if (count)
        *count = OPTIONS;
    return table;
}

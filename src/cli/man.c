/* man.c - the manual page vkanim(1): man(7) macros, the options from the table, the rest from the text below.  What a job holds
 * is told by vkanim-job(5), man_job.c. */
#include "cli.h"

#include <string.h>

void cli_put_roff(FILE *to, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", to);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", to);
        else if (*text == '-')
            fputs("\\-", to);
        else if (*text == '\'')
            fputs("\\(aq", to);
        else
            fputc(*text, to);
    }
}

void cli_put_group(FILE *to, const vka_option *o, const char **group)
{
    if (!*group || strcmp(*group, o->group) != 0) {
        fputs(".SS ", to);
        cli_put_roff(to, o->group);
        fputc('\n', to);
    }
    *group = o->group;
}

void cli_put_range(FILE *to, const vka_option *o)
{
    fprintf(to, "%s%.*f", o->least < 0 ? "\\-" : "", o->least > 0 && o->least < 1 ? 2 : 0, o->least < 0 ? -o->least : o->least);
    if (o->most < 1e15)
        fprintf(to, " to %.0f", o->most);
    else
        fputs(" or more", to);
}

static void put_option(FILE *to, const vka_option *o)
{
    char list[256];
    fputs(".TP\n", to);
    if (o->letter)
        fprintf(to, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", to);
    cli_put_roff(to, o->name);
    fputs("\\fR", to);
    if (o->value) {
        fputs(" \\fI", to);
        cli_put_roff(to, o->value);
        fputs("\\fR", to);
    }
    fputc('\n', to);
    cli_put_roff(to, o->help);
    if (cli_choices(o, ", ", list, sizeof list)) {
        fputs("\nOne of: ", to);
        cli_put_roff(to, list);
        fputc('.', to);
    }
    if (o->initial && *o->initial) {
        fputs("\nDefault: ", to);
        cli_put_roff(to, o->initial);
        fputc('.', to);
    }
    if (o->kind == VKA_OPTION_INT || o->kind == VKA_OPTION_REAL) {
        if (o->most < 1e15) {
            fputs("\nRange: ", to);
            cli_put_range(to, o);
            fputc('.', to);
        }
    }
    fputc('\n', to);
}

static void put_options(FILE *to, unsigned mask)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    const char *group = NULL;
    for (size_t i = 0; i < count; i++) {
        const vka_option *o = &options[i];
        if (!(o->commands & mask) || o->marks & VKA_MARK_LATER)
            continue;
        cli_put_group(to, o, &group);
        put_option(to, o);
    }
}

/* Options that a command has and none before it. */
static void put_own_options(FILE *to, int command)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    unsigned before = 0;
    bool any = false;
    for (int i = 0; i < command; i++)
        before |= cli_commands[i].mask;
    for (size_t i = 0; i < count; i++) {
        const vka_option *o = &options[i];
        if (!(o->commands & cli_commands[command].mask) || o->commands & before || o->marks & VKA_MARK_LATER)
            continue;
        if (!any)
            fprintf(to, ".SS Of %s only\n", cli_commands[command].name);
        any = true;
        put_option(to, o);
    }
}

static const char description[] =
    ".SH DESCRIPTION\n"
    ".B vkanim\n"
    "turns a prompt into an animation with models of the AnimateDiff family, in Vulkan compute shaders.\n"
    "It needs a device with Vulkan 1.2, buffer addresses and timeline semaphores; a software device will do.\n"
    "Without \\fB\\-\\-model\\fR it uses the miniature that comes with it, a small model of drawn scenes.\n"
    "It downloads nothing.\n"
    ".PP\n"
    "The memory plan is known before a render starts, and kept.\n"
    "The budget (\\fB\\-\\-vram\\fR) changes the speed, never the picture;\n"
    "the same seed gives the same clip on the same device, driver and version.\n";

static const char streams[] =
    ".SH STREAMS\n"
    "Standard output carries data only: what\n"
    ".BR devices ,\n"
    ".B inspect\n"
    "and\n"
    ".B plan\n"
    "print, or with \\fB\\-\\-json\\fR exactly one JSON object.\n"
    "All else goes to standard error: progress, messages, and errors in at most three lines, which say what happened, "
    "why,\n"
    "and what to try.\n"
    ".PP\n"
    "With \\fB\\-\\-progress json\\fR every line of standard error is one JSON object, from where the options are "
    "understood:\n"
    "{\"event\":\"progress\", \"stage\", \"clip\", \"clips\", \"step\", \"total\", \"elapsed_s\", \"s_per_it\", "
    "\"eta_s\", \"vram_bytes\",\\:"
    "\"vram_peak_bytes\"},\n"
    "where s_per_it and eta_s are null while unknown;\n"
    "{\"event\":\"message\", \"level\", \"text\"}; {\"event\":\"done\", \"seed\", \"outputs\"};\n"
    "{\"event\":\"error\", \"code\", \"what\", \"why\", \"hint\"}.\n"
    ".PP\n"
    "The first interrupt or termination signal stops a render within a step; a second one ends it at once.\n"
    "No part of an output gets its name, and\n"
    ".B vkanim resume\n"
    "goes on from the last step that was kept.\n";

static const char samplers[] =
    ".SH SAMPLERS AND SCHEDULES\n"
    "Samplers are those of diffusers (ddim, euler, euler\\-a, unipc, pndm without its Runge\\-Kutta steps, deis, lcm, tcd,\n"
    "ddpm) and of k\\-diffusion (the others), with their numbers.\n"
    "dpmpp\\-sde, dpmpp\\-2m\\-sde and dpmpp\\-3m\\-sde draw plain noise for each interval of a step, shared where "
    "intervals\n"
    "overlap; torchsde's Brownian trees are not reproduced, so that a seed gives another picture than in A1111.\n"
    "With \\fB\\-\\-step\\-noise\\fR they are k\\-diffusion's with that noise.\n"
    ".PP\n"
    "leading, linspace and trailing are diffusers', in the form of the sampler's class there.\n"
    "The other schedules are lists of noise levels over the range that the motion module or the model was trained on, "
    "as in\n"
    "A1111; beta is A1111's and diffusers' form of it, kl\\-optimal ends in 0 as ComfyUI's does.\n"
    "ays is a fixed list, made for Stable Diffusion's range: with modules of another one there is a warning, and nothing "
    "is\n"
    "scaled.\n"
    "In such lists dpm2, dpm2\\-a and dpmpp\\-3m\\-sde leave out the last level but one, as A1111 does.\n"
    "Where the model names no spacing, auto is leading for ddim, ddpm and pndm, karras for dpm2, dpm2\\-a, dpmpp\\-2m,\n"
    "dpmpp\\-2s\\-a and dpmpp\\-sde, exponential for dpmpp\\-2m\\-sde and dpmpp\\-3m\\-sde, else linspace.\n"
    "lcm and tcd take steps that their model was distilled on, unless told otherwise.\n";

static const char exit_codes[] =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\nDone.\n"
    ".TP\n.B 1\nA defect of vkanim.\n"
    ".TP\n.B 2\nUsage: an unknown option, a bad value, a name that this version does not have.\n"
    ".TP\n.B 3\nAn input or model file is missing, damaged or of the wrong kind.\n"
    ".TP\n.B 4\nNo usable device.\n"
    ".TP\n.B 5\nDoes not fit in the memory budget; the message says what would.\n"
    ".TP\n.B 6\nThe device was lost, and again in the second try, or could not be tried again.\n"
    ".TP\n.B 7\nAn output could not be written, or exists.\n"
    ".TP\n.B 8\nVerification failed: NaN or infinity in prompts, latents or frames, or another hash than \\fB\\-\\-verify\\fR "
    "has.\n"
    ".TP\n.BR 130 \", \" 143\nStopped by SIGINT, by SIGTERM; the job can be resumed.\n";

static const char json[] =
    ".SH JSON\n"
    "Every object has \"schema\" 1 and \"command\"; later versions may add members.\n"
    "Where a command fails, the object has the member\n"
    "\"error\":{\"code\", \"what\", \"why\", \"hint\"}\n"
    "in place of a result.\n"
    ".TP\n.B render\n"
    "\"outputs\":[{\"path\", \"bytes\", \"sha256\"}];\n"
    "\"settings\": long option names with what was used;\n"
    "\"models\":[{\"path\", \"kind\", \"family\", \"sha256\"}];\n"
    "\"device\":{\"name\", \"driver\", \"api\", \"path\"};\n"
    "\"timing\":{\"load_s\", \"text_s\", \"steps_s\":[], \"s_per_it\", \"decode_s\", \"encode_s\", \"total_s\"}, and "
    "\"between_s\" with\n"
    "\\fB\\-\\-interpolate\\fR;\n"
    "\"memory\":{\"budget_bytes\", \"planned_bytes\", \"peak_bytes\"}.\n"
    "peak_bytes is the largest sum of device memory held at once; it never exceeds planned_bytes.\n"
    "\"retries\": 1 where the device was lost, or out of memory, and the render went on with a smaller plan; else 0.\n"
    ".TP\n.B resume\n"
    "With a job what\n"
    ".B render\n"
    "has, or with \\fB\\-\\-forget\\fR \"forgotten\", what it was called by; without one \"jobs\":[{\"id\", \"folder\", \"state\", \"created\", \"prompt\", \"outputs\"}], "
    "the state being stopped,\n"
    "running or damaged.\n";

static const char json_plan[] =
    ".TP\n.B plan\n"
    "\"fits\"; \"clip\":{\"width\", \"height\", \"frames\", \"steps\", \"count\", \"window_frames\"}, the last in context windows "
    "only;\n"
    "\"settings\":{long option names, resolved} as the clip would carry them; a seed that is drawn is another one each time;\n"
    "\"memory\":{\"budget_bytes\", \"planned_bytes\", \"weights_bytes\", \"activations_bytes\", \"host_bytes\",\\:"
    "\"host_budget_bytes\"}, the middle two of the UNet;\n"
    "\"stages\":{\"text_bytes\", \"unet_bytes\", \"vae_bytes\"}, \"between_bytes\" with \\fB\\-\\-interpolate\\fR: device memory of each; they run in turn, so the largest is "
    "what is planned;\n"
    "\"where\":{\"text\", \"unet\", \"vae\"}, each {\"weights_bytes\", \"ring_bytes\", \"activations_bytes\", \"clip_bytes\",\\:"
    "\"arguments_bytes\", \"host_weights_bytes\", \"host_skips_bytes\", \"host_clip_bytes\"} or null for a stage that does not run: resident "
    "weights,\n"
    "the ring that streamed weights pass through, activations, the clip with its prompts, and arguments of kernels, which add up to "
    "the\n"
    "stage\\(aqs device memory; then weights and skips that wait in host memory, and clip state there;\n"
    "\"peak\":{\"stage\", \"bytes\", \"node\"}: the stage that needs most and the node at which its activations do;\n"
    "\"plan\": how the UNet is cut: {\"guidance\": off, together or apart, \"segments\", \"segments_cut\", \"frame_parts\", "
    "\"row_parts\",\\:\"peak_node\", \"weights\": resident or streamed, \"prefetch\": whether on a queue of their own, ahead of the "
    "work,\n"
    "\"streamed_bytes_per_step\", \"skips\" and \"clip_state\": device or host, \"parked_bytes_per_step\": of skips, to the host and "
    "back, \"windows_at_once\": context windows that the network takes together};\n"
    "\"estimate\":{\"flop_per_step\", \"bytes_per_step\", \"dispatches_per_step\", \"s_per_it\", \"text_s\", \"decode_s\", "
    "\"total_s\"},\n"
    "the last three of all clips, without reading models and writing files;\n"
    "\"operators\":[{\"name\", \"dispatches\", \"flop\", \"bytes\"}] of a step;\n"
    "\"alternatives\":[{\"name\", \"planned_bytes\", \"host_bytes\", \"s_per_it\", \"fits\", and what \"plan\" has}]: full\\-speed, "
    "which is the\n"
    "plan without a budget; the same with one knob turned all the way: guidance\\-apart, cut\\-finest, weights\\-streamed,\n"
    "skips\\-in\\-host\\-memory, clip\\-state\\-in\\-host\\-memory; and smallest;\n"
    "\"smallest\": what \"plan\" and \"planned_bytes\" are of the plan that needs least.\n"
    "The exit status is 5 when \"fits\" is false; then\n"
    "\"nearest\":[{\"frames\", \"planned_bytes\"}, {\"width\", \"height\", \"planned_bytes\"}, {\"budget_bytes\", "
    "\"planned_bytes\"}] has the\n"
    "most frames, the largest picture of the same shape and the least budget that fit, as far as there are any, with what their "
    "smallest\n"
    "plan takes.\n";

static const char json_more[] =
    ".TP\n.B devices\n"
    "\"devices\":[{\"index\", \"name\", \"driver\", \"usable\",...}], with the reason where a device is not usable.\n"
    ".TP\n.B models\n"
    "\"folders\":[{\"path\", \"layout\", \"models\"}], the layout being flat, a1111, comfyui or yaml (named by one);\n"
    "\"models\":[{\"name\", \"kind\", \"family\", \"variant\", \"path\", \"bytes\", \"sha256\", \"hash\", \"autov2\", \"title\", "
    "\"triggers\":[],\\:\"tags\":[], \"problem\"}]: hash is the first ten digits of the SHA\\-256, autov2 the same in capitals, null "
    "where\n"
    "the file was never hashed; with \\fB\\-\\-hash\\fR also \"legacy_hash\", and \"lora_hash\" of a LoRA.\n"
    "Triggers come from the file and from NAME.json and NAME.civitai.info beside it; tags are those that most pictures of a LoRA\\(aqs\n"
    "training had.\n"
    ".TP\n.B serve\n"
    "\"version\", \"url\": what is served at which address, as soon as it is.\n"
    ".TP\n.B inspect\n"
    "\"files\":[{\"path\", \"kind\", \"family\", \"variant\", \"tensors\", \"parameters\", \"dtypes\":[], "
    "\"notes\":[]}];\n"
    "a file that cannot be read has \"path\" and \"error\".\n"
    "With one file its members stand in the object itself too.\n"
    "Kinds: checkpoint, motion\\-module, lora, motion\\-lora, embedding, controlnet, ip\\-adapter (variants plain, plus, full),\n"
    "vision (an image encoder), vae, animation, unknown.\n"
    ".TP\n.B convert\n"
    "\"path\"; \"kind\"; \"family\"; \"tensors\"; \"outputs\":[{\"path\", \"bytes\"}]; \"notes\":[].\n";

static const char formats[] =
    ".SS Job files\n"
    "\\fB\\-\\-job\\fR reads one object with long option names as keys, which\n"
    ".BR vkanim\\-job (5)\n"
    "lists with their types and defaults, and says what texts such as those of \\fB\\-\\-control\\fR hold.\n"
    "Options on the command line win over \\fB\\-\\-job\\fR, and that over \\fB\\-\\-from\\fR.\n"
    ".SS Animations\n"
    "Every animation but .y4m carries {\"schema\", \"vkanim\", \"settings\", \"models\":[{\"name\", \"kind\", "
    "\"family\", \"sha256\"}]},\n"
    "without paths, devices, budgets or timings: WebP as XMP, GIF as a comment, MP4 and WebM as the tag "
    "\\(lqcomment\\(rq, PNG as an\n"
    "iTXt chunk.\n"
    "The tag says what made the frames, in order of rendering: \\fBping\\-pong\\fR and \\fBinterpolate\\fR are among the\n"
    "settings, but how a file holds them (\\fB\\-\\-plays\\fR, \\fB\\-\\-quality\\fR, \\fB\\-\\-lossless\\fR, \\fB\\-\\-colors\\fR, \\fB\\-\\-dither\\fR) is not.\n"
    ".B inspect\n"
    "shows it and \\fB\\-\\-from\\fR renders from it again.\n"
    ".PP\n"
    "Beside it they carry the infotext that A1111\\(aqs web UI and its AnimateDiff extension write: PNG as the chunk "
    "\\(lqparameters\\(rq, WebP\n"
    "as UserComment of EXIF, GIF as a second comment, MP4 and WebM as the tag \\(lqdescription\\(rq.\n"
    "\\fB\\-\\-from\\fR also takes files of those programs, which have it there or in the comment, and .txt files, given or lying\n"
    "beside a picture that says nothing.\n"
    "What they do without saying so is taken too: noise as an NVIDIA card makes it, frame by frame.\n"
    "What has no equal here is named in a warning, and so are the models that the picture was made with: those are for\n"
    "\\fB\\-\\-model\\fR and its like to give.\n"
    "With \\fB\\-\\-json inspect\\fR has it as \"infotext\", and of such a file \"settings\".\n"
    ".SS Frames between\n"
    "\\fB\\-\\-interpolate\\fR \\fIN\\fR makes N \\- 1 frames between each two that are rendered, after the VAE and one pair at a time, so "
    "that its memory\n"
    "does not grow with the clip; a plan counts it, and a stopped job goes on with it.\n"
    "No model is needed: optical flow is estimated in both directions (TV\\-L1, Zach, Pock and Bischof 2007, from coarse to fine, with\n"
    "a search for what is small and fast), and a frame between is read along it from both pictures and blended by time.\n"
    "What one of them alone shows comes from that one; where nothing fits, the two are blended as they are.\n"
    "Equal frames have equal ones between them, to the bit.\n"
    "A change of scene is no motion: between two pictures that have nothing in common it fades.\n"
    "Files play at N times \\fB\\-\\-fps\\fR, at most at 1000 frames per second. With \\fB\\-\\-loop\\fR the last frame leads back to the first "
    "one\n"
    "through frames between, too; with \\fB\\-\\-ping\\-pong\\fR, which turns at both ends, it does not.\n";

static const char models[] =
    ".SH MODEL FILES\n"
    "Models are read from safetensors and from PyTorch\\(aqs files since its version 1.6 (.ckpt, .pt, .pth, .bin), told apart by\n"
    "their first bytes.\n"
    "A pickle in such a file is read as data: nothing in it is executed, one that names functions which run programs is refused.\n"
    "Still, a file from a stranger is better kept as safetensors, which\n"
    ".B vkanim convert\n"
    "makes of it: the same tensors in the same types under the same names, but for what trainers wrap around them\n"
    "(\\(lqstate_dict\\(rq, \\(lqmodule.\\(rq), texts and numbers beside them as metadata.\n"
    "Of files that have only averaged (EMA) weights of a UNet those are used.\n"
    "fp8 weights are read with their scales.\n"
    "Archives and pickles of other kinds, PyTorch\\(aqs older formats and views that are not contiguous are refused with a word why.\n";

static const char prompts[] =
    ".SH PROMPTS\n"
    "Prompts are read as A1111 reads them (\\fB\\-\\-prompt\\-syntax\\fR):\n"
    ".TP\n(more), [less], (word:1.3)\n"
    "Weights of 1.1, 1/1.1 and 1.3 for what is inside; they multiply where brackets lie in one another. What is not closed\n"
    "ends with the prompt. \\e( \\e) \\e[ \\e] and \\e\\e are the signs themselves.\n"
    ".TP\nBREAK\n"
    "Ends the chunk. A chunk is the 75 tokens that the text encoder takes at a time; one that is full ends behind a comma where\n"
    "one is near (\\fB\\-\\-comma\\-padding\\fR).\n"
    ".TP\n[from:to:when], [to:when], [from::when], [a|b|c]\n"
    "Another text behind step \\fIwhen\\fR, a number with a point being a fraction of all steps; another text in every step.\n"
    ".TP\na AND b :0.5\n"
    "Several prompts, each with its own pass of the network and its weight in guidance: uncond + cfg * sum of\n"
    "weight * (cond \\- uncond). A number behind a last colon is a weight without AND too. Not in negative prompts.\n"
    ".TP\n<lora:name:weight[:te]>\n"
    "A LoRA for the model, by its name or path, with a weight of its own for the text encoder. Not in negative prompts.\n"
    ".TP\nnames of embeddings\n"
    "Become the vectors of the embedding, also as <name>; they stay in one chunk.\n"
    ".PP\n"
    "ComfyUI\\(aqs syntax knows (word:1.3), (word) for 1.1 and \\(lqembedding:name\\(rq; a weight is what it says whatever is around\n"
    "it, and moves the embedding from the empty prompt\\(aqs towards the text\\(aqs and beyond. In plain syntax no sign means\n"
    "anything.\n"
    ".PP\n"
    "With \\fB\\-\\-wildcards\\fR \\fIDIR\\fR, __name__ becomes a line of \\fIDIR\\fR/name.txt, __folder/*__ one of all files there, and\n"
    "{a|b|c} one of its choices, {3::a|b} with a three times as often. Lines may hold more of them. Every clip of\n"
    "\\fB\\-\\-count\\fR draws anew with its seed, and its metadata hold what came out; all clips must ask for the same LoRAs.\n";

static const char travel[] =
    ".SH PROMPTS OVER THE FRAMES\n"
    "A prompt of which some line begins with a frame, a colon and a space changes over the frames:\n"
    ".RS\n.nf\n"
    "a photo of a valley\n"
    "0: at noon\n"
    "8 ease\\-in: at dusk\n"
    "12\\-15: at night\n"
    "highly detailed\n"
    ".fi\n.RE\n"
    "Lines in front of the first frame\\(aqs and behind the last one\\(aqs belong to every text.\n"
    "Frames count from 0; \\-1 is the last, 4\\-9 a range over which the text holds, and with a point they are fractions of the clip\n"
    "from 0.0 to 1.0.\n"
    "Behind a frame may stand how the way to the next is gone, as \\fB\\-\\-travel\\-ease\\fR has it for all: linear; hold, which stays\n"
    "until then; ease\\-in (s^3), ease\\-out (1 \\- (1 \\- s)^3), ease\\-in\\-out (4 s^3 up to the middle, then likewise).\n"
    "In a loop (\\fB\\-\\-loop\\fR full, always) the last text leads back to the first.\n"
    ".PP\n"
    "Texts are encoded each, and frames between two get what lies between their embeddings: on the line, or with\n"
    "\\fB\\-\\-travel\\-blend slerp\\fR on the arc between them as two vectors of all their numbers, which is what A1111\\(aqs AnimateDiff\n"
    "extension takes. AND is not for such prompts, and a LoRA that one of the texts names counts\n"
    "for all frames.\n"
    "Between back quotes an expression is worked out for every frame, of the frame t and the number of frames max_f, with\n"
    "+ \\- * / % ** ( ) abs sin cos tan exp log sqrt floor ceil min max pow pi: (snow:`0.5+0.5*t/max_f`).\n"
    "There may be 1024 different texts.\n"
    ".PP\n"
    "\\fB\\-\\-travel\\fR takes such lines from a file, or JSON: {\"0\": \"text\", \"8 hold\": \"text\"}, as it is or as the member\n"
    "\"prompt\" beside \"head\", \"tail\" and \"negative\"; other members are options by their long names, which count unless given,\n"
    "numbers over the frames being objects too: {\"cfg\": {\"0\": 9, \"15\": 5}}.\n"
    "FizzNodes\\(aq and ADE\\(aqs forms are read as well: no braces, pw_a to pw_d as members, \\-\\-neg in a text, 0 = \"text\", \"4:9\" for\n"
    "4\\-8 and \"8:\" for hold.\n"
    "A value that has a new line or begins with { or \" is the text itself.\n"
    ".PP\n"
    "Options with \\fIVALUES\\fR take the same frames and eases: \\(lq0 hold:1, 4\\-9:1.3, \\-1:0.8\\(rq; those of one option are all whole\n"
    "numbers or all fractions, and rise.\n";
static const char pictures_in[] =
    ".SH CLIPS THAT BEGIN FROM PICTURES\n"
    "\\fB\\-\\-init\\fR gives the first frame, \\fB\\-\\-init\\-last\\fR the last one, \\fB\\-\\-keyframe\\fR any other. A frame that is i frames away\n"
    "from such a picture begins with max(0, 1 \\- i^power / scale) of it (\\fB\\-\\-latent\\-power\\fR, \\fB\\-\\-latent\\-scale\\fR); where the\n"
    "shares of all pictures are more than 1 they are divided by their sum, and what is left is noise. With a first picture and a last\n"
    "one that is the rule of A1111\\(aqs AnimateDiff extension; its noise is the draw behind the clip\\(aqs first noise.\n"
    "\\fB\\-\\-strength\\fR is that of diffusers: of N steps the last N \\(mu strength are run, rounded down. At 1 all are, and the picture\n"
    "is seen only through \\fB\\-\\-hold\\fR and what little the first step leaves of it.\n"
    "Held frames take part in every step as they are, so their neighbours go by them.\n"
    ".PP\n"
    "\\fB\\-\\-init\\-video\\fR gives every frame its own picture, and keyframes stand in place of its pictures. It must have as many\n"
    "as the clip has frames.\n"
    ".PP\n"
    "With \\fB\\-\\-mask\\fR the mask alone says what is held, in every frame: of its own picture, or of that of the nearest keyframe. A mask\n"
    "has the size of the first picture, as stored, and goes through the same \\fB\\-\\-resize\\fR; grey holds in part.\n"
    ".PP\n"
    "Pictures are PNG, JPEG, WebP, BMP, TIFF, PNM, GIF and APNG; videos MP4, WebM, AVI, MPEG, Ogg, FLV and y4m, or any animation of\n"
    "these, told by their bytes; of what was built without FFmpeg PNG and WebP. A folder stands for its pictures in the order of their\n"
    "names, numbers in these by value, and a name with %05d for numbered files without a gap. Transparency is laid over black, pictures are turned\n"
    "as EXIF or the video says; at most 16384 pixels a side.\n";
static const char image_prompts[] =
    ".SH IMAGE PROMPTS\n"
    "\\fB\\-\\-ip\\-adapter\\fR \\fIFILE\\fR,image=\\fIPICTURE\\fR lets frames look like a picture: beside the text every cross\\-attention looks\n"
    "at tokens of the picture, through keys and values of the adapter\\(aqs. Adapters are those for SD1.5 as h94/IP\\-Adapter publishes\n"
    "them, plain, plus and full face, also several at once; FaceID and SDXL\\(aqs are refused.\n"
    "They want the image encoder that they were trained with (\\fB\\-\\-vision\\fR, else the folder image_encoder beside the first of them, or in\n"
    "the model\\(aqs folder).\n"
    ".TP\nimage=\\fIFILE\\fR[;\\fIFILE\\fR]...\n"
    "Pictures of any size; a folder or numbered files stand for what they hold. The short side is scaled to the encoder\\(aqs and the middle\n"
    "cut out, as CLIP\\(aqs preprocessing has it.\n"
    ".TP\nframes=\\fIN\\fR[;\\fIN\\fR]...\n"
    "Key frames, one for each picture, from 0 or, negative, from the end. A frame takes the picture of the nearest key at or before it.\n"
    "Without keys several pictures take the frames in equal shares.\n"
    ".TP\nweight=\\fIVALUES\\fR, start=\\fISHARE\\fR, end=\\fISHARE\\fR\n"
    "How strong it is, over the frames; between which shares of the steps it works.\n"
    ".PP\n"
    "The branch without the prompt sees what the adapter makes of no picture, as in diffusers.\n";

static const char frame_after_frame[] =
    ".SH FRAME AFTER FRAME\n"
    "\\fB\\-\\-control\\fR \\fIPATH\\fR,source=previous gives a ControlNet the frame before as its hint, as TemporalNet is used (TemporalNet2, of 6\n"
    "channels, is refused). The frames are made one after the other: all steps of a frame, then it is decoded, and its picture is the\n"
    "next one\\(aqs hint. The first frame sees the picture of \\fB\\-\\-init\\fR or the first one of \\fB\\-\\-init\\-video\\fR; without them the\n"
    "control does not take part in it. Other controls take their own frames as ever.\n"
    "A frame is made alone, so no motion module takes part and the model keeps its own schedule of noise; steps are counted over all\n"
    "frames.\n"
    "It does not go with \\fB\\-\\-freeinit\\fR, \\fB\\-\\-freenoise\\fR, \\fB\\-\\-hires\\fR, \\fB\\-\\-loop\\fR, options of context windows,\n"
    "\\fB\\-\\-save\\-hints\\fR and \\fB\\-\\-trace\\fR, nor with SparseCtrl or process=.\n"
    "A file of the name previous is ./previous.\n";

static const char model_folders[] =
    ".SH MODEL FOLDERS\n"
    "Where an option takes a model, a motion module, a VAE, a LoRA or an embedding, its name will do in place of a path: with or\n"
    "without the extension and folders in front, in either case of letters, and with a short hash behind it as A1111 prints it,\n"
    "\\(lqdreamshaper_8 [879db523c3]\\(rq.\n"
    "Searched are the folders of VKANIM_MODEL_PATH, $XDG_DATA_HOME/vkanim/models (~/.local/share/vkanim/models), vkanim/models in the\n"
    "folders of XDG_DATA_DIRS, and the program\\(aqs own, in this order.\n"
    "Each may hold files and diffusers folders as they come, or be the folder of A1111\\(aqs or Forge\\(aqs web UI or of ComfyUI;\n"
    "the folders that a file extra_model_paths.yaml in it names are searched too.\n"
    "Of equal names an earlier folder\\(aqs is taken, and .safetensors before other files; what then remains several is refused.\n"
    ".B vkanim models\n"
    "lists them all. It reads headers only, and remembers them.\n";

static const char serving[] =
    ".SH SERVING\n"
    ".B vkanim serve\n"
    "renders for others on this machine: a page for people, an interface of its own below /api/v1, and A1111\\(aqs below /sdapi/v1.\n"
    "Jobs wait in a queue and are rendered one after the other, each like\n"
    ".B vkanim render\n"
    "with the same settings, to the same bits.\n"
    "Options of the device hold for all jobs (a request cannot change them); those of models and settings are what a job gets that\n"
    "does not speak of them.\n"
    "Finished clips lie in the results folder, ID\\-SEED.webp if a job gives no other name.\n"
    "What was stopped, or was running when the server ended, can be resumed, by the server or with\n"
    ".BR \"vkanim resume\" ;\n"
    "what was only waiting is forgotten.\n"
    ".PP\n"
    "Without a token it serves this machine alone and takes requests only for its own names and from its own page, so that no page of\n"
    "another site can use it; users of this machine can.\n"
    "With \\fB\\-\\-token\\-file\\fR every request must bring the token: as \\fIAuthorization: Bearer TOKEN\\fR, as the password of any\n"
    "user, or in a browser once as http://ADDRESS:PORT/?token=TOKEN.\n"
    "It speaks HTTP without encryption: in a network that is not trusted, put a tunnel in front of it.\n"
    "Requests name models as\n"
    ".B vkanim models\n"
    "does, and files that were uploaded to it or made by it; never paths.\n"
    ".PP\n"
    "The first SIGINT or SIGTERM ends it: the running job is stopped, clients get their last answers, the exit code is 130 or 143.\n";

static const char tensors[] =
    ".SH TENSORS\n"
    "All files are safetensors, F32 unless said, row\\-major; F frames, h = height / factor, w = width / factor, T "
    "tokens, D text\n"
    "width, S steps.\n"
    "Readers also take [1,4,F,h,w] where [F,4,h,w] stands.\n"
    ".TP\n.B \\-\\-noise\nnoise [F,4,h,w], of unit variance.\n"
    ".TP\n.B \\-\\-embeds\ncond [1 or F,T,D], uncond [1 or F,T,D].\n"
    ".TP\n.B \\-\\-step\\-noise\nstep_noise.000 [F,4,h,w] and so on, one a step.\n"
    ".TP\n.B \\-\\-trace\ncond, uncond, noise, timesteps [S]; for each step k = 000 and so on eps.k [F,4,h,w] (the "
    "guided model output), "
    "step_noise.k where\none was drawn, and latents.k (after the step);\n"
    "at the end latents [F,4,h,w] and frames U8 [F,H,W,3].\n"
    "Of a prompt that changes cond and uncond are the first step\\(aqs, of parts joined by AND the first one\\(aqs.\n"
    ".SS Networks alone\n"
    ".TP\n.B vkanim net text \\-p \\fITEXT\\fB \\-\\-out \\fIFILE\n"
    "Out: tokens I32 [chunks,77], those of embeddings beyond the vocabulary, cond [1,T,D] with all weights; of 25 steps the first,\n"
    "of parts joined by AND the first one.\n"
    ".TP\n.B vkanim net unet \\-\\-in \\fIFILE\\fB \\-\\-out \\fIFILE\n"
    "In: sample [F,4,h,w], timestep [1], cond [1 or F,T,D]; out: eps [F,4,h,w]. With \\fB\\-\\-ip\\-adapter\\fR also image0, image1 ...\n"
    "[1 or F,tokens,D], what adapters have made of pictures.\n"
    ".TP\n.B vkanim net vision \\-\\-vision \\fIPATH\\fB \\-\\-in \\fIFILE\\fB \\-\\-out \\fIFILE\n"
    "In: pixels [n,3,S,S] as the image encoder takes them, with its norm; out: embeds [n,E], hidden [n,T,C] before the last layer; with\n"
    "\\fB\\-\\-ip\\-adapter\\fR tokens [n+1,tokens,D], the last of them for no picture.\n"
    "The motion module is the one that \\fB\\-\\-motion\\fR names.\n"
    ".TP\n.B vkanim net vae\\-decode \\-\\-in \\fIFILE\\fB \\-\\-out \\fIFILE\n"
    "In: latents [F,4,h,w], in the sampler\\(aqs scale; out: frames [F,H,W,3] in [\\-1,1], not clamped.\n"
    ".TP\n.B vkanim net vae\\-encode \\-\\-in \\fIFILE\\fB \\-\\-out \\fIFILE\n"
    "In: frames [F,H,W,3]; out: latents [F,4,h,w], the mean in the sampler\\(aqs scale.\n";

static const char rest[] =
    ".SH ENVIRONMENT\n"
    ".TP\n.B VKANIM_DEVICE\nThe device, where \\fB\\-\\-device\\fR does not say.\n"
    ".TP\n.B VKANIM_MODEL_PATH\nFolders with models, separated by colons, searched before the data folders.\n"
    ".TP\n.B VKANIM_CACHE_DIR\nWhere compiled pipelines and hashes of models are kept, and jobs.\n"
    ".TP\n.B NO_COLOR\nWhen set and not empty, no colours.\n"
    ".TP\n.BR XDG_DATA_HOME \", \" XDG_DATA_DIRS \", \" XDG_CACHE_HOME \", \" XDG_STATE_HOME\n"
    "The folders of the XDG base directory specification, with its defaults; see FILES.\n"
    ".PP\n"
    "The Vulkan loader and the drivers have variables of their own, such as VK_DRIVER_FILES and MESA_SHADER_CACHE_DIR.\n"
    ".SH MEMORY\n"
    "What a render takes of the device is planned to the byte before it starts.\n"
    "The budget is \\fB\\-\\-vram\\fR, a hard limit: where it is more than what is free at the moment, or than the device has, one\n"
    "sentence says so, and it is obeyed.\n"
    "Without \\fB\\-\\-vram\\fR it is nine tenths of what the driver says is free (VK_EXT_memory_budget; of all of the device\\(aqs own\n"
    "memory where the driver does not say), a tenth staying for the desktop and the driver; on a software device half of the\n"
    "machine\\(aqs memory.\n"
    ".PP\n"
    "Where the budget asks for it, weights, skips of the UNet and the state of the clip wait in host memory; the state of a clip in "
    "context\n"
    "windows always does.\n"
    "That may take half of the host memory that is available.\n"
    ".PP\n"
    "Among the plans that fit, the one is taken that is estimated to be fastest.\n"
    "Where none fits, the exit status is 5, and the message names what would: a larger budget, fewer frames, a smaller picture.\n"
    ".B vkanim plan\n"
    "shows all this beforehand, with \\fB\\-\\-device\\-memory\\fR for a device that is not there.\n"
    ".SH JOBS\n"
    "While it works, a render keeps in a folder of its own what is needed to go on with it after a signal, a failure, a "
    "kill or a\n"
    "loss of power: the job, the sampler\\(aqs state (after every step whose time is 50 times that of writing it, else every "
    "five seconds),\n"
    "decoded frames, and which outputs are written.\n"
    "The folder goes when the render is done; until then\n"
    ".B vkanim resume\n"
    "lists it and\n"
    ".B vkanim resume \\fIID\\fR\n"
    "goes on, and\n"
    ".B vkanim resume \\fIID\\fR \\-\\-forget\n"
    "removes it.\n"
    "The clip comes out with the same bits as without the stop.\n"
    ".PP\n"
    "So a job is refused where the bits would differ: with other model files (exit status 3), with another device, driver or "
    "version of\n"
    "vkanim than it began with (2). The budget of memory may be another.\n"
    "Of two checkpoints, each with a checksum, the older one is taken where the newer is damaged.\n"
    "With \\fB\\-\\-trace\\fR a job begins its clip again, since a trace holds every step.\n"
    "A disk that is full is no reason to end a render, only to warn, but for decoded frames: the outputs are made from those.\n"
    "A job that nobody needs any more is removed with its folder, and so is what a kill left of one that nobody can go "
    "on with.\n"
    ".PP\n"
    "A device that is lost, or that has less memory than it said, does not end a render the first time: it is opened "
    "anew, the stage\n"
    "that failed is planned within three quarters of what it took (or as small as can be), dispatches are half as long, "
    "and the clip\n"
    "goes on from its last whole step with the same bits; a warning tells what was running.\n"
    "A device that does not answer at all is not tried again.\n";

static const char files[] =
    ".SH FILES\n"
    ".TP\n.I $XDG_DATA_HOME/vkanim/models, $XDG_DATA_DIRS/vkanim/models\n"
    "Models that can be named without a path.\n"
    ".TP\n.I $XDG_DATA_HOME/vkanim/clip\\-vit\\-large\\-patch14\n"
    "CLIP\\(aqs vocabulary (vocab.json and merges.txt), for checkpoint files, which do not carry it.\n"
    ".TP\n.I $XDG_DATA_HOME/vkanim/results\n"
    "Clips that\n.B vkanim serve\nhas made, where \\fB\\-\\-results\\fR names no other folder.\n"
    ".TP\n.I $XDG_CACHE_HOME/vkanim\n"
    "The cache; it may be deleted at any time.\n"
    ".TP\n.I $XDG_STATE_HOME/vkanim/jobs\n"
    "The folders of jobs that can be resumed; without that variable in ~/.local/state, with VKANIM_CACHE_DIR in its folder "
    "jobs.\n"
    ".TP\n.I NAME.part\n"
    "An output that is being written. It gets its name when it is whole.\n"
    ".SH EXAMPLES\n"
    "A first clip, with the bundled miniature:\n"
    ".PP\n.EX\n"
    "vkanim \\-p \\(dqa white sailboat sailing to the left on the sea at dawn\\(dq \\-o boat.webp\n"
    ".EE\n.PP\n"
    "A Stable Diffusion 1.5 checkpoint with a motion module, on 6 GiB:\n"
    ".PP\n.EX\n"
    "vkanim \\-m model.safetensors \\-\\-motion mm_sd_v15_v2.safetensors \\e\n"
    "    \\-p \\(dqa fox in the snow\\(dq \\-n \\(dqblurry\\(dq \\-W 512 \\-H 512 \\-s 42 \\-\\-vram 6G \\-o fox.mp4\n"
    ".EE\n.PP\n"
    "Would it fit on an 8 GiB card?\n"
    ".PP\n.EX\n"
    "vkanim plan \\-m model.safetensors \\-\\-motion mm_sd_v15_v2.safetensors \\-\\-device\\-memory 8G\n"
    ".EE\n.PP\n"
    "The same clip again with more steps, from the animation alone:\n"
    ".PP\n.EX\n"
    "vkanim \\-\\-from boat.webp \\-\\-steps 40 \\-o better.webp\n"
    ".EE\n.PP\n"
    "A longer clip that closes, in context windows:\n"
    ".PP\n.EX\n"
    "vkanim \\-f 64 \\-\\-loop always \\-p \\(dqa white sailboat sailing to the left on the sea at dawn\\(dq \\-o loop.webp\n"
    ".EE\n.PP\n"
    "From noon to night within a clip:\n"
    ".PP\n.EX\n"
    "vkanim \\-f 32 \\-o dusk.webp \\-\\-travel \\(aq{\\(dq0\\(dq: \\(dqa red ball on a beach on a sunny day\\(dq,\n"
    "    \\(dq31\\(dq: \\(dqa red ball on a beach at night\\(dq}\\(aq\n"
    ".EE\n.PP\n"
    "A picture that begins to move, and a video as the blueprint of another clip:\n"
    ".PP\n.EX\n"
    "vkanim \\-\\-init boat.png \\-p \\(dqa white sailboat on the sea at dawn\\(dq \\-o alive.webp\n"
    "vkanim \\-\\-init\\-video alive.webp \\-\\-strength 0.6 \\-p \\(dqa black sailboat on the sea at sunset\\(dq \\-o sunset.webp\n"
    ".EE\n.PP\n"
    "The same job kept in a file, and what was rendered as a job again:\n"
    ".PP\n.EX\n"
    "vkanim \\-\\-job boat.json\n"
    "vkanim inspect \\-\\-json boat.webp | jq .metadata.settings >boat.json\n"
    ".EE\n"
    ".SH NOTES\n"
    "Names of samplers, schedules, kernel paths, options and commands that other versions have and this one has not "
    "are refused\n"
    "with exit status 2; nothing is replaced in silence.\n"
    ".SH SEE ALSO\n"
    ".BR vkanim\\-job (5),\n"
    ".BR libvkanim (3),\n"
    ".BR vkanim\\-bench (1),\n"
    ".BR vulkaninfo (1),\n"
    ".BR ffmpeg (1)\n";

void cli_print_man(FILE *to)
{
    fprintf(to,
            ".\\\" Made by vkanim --print man from the option table.\n.TH VKANIM 1 " CLI_MAN_DATE " \"vkanim %s\" \"User "
            "Commands\"\n.nh\n",
            vka_version());
    fputs(".SH NAME\nvkanim \\- AnimateDiff animations on any Vulkan GPU\n.SH SYNOPSIS\n", to);
    for (int i = 0; i < CLI_COMMANDS; i++) {
        fprintf(to, "%s.B vkanim %s%s\n", i ? ".br\n" : "", i ? cli_commands[i].name : "",
                i ? "" : "\\fR[\\fBrender\\fR]");
        cli_put_roff(to, cli_commands[i].arguments);
        fputc('\n', to);
    }
    fputs(description, to);
    fputs(".SH COMMANDS\n", to);
    for (int i = 0; i < CLI_COMMANDS; i++) {
        fprintf(to, ".TP\n.B %s\n", cli_commands[i].name);
        cli_put_roff(to, cli_commands[i].help);
        fputc('\n', to);
    }
    fputs(".SH OPTIONS\n"
          "Numbers have a decimal point, sizes the letters K, M, G or T for powers of 1024.\n"
          "A value may stand behind a space or, with long names, behind an equals sign.\n"
          "The last of several counts, unless the option may be repeated.\n"
          "Defaults are those of a model that does not bring its own.\n"
          "Where a command has no use for an option, it refuses it.\n",
          to);
    put_options(to, VKA_FOR_RENDER);
    for (int i = 1; i < CLI_COMMANDS; i++)
        put_own_options(to, i);
    fputs(prompts, to);
    fputs(travel, to);
    fputs(pictures_in, to);
    fputs(streams, to);
    fputs(samplers, to);
    fputs(exit_codes, to);
    fputs(json, to);
    fputs(json_plan, to);
    fputs(json_more, to);
    fputs(formats, to);
    fputs(models, to);
    fputs(image_prompts, to);
    fputs(frame_after_frame, to);
    fputs(model_folders, to);
    fputs(serving, to);
    fputs(tensors, to);
    fputs(rest, to);
    fputs(files, to);
}

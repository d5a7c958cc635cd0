/* man_job.c - the manual page vkanim-job(5): every key that a job may have, from the option table, and what the texts in it
 * that have a form of their own hold.  The forms are told here once; their readers are src/sample/values.h, src/base/keys.h,
 * src/text/travel.h, src/render/setup_control.h, setup_ip.h, init.h and setup_lora.c. */
#include "cli.h"

#include <string.h>

static const char description[] =
    ".SH DESCRIPTION\n"
    "A job says what\n"
    ".BR vkanim (1)\n"
    "is to render: one JSON object in UTF\\-8, of at most 64 MiB.\n"
    "Its keys are the long names of options without their dashes; every option that changes a clip can be in it, and\n"
    "nothing else\n"
    "describes a render: the command line, the settings inside of an animation and\n"
    ".B vkanim resume\n"
    "fill the same job.\n"
    ".PP\n"
    "A key that is not known, and a value that is out of range, are refused with exit status 2; what is no JSON object,\n"
    "or has a key\n"
    "twice, with 3.\n"
    "Then nothing of it is taken.\n"
    "The keys json, quiet, verbose and progress count as they do on the command line; other options that are the\n"
    "command\\(aqs own\n"
    "(help, from, in and so on) are passed over.\n"
    ".PP\n"
    "Settings of \\fB\\-\\-from\\fR come first, those of the job win over them, and options on the command line over both.\n"
    "An array from the job is replaced by the first option of that name on the command line; further ones are added.\n"
    "Paths that do not begin at the root begin in the folder that\n"
    ".B vkanim\n"
    "was started in.\n"
    "The name \\- stands for standard input.\n";

static const char example[] =
    ".SH EXAMPLE\n"
    ".EX\n"
    "{\n"
    "    \"prompt\": \"a white sailboat sailing to the left on the sea at dawn\",\n"
    "    \"width\": 128, \"height\": 128, \"frames\": 32, \"fps\": 8,\n"
    "    \"seed\": 42, \"steps\": 20, \"cfg\": 4,\n"
    "    \"keyframe\": [\"0=boat\\-0.png\", \"8=boat\\-8.png\"],\n"
    "    \"motion\\-scale\": \"0:1, \\-1:1.3\",\n"
    "    \"vram\": \"2G\",\n"
    "    \"output\": [\"boat.webp\", \"boat.mp4\"]\n"
    "}\n"
    ".EE\n"
    ".PP\n"
    "Rendered by\n"
    ".B vkanim \\-\\-job boat.json\n"
    "and, with another seed, by\n"
    ".BR \"vkanim \\-\\-job boat.json \\-s 43\" .\n";

static const char forms_values[] =
    ".SH VALUES OVER FRAMES AND STEPS\n"
    "A number that changes is a text of entries with , or ; or a new line between them:\n"
    ".TP\n1.2\nThe same everywhere.\n"
    ".TP\n0:1, 8:1.3, 15:0.8\n"
    "Places and values: on a line between them, their own before the first and behind the last.\n"
    ".TP\n0:1, \\-1:0.8\nA negative place counts from the end, \\-1 being the last.\n"
    ".TP\n0.0:1, 0.5:1.3, 1.0:0.8\nPlaces with a point are fractions: 0.0 is the first, 1.0 the last.\n"
    ".TP\n0:1, 4\\-9:1.3\nA range, over which the value holds.\n"
    ".TP\n0 hold:1, 8 ease\\-in:1.3\n"
    "How the way to the next place is gone: linear, hold, ease\\-in, ease\\-out or ease\\-in\\-out.\n"
    ".TP\n1, 1.1, 1.2\nValues of the places 0, 1, 2 and so on, the last one held.\n"
    ".PP\n"
    "Places rise, and are all whole or all fractions.\n"
    "Keys of this form: motion\\-scale and motion\\-effect (0 to 10), cfg\\-frames and cfg\\-schedule (0 to 1000; places of\n"
    "the latter are steps), what stands behind the = of lora\\-frames (\\-100 to 100), and weight= of control (\\-10 to\n"
    "10) and\n"
    "ip\\-adapter (\\-100 to 100).\n"
    "In a loop (loop being full or always) the last value leads back to the first.\n"
    ".PP\n"
    "The same places and eases begin the lines of prompts that change over the frames.\n";

static const char forms_models[] =
    ".SH LORAS AND EMBEDDINGS\n"
    ".TP\n\\fBlora\\fR: \\(dq\\fIPATH\\fR[:\\fIWEIGHT\\fR[:\\fITEXT\\fR]]\\(dq\n"
    "WEIGHT is 1 without it, TEXT another weight for the text encoder\\(aqs part, WEIGHT without it.\n"
    "Numbers are looked for from the end, unless a file has the whole text as its name.\n"
    "PATH may be a name of the model folders.\n"
    ".TP\n\\fBmotion\\-lora\\fR: \\(dq\\fIPATH\\fR[:\\fIWEIGHT\\fR]\\(dq\n"
    "The same for the motion module.\n"
    ".TP\n\\fBlora\\-frames\\fR: \\(dq\\fINAME\\fR=\\fIVALUES\\fR\\(dq\n"
    "NAME is the name of a LoRA\\(aqs file without its ending, or what lora or the prompt calls it.\n"
    ".TP\n\\fBembedding\\fR: \\(dq\\fIPATH\\fR[:\\fINAME\\fR]\\(dq\n"
    "NAME is the word that it is in prompts.\n"
    ".PP\n"
    "In a prompt <lora:\\fINAME\\fR:\\fIWEIGHT\\fR:\\fITEXT\\fR> does what lora does; see PROMPTS in\n"
    ".BR vkanim (1).\n";

static const char forms_pictures[] =
    ".SH PICTURES, CONTROLS AND IMAGE PROMPTS\n"
    ".TP\n\\fBkeyframe\\fR: \\(dq\\fIN\\fR=\\fIIMAGE\\fR\\(dq\n"
    "N is a whole number from 0, or from the end where it is negative: \\-1 is the last frame.\n"
    ".PP\n"
    "Where a key takes \\fIFILE|FOLDER|PATTERN\\fR, a folder stands for its pictures in the order of their names, and a\n"
    "name with %05d for\n"
    "numbered files.\n"
    ".PP\n"
    "control and ip\\-adapter are a path or name with settings behind it:\n"
    "\\(dq\\fIPATH\\fR,\\fIKEY\\fR=\\fIVALUE\\fR,\\fIKEY\\fR=\\fIVALUE\\fR\\(dq.\n"
    "A comma separates only where a word and = follow it, so that paths and values may have commas.\n"
    ".SS Of control\n"
    ".TP\nsource=\\fIFILE|FOLDER|PATTERN\\fR\n"
    "Its pictures, one for all frames or one for each; without it those of init\\-video or init.\n"
    ".TP\nsource=previous\n"
    "The frame before, as TemporalNet is used; see FRAME AFTER FRAME in\n"
    ".BR vkanim (1).\n"
    ".TP\nweight=\\fIVALUES\\fR\nOver the frames; 1 without it.\n"
    ".TP\nstart=\\fISHARE\\fR, end=\\fISHARE\\fR\n"
    "The steps in which it counts, as shares from 0 to 1 of all; 0 and 1 without them.\n"
    ".TP\nmode=balanced, mode=prompt, mode=control\n"
    "A1111\\(aqs control modes: all outputs count alike; or the first ones less, by 0.825 for each output behind it; or\n"
    "likewise, and\n"
    "nothing in the branch without the prompt.\n"
    ".TP\nprocess=none, canny, lineart, soft\\-edge, tile or invert\n"
    "What makes the hint from a picture; none without it.\n"
    ".TP\nframes=\\fIN\\fR;\\fIN\\fR...\n"
    "Of SparseCtrl: the frames of the pictures in their order, negative from the end; without it spread from the first\n"
    "frame to the last.\n"
    ".TP\nencode=mean, encode=sample\n"
    "Of SparseCtrl for pictures: what the VAE\\(aqs encoder gives, or drawn from its distribution.\n"
    ".SS Of ip\\-adapter\n"
    ".TP\nimage=\\fIFILE\\fR[;\\fIFILE\\fR]...\nWhat it is shown; a folder or numbered files are so many pictures.\n"
    ".TP\nframes=\\fIN\\fR[;\\fIN\\fR]...\n"
    "Key frames, one for each picture, negative from the end: a frame takes the picture of the nearest key at or before\n"
    "it. Without\n"
    "them the pictures spread evenly.\n"
    ".TP\nweight=\\fIVALUES\\fR, start=\\fISHARE\\fR, end=\\fISHARE\\fR\nAs of control.\n";

static const char forms_travel[] =
    ".SH PROMPTS OVER THE FRAMES\n"
    "The keys prompt, negative and travel take lines of which some begin with a place, a colon and a space:\n"
    ".PP\n.EX\n"
    "a photo of a valley\n"
    "0: at noon\n"
    "8 ease\\-in: at dusk\n"
    "12\\-15: at night\n"
    "highly detailed\n"
    ".EE\n.PP\n"
    "In JSON a new line is \\en.\n"
    "travel may also be the name of a file with such lines, or JSON as a text or in that file:\n"
    ".PP\n.EX\n"
    "{\"head\": \"a photo of a valley\",\n"
    " \"prompt\": {\"0\": \"at noon\", \"8 ease\\-in\": \"at dusk\", \"12\\-15\": \"at night\"},\n"
    " \"tail\": \"highly detailed\",\n"
    " \"negative\": {\"0\": \"blurry\"},\n"
    " \"cfg\": {\"0\": 9, \"15\": 5}}\n"
    ".EE\n.PP\n"
    "or the inner object of it alone, {\"0\": \"at noon\", \"8\": \"at dusk\"}.\n"
    "Other members are keys of a job, which count unless the job has them; numbers over the frames are objects.\n"
    "What else is read there, and how texts are blended, is told in PROMPTS OVER THE FRAMES of\n"
    ".BR vkanim (1).\n";

static const char forms_other[] =
    ".SH OTHER FORMS\n"
    ".TP\nSizes (vram, device\\-memory)\n"
    "A number of bytes, or a text of digits with K, M, G or T behind them for powers of 1024, such as \\(dq6G\\(dq.\n"
    ".TP\n\\fBbeta\\fR: \\(dq\\fINAME\\fR[:\\fISTART\\fR:\\fIEND\\fR]\\(dq\n"
    "auto, squaredcos_cap_v2, linear or scaled_linear, diffusers\\(aq names; the last two may have ends, 0 < START <= END < 1.\n"
    "What ComfyUI calls sqrt_linear is linear here, and its linear is scaled_linear.\n"
    ".TP\n\\fBhires\\fR: \\(dq\\fISCALE\\fR[:\\fISTRENGTH\\fR]\\(dq\n"
    "SCALE from 1 to 8, STRENGTH above 0 up to 1, without it 0.6.\n"
    ".TP\n\\fBfreeinit\\-cutoff\\fR: \\(dq\\fISPACE\\fR[:\\fITIME\\fR]\\(dq\n"
    "From 0 to 1; one number is for both.\n"
    ".TP\n\\fBmotion\\fR: \\(dqnone\\(dq\n"
    "No motion module, also where the model\\(aqs folder names one.\n"
    ".TP\n.B output\n"
    "The ending says the format; a folder, a name without ending and a name with %05d take frames as PNG.\n"
    ".TP\n.B verify\n"
    "64 hexadecimal digits: the SHA\\-256 of the rendered frames\\(aq bytes, 8 bits a channel, RGB, row by row.\n";

static const char closing[] =
    ".SH FILES\n"
    "What\n"
    ".B vkanim inspect \\-\\-json\n"
    "gives of an animation as \"settings\" in \"metadata\" is such an object, without the keys that are marked as local, but for\n"
    "names of LoRAs; and so is the member \"job\" of\n"
    ".I job.json\n"
    "in the folder of a job that can be resumed.\n"
    ".SH SEE ALSO\n"
    ".BR vkanim (1),\n"
    ".BR libvkanim (3)\n";

/* What a key's value is in JSON. */
static const char *type_of(const vka_option *o)
{
    switch (o->kind) {
    case VKA_OPTION_FLAG:
        return "true or false";
    case VKA_OPTION_TEXT:
    case VKA_OPTION_CHOICE:
        return "text";
    case VKA_OPTION_PATH:
        return "text, a path";
    case VKA_OPTION_LIST:
        return "array of texts, or one text";
    case VKA_OPTION_INT:
        return "whole number";
    case VKA_OPTION_REAL:
        return "number";
    case VKA_OPTION_SIZE:
        return "whole number of bytes, or text";
    }
    return "text";
}

/* The unit of a number, where what --help calls it is one. */
static const char *unit_of(const vka_option *o)
{
    static const struct {
        const char *value, *unit;
    } units[] = {{"PIXELS", "pixels"}, {"SECONDS", "seconds"}, {"RATE", "frames per second"}};
    for (size_t i = 0; o->value && i < sizeof units / sizeof *units; i++)
        if (strcmp(units[i].value, o->value) == 0)
            return units[i].unit;
    return NULL;
}

static void put_key(FILE *to, const vka_option *o)
{
    const char *unit = unit_of(o), *initial = o->kind == VKA_OPTION_FLAG ? "false" : o->initial;
    char list[256];
    fputs(".TP\n.B ", to);
    cli_put_roff(to, o->name);
    fputs("\n(", to);
    fputs(type_of(o), to);
    if (o->kind == VKA_OPTION_INT || o->kind == VKA_OPTION_REAL) {
        fputs(", ", to);
        cli_put_range(to, o);
    }
    if (unit)
        fprintf(to, ", %s", unit);
    if (initial && *initial) {
        fputs("; default ", to);
        cli_put_roff(to, initial);
    }
    fprintf(to, "%s%s)\n.br\n", o->commands & VKA_FOR_RENDER ? "" : "; of plan only",
            o->marks & VKA_MARK_LOCAL ? "; local" : "");
    cli_put_roff(to, o->help);
    if (cli_choices(o, ", ", list, sizeof list)) {
        fputs("\nOne of: ", to);
        cli_put_roff(to, list);
        fputc('.', to);
    }
    fputc('\n', to);
}

void cli_print_man_job(FILE *to)
{
    size_t count;
    const vka_option *options = vka_options(&count);
    const char *group = NULL;
    fprintf(to,
            ".\\\" Made by vkanim --print man-job from the option table.\n"
            ".TH VKANIM\\-JOB 5 " CLI_MAN_DATE " \"vkanim %s\" \"File Formats\"\n.nh\n",
            vka_version());
    fputs(".SH NAME\nvkanim\\-job \\- what to render, as one JSON object\n.SH SYNOPSIS\n"
          ".B vkanim \\-\\-job\n.I FILE\n",
          to);
    fputs(description, to);
    fputs(example, to);
    fputs(".SH KEYS\n"
          "In brackets stand the type of the value, its range and unit, and the default, which a model may replace by its own.\n"
          "A key without a default says what holds without it.\n"
          "Local keys are about this machine and its files: they are not kept inside of animations.\n",
          to);
    for (size_t i = 0; i < count; i++) {
        const vka_option *o = &options[i];
        if (!(o->commands & (VKA_FOR_RENDER | VKA_FOR_PLAN)) || o->marks & (VKA_MARK_COMMAND | VKA_MARK_LATER))
            continue;
        cli_put_group(to, o, &group);
        put_key(to, o);
    }
    fputs(forms_values, to);
    fputs(forms_models, to);
    fputs(forms_pictures, to);
    fputs(forms_travel, to);
    fputs(forms_other, to);
    fputs(closing, to);
}

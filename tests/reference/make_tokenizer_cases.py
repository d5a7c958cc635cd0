#!/usr/bin/env python3
"""Writes golden/tokenizer_cases.json: odd strings and the ids that transformers' CLIPTokenizer gives them.

Usage: make_tokenizer_cases.py TOKENIZER_FOLDER > tests/golden/tokenizer_cases.json

TOKENIZER_FOLDER is models/miniature/tokenizer, which the test reads too.  Each case is {"text": ..., "ids": [...]}
without start and end tokens; "bytes" (hexadecimal) replaces "text" where the input is not UTF-8, and its ids are those
of the text that Python decodes with errors="replace".
"""
import json
import random
import sys

import transformers

PLAIN = [
    "",
    " ",
    " \t\r\n ",
    "a red ball rolling to the left",
    "A RED Ball",
    "  two   spaces  ",
    "A\n'll 11p223RF\u2606ho!!to?'d'd''d of a cat to-$''d.",
    "don't can't it's I'm we're they've he'll she'd",
    "DON'T IT'S I'LL WE'VE",
    "'s 't 're 've 'm 'll 'd 'S 'LL 'x 'r 'v 'l",
    "'' ''' ''s '''s !'s !!'s s's'",
    "'''''",
    "12 345 6789 0x1f 3.14 1,000",
    "\u0661\u0662\u0663 \u216b \u00bd \u00b2\u2460 \u0bf0",
    "a_b __init__ a-b a--b --- ...",
    "!?!?!! ;;;:::,,, $%^&*()[]{}",
    "\\n \\t \\",
    "(red ball:1.2), [blue:green:0.5]",
    "<lora:name:1> embedding:name",
    "http://example.org/?q=a&b=c#d",
    "supercalifragilisticexpialidocious",
    "x" * 300,
    "ab" * 150,
    "the " * 80,
    "!" * 200,
    "1" * 100,
]
UNICODE = [
    "xa\u0303y xe3y x\u00e3y",
    "caf\u00e9 cafe\u0301 CAF\u00c9 CAFE\u0301",
    "\u00c5 \u212b A\u030a a\u030a",
    "\u2126 \u03a9 \u03c9 \u1f88",
    "\u1e69 s\u0323\u0307 s\u0307\u0323 q\u0307\u0323 q\u0323\u0307",
    "a\u0301\u0323\u0345\u0316\u0300z",
    "\u0344 \u0958 \u2adc \ufb1d \U0001d15e",
    "\u0301 leading mark",
    "a\u0334\u0301 a\u0301\u0334",
    "\u0130stanbul \u0131 I\u0307 \u00df \u1e9e \u017f",
    "\u03a3\u03a3 \u039f\u0394\u039f\u03a3 \u03c2",
    "\u01c5 \u01c8 \u01f2 \u01c4",
    "\u10a0 \u13a0 \uab70 \u1c90 \u2c00",
    "\u6771\u4eac\u30bf\u30ef\u30fc \u65e5\u672c\u8a9e",
    "\u4e2d\u6587\uff0c\u6807\u70b9\u3002",
    "\u304b\u3099 \u304c \u30cf\u309a \uff8a\uff9f",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u116e\u11a8",
    "\uac00\u11a8 \uac00\u11a7 \uac00\u11a7\u11a8 \u1100\u1161\u11a7",
    "\uff21\uff22\uff23 \uff11\uff12\uff13 \uff01\uff1f",
    "\ufb01 \ufb03 \u2122 \u00ae \u2103",
    "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "\u0645\u0631\u062d\u0628\u0627 \u0627\u0654 \u0622",
    "\u2764\ufe0f \u2764 \U0001f600",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f3f3\ufe0f\u200d\U0001f308 \U0001f1eb\U0001f1f7",
    "\U0001f44d\U0001f3fd!\U0001f44d",
    "\U0001d400\U0001d7d8 \U00020000\U0002f800",
    "\u1c89 \ua7cb \ua7dc \U00010d50 \U00016ea0",
    "\U000105c0\U00011bf0\U0002ebf0",
    "a\u0898\u0301 a\u0301\u0898 a\u0323\u1ac0\u0301",
    "\U00011935\U00011930 \U00011938",
    "\ue000\U000f0000 \ufffd \uffff \U0010ffff \u0378",
]
SPACES = [f"a{c}b{c}{c}c" for c in
          "\t\n\x0b\x0c\r\x1c\x1f\x7f\x80\x85\xa0\xad\u061c\u1680\u180e\u2000\u2003\u200a\u200b\u200d\u2028\u2029\u202e"
          "\u202f\u205f\u2060\u3000\ufeff"]
CONTROLS = ["a\x01b", "\x00", "a\x00\x00b", "\x1b[31mred\x1b[0m", "\x02\x03\x04 \x05"]
SPECIAL = [
    "<|endoftext|>",
    "<|startoftext|>",
    "a<|endoftext|>b",
    "<|startoftext|>a red ball<|endoftext|>",
    "<|endoftext|><|endoftext|><|startoftext|>",
    "<|ENDOFTEXT|>",
    "<|STARTOFTEXT|> <|StartOfText|>!",
    "!!<|endoftext|>!!",
    "!!<|ENDOFTEXT|>!!",
    "<|ENDOFTEXT|>!!",
    "<|ENDOFTEXT|>x",
    "<|endoftext| > <|endoftext |> < |endoftext|>",
    "<|endoftext|>\u0301 <|endoftext\u0301|>",
    "<|endof<|endoftext|>text|>",
    "a</w> </w> \u0120a",
]
BROKEN = [
    "ff",
    "61ff62",
    "c3",
    "c328",
    "e282",
    "e28261",
    "f09f98",
    "f09f9861",
    "eda080",
    "c0af",
    "e080af",
    "f4908080",
    "f888808080",
    "80808080",
    "61c3a9e9ff20f0",
    "e1a0c0e1a0a0",
]


def odd(rng):
    """A string of characters from all over Unicode, with ASCII between."""
    blocks = [(0x20, 0x7F), (0x20, 0x7F), (0x80, 0x250), (0x300, 0x370), (0x370, 0x600), (0x900, 0xE00),
              (0x1100, 0x1200), (0x1E00, 0x2070), (0x2070, 0x2800), (0x3000, 0x3200), (0xA640, 0xA800),
              (0xAC00, 0xD7A4), (0xFB00, 0xFFF0), (0x10000, 0x1F000), (0x1F300, 0x1FA00)]
    return "".join(chr(rng.randrange(*rng.choice(blocks))) for _ in range(rng.randrange(1, 24)))


def main(folder):
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    rng = random.Random(77)
    texts = PLAIN + UNICODE + SPACES + CONTROLS + SPECIAL + [odd(rng) for _ in range(40)]
    cases = [{"text": t} for t in texts] + [{"bytes": b} for b in BROKEN]
    for case in cases:
        text = case["text"] if "text" in case else bytes.fromhex(case["bytes"]).decode("utf-8", errors="replace")
        case["ids"] = tokenizer(text, add_special_tokens=False).input_ids
    print("[")
    print(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases))
    print("]")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])

"""Texts that tokenizers tend to get wrong, for make_tokenizer_golden.py."""

import random
import string

SPACES = [
    "\t", "\n", "\x0b", "\x0c", "\r", "\x1c", "\x1d", "\x1e", "\x1f", " ",
    "\x85", "\xa0", "\u1680", "\u180e", "\u2000", "\u2003", "\u2009", "\u200a",
    "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u2060", "\u3000",
    "\ufeff",
]

PLAIN = [
    "",
    "a",
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "I'm you're he's we've they'll I'd don't o'clock 'tis",
    "I'M YOU'RE HE'S WE'VE THEY'LL I'D DON'T",
    "i'm 'Re 'VE 'lL 's 'S 't'd 'ſ 'K ''s '' 's's's",
    "it’s a ‘quoted’ “phrase” — and … more",
    "CamelCase snake_case kebab-case SCREAMING_CASE mixedUP99case",
    "foo(bar)[baz]{qux}<quux>;:'\",./?\\|`~!@#$%^&*()-_=+",
    "if (a<b&&c>d||!e) {return a->b*2;} // comment\n\t/* block */\n",
    "def f(x):\n    return x ** 2  # square\n\n\nclass A:\n        pass\n",
    "https://example.org/a/b?c=d&e=f#g user@example.org +1 (555) 010-9999",
    "0 1 22 333 4444 55555 666666 1234567890",
    "3.14159 1,234,567.89 -5 +7 1e-10 0xFF 2^31 50% $99 №7",
    "a1b2c3 1a2b3c 007 12:34:56 2024-02-29",
    " 1  2   3    4 ",
    "½ ¼ ¾ ² ³ ¹ Ⅷ ⅻ ① ⑳ 〇 〡 ㊿ 𝟘𝟙 𝍠",
    "٠١٢٣٤٥ ०१२३ ๐๑๒ ໐໑ ០១ １２３ 𞥐𞥑 𑁦𑁧",
    "a٣b x²y H₂O 10⁻³ 1½",
    "café cafe\u0301 ñ n\u0303 Å A\u030a ǖ u\u0308\u0304",
    "Zalgo: Z\u0351\u036b\u0343a\u0321\u0358l\u0321\u0327g\u0334\u0335o\u0337",
    "\u0301\u0302 \u0303",
    "naïve résumé Übermensch Straße STRASSE ﬁﬂﬆ Ǆ ǅ ǆ İ ı ß ẞ",
    "Ελληνικά Кириллица Ѐё Ђ Հայերեն ქართული",
    "עברית שלום עֲבָרִית العربية مرحبا \u202eRTL\u202c \u200fmark\u200e",
    "हिन्दी नमस्ते தமிழ் తెలుగు ಕನ್ನಡ മലയാളം සිංහල",
    "ไทยภาษาไทย ລາວ မြန်မာ ខ្មែរ བོད་ཡིག",
    "中文字符，标点。「引号」《书名》 全角ＡＢＣ　空格",
    "日本語のテキスト、ひらがなカタカナｶﾀｶﾅ漢字ー々〆",
    "한국어 텍스트 한글 \u1112\u1161\u11ab",
    "𠀀𠀁 𝒳𝓎𝔷 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 🄰🅐Ⓐⓐ",
    "emoji: 😀😃 🎉 ❤️ ❤ ☎︎ 👍🏽 👩‍💻 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 #️⃣ 1️⃣",
    "😀a😀 1😀 😀's 😀\n😀",
    "symbols: ©®™ ¶§† ∀∃∈∞ ≤≥≠ ←→ ▀▄█ ♠♣ €£¥₿",
    "\ufffd \ufffe \uffff \U0010ffff \ue000 \U000f0000",
    "\x00 \x01\x02 \x07\x08 \x1b[31mred\x1b[0m \x7f \x80\x9f",
    "\x04\x06\x13\x14\x16\x1d dropped by vocabularies without these bytes",
    "ab\x04cd \x06",
    "soft\xadhyphen zero\u200bwidth non\u200cjoiner join\u200der word\u2060join",
    "line\nline\r\nline\rline\n\rline\u2028line\u2029line\x85line",
    "\n", "\n\n", "\n\n\n\n", "\r\n\r\n", " \n", "\n ", " \n ", " \n \n ",
    "\t\t\tx", "x\t\t\t", "x\n\n\n  y", "x  \n\n\n", "   leading", "trailing   ",
    "a  b", "a   b", "a    b\tc \td\t e", "a \n b", "a\n b", "a \nb",
    "x \u00a0y", "x\u00a0 y", "x\u00a0\u00a0y", "x\u2028\u2028y", "\u3000x\u3000",
    "\u180ex \u180e \u180e\u180e",
    "word" * 60,
    "A" * 300,
    "aaaaaaaaaaaaaaaaaaaaaaaab" * 8,
    "é" * 100,
    "😀" * 40,
    "-" * 200,
    "." * 7 + "!" * 9 + "?" * 11,
    " " * 100,
    " " * 99 + "x",
    "\n" * 50,
    " \n" * 30,
    "9" * 50,
    "9 " * 20,
    "=====\n-----\n*****\n",
    "\\n \\t \\u0041 \\\\",
    "'", "''", "' ", " '", "'s", " 's", "'s ", "s'", "'''s",
    "Ġthe Ċ ĉ Â Ł", "Ġ", "ĠĠĠ",
    "#version: 0.2", "<unk>", "<s></s>", "[INST]", "▁the ▁",
]

SPECIAL = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>",
    "<|im_start|><|im_end|>", "<|im_start|><|im_start|>",
    "<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n",
    " <|im_start|> ", "a<|im_start|>b", "a <|im_start|> b",
    "<|im_start|", "<im_start|>", "<|IM_START|>", "<|im_start|>>",
    "<<|im_start|>", "<|im_<|im_end|>start|>", "<|endoftext|><|endoftext|>",
    "text with <|endoftext|> inside", "1<|im_end|>2", "\n<|im_end|>\n",
    "é<|im_end|>é", "<|im_start|>😀", "<|begin_of_text|>x<|end_of_text|>",
    "<|begin_of_text|><|begin_of_text|>", "<|eot_id|>\n\nx",
    # Added tokens of the `options` tokenizer.
    "<l>", "a <l> b", "a  <l>b", "\n\n <l>", "<l><l>", "a <l> <l> b",
    "<r> b", "a <r>  b", "<r>\n\n", "<r> <r> x", "<r> <l>", "<r>\u3000x",
    "<lr>", " <lr> ", "a \t<lr>\n b", "<lr> <lr>",
    "word", "a word b", "words", "sword", "word.", "(word)", "word_", "wordé",
    "word\u0301", "éword", "word word", "wordword", "3word", "word3", "word\n",
    "_word", "Ⓐword", "word٣", "word\u200d",
    "new york", "a new york b", "new  york", "New York", "Xnew york",
    "abc abcd abcde ab", "abcdabc", "<n>", "a<n>b", "a <n> b", "x q q y",
]

INDIC_VIRAMA = ["क्ष", "ক্ষ", "\u0d4d\u200d", "\u094d\u200c"]


def _random_texts(count):
    rng = random.Random(7)
    pool = list(string.printable) + SPACES * 2 + [
        "é", "ß", "\u0301", "中", "文", "あ", "한", "א", "ع", "٣", "²", "Ⅷ",
        "😀", "\u200d", "\ufe0f", "<|im_start|>", "<|im_end|>", "'s", "'LL",
        "  ", "\n\n", "the", " of", " work", "12", "<l>", " word ",
    ]
    return ["".join(rng.choice(pool) for _ in range(rng.randint(3, 40)))
            for _ in range(count)]


def nasty_texts():
    texts = list(PLAIN) + list(SPECIAL) + INDIC_VIRAMA
    texts.append("|".join(SPACES))
    texts += ["a%sb %s%sc%s\nd%s 1%s" % ((s,) * 6) for s in SPACES]
    texts += _random_texts(30)
    return list(dict.fromkeys(texts))

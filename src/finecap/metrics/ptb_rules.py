r"""The token patterns of the Penn Treebank tokeniser that coco-caption runs, as data.

Here stand patterns alone; `ptb.py` applies them as a lexer does: the longest match wins, the
earlier rule at a tie. The reference is Stanford's PTBTokenizer 3.4.1 (`-preserveLines -lowerCase`),
held to by comparison of outputs: every word of up to four letters with a full stop, a dictionary of
348,000 words, smileys, random compounds. Its quirks are kept where a caption could meet them
("a dog.," keeps the stop, "3:00pm" is two tokens, "don't5" three). What stays out: anything that
coco-caption drops afterwards, such as which way a quotation mark faces.
"""

import re
from typing import NamedTuple

# A soft hyphen counts as a letter inside a word, and is deleted afterwards.
# Python's \w also holds superscripts, fractions and characters beyond the basic plane, which the
# reference does not read as letters; accents that follow their letter belong to the word.
_NO_LETTER = (
    r"(?![\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209c\u2150-\u218b\u2460-\u2793"
    r"\U00010000-\U0010ffff])"
)
_JOINED = r"\u00ad\u02c2-\u02ff\u0300-\u036f"
_L = rf"(?:{_NO_LETTER}[^\W\d_]|[{_JOINED}])"
_LD = rf"(?:{_NO_LETTER}[^\W_]|[{_JOINED}])"
_APOS = r"(?:['\u0092\u2019]|&apos;)"
_APOS_LIKE = r"(?:['`\u0091\u0092\u2018\u2019\u201b]|&apos;)"
_HYPHEN = r"[-_\u058a\u2010\u2011]"
_NUM = r"(?:\d*(?:[.:,\u00ad\u066b\u066c]\d+)+|\d+)"
_WORD = rf"{_L}{_LD}*(?:[.!?]{_L}{_LD}*)*"
_PART = rf"(?:(?:[dDoOlL]{_APOS_LIKE}{_LD})?{_LD}+)"
_THING = rf"{_PART}(?:{_HYPHEN}{_PART})*"
_SLASHABLE = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_SPACE = r"[ \u00a0]"
_DASH_OR_SPACE = r"[- \u00a0]"
_MOUTH = r"[dpDOP()@\[\\\]{|]"
_FACE = r"[-x'<=>^~]"
_INITIALS = r"[A-Za-z](?:\.[A-Za-z])*\."

# With their full stop one token, wherever they stand; a following hyphen joins too.
_TITLES = (
    "cf dr ft lt mr ms mt ph st vs wm adj adm adv ave cie col cpl det drs ens gen gov hon jos maj "
    "mme mrs pfc pvt rep rev sen sfc sgt spc ste alex asst atty brig capt cmdr dept elec govs insp "
    "invt mlle msgr natl pres prof reps sens supt assoc comdr lieut profs treas"
)
# The same, but these may also end a sentence: one character of context is read after them.
_ENDINGS = (
    "al co ct ga jr ky md mo rd rt sq sr va vt ala apr aug bhd cos dak dec esq est etc ext feb fla "
    "fri inc ind jan jul jun kan ltd mar mon neb nev nov oct plc sep seq sys tel thu tue wed wis "
    "wyo ariz assn bldg blvd bros colo conn corp intl kans mich minn mont okla penn sept tenn tues "
    "univ wisc calif thurs"
)
# Words when lower-case ("mass.", "miss.", "ill."), abbreviations when capitalised.
_STATES = "ark az del ill la mass miss ore pa tex wash"
_COMPANIES_TITLE = "mfg mtg"
_COMPANIES_ENDING = "ppte ppty pte ptes pty ptys"
# Abbreviations only before a number: "no. 5".
_NUMBERING = "art ca fig figs no nos op pp prop"


def _any_case(words: str) -> str:
    return "(?i:" + "|".join(sorted(words.split(), key=len, reverse=True)) + ")"


def _capitalised(words: str) -> str:
    return "|".join(form for word in words.split() for form in (word.title(), word.upper()))


def _not_upper(words: str) -> str:
    return "|".join(form for word in words.split() for form in (word, word.title()))


_TITLE = rf"(?:{_any_case(_TITLES)}|{_not_upper(_COMPANIES_TITLE)})"
_ENDING = rf"(?:{_any_case(_ENDINGS)}|{_capitalised(_STATES)}|{_not_upper(_COMPANIES_ENDING)})"
_ABBREVIATION = rf"(?:{_TITLE}\.|{_ENDING}\.|{_any_case(_NUMBERING)}\.|{_INITIALS})"
_ATTRIBUTE = r"\s+[A-Za-z][\w:.-]*(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'))?"
_EXTENSION = (
    "(?i:bat|bmp|cgi|cpp|dll|docx?|exe|gif|gz|html?|jar|java|jpe?g|mov|mp3|pdf|php|pl|png|ppt|ps|"
    "py|sql|tar|txt|wav|xml|zip)"
)


class Rule(NamedTuple):
    """A token pattern: group 1 is the token, the rest of the match is trailing context.

    Context counts towards a match's length but is read again. `cut` > 0: split after so many
    characters.
    """

    pattern: re.Pattern[str]
    cut: int = 0


def _rule(pattern: str, cut: int = 0) -> Rule:
    return Rule(re.compile(pattern), cut)


RULES: tuple[Rule, ...] = (
    # Contractions written as one word, cut after that many letters.
    _rule(r"((?i:cannot|gonna|gotta|lemme|gimme|wanna))", cut=3),
    _rule(r"('[tT])(?i:is|was)"),
    # Mark-up may hold spaces; they become non-breaking.
    _rule(rf"(<[A-Za-z][\w:.-]*(?:{_ATTRIBUTE})*\s*/?>|</[A-Za-z][\w:.-]*\s*>|<[!?][^<>]*>)"),
    _rule(r"((?i:-[lr][rcs]b-))"),
    # A word before 's 'd 'm 're 've 'll or n't, and these themselves.
    _rule(rf"({_WORD}){_APOS}(?i:[msd]|re|ve|ll)"),
    _rule(rf"([A-Za-z]+)[nN]{_APOS_LIKE}[tT]"),
    _rule(rf"([nN]{_APOS_LIKE}[tT])"),
    _rule(rf"((?:'|&apos;)(?i:[msd]|re|ve|ll))(?!{_L})"),
    _rule(r"([\u0092\u2019](?i:[msd]|re|ve|ll))"),
    _rule(rf"({_WORD})"),
    # Here because it loses to a word at a tie and wins against a compound: "inc.xy", "inc." "-x".
    _rule(rf"((?:{_ENDING}|(?i:ph\.d))\.)[\s\S]{{0,2}}"),
    # Addresses.
    _rule(r"((?i:https?)://[^\s\"<>|()]+[^\s\"<>|.!?(){},-])"),
    _rule(
        r"((?:(?i:www)\.(?:[^\s\"<>|.!?(){},]+\.)+[A-Za-z]{2,4}"
        r"|(?:[^\s\d\"`'<>|.!?(){},\[\]_$=:;/@^-]+\.)+(?i:com|net|org|edu))"
        r"(?:/[^\s\"<>|()]+[^\s\"<>|.!?(){},-])?)"
    ),
    _rule(
        r"(<?[A-Za-z0-9][^\s\"<>|()\u00a0{}]*@(?:[^\s\"<>|(){}.\u00a0]+\.)*[^\s\"<>|(){}.\u00a0]+>?)"
    ),
    _rule(r"(@[A-Za-z_]\w*)"),
    _rule(rf"(#{_L}+)"),
    # Words that hold an apostrophe.
    _rule(rf"({_APOS}[nN])(?:\s|$)"),
    _rule(rf"({_APOS}[nN]{_APOS})"),
    _rule(rf"([lLdDjJ]{_APOS}|(?i:dunkin|somethin|ol){_APOS})"),
    _rule(
        rf"({_APOS}(?i:em|till?|cause)|(?i:c{_APOS}mon|e{_APOS}er|s{_APOS}mores|nor{_APOS}easter))"
    ),
    _rule(rf"([A-HJ-XZn]{_APOS_LIKE}{_L}{{2,}})"),
    _rule(rf"({_L}+[aeiouyAEIOUY]{_APOS_LIKE}[aeiouA-Z]{_L}*)"),
    _rule(rf"((?i:ev{_APOS}ry|li{_APOS}l|nat{_APOS}l))"),
    _rule(rf"([yY]{_APOS}){_L}"),
    _rule(rf"({_APOS}[2-9]0[sS])"),
    _rule(rf"({_APOS}\d\d)(?:\s|$)"),
    # Compounds.
    _rule(rf"({_THING})"),
    _rule(rf"({_THING}\.)[,;:]"),
    _rule(rf"({_LD}(?:{_LD}|[.,])*(?:-{_LD}+)+)"),
    _rule(r"([A-Z]+(?:(?:\+|&amp;|&)[A-Z]+)+)"),
    _rule(rf"({_SLASHABLE}(?:/{_SLASHABLE}){{1,2}})"),
    _rule(rf"([A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*\.{_EXTENSION})(?!{_LD})"),
    _rule(r"([cC]\+\+|[cfCF]#)"),
    # Numbers.
    _rule(rf"([-+]?{_NUM})"),
    _rule(rf"((?:\d{{1,4}}{_DASH_OR_SPACE})?\d{{1,4}}[/\u2044]\d{{1,4}})"),
    _rule(
        rf"((?:\(\d{{2,3}}\){_SPACE}?|(?:\+\+?)?(?:\d{{2,4}}{_DASH_OR_SPACE})?"
        rf"\d{{2,4}}{_DASH_OR_SPACE})\d{{3,4}}{_DASH_OR_SPACE}?\d{{3,5}})"
    ),
    _rule(r"((?:(?:\+\+?)?\d{2,4}\.)?\d{2,4}\.\d{3,4}\.\d{3,5})"),
    _rule(r"([A-Z]*\$)"),
    # Abbreviations.
    _rule(rf"({_TITLE}\.)"),
    _rule(rf"({_any_case(_NUMBERING)}\.)\s*\d"),
    _rule(rf"({_INITIALS})"),
    _rule(rf"((?:{_ABBREVIATION}|[A-Za-z](?:\.[A-Za-z])+)(?:-(?:{_INITIALS}|{_LD}+))+)"),
    # Faces.
    _rule(rf"([<>]?[:;=](?:[-'o*])?{_MOUTH})(?![A-Za-z0-9])"),
    _rule(rf"({_FACE}_{_FACE}|\({_FACE}[_.]?{_FACE}\)|\([x'<=>^~]-[x'`<=>^~]\))"),
    # Runs of one mark, and of curly quotes: "\u2019\u201d" is one token, which is not dropped.
    _rule(r"([`\u0091-\u0094\u00ab\u00bb\u2018\u2019\u201b-\u201d\u2039\u203a]{1,2})"),
    _rule(r"(\.{3,5}|-+|[!?]+|\*+|@+|#+|_+|<<|>>|''|``|\\\*|&(?i:lt|gt);|&[A-Za-z]{3,};|&#\d+;)"),
)

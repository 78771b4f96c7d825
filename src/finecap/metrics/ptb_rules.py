r"""The token patterns of the Penn Treebank tokeniser that coco-caption runs, as data.

Here stand patterns alone; `ptb.py` applies them as a lexer does: the longest match wins, the
earlier rule at a tie. The reference is Stanford's PTBTokenizer 3.4.1 (`-preserveLines -lowerCase`),
held to by comparison of outputs: every word of up to four letters with a full stop, a dictionary of
348,000 words, every capitalisation of every abbreviation, random strings of all classes of
characters. Its quirks are kept ("a dog.," keeps the stop, "3:00pm" is two tokens, "don't5" three).
What stays out: anything that coco-caption drops afterwards, such as which way a quotation mark
faces.
"""

import re
from typing import NamedTuple

# Over classes of characters (`ptb_characters.py`): a non-ASCII one here stands for its whole class.
_D = r"[0-9\u0661]"
_LETTERS = r"A-Za-z\u00e9"
_ALONE = rf"[{_LETTERS}0-9\u0661]"
# In words a mark, a soft hyphen and an entity such as "&eacute;" are letters too.
_L = rf"(?:[{_LETTERS}\u0301\u00ad]|&[aeiouAEIOU](?i:acute|grave|uml);)"
_LD = rf"(?:{_L}|{_D})"
_APOS = r"(?:['\u0092\u2019]|(?i:&apos;))"
_APOS_LIKE = r"(?:['`\u0091\u0092\u2018\u2019\u201b]|(?i:&apos;))"
_HYPHEN = r"[-_\u2010]"
_NUM = rf"(?:{_D}*(?:[.:,\u00ad\u066b\u066c]{_D}+)+|{_D}+)"
_WORD = rf"{_L}{_LD}*(?:[.!?]{_L}{_LD}*)*"
_PART = rf"(?:(?:[dDoOlL]{_APOS_LIKE}{_ALONE})?{_ALONE}+)"
_THING = rf"{_PART}(?:{_HYPHEN}{_PART})*"
_DOTTED = r"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(?:-(?:[A-Za-z](?:\.[A-Za-z])+\.|[A-Za-z0-9\u00ad]+))+"
_INITIALISED = r"[A-Z]+(?:(?:\+|&(?i:amp);|&)[A-Z]+)+"
_SLASHABLE = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_SPACE = r"[ \u00a0]"
_DASH_OR_SPACE = r"[- \u00a0]"
_BLANK = r" \t\n"
_SPACES = r"[ \t\n\u0085\u00a0\u3000]"
_MOUTH = r"[dpDOP()@\[\\\]{|]"
_FACE = r"[-x'<=>^~]"
_INITIALS = r"[A-Za-z](?:\.[A-Za-z])*\."

# With their full stop one token, wherever they stand; a following hyphen joins too.
_TITLES = (
    "cf dr ft lt mr ms mt ph st vs wm adj adm adv ave cie col cpl det drs ens gen gov hon jos maj "
    "mme mrs pfc pvt rep rev sen sfc sgt spc ste alex asst atty brig capt cmdr dept elec govs insp "
    "invt mlle msgr natl pres prof reps sens supt assoc comdr lieut profs treas messrs"
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
# One letter of these is never a capital: "Mfg.", "MfG.", not "MFG.".
_COMPANIES_TITLE = "[mM][ft][gG]"
_COMPANIES_ENDING = "[pP]{1,2}[tT][ey][sS]?"
# Abbreviations only before a number: "no. 5".
NUMBERING = "art ca fig figs no nos op pp prop"


def _any_case(words: str) -> str:
    return "(?i:" + "|".join(sorted(words.split(), key=len, reverse=True)) + ")"


def _initial_upper(words: str) -> str:
    return "|".join(f"{word[0].upper()}(?i:{re.escape(word[1:])})" for word in words.split())


_TITLE = rf"(?:{_any_case(_TITLES)}|{_COMPANIES_TITLE})"
_ENDING = rf"(?:{_any_case(_ENDINGS)}|{_initial_upper(_STATES)}|{_COMPANIES_ENDING})"
_NAME = r"[A-Za-z][A-Za-z0-9_:.-]*"
_ATTRIBUTE = rf"[ ]+{_NAME}(?:[ ]*=[ ]*(?:\"[^\"]*\"|'[^']*'))?"
_MARKUP = rf"(?:<{_NAME}(?:{_ATTRIBUTE})*[ ]*/?[ ]*>|</{_NAME}[ ]*>|<[!?][A-Za-z-][^>]*>)"
_EXTENSION = (
    "(?i:bat|bmp|c|cgi|class|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov|mp3|pdf|php|pl|"
    "png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip)"
)
# Before one of these a single letter's full stop ends a sentence: "plays a. The", not "J. Smith".
_BEGINNINGS = (
    "A About According Additionally After An As At But Earlier He Her Here However If In It Last "
    "Many More Mr. Ms. Now Once One Other Our She Since So Some Such That The Their Then There "
    "These They This We What When While Yet You"
)


class Rule(NamedTuple):
    """A token pattern: group 1 is the token, the rest of the match is trailing context.

    Context counts towards a match's length but is read again. `is_raw`: soft hyphens and entities
    inside stay as they are.
    """

    pattern: re.Pattern[str]
    is_raw: bool = False


def _rule(pattern: str, is_raw: bool = False) -> Rule:
    return Rule(re.compile(pattern), is_raw)


RULES: tuple[Rule, ...] = (
    # Contractions written as one word: what is left is read on.
    _rule(r"((?i:can))(?i:not)"),
    _rule(r"((?i:gon|wan))(?i:na)"),
    _rule(r"((?i:got))(?i:ta)"),
    _rule(r"((?i:lem|gim))(?i:me)"),
    _rule(r"('[tT])(?i:is|was)"),
    # Mark-up may hold spaces; they become non-breaking.
    _rule(rf"({_MARKUP})"),
    _rule(r"((?i:-[lr][rcs]b-))"),
    # A word before 's 'd 'm 're 've 'll or n't, and these themselves.
    _rule(rf"({_WORD}){_APOS}(?i:[msd]|re|ve|ll)"),
    _rule(rf"([A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*)[nN]{_APOS_LIKE}[tT]"),
    _rule(rf"([nN]{_APOS_LIKE}[tT])"),
    _rule(r"('(?i:[msd]|re|ve|ll))(?![A-Za-z])"),
    _rule(r"((?:[\u0092\u2019]|(?i:&apos;))(?i:[msd]|re|ve|ll))"),
    _rule(rf"({_WORD})"),
    # Addresses.
    _rule(rf"((?i:https?)://[^{_BLANK}\"<>|(){{}}]+[^{_BLANK}\"<>|.!?(){{}},-])", is_raw=True),
    _rule(
        rf"((?:(?i:www)\.(?:[^{_BLANK}\"<>|.!?(){{}},]+\.)+[A-Za-z]{{2,4}}"
        rf"|(?:[^{_BLANK}!\"$'()`{{|}},-_]+\.)+(?i:com|net|org|edu))"
        rf"(?:/[^{_BLANK}\"<>|()]+[^{_BLANK}\"<>|.!?(){{}},-])?)",
        is_raw=True,
    ),
    _rule(
        rf"((?:<|(?i:&lt;))?[A-Za-z0-9][^{_BLANK}\"<>|()\u00a0{{}}]*"
        rf"@(?:[^{_BLANK}\"<>|(){{}}.\u00a0]+\.)*[^{_BLANK}\"<>|(){{}}.\u00a0]+(?:>|(?i:&gt;))?)",
        is_raw=True,
    ),
    # Here because it loses to a word or an address at a tie and wins against a compound: "inc.xy".
    _rule(rf"((?:{_ENDING}|(?i:ph\.d))\.)[\s\S]{{0,2}}"),
    _rule(r"(@[A-Za-z_][A-Za-z_0-9]*)"),
    _rule(rf"(#{_L}+)", is_raw=True),
    # Words that hold an apostrophe.
    _rule(rf"({_APOS}[nN]{_APOS}|(?:[\u0092\u2019]|(?i:&apos;))[nN])"),
    _rule(r"('[nN])(?:[ \u00a0]|$)"),
    _rule(rf"([lLdDjJ]{_APOS}|(?i:dunkin|somethin|ol){_APOS})"),
    _rule(rf"({_APOS}(?i:em|till?|cause)|(?i:c'mon|e'er|s'mores|nor'easter|ev'ry|li'l|nat'l))"),
    _rule(rf"([A-HJ-XZn]{_APOS_LIKE}[{_LETTERS}]{{2,}})"),
    _rule(rf"([{_LETTERS}]+[aeiouyAEIOUY]{_APOS_LIKE}[aeiouA-Z][{_LETTERS}]*)"),
    _rule(rf"([oO]{_APOS_LIKE}[oO])"),
    _rule(rf"([yY]{_APOS})[{_LETTERS}]"),
    _rule(rf"({_APOS}[2-9]0[sS])"),
    _rule(rf"({_APOS}[0-9]{{2}})(?:{_SPACES}|$)"),
    # Compounds.
    _rule(rf"({_THING})"),
    _rule(rf"({_DOTTED})"),
    _rule(rf"((?:{_THING}|{_WORD}|{_DOTTED}|{_INITIALISED})\.)[,;:\u3001]"),
    _rule(r"((?i:anti|pro)-)"),
    _rule(rf"({_INITIALISED})"),
    _rule(rf"({_SLASHABLE}(?:\\?/{_SLASHABLE}){{1,2}})"),
    _rule(rf"({_INITIALS})"),
    _rule(rf"({_LD}+(?:\.{_LD}+)*\.{_EXTENSION})(?:{_SPACES}|[.?!,]|$)", is_raw=True),
    _rule(r"([cC]\+\+|[cfCF]#)"),
    # Numbers.
    _rule(rf"([-+]?{_NUM})"),
    _rule(r"([\u207a\u207b\u208a\u208b]?(?:\u00b2+|\u2080+))"),
    _rule(rf"({_D}{{1,2}}[-/]{_D}{{1,2}}[-/]{_D}{{2,4}})"),
    _rule(rf"((?:{_D}{{1,4}}{_DASH_OR_SPACE})?{_D}{{1,4}}(?:\\?/|\u2044){_D}{{1,4}})"),
    # Telephones, of ASCII digits alone.
    _rule(
        rf"((?:\([0-9]{{2,3}}\){_SPACE}?|(?:\+\+?)?(?:[0-9]{{2,4}}{_DASH_OR_SPACE})?"
        rf"[0-9]{{2,4}}{_DASH_OR_SPACE})[0-9]{{3,4}}{_DASH_OR_SPACE}?[0-9]{{3,5}})"
    ),
    _rule(r"((?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5})"),
    _rule(r"([A-Z]*\$)"),
    # Abbreviations.
    _rule(rf"({_TITLE}\.)"),
    _rule(rf"({_any_case(NUMBERING)}\.){_SPACES}?{_D}"),
    _rule(rf"([A-Za-z])\.{_SPACES}+(?:{_initial_upper(_BEGINNINGS)}|{_MARKUP}){_SPACES}"),
    # Faces.
    _rule(rf"([<>]?[:;=](?:[-'o*])?{_MOUTH})(?![A-Za-z0-9])"),
    _rule(rf"({_FACE}_{_FACE}|\({_FACE}[_.]?{_FACE}\)|\([x'<=>^~]-[x'`<=>^~]\))"),
    # Runs of one mark, and of curly quotes: "\u2019\u201d" is one token, which is not dropped.
    _rule(r"([`\u0091-\u0094\u00ab\u00bb\u2018-\u201f\u2039\u203a]{1,2})"),
    _rule(
        r"(\.{3,5}|(?:\.[ \u00a0]){2,4}\.|-+|[!?]+|@+|#+|_+|<<|>>|''|``|\*+|(?:\\\*)+"
        r"|&(?i:lt|gt|amp|nbsp|mdash|ndash|md|ht|tl|ur|lr|qc|ql|qr|odq|cdq);"
        r"|&(?:quot|(?i:apos));|&#[0-9]+;)"
    ),
)

"""Yes and no in the many words people have for them. Knows nothing of the question."""

from __future__ import annotations

import re

_YES = (
    "yes|yeah|yea|yep|yup|yah|ya|aye|sure|surely|certainly|correct|exactly|precisely|absolutely|definitely|indeed|"
    "affirmative|perfect|okay|ok|alright|all right|right|please do|go ahead|go on|do it|do that|of course|that's it|"
    "that is it|you got it|you've got it|sounds good|sounds right|looks good|good|great|fine|that works|works for me|"
    "it is|i do|i would|i'd like that|i did|why not|no problem|uh huh|uh-huh|mm hmm|mhm|mm-hmm|true|by all means|"
    "please|that's the one|happy with that|let's do it|bingo|spot on|i think so|i guess so|i believe so|i am|it was"
)
_NO = (
    "no|nope|nah|naw|negative|wrong|incorrect|not really|not quite|not at all|not exactly|never|never mind|nevermind|"
    "don't|do not|doesn't|isn't|is not|wasn't|it's not|that's not|not right|not correct|not true|false|"
    "no thanks|no thank you|i don't think so|don't think so|absolutely not|of course not|certainly not|definitely not|"
    "rather not|not today|not now|cancel|stop|forget it|leave it|not that|mistaken|that isn't|nothing|not yet|nay|"
    "no way|i'm good|i am good|that's all|that is all|that's everything|that will be all|that'll be all|"
    "i would not|i wouldn't|i did not|i didn't|i'm not|i am not|not necessary|not needed"
)
_NEITHER = "not sure|don't know|do not know|no idea|not certain|know what|maybe|perhaps|i don't remember|can't remember"


_SAYS: dict[str, bool | None] = {
    **{phrase.replace("'", ""): None for phrase in _NEITHER.split("|")},
    **{phrase.replace("'", ""): False for phrase in _NO.split("|")},
    **{phrase.replace("'", ""): True for phrase in _YES.split("|")},
}
PHRASES = frozenset(_SAYS)
"""Every phrase that says yes, no or neither, without apostrophes."""
_PHRASES = re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, _SAYS), key=len, reverse=True))})\b")
"""The longest phrase first: `no problem` is not a `no`."""
_GREETINGS = re.compile(r"\bgood ?(?:bye|day|night|morning|afternoon|evening|one)\b")
"""The `good` in these is no yes: nobody confirms a cancellation by saying goodbye."""
MOST_WORDS = 25
"""A longer turn is not an answer but a story that happens to hold a `no`."""


def yes_or_no(words: str, question: str = "") -> bool | None:
    """True, False, or None where `words` say neither. Where both stand, what was said last counts: `no, yes, do`.

    Words of `question` itself, said back to it, are no answer of their own: `yes, cancel it`, to `shall I cancel it?`.
    Nothing but they is a yes."""
    text = re.sub(r"['’]", "", words[:400].lower())
    text = _GREETINGS.sub(" ", re.sub(r"[,.!?;]+", " ", text))
    text = re.sub(r"\s+", " ", text).strip()
    if text in ("know", "now", "noh", "know know"):  # a recogniser's `no`
        return False
    if not text or len(text.split()) > MOST_WORDS:
        return None
    asked = re.sub(r"['’]", "", question[:400].lower())
    echoed = False
    answer: bool | None = None
    for match in _PHRASES.finditer(text):
        says = _SAYS[match[0]]
        if says is None:
            return None
        if match[0] == "please" and answer is False:
            continue  # `no, please`
        negated = re.search(r"\b(?:not|isnt|dont|never)\s+(?:\w+\s)?$", text[: match.start()])
        if not says and not negated and answer is not False and re.search(rf"\b{re.escape(match[0])}\b", asked):
            echoed = True
            continue
        answer = says and not negated
    return True if answer is None and echoed else answer

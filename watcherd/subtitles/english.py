"""English: the words beside which a line may end well or badly. Words in lower case, nothing else. Pure."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONJUNCTIONS = _words("""
    and but or nor so yet because although though while when whenever where wherever whether if unless until
    since after before that which who whom whose as what why how
""")
PREPOSITIONS = _words("""
    about above across after against along among around as at before behind below beneath beside between
    beyond by despite down during except for from in inside into like near off on onto out outside over past
    per since through throughout till to toward towards under until up upon via with within without
""")
SUBJECTS = _words("""
    i he she we they there i'm he's she's we're they're there's i've we've they've i'll we'll he'll she'll
    they'll i'd he'd she'd we'd they'd
""")
ADVERBS = _words("along around behind below down inside near off out outside over past up")
"""Prepositions that stand alone as well: `went out`, `came along`."""
TIGHT = (
    _words("""
        a an the my your his her its our their this these those every each no whose and but or nor of
        because although while when whether if unless until that which who than
    """)
    | PREPOSITIONS
) - ADVERBS
"""No line should end on one of these."""
NUMBERS = _words("""
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
    thousand million billion
""")
LOOSE = _words("you it so not too all both some any more most what up off out over down there just even")
"""Words that ask for the next one, but may as well end what they stand in."""
CLOSE = (
    _words("""
        is are was were be been being am will would can could shall should may might must do does did have
        has had very such quite really only also never always that's it's you're you've you'll you'd it'll
        don't doesn't didn't isn't aren't wasn't weren't can't couldn't won't wouldn't shouldn't haven't
        hasn't hadn't let's why how where who's what's
    """)
    | SUBJECTS
    | NUMBERS
    | LOOSE
)
"""Words that are read together with the next one."""
TITLES = _words("""
    mr. mrs. ms. dr. prof. st. sr. jr. gen. col. capt. lt. sgt. rev. hon. gov. sen. rep. no. vs. fig. mt.
    e.g. i.e.
""")
"""Abbreviations that never end a sentence."""
ABBREVIATIONS = _words("a.m. p.m. etc. inc. ltd. co. corp. u.s. u.k. e.u. u.n. approx. dept. est.")
"""Abbreviations that may end one."""

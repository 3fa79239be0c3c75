"""The login: the page that asks for the token, its style, and what its form says. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs, urlencode

PATH = "/login"
STYLE_PATH = "/login.css"
LOGOUT_PATH = "/logout"
PATHS = {PATH, STYLE_PATH, LOGOUT_PATH}
COOKIE = "watcherd_session"

WRONG = "That is not the token."
CROWDED = "Too many try at this moment. Wait some seconds, then try again."

_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*")  # no second slash, no backslash, no blank
_LONGEST_WAY = 1000

STYLE = """\
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 24rem; margin: 15vh auto; padding: 0 1rem; }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
input, button { padding: 0.5rem; margin: 0.25rem 0 1rem; }
[role="alert"] { border-left: 0.25rem solid #c22; padding-left: 0.75rem; }
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>watcherd: log in</title>
<link rel="stylesheet" href="{style}">
</head>
<body>
<main>
<h1>watcherd</h1>
{said}<form method="post" action="{path}">
<label for="token">Token</label>
<input type="password" id="token" name="token" required autofocus autocomplete="current-password">
<input type="hidden" name="to" value="{to}">
<button>Log in</button>
</form>
<p><a href="{path}?{onward}">Logged in already? Go on.</a></p>
</main>
</body>
</html>
"""


def page(*, to: str, said: str = "") -> str:
    """The form; `to` is where it leads, `said` what went wrong.

    Its link is for those who followed another site's link: browsers then leave the cookie at home.
    """
    alert = f'<p role="alert">{html.escape(said)}</p>\n' if said else ""
    onward = html.escape(onwards(to))
    return _PAGE.format(style=STYLE_PATH, said=alert, path=PATH, to=html.escape(local(to)), onward=onward)


def onwards(to: str) -> str:
    """The query that remembers where somebody wanted to go."""
    return urlencode({"to": local(to)})


def filled_in(form: bytes) -> tuple[str, str]:
    """The token and the way on that a form, or a query, says; empty for what none of ours sends."""
    try:
        fields = parse_qs(form.decode("ascii"), max_num_fields=10, errors="replace")
    except ValueError:
        fields = {}
    return _one(fields.get("token", [])), local(_one(fields.get("to", [])))


def local(to: str) -> str:
    """A path of this site; the first page in place of anything else, so that nobody is led away."""
    return to if len(to) <= _LONGEST_WAY and _LOCAL.fullmatch(to) else "/"


def sessions_of(cookies: str) -> Iterator[str]:
    """The sessions that a Cookie header names: other programs of this host may have set some, too."""
    for cookie in cookies.split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == COOKIE:
            yield value


def set_cookie(session: str, *, lasting: float, encrypted: bool) -> str:
    """The Set-Cookie header of a session; with no time to last, one that ends it."""
    secure = "; Secure" if encrypted else ""
    return f"{COOKIE}={session}; Path=/; Max-Age={int(lasting)}; HttpOnly; SameSite=Strict{secure}"


def _one(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else ""

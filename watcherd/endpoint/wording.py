"""Every diagnosis of an endpoint's failure, in words for a person. Values only.

In the texts `{where}` is the endpoint with its address, `{status}` the HTTP status, `{target}` where a
redirect points to and `{limit}` a limit that the server named, with " of " before it, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcherd.faults import Remedy, Scope

_WAITS = "Files wait in the inbox, none fails; watcherd tries again by itself."
_BASE_URL = "Check base_url (it usually ends in /v1) and path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What a failure is: whom it costs, what helps, and how it is told; `code` is stable."""

    code: str
    scope: Scope
    remedy: Remedy
    message: str
    hint: str


# The endpoint as a whole: nothing of this is charged to a file.

REDIRECTED = Diagnosis(
    code="redirected",
    scope=Scope.ENDPOINT,
    remedy=Remedy.CONFIGURE,
    message="{where} answered with a redirect ({status}){target}, which is never followed",
    hint=f"{_BASE_URL}: use the final address, usually with https and without a slash at the end.",
)
QUOTA = Diagnosis(
    code="quota_exhausted",
    scope=Scope.ENDPOINT,
    remedy=Remedy.PAUSE,
    message="the account's quota or balance at {where} is used up",
    hint=f"Top up the account or raise its spending limit. {_WAITS}",
)
RATE_LIMITED = Diagnosis(
    code="rate_limited",
    scope=Scope.ENDPOINT,
    remedy=Remedy.PAUSE,
    message="{where} asks to send fewer requests ({status})",
    hint=f"Lower concurrency for this endpoint if it happens often. {_WAITS}",
)
KEY_REFUSED = Diagnosis(
    code="key_refused",
    scope=Scope.ENDPOINT,
    remedy=Remedy.CONFIGURE,
    message="{where} does not accept the API key ({status})",
    hint="Check api_key: that it is set, whole, still valid, and meant for this base_url.",
)
FORBIDDEN = Diagnosis(
    code="forbidden",
    scope=Scope.ENDPOINT,
    remedy=Remedy.CONFIGURE,
    message="{where} refuses this account or this machine's address ({status})",
    hint="Check at the provider what the key may do, and whether your region or IP address is allowed.",
)
MODEL_FORBIDDEN = Diagnosis(
    code="model_forbidden",
    scope=Scope.ENDPOINT,
    remedy=Remedy.CONFIGURE,
    message="{where} does not let this key use the model ({status})",
    hint="Allow the model for the key at the provider, or set another model.",
)
MODEL_UNKNOWN = Diagnosis(
    code="model_unknown",
    scope=Scope.ENDPOINT,
    remedy=Remedy.CONFIGURE,
    message="{where} does not know the model ({status})",
    hint="Set model to one that this endpoint has (watcherd check lists them), or install it there.",
)
MODEL_UNAVAILABLE = Diagnosis(
    code="model_unavailable",
    scope=Scope.ENDPOINT,
    remedy=Remedy.PAUSE,
    message="{where} has nobody who serves the model at present ({status})",
    hint=f"If it stays so, set a model that this endpoint offers. {_WAITS}",
)
ROUTE_MISSING = Diagnosis(
    code="route_missing",
    scope=Scope.ENDPOINT,
    remedy=Remedy.CONFIGURE,
    message="{where} has no such route ({status})",
    hint=f"{_BASE_URL}; some servers also say this when the model cannot translate, or have no translation.",
)
WEB_PAGE = Diagnosis(
    code="web_page",
    scope=Scope.ENDPOINT,
    remedy=Remedy.CONFIGURE,
    message="{where} answered with a web page instead of subtitles",
    hint=f"base_url is probably wrong. {_BASE_URL}, and that no login page stands in between.",
)
PROXY_REFUSED = Diagnosis(
    code="proxy_refused",
    scope=Scope.ENDPOINT,
    remedy=Remedy.CONFIGURE,
    message="the proxy on the way to {where} wants a user and password ({status})",
    hint="Put them into proxy, as http://USER:PASSWORD@HOST:PORT.",
)
UNAVAILABLE = Diagnosis(
    code="unavailable",
    scope=Scope.ENDPOINT,
    remedy=Remedy.RETRY,
    message="{where} is not available at present ({status})",
    hint=f"If it stays so, look at the provider's status page or the server's log. {_WAITS}",
)
OVERLOADED = Diagnosis(
    code="overloaded",
    scope=Scope.ENDPOINT,
    remedy=Remedy.RETRY,
    message="{where} has no capacity left at present ({status})",
    hint=f"Lower concurrency if it happens often. {_WAITS}",
)
GATEWAY_TIMEOUT = Diagnosis(
    code="gateway_timeout",
    scope=Scope.ENDPOINT,
    remedy=Remedy.RETRY,
    message="{where} took longer over the work than the gateway before it allows ({status})",
    hint=f"If it happens with long files only, lower max_upload or ask for a longer limit. {_WAITS}",
)

# The way to the endpoint.

NAME_NOT_FOUND = Diagnosis(
    code="name_not_found",
    scope=Scope.ENDPOINT,
    remedy=Remedy.PAUSE,
    message="the host name of {where} cannot be resolved",
    hint=f"Check base_url for a typing error, and this machine's DNS and network. {_WAITS}",
)
TLS_FAILED = Diagnosis(
    code="tls_failed",
    scope=Scope.ENDPOINT,
    remedy=Remedy.PAUSE,
    message="no secure connection (TLS) to {where} can be made",
    hint="Check base_url and the clock; for a company's own certificates set ca_file; plain http has no TLS.",
)
CONNECTION_REFUSED = Diagnosis(
    code="connection_refused",
    scope=Scope.ENDPOINT,
    remedy=Remedy.PAUSE,
    message="nothing listens at {where}",
    hint=f"Start the server, or correct host and port in base_url. {_WAITS}",
)
CONNECT_TIMEOUT = Diagnosis(
    code="connect_timeout",
    scope=Scope.ENDPOINT,
    remedy=Remedy.PAUSE,
    message="{where} did not take the connection in time",
    hint=f"Check network and firewall, or raise timeout.connect. {_WAITS}",
)
UNREACHABLE = Diagnosis(
    code="unreachable",
    scope=Scope.ENDPOINT,
    remedy=Remedy.PAUSE,
    message="{where} cannot be reached",
    hint=f"Check this machine's network, and host and port in base_url. {_WAITS}",
)
PROXY_FAILED = Diagnosis(
    code="proxy_failed",
    scope=Scope.ENDPOINT,
    remedy=Remedy.PAUSE,
    message="the proxy does not let requests through to {where}",
    hint=f"Check proxy: its address, user and password, and that it allows this host. {_WAITS}",
)
BAD_REQUEST_SETTINGS = Diagnosis(
    code="bad_request_settings",
    scope=Scope.ENDPOINT,
    remedy=Remedy.CONFIGURE,
    message="no valid request for {where} can be made of the settings",
    hint="Check base_url (http:// or https://), and api_key and headers for line breaks and odd characters.",
)

# One file and one request.

TOO_LARGE = Diagnosis(
    code="too_large",
    scope=Scope.FILE,
    remedy=Remedy.SPLIT,
    message="the upload is larger than the limit{limit} of {where}",
    hint="Set max_upload for this endpoint below its limit, or raise the limit at the server.",
)
TOO_LONG = Diagnosis(
    code="audio_too_long",
    scope=Scope.FILE,
    remedy=Remedy.SPLIT,
    message="the audio is longer than the limit{limit} of {where}",
    hint="Cut the file into shorter ones, or use a model or endpoint that takes longer audio.",
)
TOO_SHORT = Diagnosis(
    code="audio_too_short",
    scope=Scope.FILE,
    remedy=Remedy.SILENT,
    message="the audio is too short to hold speech for {where}",
    hint="Nothing needs to be done: the file gets empty subtitles.",
)
UNDECODABLE = Diagnosis(
    code="undecodable",
    scope=Scope.FILE,
    remedy=Remedy.TRANSCODE,
    message="{where} cannot decode the audio ({status})",
    hint="Check that the file plays; if it does, convert it to FLAC or MP3 and drop that.",
)
FORMAT_REFUSED = Diagnosis(
    code="format_refused",
    scope=Scope.FILE,
    remedy=Remedy.FORMAT,
    message="{where} does not offer the response format asked for ({status})",
    hint="watcherd asks for the next format by itself; if all are refused, use another endpoint or model.",
)
REFUSED = Diagnosis(
    code="request_refused",
    scope=Scope.FILE,
    remedy=Remedy.PLAIN,
    message="{where} refuses the request ({status})",
    hint="Read what the endpoint said; check prompt, temperature, fields and model of this folder.",
)
TRY_AGAIN = Diagnosis(
    code="try_again",
    scope=Scope.FILE,
    remedy=Remedy.RETRY,
    message="{where} wants the same request again later ({status})",
    hint="Nothing needs to be done now; if it stays so, look at the server's log.",
)
SERVER_ERROR = Diagnosis(
    code="server_error",
    scope=Scope.FILE,
    remedy=Remedy.RETRY,
    message="{where} failed over this request ({status})",
    hint="If other files get through, check that this one plays; if none does, see the server's log.",
)
UNEXPECTED_STATUS = Diagnosis(
    code="unexpected_status",
    scope=Scope.FILE,
    remedy=Remedy.RETRY,
    message="{where} answered with a status ({status}) that has no meaning here",
    hint="Check base_url and path, and what stands between this machine and the endpoint.",
)
ERROR_REPLY = Diagnosis(
    code="error_reply",
    scope=Scope.FILE,
    remedy=Remedy.RETRY,
    message="{where} reported success, but its answer is not a translation",
    hint="Read what the endpoint said; check model, path and fields, and the server's log.",
)
READ_TIMEOUT = Diagnosis(
    code="read_timeout",
    scope=Scope.FILE,
    remedy=Remedy.RETRY,
    message="{where} did not answer in time; the request may have been billed",
    hint="Raise timeout.read for this endpoint, or use a faster model or shorter files.",
)
WRITE_TIMEOUT = Diagnosis(
    code="write_timeout",
    scope=Scope.FILE,
    remedy=Remedy.RETRY,
    message="{where} stopped taking the upload",
    hint="Check the network; if it happens with large files only, lower max_upload.",
)
CONNECTION_LOST = Diagnosis(
    code="connection_lost",
    scope=Scope.FILE,
    remedy=Remedy.RETRY,
    message="the connection to {where} broke during the request, which may have been billed",
    hint="Check the network and the server's log; if it happens with large files only, lower max_upload.",
)
REPLY_TOO_LARGE = Diagnosis(
    code="reply_too_large",
    scope=Scope.FILE,
    remedy=Remedy.RETRY,
    message="{where} sent an answer far larger than subtitles can be",
    hint="Check base_url and path: this is probably not a translation endpoint.",
)

# Answers with status 200 that cannot be used.

EMPTY_BODY = Diagnosis(
    code="empty_body",
    scope=Scope.FILE,
    remedy=Remedy.RETRY,
    message="{where} sent an empty answer",
    hint="Some servers do this for a file without speech: check that speech can be heard in it.",
)
GARBLED_REPLY = Diagnosis(
    code="garbled_reply",
    scope=Scope.FILE,
    remedy=Remedy.RETRY,
    message="{where} sent an answer that is cut off or garbled",
    hint="If it happens again, look at the server's log and at proxies in between.",
)
UNTIMED = Diagnosis(
    code="untimed",
    scope=Scope.FILE,
    remedy=Remedy.FORMAT,
    message="{where} sent text without times",
    hint="watcherd asks for the next format by itself; if all are refused, use another endpoint or model.",
)

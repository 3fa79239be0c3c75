"""The status: what the daemon is doing, told over HTTP, and what may be asked of it, done through Control.

shapes      what the API speaks: the documented fields (pydantic)
snapshot    the journal's rows and the daemon's live values in, a Status out
listening   where the control socket is, and how it is bound
jobs        single jobs: a page of the list, one job whole (jobshapes, history)
standing    how things stand, as gauges; with what metrics counts it is /metrics (prometheus-client)
health      whether the daemon can do its work
files       what jobs left behind, whole or in ranges (ranges, mediatypes)
api         Control in, the routes of the API out (FastAPI)
app         the application with every route, and every error in one shape (FastAPI)
deferred    the application, made when somebody first asks (ASGI)
server      the application served on a socket inside the daemon's event loop (uvicorn)
doors       both ways in: the control socket, and the page on the network
port        the page's address held, and the application served there
connection  clients of the network, few and not for ever (uvicorn)
guard       their requests in, those that may be heard handed on (ASGI)
sites       whose request it is
sessions    who has shown the token
login       the form for it
address     where the page is, and how it is bound
page        what people see and do there: its routes, pages and forms
overview    the journal's rows and the daemon's live values in, the first page's sections out
drawing     HTML by the templates beside it (Jinja)
stream      live updates: what has changed, once a second at most, for all who follow

A web framework is loaded by `app`, `server` and what stands on them (`doors`, `port`, `connection`, `guard`,
`page`): the commands use the rest and start fast.
"""

"""The status: what the daemon is doing, told over HTTP, and what may be asked of it, done through Control.

shapes      what the API speaks: the documented fields (pydantic)
snapshot    the journal's rows and the daemon's live values in, a Status out
listening   where the control socket is, and how it is bound
app         Control in, the application with its routes out (FastAPI)
server      the application served on a socket inside the daemon's event loop (uvicorn)

Only `app` and `server` load a web framework: the commands use the rest and start fast.
"""

"""The files that make a browser a telephone: the call page at `/call`, and `offhook.js`, which any page can import.

They are files of this package, served as they are. The page runs nothing but them, and its policy says so to the
browser; the module alone may be fetched by other sites. What they talk to, `/call/config` and `/call/ws`, is not here.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

STATIC = Path(__file__).resolve().parent / "static"

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ]
)

PAGE = {"Content-Security-Policy": POLICY, "Permissions-Policy": "microphone=(self)", "Referrer-Policy": "no-referrer"}

ANY_SITE = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
"""What lets the pages of other sites import the module."""


def routes() -> APIRouter:
    """`GET /call`, `/call/offhook.js` and what the page loads besides."""
    router = APIRouter(include_in_schema=False)

    @router.get("/call")
    def page() -> FileResponse:
        return _file("call.html", PAGE)

    @router.get("/call/offhook.js")
    def module() -> FileResponse:
        return _file("offhook.js", ANY_SITE)

    @router.get("/call/call.js")
    def script() -> FileResponse:
        return _file("call.js")

    @router.get("/call/call.css")
    def style() -> FileResponse:
        return _file("call.css")

    @router.get("/call/icon.svg")
    def icon() -> FileResponse:
        return _file("icon.svg")

    return router


def _file(name: str, headers: dict[str, str] | None = None) -> FileResponse:
    # Asked for again each time, so that page and server are always of one version.
    always = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return FileResponse(STATIC / name, media_type=KINDS[Path(name).suffix], headers={**always, **(headers or {})})

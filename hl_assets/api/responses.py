"""From a finished answer to an HTTP response: entity tag, compression, 304.

Belongs here: conditional requests and content coding (RFC 9110). Does not belong here: the content.
"""

import re

from starlette.requests import Request
from starlette.responses import Response

from hl_assets.api.caching import Body

JSON = "application/json"
_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?(?=,|$)", re.IGNORECASE)
_LONGEST_HEADER = 4_096


def body_response(request: Request, body: Body) -> Response:
    """The answer, or 304 if the client has it already."""
    headers = {"ETag": body.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if has_it(request.headers.get("if-none-match"), body.etag):
        return Response(status_code=304, headers=headers)
    if body.compressible and takes_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(body.packed(), headers=headers, media_type=JSON)
    return Response(body.raw, headers=headers, media_type=JSON)


def has_it(if_none_match: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` names the tag, compared weakly (RFC 9110, 13.1.2)."""
    if not if_none_match or len(if_none_match) > _LONGEST_HEADER:
        return False
    if if_none_match.strip() == "*":
        return True
    return etag.removeprefix("W/").strip('"') in _TAG.findall(if_none_match)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` takes gzip (RFC 9110, 12.5.3)."""
    if len(accept_encoding) > _LONGEST_HEADER:
        return False
    match = _GZIP.search(accept_encoding)
    if match is None:
        return False
    return match.group(1) is None or match.group(1).strip("0.") != ""

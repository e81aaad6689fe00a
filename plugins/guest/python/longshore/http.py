"""Requests, sent by the host: only to addresses that the operator granted, with credentials that the plugin never sees.

    prices = http.get(url, query={"since": 7}, bearer=config["auth.secret"]).ok().json()
    http.post(url, json={"a": 1}, headers={"Idempotency-Key": key}).ok()

A request ends at the end of the call that makes it, at the latest: what did not answer by then is a Failure of kind transient.
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union
from urllib.parse import quote

from componentize_py_types import Err
from longshore import Failure, Secret, as_bytes, unicode
from wit_world.imports import http as host

Pairs = Union[Dict[str, Any], List[Tuple[str, Any]]]


def pairs(given: Optional[Pairs]) -> List[Tuple[str, str]]:
    every = given.items() if isinstance(given, dict) else given or []
    return [(unicode(name), unicode(str(value))) for name, value in every]


def encoded(text: str) -> str:
    """Percent-encodes everything but unreserved characters. Failures of kind data: the text is no Unicode."""
    return quote(unicode(text), safe="")


def with_query(url: str, query: Optional[Pairs]) -> str:
    """The address with parameters, encoded; those that are None are left out."""
    every = query.items() if isinstance(query, dict) else query or []
    added = "&".join(f"{encoded(name)}={encoded(str(value))}" for name, value in every if value is not None)
    if not added:
        return url
    address, mark, fragment = url.partition("#")
    joint = "?" if "?" not in address else "" if address.endswith(("?", "&")) else "&"
    return f"{address}{joint}{added}{mark}{fragment}"


class Request:
    """A request: what get, post and request make and send; send_all and open take it as it is.

    headers, query: names and values. json or body: what is sent along. bearer: a Secret. basic: user and Secret. secret_header: name and Secret.
    timeout_ms and response_max (bytes): 0 = the host's limit, which is the most that counts. redirects: how many are followed; a credential does
    not follow to another origin.
    """

    def __init__(
        self,
        method: str,
        url: str,
        *,
        headers: Optional[Pairs] = None,
        query: Optional[Pairs] = None,
        json: Any = None,
        body: Union[bytes, str, None] = None,
        bearer: Optional[Secret] = None,
        basic: Optional[Tuple[str, Secret]] = None,
        secret_header: Optional[Tuple[str, Secret]] = None,
        timeout_ms: int = 0,
        response_max: int = 0,
        redirects: int = 0,
    ):
        self.method = method
        self.url = with_query(unicode(url), query)
        self.headers = pairs(headers)
        self.body = as_bytes(body)
        if json is not None:
            self.headers.append(("Content-Type", "application/json"))
            self.body = _json(json)
        self.timeout_ms = int(timeout_ms)
        self.response_max = response_max
        self.redirects = redirects
        # The config key whose secret the host puts into the request.
        self.credential_key: Optional[str] = None
        self._credential: Optional[host.Credential] = None
        if bearer is not None:
            self._place(bearer, host.Placement_Bearer(), "Authorization", lambda value: f"Bearer {value}")
        if basic is not None:
            user, secret = basic
            self._place(secret, host.Placement_Basic(user), "Authorization", lambda value: f"Basic {_base64(user, value)}")
        if secret_header is not None:
            name, secret = secret_header
            self._place(secret, host.Placement_Header(name), name, lambda value: value)

    def _place(self, secret: Secret, placement: host.Placement, name: str, text: Callable[[str], str]) -> None:
        self.credential_key = secret.key
        if secret.in_config is None:
            self._credential = host.Credential(secret.key, placement)
        else:
            self.headers.append((name, text(secret.in_config)))

    def __repr__(self) -> str:
        # Values of headers may be secrets, and so may be what stands in a query.
        return f"{self.method} {self.url.partition('?')[0]} (headers {[name for name, _ in self.headers]})"

    def wire(self) -> host.Request:
        return host.Request(
            self.method,
            self.url,
            self.headers,
            self.body,
            self.timeout_ms,
            self._credential,
            self.response_max,
            self.redirects,
        )

    def send(self) -> "Response":
        """Sends it. An answer of any status is one (see Response.ok). Failures: config for an address that is not granted, with the grant that
        would allow it; transient for no connection and no answer in time."""
        try:
            answer = host.send(self.wire())
        except Err as error:
            raise Failure.of(error.value) from None
        return self._answered(answer)

    def open(self) -> "Opened":
        """The same with the body left open, for what is large or endless: `with request.open() as answer: ..`"""
        try:
            opened = host.open(self.wire())
        except Err as error:
            raise Failure.of(error.value) from None
        return Opened(opened.status, list(opened.headers), b"", self.credential_key, opened.body)

    def _answered(self, answer: host.Response) -> "Response":
        return Response(answer.status, list(answer.headers), bytes(answer.body), self.credential_key)


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Failure.data(f"a body is nothing that JSON can hold: {error}") from None


def _base64(user: str, value: str) -> str:
    return base64.b64encode(f"{user}:{value}".encode()).decode()


def get(url: str, **options: Any) -> "Response":
    """Sends a GET request; options: see Request."""
    return Request("GET", url, **options).send()


def post(url: str, **options: Any) -> "Response":
    """Sends a POST request; options: see Request."""
    return Request("POST", url, **options).send()


def request(method: str, url: str, **options: Any) -> "Response":
    """Sends a request of another method, in capitals; options: see Request."""
    return Request(method, url, **options).send()


def send_all(requests: List[Request], concurrency: int = 0) -> List[Union["Response", Failure]]:
    """Sends several, at most `concurrency` at once (0 = as many as are granted); answers come in the order of the requests, and a request that
    got none has a Failure in its place."""
    answers = host.send_all([one.wire() for one in requests], concurrency)
    return [
        Failure.of(answer.value) if isinstance(answer, Err) else one._answered(answer.value)
        for one, answer in zip(requests, answers)
    ]


@dataclass
class Response:
    """An answer."""

    status: int
    headers: List[Tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    # The config key of the credential that was sent.
    credential_key: Optional[str] = None

    def header(self, name: str) -> Optional[str]:
        """The first header of a name, in any case."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    @property
    def text(self) -> str:
        """The body, read as UTF-8; what is none is replaced."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON. Failures of kind data: it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            # The error quotes the place, not the text.
            raise Failure.data(f"the answer is no JSON: {error}") from None

    def ok(self) -> "Response":
        """The answer, if its status is 2xx; else the Failure that the status calls for."""
        if 200 <= self.status <= 299:
            return self
        raise self.failure()

    @property
    def retry_after_ms(self) -> Optional[int]:
        """Retry-After, where it is a number of seconds."""
        seconds = (self.header("Retry-After") or "").strip()
        return int(seconds) * 1000 if seconds.isascii() and seconds.isdigit() and len(seconds) <= 9 else None

    def failure(self) -> Failure:
        """The kind that the status calls for: 401 and 403 auth, 429 and a 503 with Retry-After rate-limited, 408, 425 and other 5xx transient,
        everything else config. The body is not quoted."""
        told, status = self.retry_after_ms, self.status
        if status in (401, 403):
            renew = f"renew {self.credential_key}, or its rights" if self.credential_key else "it asks for a credential"
            return Failure.auth(f"the server answers {status}: {renew}")
        if status == 429:
            return Failure.rate_limited("the server answers 429: too many requests", told)
        if status == 503 and told is not None:
            return Failure.rate_limited("the server answers 503: it is busy", told)
        if status in (408, 425) or 500 <= status <= 599:
            return Failure.transient(f"the server answers {status}")
        return Failure.config(f"the server answers {status}: check the address")


@dataclass
class Opened(Response):
    """An answer whose body is still open; it is closed by `with`."""

    source: Any = None

    def read(self, most: int = 65536) -> bytes:
        """The next bytes, at most so many; none = the end."""
        try:
            return bytes(self.source.read(most))
        except Err as error:
            raise Failure.of(error.value) from None

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.read, b"")

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *raised: Any) -> None:
        self.source.__exit__(*raised)

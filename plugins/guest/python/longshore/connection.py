"""What plugins that talk to an HTTP service have in common in their configs: time limit, headers, and credential of every request.

    SCHEMA = {"type": "object", "properties": {"url": {..}, **connection.KEYS}, "required": ["url"]}

    def __init__(self, config):
        self.service = connection.Connection(config)
        self.service.get(config["url"]).ok().json()
"""

from typing import Any, Dict, List, Tuple

from longshore import http

# The keys that a config gets: to be spread into the properties of its schema.
KEYS: Dict[str, Dict[str, Any]] = {
    "request.timeout.ms": {
        "type": "integer",
        "minimum": 1,
        "maximum": 600_000,
        "default": 30_000,
        "x-importance": "LOW",
        "description": "How long an answer may take, in milliseconds.",
    },
    "headers": {
        "type": "array",
        "items": {"type": "string"},
        "default": [],
        "description": "Headers to send, each as name:value.",
    },
    "auth.secret": {
        "type": "string",
        "x-secret": True,
        "description": "The credential; the host sends it, this plugin never sees it.",
    },
    "auth.scheme": {
        "type": "string",
        "enum": ["bearer", "basic", "header"],
        "default": "bearer",
        "description": "How the credential is sent: bearer, basic (with auth.user), or header (named by auth.header).",
    },
    "auth.user": {"type": "string", "default": "", "description": "The user of scheme basic."},
    "auth.header": {"type": "string", "default": "X-Api-Key", "description": "The header of scheme header."},
}


def check_url(url: str) -> List[Tuple[str, str, str]]:
    """What is wrong with the address at the key `url`, as far as one can see: problems as a plugin's check returns them."""
    good = url.startswith(("http://", "https://"))
    return [] if good else [("url", "it begins with neither http:// nor https://", "")]


def problems(config: Dict[str, Any]) -> List[Tuple[str, str, str]]:
    """What the schema cannot say, for a plugin's check."""
    found = []
    if any(":" not in header for header in config.get("headers", [])):
        found.append(("headers", "an entry has no colon", "name:value"))
    if config.get("auth.secret") is not None and config.get("auth.scheme") == "basic" and not config.get("auth.user"):
        found.append(("auth.user", "scheme basic takes a user", ""))
    return found


class Connection:
    """Makes requests as a config says."""

    def __init__(self, config: Dict[str, Any]):
        pairs = (header.partition(":") for header in config.get("headers", []))
        self._headers = [(name.strip(), value.strip()) for name, _, value in pairs]
        self._options: Dict[str, Any] = {"timeout_ms": config.get("request.timeout.ms", 30_000)}
        secret = config.get("auth.secret")
        if secret is not None:
            scheme = config.get("auth.scheme", "bearer")
            if scheme == "basic":
                self._options["basic"] = (config.get("auth.user", ""), secret)
            elif scheme == "header":
                self._options["secret_header"] = (config.get("auth.header", "X-Api-Key"), secret)
            else:
                self._options["bearer"] = secret

    def on(self, method: str, url: str, **options: Any) -> http.Request:
        """A request with all of it; what `options` say goes before."""
        headers = self._headers + http.pairs(options.pop("headers", None))
        return http.Request(method, url, headers=headers, **{**self._options, **options})

    def get(self, url: str, **options: Any) -> http.Response:
        """Sends a GET request."""
        return self.on("GET", url, **options).send()

    def post(self, url: str, **options: Any) -> http.Response:
        """Sends a POST request."""
        return self.on("POST", url, **options).send()

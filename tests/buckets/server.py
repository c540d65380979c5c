"""An S3 server for tests. It prints its port, and ends with its standard input.

It is moto, with one request at a time: moto checks conditions and stores objects in two steps, so that concurrent conditional writes
could both succeed. moto checks no signature, so presigned URLs are checked here, as strictly as any store does: the path as it was sent,
the host, the time, and no header of another authentication. With DENY_ANONYMOUS in the
environment, requests without a signature get 403.
"""

import datetime
import hashlib
import hmac
import io
import os
import sys
import threading
from urllib.parse import unquote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

lock = threading.Lock()
moto = DomainDispatcherApplication(create_backend_app)


class QuietHandler(WSGIRequestHandler):
    def log(self, type, message, *args):
        pass


# The secret key of presigned URLs.
SECRET = b"a-secret-access-key"
# A request has one kind of authentication, and a private client sends none of its own headers to a store.
FOREIGN = ["HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_USER", "HTTP_REFERER"]


def digest(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def denied(environ):
    """Returns why a request with a presigned URL is denied."""
    path, _, query = environ["RAW_URI"].partition("?")
    fields = [pair.partition("=")[::2] for pair in query.split("&")]
    signed = dict(fields)
    if "X-Amz-Signature" not in signed:
        return None
    for name in FOREIGN:
        if name in environ:
            return f"has {name}"
    date, lifetime = signed["X-Amz-Date"], datetime.timedelta(seconds=int(signed["X-Amz-Expires"]))
    begin = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if datetime.datetime.now(datetime.timezone.utc) > begin + lifetime:
        return "has expired"
    query = "&".join(f"{name}={value}" for name, value in sorted(fields) if name != "X-Amz-Signature")
    host = environ["HTTP_HOST"]
    canonical = f"{environ['REQUEST_METHOD']}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    scope = unquote(signed["X-Amz-Credential"]).split("/", 1)[1]
    key = b"AWS4" + SECRET
    for part in scope.split("/"):
        key = digest(key, part)
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return None if digest(key, text).hex() == signed["X-Amz-Signature"] else "has another signature"


def application(environ, start_response):
    if problem := denied(environ):
        start_response("403 Forbidden", [("Content-Type", "application/xml"), ("x-amz-request-id", "1")])
        return [f"<Error><Code>AccessDenied</Code><Message>Request {problem}</Message></Error>".encode()]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
    if "DENY_ANONYMOUS" in os.environ and "HTTP_AUTHORIZATION" not in environ:
        start_response("403 Forbidden", [("Content-Length", "0")])
        return [b""]
    with lock:
        return [b"".join(moto(environ, start_response))]


server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=QuietHandler)
print(server.port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)

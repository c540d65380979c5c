"""An S3 server for tests. It prints its port, and ends with its standard input.

It is moto, with one request at a time: moto checks conditions and stores objects in two steps, so that concurrent conditional writes
could both succeed. With DENY_ANONYMOUS in the environment, requests without a signature get 403.
"""

import io
import os
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

lock = threading.Lock()
moto = DomainDispatcherApplication(create_backend_app)


class QuietHandler(WSGIRequestHandler):
    def log(self, type, message, *args):
        pass


def application(environ, start_response):
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

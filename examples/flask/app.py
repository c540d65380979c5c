"""A Flask application with its signed session cookie. The gateway asks /whoami who sent a request."""

import os
import tempfile
from pathlib import Path

from flask import Flask, Response, abort, redirect, render_template_string, request, session
from werkzeug.security import check_password_hash, generate_password_hash

ROOT = Path(os.environ.get("PRIVATE_ROOT", "private"))
MEDIA_URL = os.environ.get("MEDIA_URL", "http://127.0.0.1:8000/private/")
IDS = {"alice": "7", "bob": "8"}
PASSWORD = generate_password_hash("open sesame")

app = Flask(__name__)
# SameSite: other sites cannot send a form with this cookie. In production, the key is a setting.
app.config.update(
    SECRET_KEY=os.environ.get("SECRET", "change me"),
    SESSION_COOKIE_SAMESITE="Lax",
    MAX_CONTENT_LENGTH=20 << 20,
)

PAGE = """<!doctype html><title>Cars</title>
{% if name %}
<p>{{ name }} <form method=post action=/sign-out><button>Sign out</button></form>
<form method=post action=/photo enctype=multipart/form-data><input type=file name=photo><button>Upload</button></form>
<img src="{{ media }}cars/{{ id }}/photo.jpg" alt="My car">
{% else %}
<form method=post action=/sign-in><input name=name><input name=password type=password><button>Sign in</button></form>
{% endif %}"""


def signed_in() -> str:
    return session.get("name") or abort(401)


@app.get("/")
def index():
    name = session.get("name")
    return render_template_string(PAGE, name=name, id=IDS.get(name), media=MEDIA_URL)


@app.post("/sign-in")
def sign_in():
    name = request.form["name"]
    if name not in IDS or not check_password_hash(PASSWORD, request.form["password"]):
        abort(401)
    session["name"] = name
    return redirect("/", 303)


@app.post("/sign-out")
def sign_out():
    session.clear()
    return redirect("/", 303)


@app.post("/photo")
def photo():
    folder = ROOT / "cars" / IDS[signed_in()]
    folder.mkdir(parents=True, exist_ok=True)
    # A hidden name, which the gateway does not serve, until the photo is whole.
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".upload", delete=False) as file:
        request.files["photo"].save(file)
    Path(file.name).chmod(0o640)
    Path(file.name).replace(folder / "photo.jpg")
    return redirect("/", 303)


@app.get("/whoami")
def whoami():
    name = signed_in()
    return Response(
        headers={"X-User-Id": IDS[name], "X-User-Name": name, "Cache-Control": "private, max-age=5"}
    )

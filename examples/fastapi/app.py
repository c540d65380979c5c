"""A FastAPI application that signs users in with a JSON Web Token. The gateway verifies it with the same secret."""

import hashlib
import hmac
import os
import secrets
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import jwt
from fastapi import Cookie, Depends, FastAPI, Form, HTTPException, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse

ROOT = Path(os.environ.get("PRIVATE_ROOT", "private"))
MEDIA_URL = os.environ.get("MEDIA_URL", "http://127.0.0.1:8000/private/")
# The file that the gateway reads, too: at least 32 random bytes, readable by their owner alone.
SECRET = Path(os.environ.get("SECRET_FILE", "secret.key")).read_text().strip()
ISSUER, AUDIENCE = "https://cars.example", "media"

IDS = {"alice": "7", "bob": "8"}
SALT = secrets.token_bytes(16)


def hashed(password: str) -> bytes:
    return hashlib.scrypt(password.encode(), salt=SALT, n=2**14, r=8, p=1)


PASSWORD = hashed("open sesame")

app = FastAPI()


def user_of(access_token: Annotated[str | None, Cookie()] = None) -> dict | None:
    try:
        return jwt.decode(access_token or "", SECRET, algorithms=["HS256"], issuer=ISSUER, audience=AUDIENCE)
    except jwt.InvalidTokenError:
        return None


User = Annotated[dict | None, Depends(user_of)]


def signed_in(user: User) -> dict:
    if user is None:
        raise HTTPException(401)
    return user


@app.get("/", response_class=HTMLResponse)
def index(user: User) -> str:
    if user is None:
        return """<!doctype html><title>Cars</title><form method=post action=/sign-in>
            <input name=name><input name=password type=password><button>Sign in</button></form>"""
    return f"""<!doctype html><title>Cars</title><p>{user["name"]}
        <form method=post action=/sign-out><button>Sign out</button></form>
        <form method=post action=/photo enctype=multipart/form-data><input type=file name=photo><button>Upload</button></form>
        <img src="{MEDIA_URL}cars/{user["sub"]}/photo.jpg" alt="My car">"""


@app.post("/sign-in")
def sign_in(name: Annotated[str, Form()], password: Annotated[str, Form()]) -> RedirectResponse:
    if name not in IDS or not hmac.compare_digest(hashed(password), PASSWORD):
        raise HTTPException(401)
    expires = datetime.now(UTC) + timedelta(minutes=15)
    claims = {"sub": IDS[name], "name": name, "iss": ISSUER, "aud": AUDIENCE, "exp": expires}
    response = RedirectResponse("/", 303)
    # SameSite: other sites cannot send a form with this cookie.
    response.set_cookie("access_token", jwt.encode(claims, SECRET), httponly=True, samesite="lax")
    return response


@app.post("/sign-out")
def sign_out() -> RedirectResponse:
    response = RedirectResponse("/", 303)
    response.delete_cookie("access_token")
    return response


@app.post("/photo")
def store(photo: UploadFile, user: Annotated[dict, Depends(signed_in)]) -> RedirectResponse:
    folder = ROOT / "cars" / user["sub"]
    folder.mkdir(parents=True, exist_ok=True)
    # A hidden name, which the gateway does not serve, until the photo is whole.
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".upload", delete=False) as file:
        shutil.copyfileobj(photo.file, file)
    Path(file.name).chmod(0o640)
    Path(file.name).replace(folder / "photo.jpg")
    return RedirectResponse("/", 303)

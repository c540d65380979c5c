"""The sessions of vectors.json. Django's own code signs them; ask.py adds the user that Django identifies."""

import base64
import json
import pickle
import zlib
from unittest import mock

from django.core import signing
from django.utils.crypto import salted_hmac

NOW = 1_750_000_000
AGE = 1_209_600
SECRET = "vectors-of-sessions-é-0123456789-abcdefghijklmnopqrstuvwxyz"
OLD = "an-older-secret-9876543210-zyxwvutsrqponmlkjihgfedcba-0123"
OTHER = "a-secret-that-this-project-never-had-0123456789-abcdefghij"
KEY = "0abc1def2ghi3jkl4mno5pqr6stu7vwx"
ROWS = "django.contrib.sessions.SessionStore"
COOKIES = "django.contrib.sessions.backends.signed_cookies"
MODEL = "django.contrib.auth.backends.ModelBackend"
ALLOW_ALL = "django.contrib.auth.backends.AllowAllUsersModelBackend"
REMOTE = "django.contrib.auth.backends.RemoteUserBackend"
PASSWORD = "pbkdf2_sha256$600000$salt$0123456789abcdefghijklmnopqrstuvwxyzABCDEFG="
ALICE = {
    "id": 7,
    "username": "alice",
    "password": PASSWORD,
    "is_active": True,
    "is_staff": False,
    "is_superuser": False,
    "groups": [],
}


def auth_hash(password=PASSWORD, secret=SECRET, algorithm="sha256"):
    salt = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash"
    return salted_hmac(salt, password, secret=secret, algorithm=algorithm).hexdigest()


def signed_in(**changes):
    """Returns the content of a session of alice. A value of None omits the key."""
    data = {"_auth_user_id": "7", "_auth_user_backend": MODEL, "_auth_user_hash": auth_hash(), **changes}
    return {key: value for key, value in data.items() if value is not None}


class Bytes:
    """A serializer that returns bytes unchanged."""

    def dumps(self, data):
        return data


def sign(data=None, *, secret=SECRET, salt=ROWS, at=NOW, compress=True):
    """Returns a session as Django writes it. Bytes are signed unchanged."""
    data = signed_in() if data is None else data
    serializer = Bytes if isinstance(data, bytes) else signing.JSONSerializer
    signer = signing.TimestampSigner(key=secret, salt=salt, fallback_keys=[])
    with mock.patch("time.time", return_value=at):
        return signer.sign_object(data, serializer=serializer, compress=compress)


def sign_text(text, *, salt=ROWS, at=NOW):
    """Returns a validly signed session whose payload is this text."""
    with mock.patch("time.time", return_value=at):
        return signing.TimestampSigner(key=SECRET, salt=salt, fallback_keys=[]).sign(text)


def sign_stamp(stamp):
    """Returns a validly signed session whose time is this text."""
    body = sign().rsplit(":", 2)[0]
    return signing.Signer(key=SECRET, salt=ROWS, fallback_keys=[]).sign(f"{body}:{stamp}")


def dumps(data):
    return json.dumps(data, separators=(",", ":")).encode()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def change(text, at):
    """Replaces one character."""
    at %= len(text)
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def case(name, data=None, **rest):
    """Returns a case, by default with the session in the database."""
    engine = rest.pop("engine", "db")
    row = None if data is None else {"key": rest.pop("key", KEY), "data": data, "expires": NOW + AGE}
    if "expires" in rest:
        row["expires"] = rest.pop("expires")
    built = {
        "name": name,
        "engine": engine,
        "cookie": KEY,
        "row": row,
        "secret": SECRET,
        "fallbacks": [],
        "backends": [MODEL],
        "max_age": AGE,
        "user": ALICE,
    }
    assert not rest.keys() - built.keys(), rest
    return {**built, **rest}


def cookie(name, value, **rest):
    return case(name, engine="signed_cookies", cookie=value, **rest)


def alice(**changes):
    return {**ALICE, **changes}


def cases():
    yield from stores()
    yield from keys()
    yield from signatures()
    yield from times()
    yield from payloads()
    yield from texts()
    yield from contents()
    yield from users()


def stores():
    for engine in ["db", "cached_db", "file"]:
        yield case(f"{engine}: signed in", sign(), engine=engine)
        yield case(f"{engine}: not signed in", sign({"cart": [1, 2]}), engine=engine)
        yield case(f"{engine}: tampered", change(sign(), 9), engine=engine)
        yield case(f"{engine}: expired", sign(), engine=engine, expires=NOW - 1)
        yield case(f"{engine}: another secret", sign(secret=OTHER), engine=engine)
        yield case(f"{engine}: no such session", engine=engine)
    fresh = sign(salt=COOKIES)
    yield cookie("signed_cookies: signed in", fresh)
    yield cookie("signed_cookies: not signed in", sign({}, salt=COOKIES))
    yield cookie("signed_cookies: tampered payload", change(fresh, 9))
    yield cookie("signed_cookies: tampered signature", change(fresh, -3))
    yield cookie("signed_cookies: salt of the rows", sign())
    yield cookie("signed_cookies: another secret", sign(secret=OTHER, salt=COOKIES))
    yield cookie("signed_cookies: fallback", sign(secret=OLD, salt=COOKIES), fallbacks=[OLD])
    yield cookie("signed_cookies: a key in place of a session", KEY)
    yield cookie("signed_cookies: empty", "")
    yield cookie("signed_cookies: a colon", ":")
    yield cookie("signed_cookies: password changed", fresh, user=alice(password="pbkdf2_sha256$1$x$y="))
    yield cookie("signed_cookies: pickle", sign(pickle.dumps(signed_in(), 2), salt=COOKIES))
    yield case("db: salt of signed cookies", sign(salt=COOKIES))
    yield case("db: salt of a subclass of the store", sign(salt="django.contrib.sessions.ShopSessionStore"))
    yield case("db: salt of signing.dumps", sign(salt="django.core.signing"))
    yield case("db: the session itself as the cookie", sign(), cookie=sign())


def keys():
    yield case("key: empty cookie", sign(), cookie="")
    yield case("key: seven characters", sign(), key="abcdefg", cookie="abcdefg")
    yield case("key: eight characters", sign(), key="abcdefgh", cookie="abcdefgh")
    yield case("key: forty characters", sign(), key="a" * 40, cookie="a" * 40)
    yield case("key: another", sign(), cookie=change(KEY, 3))
    yield case("key: upper case", sign(), cookie=KEY.upper())
    yield case("key: cut", sign(), cookie=KEY[:-1])
    yield case("key: with a wildcard", sign(), cookie="%" * 8)
    yield case("key: with a quote", sign(), cookie="' OR ''='")
    yield case("key: with a space", sign(), cookie=KEY + " ")


def signatures():
    whole = sign()
    body, stamp, signature = whole.split(":")
    yield case("signature: tampered at the start", f"{body}:{stamp}:{change(signature, 0)}")
    yield case("signature: tampered at the end", f"{body}:{stamp}:{change(signature, -1)}")
    yield case("signature: empty", f"{body}:{stamp}:")
    yield case("signature: missing", f"{body}:{stamp}")
    yield case("signature: cut", whole[:-1])
    yield case("signature: padded", whole + "=")
    yield case("signature: followed by a newline", whole + "\n")
    yield case("signature: preceded by a space", f"{body}:{stamp}: {signature}")
    yield case(
        "signature: in the other alphabet",
        f"{body}:{stamp}:{signature.translate(str.maketrans('-_', '+/'))}=",
    )
    yield case(
        "signature: in hexadecimal", f"{body}:{stamp}:{base64.urlsafe_b64decode(signature + '=').hex()}"
    )
    yield case(
        "signature: of SHA-1",
        signing.Signer(key=SECRET, salt=ROWS, algorithm="sha1", fallback_keys=[]).sign(f"{body}:{stamp}"),
    )
    yield case("signature: of another session", f"{body}:{stamp}:{sign({'a': 1}).split(':')[2]}")
    yield case("signature: with an equals sign for the time", f"{body}={stamp}:{signature}")
    yield case("payload: tampered at the start", f"{change(body, 1)}:{stamp}:{signature}")
    yield case("payload: tampered at the end", f"{change(body, -1)}:{stamp}:{signature}")
    yield case("payload: cut", f"{body[:-1]}:{stamp}:{signature}")
    yield case("payload: without the dot", f"{body[1:]}:{stamp}:{signature}")
    yield case("time: tampered", f"{body}:{change(stamp, -1)}:{signature}")
    yield case("time: missing", f"{body}:{signature}")
    yield case("colons: an extra one at the start", f":{whole}")
    yield case("colons: an extra one at the end", f"{whole}:")
    yield case("colons: an extra one in the middle", f"{body}::{stamp}:{signature}")
    yield case("colons: text before the first one", f"x:{whole}")
    yield case("secret: fallback", sign(secret=OLD), fallbacks=[OLD])
    yield case("secret: the second fallback", sign(secret=OLD), fallbacks=[OTHER, OLD])
    yield case("secret: no such fallback", sign(secret=OLD), fallbacks=[OTHER])
    yield case("secret: replaced without a fallback", sign(secret=OLD))
    both = signed_in(_auth_user_hash=auth_hash(secret=OLD))
    yield case("secret: fallback for session and hash", sign(both, secret=OLD), fallbacks=[OLD])
    yield case("secret: fallback for the hash alone", sign(both), fallbacks=[OLD])
    yield case("secret: replaced for the hash", sign(both))


def times():
    yield case("expires: this second", sign(), expires=NOW)
    yield case("expires: in a second", sign(), expires=NOW + 1)
    yield case("expires: in 1970", sign(), expires=0)
    yield case("expires: in 2100", sign(), expires=4_102_444_800)
    yield case("time: signed years ago, in a row", sign(at=1_000_000_000))
    yield case("time: signed in the future, in a row", sign(at=NOW + 86_400))
    yield case("time: negative", sign_stamp("-5"))
    yield case("time: only a sign", sign_stamp("-"))
    yield case("time: empty", sign_stamp(""))
    yield case("time: zero", sign_stamp("0"))
    yield case("time: not base62", sign_stamp("1-2"))
    yield case("time: not ASCII", sign_stamp("é"))
    yield case("time: too large for any clock", sign_stamp("z" * 40))
    for name, at in [
        ("exactly as old as allowed", NOW - AGE),
        ("a second too old", NOW - AGE - 1),
        ("years old", 1_000_000_000),
        ("signed in the future", NOW + 86_400),
        ("signed in 1970", 0),
    ]:
        yield cookie(f"signed_cookies: {name}", sign(salt=COOKIES, at=at))
    yield cookie("signed_cookies: within a short maximum age", sign(salt=COOKIES, at=NOW - 60), max_age=60)
    yield cookie("signed_cookies: beyond a short maximum age", sign(salt=COOKIES, at=NOW - 61), max_age=60)


def payloads():
    """Validly signed payloads, which only a holder of the secret can create."""
    plain = dumps(signed_in())
    squeezed = zlib.compress(plain)
    yield case("base64: not compressed", sign(compress=False))
    yield case("base64: empty", sign_text(""))
    yield case("base64: padded", sign_text(base64.urlsafe_b64encode(dumps(signed_in(x=""))).decode()))
    yield case("base64: with an extra letter", sign_text(b64(plain) + "A" * (5 - len(b64(plain)) % 4)))
    yield case("base64: characters outside the alphabet", sign_text(b64(plain) + "!!"))
    yield case("base64: only characters outside the alphabet", sign_text("!!!!"))
    yield case("base64: the other alphabet", sign_text(base64.b64encode(zlib.compress(plain, 1)).decode()))
    yield case("base64: a newline in it", sign_text(b64(plain)[:40] + "\n" + b64(plain)[40:]))
    yield case("base64: a colon in it", sign_text(b64(plain)[:40] + ":" + b64(plain)[40:]))
    yield case("zlib: compressed", sign_text("." + b64(squeezed)))
    yield case("zlib: stored, not compressed", sign_text("." + b64(zlib.compress(plain, 0))))
    yield case("zlib: empty", sign_text("."))
    yield case("zlib: of empty content", sign_text("." + b64(zlib.compress(b""))))
    yield case("zlib: cut", sign_text("." + b64(squeezed[:-8])))
    yield case("zlib: without its checksum", sign_text("." + b64(squeezed[:-4])))
    yield case("zlib: with a wrong checksum", sign_text("." + b64(squeezed[:-1] + bytes([squeezed[-1] ^ 1]))))
    yield case("zlib: with trailing bytes", sign_text("." + b64(squeezed + b"more")))
    yield case("zlib: raw deflate", sign_text("." + b64(squeezed[2:-4])))
    yield case("zlib: gzip", sign_text("." + b64(zlib.compress(plain, wbits=31))))
    yield case("zlib: twice", sign_text("." + b64(zlib.compress(squeezed))))
    yield case("zlib: a dot before uncompressed content", sign_text("." + b64(plain)))
    yield case("zlib: compressed content without a dot", sign_text(b64(squeezed)))
    yield case("zlib: two dots", sign_text(".." + b64(squeezed)))
    yield case("zlib: a hundred kilobytes", sign({**signed_in(), "cart": ["é" * 10] * 1500}))
    yield case("zlib: eight megabytes of spaces", sign(plain[:-1] + b" " * 8_000_000 + b"}"))
    yield case("pickle", sign(pickle.dumps(signed_in(), 2)))
    yield case("pickle: not compressed", sign(pickle.dumps(signed_in(), 2), compress=False))
    yield case("pickle: not signed", base64.b64encode(pickle.dumps(signed_in(), 2)).decode())
    legacy = base64.b64encode(b"0123456789012345678901234567890123456789:" + plain).decode()
    yield case("text: as Django wrote it before 3.1", legacy)


def texts():
    yield case("text: empty", "")
    yield case("text: a space", " ")
    yield case("text: a colon", ":")
    yield case("text: two colons", "::")
    yield case("text: three dots and two colons", ".:.:.")
    yield case("text: JSON, not signed", json.dumps(signed_in()))
    yield case("text: not ASCII", "é:é:é")
    yield case("text: ten thousand letters", "A" * 10_000)


def contents():
    plain = dumps(signed_in())
    for name, text in [
        ("a list", b"[]"),
        ("a list of pairs", dumps(list(signed_in().items()))),
        ("a text", b'"_auth_user_id"'),
        ("a number", b"7"),
        ("null", b"null"),
        ("true", b"true"),
        ("an empty object", b"{}"),
        ("an object in a list", b"[" + plain + b"]"),
        ("an object in an object", b'{"session":' + plain + b"}"),
        ("trailing text", plain + b"x"),
        ("surrounding white space", b" \n\t" + plain + b"\r\n "),
        ("a byte order mark", b"\xef\xbb\xbf" + plain),
        ("cut", plain[:-1]),
        ("single quotes", plain.replace(b'"', b"'")),
        ("a trailing comma", plain[:-1] + b",}"),
        ("a key twice, the last right", b'{"_auth_user_id":"8",' + plain[1:]),
        ("a key twice, the last wrong", plain[:-1] + b',"_auth_user_id":"8"}'),
        ("a key twice, the last null", plain[:-1] + b',"_auth_user_hash":null}'),
        ("escaped keys", plain.replace(b"_auth_user_id", b"\\u005fauth_user_id")),
        ("escaped values", plain.replace(b'"7"', b'"\\u0037"')),
        ("additional raw UTF-8", plain[:-1] + ',"name":"Zoë 😀"}'.encode()),
        ("additional invalid UTF-8", plain[:-1] + b',"name":"\xff\xfe"}'),
        ("an additional NaN", plain[:-1] + b',"price":NaN}'),
        ("an infinite number", plain[:-1] + b',"price":1e999}'),
        ("a number of a hundred digits", plain[:-1] + b',"price":' + b"9" * 100 + b"}"),
        ("an additional lone surrogate", plain[:-1] + b',"name":"\\ud83d"}'),
        ("two hundred nested lists", plain[:-1] + b',"deep":' + b"[" * 200 + b"]" * 200 + b"}"),
        ("a control character in a text", plain[:-1] + b',"name":"a\nb"}'),
    ]:
        yield case(f"JSON: {name}", sign(text, compress=False))
    yield case("JSON: of every script", sign({**signed_in(), "name": "Zoë Жук 山 😀 \u0000 \u2028"}))
    yield case("JSON: a thousand keys", sign({**{f"key {n}": n for n in range(1000)}, **signed_in()}))
    for name, id in [
        ("null", b"null"),
        ("missing", None),
        ("a number", b"7"),
        ("a float", b"7.5"),
        ("true", b"true"),
        ("a list", b'["7"]'),
        ("empty", b'""'),
        ("a name", b'"alice"'),
        ("of another user", b'"8"'),
        ("zero", b'"0"'),
        ("negative", b'"-7"'),
        ("with a sign", b'"+7"'),
        ("with leading zeros", b'"007"'),
        ("with a space", b'" 7"'),
        ("with a newline", b'"7\\n"'),
        ("with a point", b'"7.0"'),
        ("with an underscore", b'"0_7"'),
        ("in Arabic digits", b'"\\u0667"'),
        ("too large", b'"99999999999999999999"'),
        ("in hexadecimal", b'"0x7"'),
        ("followed by SQL", b'"7 OR 1=1"'),
        ("followed by NUL", b'"7\\u0000"'),
    ]:
        rest = dumps(signed_in(_auth_user_id=None))
        text = rest if id is None else b'{"_auth_user_id":' + id + b"," + rest[1:]
        yield case(f"id: {name}", sign(text, compress=False))
    for name, backend in [
        ("missing", None),
        ("empty", ""),
        ("not in the list", "shop.auth.Backend"),
        ("with a space", MODEL + " "),
        ("only a prefix", "django.contrib.auth.backends"),
        ("a number", 5),
    ]:
        yield case(f"backend: {name}", sign(signed_in(_auth_user_backend=backend)))
    yield case("backend: null", sign({**signed_in(), "_auth_user_backend": None}))
    yield case("backend: none in the list", sign(), backends=[])
    yield case("backend: the second in the list", sign(), backends=[REMOTE, MODEL])
    yield case(
        "backend: another of Django's", sign(signed_in(_auth_user_backend=REMOTE)), backends=[MODEL, REMOTE]
    )
    yield case("backend: taken from the list", sign(), backends=[REMOTE])
    for name, value in [
        ("missing", None),
        ("empty", ""),
        ("a number", 5),
        ("true", True),
        ("in capitals", auth_hash().upper()),
        ("cut", auth_hash()[:-1]),
        ("with a space", auth_hash() + " "),
        ("of another secret", auth_hash(secret=OTHER)),
        ("of another password", auth_hash(password="pbkdf2_sha256$1$x$y=")),
        ("of no password", auth_hash(password="")),
        ("of SHA-1", auth_hash(algorithm="sha1")),
        ("the password hash itself", PASSWORD),
        ("not ASCII", "é" * 32),
    ]:
        yield case(f"hash: {name}", sign(signed_in(_auth_user_hash=value)))
    yield case("hash: null", sign({**signed_in(), "_auth_user_hash": None}))


def users():
    yield case("user: deleted", sign(), user=None)
    yield case("user: inactive", sign(), user=alice(is_active=False))
    yield case("user: inactive, and superuser", sign(), user=alice(is_active=False, is_superuser=True))
    every = signed_in(_auth_user_backend=ALLOW_ALL)
    yield case(
        "user: inactive, for a backend that allows it",
        sign(every),
        user=alice(is_active=False),
        backends=[ALLOW_ALL],
    )
    yield case("user: active, for a backend that allows all", sign(every), backends=[ALLOW_ALL])
    yield case("user: password changed", sign(), user=alice(password="pbkdf2_sha256$600000$other$0123="))
    yield case("user: password made unusable", sign(), user=alice(password="!0123456789"))
    yield case("user: staff", sign(), user=alice(is_staff=True))
    yield case("user: superuser", sign(), user=alice(is_superuser=True))
    yield case("user: in groups", sign(), user=alice(groups=["sales", "Größe 😀"]))
    yield case("user: a name in Unicode", sign(), user=alice(username="Zoë.山"))
    empty = sign(signed_in(_auth_user_hash=auth_hash(password="")))
    yield case("user: without a password", empty, user=alice(password=""))
    odd = "argon2$é$" + "x" * 100
    yield case(
        "user: a password hash in Unicode",
        sign(signed_in(_auth_user_hash=auth_hash(password=odd))),
        user=alice(password=odd),
    )
    yield case("user: a large id", sign(signed_in(_auth_user_id="2147483647")), user=alice(id=2147483647))

# What the scripts of README.md and docs/tutorial.md need before the first command of a reader: a home with a picture, and a free port.

PORT=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PRIVATE_MEDIA_LISTEN="127.0.0.1:$PORT"
TEST=$PWD
export HOME="$TEST/home"
mkdir -p "$HOME/Pictures" bin
printf 'the photo' > "$HOME/Pictures/photo.jpg"
PROGRAM=$(command -v private-media)
# A reader has a second terminal. Here `serve` runs in the background.
cat > bin/private-media <<END_OF_PROGRAM
#!/bin/sh
if [ "\$1" != serve ]; then exec "$PROGRAM" "\$@"; fi
"$PROGRAM" "\$@" > "$TEST/address" 2> "$TEST/access.log" &
echo \$! > "$TEST/id"
END_OF_PROGRAM
chmod +x bin/private-media
PATH="$TEST/bin:$PATH"
curl() {
    for argument; do
        shift
        set -- "$@" "$(printf '%s' "$argument" | sed "s|http://127.0.0.1:8000/|http://127.0.0.1:$PORT/|")"
    done
    command curl "$@"
}
status() { curl -s -o /dev/null -w '%{http_code}' "$@"; }
has_started() {
    until curl --silent --fail --output /dev/null http://127.0.0.1:8000/private/-/health; do
        kill -0 "$(cat "$TEST/id")"
        sleep 0.1
    done
    grep -qx "listening on http://127.0.0.1:$PORT" "$TEST/address"
}
PHOTO=http://127.0.0.1:8000/private/cars/7/photo.jpg

# The gateway makes no system call that the filter of its unit refuses. boot.sh tests the unit with systemd.
unit=packaging/deb/private-media.service
program=$PWD/target/release/private-media
photo=$PWD/crates/private-media-gateway/assets/coupe.jpg

# expand SET... prints the system calls of sets of systemd.
expand() {
    for set in "$@"; do
        case $set in
            @*) expand $(systemd-analyze syscall-filter "$set" | sed -n 's/^    \([^# ]*\)$/\1/p') ;;
            *) echo "$set" ;;
        esac
    done
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
expand $(sed -n 's/^SystemCallFilter=\([^~].*\)/\1/p' $unit) | sort -u > "$folder/allowed"
expand $(sed -n 's/^SystemCallFilter=~\(.*\)/\1/p' $unit) | sort -u > "$folder/refused"

# As a user without rights, like the service.
chmod 755 "$folder"
cd "$folder"
install -D "$photo" private/cars/7/photo.jpg
install -d -o nobody state
cp "$program" .
nobody='setpriv --reuid=65534 --regid=65534 --clear-groups'
echo 'roadster-for-alice' | $nobody ./private-media account add alice --id 7 --password-stdin \
    --accounts state/accounts.toml --state sqlite:state/state.db
# A signal that was ignored at the start, as by nohup, would stay ignored.
$nobody env --default-signal=HUP strace -f -o state/trace ./private-media serve --listen 127.0.0.1:0 --accounts state/accounts.toml \
    --state sqlite:state/state.db --grant 'cars/{owner}/{*file}=owner' > listening 2> log &
tracer=$!
for _ in $(seq 300); do
    url=$(sed -n 's/^listening on //p' listening)
    if test -n "$url"; then break; fi
    sleep 0.1
done
curl --fail --silent --output /dev/null --user alice:roadster-for-alice "$url/private/cars/7/photo.jpg"
curl --fail --silent --output /dev/null --cookie-jar jar --data 'name=alice&password=roadster-for-alice&next=' \
    "$url/private/-/sign-in"
curl --fail --silent --output /dev/null --cookie jar --range 0-9 "$url/private/cars/7/photo.jpg"
# A reload, and an upgrade: strace follows the new program, too.
first=$(pgrep -P $tracer -o)
wait_for() {
    for _ in $(seq 300); do
        if grep -q "$1" log; then return; fi
        sleep 0.1
    done
    echo "not in the log: $1"
    cat log
    exit 1
}
kill -HUP "$first"
wait_for 'the configuration was reloaded'
kill -USR2 "$first"
wait_for 'serves now'
curl --fail --silent --output /dev/null --cookie jar "$url/private/cars/7/photo.jpg"
kill "$(sed -n 's/.*process \([0-9]*\) serves now.*/\1/p' log)"
wait $tracer

sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' state/trace | sort -u > made
# Started by strace, the program is executed after the filter is set, as by systemd.
comm -23 made allowed > wrong
comm -12 made refused >> wrong
if test "$(wc -l < made)" -lt 30 || test -s wrong; then
    echo "system calls that the unit refuses, of $(wc -l < made):"
    cat wrong log
    exit 1
fi
echo "$(wc -l < made) system calls, all allowed by the unit"

# The package in a booted Debian: systemd starts, reloads, upgrades and stops the gateway in the sandbox of its unit.
url=http://127.0.0.1:8000
settings=/etc/private-media/private-media.toml

# request STATUS ARGUMENT... checks the status of a request.
request() {
    expected=$1
    shift
    status=$(curl --silent --output /tmp/body --write-out '%{http_code}' "$@") || true
    if test "$status" != "$expected"; then
        echo "expected $expected, not $status: curl $*"
        systemctl --no-pager --full status private-media || true
        exit 1
    fi
}
alice() {
    expected=$1
    shift
    request "$expected" --user alice:roadster-for-alice "$@"
}
# until_it COMMAND... waits until a command succeeds.
until_it() {
    for _ in $(seq 100); do
        if "$@" > /dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "timeout: $*"
    systemctl --no-pager --full status private-media || true
    exit 1
}
main() { systemctl show --property MainPID --value "$1"; }

# Started at boot, and ready when systemd says so.
test "$(systemctl is-active private-media)" = active
alice 200 $url/private/cars/7/photo.jpg
cmp /tmp/body /root/photo.jpg
request 404 $url/private/cars/7/photo.jpg

# confined SERVICE WRITABLE... checks the sandbox of a running service, in its own namespaces.
confined() {
    root=/proc/$(main "$1")/root
    status=/proc/$(main "$1")/status
    shift
    grep -q '^NoNewPrivs:	1$' "$status"
    grep -q '^Seccomp:	2$' "$status"
    # Not root, whatever user it is.
    test "$(sed -n 's/^Uid:	\([0-9]*\).*/\1/p' "$status")" != 0
    for folder in /etc /usr /var/lib /var/tmp/.. /home/.. /srv /boot; do
        if touch "$root$folder/written" 2> /tmp/refused; then echo "$folder is writable"; exit 1; fi
        grep -q 'Read-only file system' /tmp/refused
    done
    for folder in "$@"; do
        touch "$root$folder/written"
        rm "$root$folder/written"
    done
    # Temporary files, devices and home directories of others are not there.
    touch /tmp/of-others
    test ! -e "$root/tmp/of-others"
    test ! -e "$root/dev/kmsg"
    test -z "$(ls -A "$root/root")"
}
confined private-media /srv/private-media /var/lib/private-media /run/private-media
test "$(sed -n 's/^CapBnd:	//p' "/proc/$(main private-media)/status")" = 0000000000000000

# The same sandbox around a probe: no socket of another family, and no system call of the refused sets, which this user may make otherwise.
cat > /usr/local/lib/probe.pl <<'END'
sub tried { my ($name, $done) = @_; print "$name: ", $done ? "allowed" : $!, "\n" }
tried("unix", socket(my $unix, 1, 1, 0));
tried("ip", socket(my $ip, 2, 1, 0));
tried("netlink", socket(my $netlink, 16, 3, 0));
tried("packet", socket(my $packet, 17, 3, 0));
tried("priority", setpriority(0, 0, 5));
END
sed -e 's/^Type=.*/Type=oneshot/' -e 's#^ExecStart=.*#ExecStart=/usr/bin/perl /usr/local/lib/probe.pl#' -e '/^Restart/d' \
    -e 's#^\[Service\]#&\nStandardOutput=file:/tmp/probe#' /lib/systemd/system/private-media.service \
    > /run/systemd/system/probe.service
systemctl daemon-reload
systemctl start probe
cat > /tmp/expected <<'END'
unix: allowed
ip: allowed
netlink: Address family not supported by protocol
packet: Address family not supported by protocol
priority: Operation not permitted
END
diff /tmp/expected /tmp/probe
runuser -u private-media -- perl -e 'setpriority(0, 0, 5) or die'

# A reload serves the new settings. A broken file changes nothing.
before=$(main private-media)
printf '\n[[grant]]\npath = "shared/{*file}"\nto = ["everyone"]\n' >> $settings
install -D -m 640 -g private-media /root/photo.jpg /srv/private-media/shared/photo.jpg
request 404 $url/private/shared/photo.jpg
systemctl reload private-media
until_it curl --fail --silent $url/private/shared/photo.jpg
cp $settings /tmp/working
echo 'nonsense' >> $settings
systemctl reload private-media
until_it sh -c "systemctl show --property StatusText private-media | grep '^StatusText=not reloaded: .*invalid TOML'"
request 200 $url/private/shared/photo.jpg
cp /tmp/working $settings
test "$(main private-media)" = "$before"

# An upgrade: systemd follows the new process.
systemctl kill --signal USR2 --kill-who main private-media
until_it sh -c "test \$(systemctl show --property MainPID --value private-media) != $before"
alice 200 $url/private/cars/7/photo.jpg
test "$(systemctl is-active private-media)" = active
confined private-media /srv/private-media

# The audit, in the folder of the state.
printf '[audit]\npath = "/var/lib/private-media/audit.jsonl"\n' >> $settings
systemctl restart private-media
alice 200 $url/private/cars/7/photo.jpg
systemctl stop private-media
test "$(systemctl show --property Result --value private-media)" = success
private-media audit verify --config $settings
test "$(private-media audit show --config $settings --action read | wc -l)" = 1

# A socket unit: clients wait while the service starts.
systemctl start private-media.socket
alice 200 $url/private/cars/7/photo.jpg
test "$(systemctl is-active private-media)" = active
systemctl stop private-media.socket private-media

# The unit that config systemd prints: TLS with a key for root alone, or for a group, sockets, and a folder for the audit.
mkdir -p /srv/cars/private/cars/7 /srv/cars/state /etc/cars
cp /root/photo.jpg /srv/cars/private/cars/7/
useradd --system cars
cp /var/lib/private-media/accounts.toml /srv/cars/accounts.toml
chown -R cars:cars /srv/cars
cat > /etc/cars/private-media.toml <<'END'
root = "/srv/cars/private"
state = "sqlite:/srv/cars/state/state.db"
admin.listen = "unix:/run/cars-admin/admin.sock"
audit.path = "/var/log/cars/audit.jsonl"

[listen]
address = "127.0.0.1:443"
tls = { certificate = "/etc/cars/cert.pem", key = "/etc/cars/key.pem" }
redirect_http = "127.0.0.1:80"

[[identity]]
source = "accounts"
accounts = "/srv/cars/accounts.toml"

[[grant]]
path = "cars/{owner}/{*file}"
to = ["owner"]
END
cp target/install/tls/cert.pem target/install/tls/key.pem /etc/cars/
# A kernel without ramfs and without access control lists cannot give a copy to a user.
cat > /run/systemd/system/credential.service <<'END'
[Service]
Type=oneshot
User=cars
LoadCredential=key:/etc/cars/key.pem
ExecStart=/bin/sh -c 'cat %d/key'
StandardOutput=null
StandardError=null
END
systemctl daemon-reload
if systemctl start credential 2> /tmp/refused; then owners='root:root root:cars'; else owners=root:cars; fi
for owner in $owners; do
    chown $owner /etc/cars/key.pem
    chmod 640 /etc/cars/key.pem
    private-media config systemd --config /etc/cars/private-media.toml > /etc/systemd/system/cars.service
    if test $owner = root:root; then is_copied=1; else is_copied=0; fi
    test "$(grep -c '^LoadCredential=tls-key:' /etc/systemd/system/cars.service)" = $is_copied
    systemctl daemon-reload
    systemctl start cars || { journalctl --no-pager --output cat --unit cars; exit 1; }
    alice 200 --cacert /etc/cars/cert.pem https://localhost/private/cars/7/photo.jpg
    request 308 http://localhost/private/cars/7/photo.jpg
    request 200 --unix-socket /run/cars-admin/admin.sock http://localhost/metrics
    grep -q '^private_media_audit_records_total' /tmp/body
    confined cars /srv/cars/private /srv/cars/state /var/log/cars
    systemctl reload cars
    alice 200 --cacert /etc/cars/cert.pem https://localhost/private/cars/7/photo.jpg
    systemctl stop cars
    test "$(systemctl show --property Result --value cars)" = success
done
private-media audit verify --config /etc/cars/private-media.toml
test "$(stat -c '%U %a' /var/log/cars /var/log/cars/audit.jsonl | tr '\n' ' ')" = 'cars 750 cars 600 '
echo "a booted Debian: all passed, with a key of $owners"

# The Debian package: installed, configured, started, upgraded, removed and purged.
checkout=$PWD
value() { sed -n "s/^$1=//p" /usr/lib/systemd/system/private-media.service; }

# Starts a configuration as systemd would, which boot.sh runs.
start() {
    command=$(value ExecStart | sed "s#/etc/private-media/private-media.toml#$1#")
    : > /tmp/listening
    (
        cd "$(value WorkingDirectory)"
        umask "$(value UMask)"
        # shellcheck disable=SC2086
        exec setpriv --reuid="$(value User)" --regid="$(value Group)" --clear-groups --no-new-privs \
            --bounding-set=-all $command > /tmp/listening 2> /tmp/log
    ) &
    service=$!
}

stop() {
    kill "$service"
    wait "$service"
}

enable_only
cp "$photo" ~/photo.jpg
apt-get update --quiet
# COMMANDS OF THE PAGE

cd "$checkout"
test "$(systemctl is-enabled private-media)" = enabled
systemd-analyze verify --man=no /usr/lib/systemd/system/private-media.service /usr/lib/systemd/system/private-media.socket
start /etc/private-media/private-media.toml
check_photo
stop
# Accounts and sessions are readable for the service only.
test "$(stat -c '%U %a' /var/lib/private-media/accounts.toml)" = 'private-media 600'
test "$(stat -c '%U %a' /var/lib/private-media)" = 'private-media 750'
test "$(stat -c '%G %a' /srv/private-media)" = 'private-media 2750'

# Each commented setting is valid, together with all others. One is an example that names a folder.
mkdir -p /var/www
sed 's/^#\([^ ]\)/\1/' packaging/private-media.toml > /tmp/all.toml
chmod a+r /tmp/all.toml
grep -q '^max_connections' /tmp/all.toml
start /tmp/all.toml
check_photo
stop

# Manual pages, completions and documentation.
for file in man/man1/private-media.1.gz man/man1/private-media-account-add.1.gz \
    bash-completion/completions/private-media zsh/vendor-completions/_private-media \
    private-media/grafana/private-media.json private-media/prometheus/private-media.rules.yml \
    fish/vendor_completions.d/private-media.fish doc/private-media/copyright doc/private-media/changelog.Debian.gz; do
    test -s "/usr/share/$file"
done

# An upgrade with other defaults: the administrator's settings stay. From here on, systemd seems to run.
mkdir -p /run/systemd/system
dpkg-divert --quiet --local --rename --add /usr/bin/deb-systemd-invoke
cat > /usr/bin/deb-systemd-invoke <<'END'
#!/bin/sh
echo "$*" >> /tmp/invoked
END
chmod +x /usr/bin/deb-systemd-invoke
version=$(dpkg-query --show --showformat '${Version}' private-media)
dpkg-deb --raw-extract target/dist/private-media_*.deb /tmp/next
sed -i "s/^Version: .*/&.1/" /tmp/next/DEBIAN/control
echo '# A line of the next version.' >> /tmp/next/etc/private-media/private-media.toml
dpkg-deb -Zgzip --root-owner-group --build /tmp/next /tmp/next.deb
apt-get install --yes --quiet -o Dpkg::Options::=--force-confold /tmp/next.deb
test "$(dpkg-query --show --showformat '${Version}' private-media)" = "$version.1"
grep -q '^path = "cars/{owner}/{\*file}"' /etc/private-media/private-media.toml
test "$(cat /tmp/invoked)" = 'try-restart private-media.service private-media.socket'
start /etc/private-media/private-media.toml
check_photo
stop

# Removing keeps settings, accounts and files.
apt-get remove --yes --quiet private-media
test "$(tail -n 1 /tmp/invoked)" = 'stop private-media.service private-media.socket'
test ! -e /usr/bin/private-media
test -e /etc/private-media/private-media.toml
test -e /var/lib/private-media/accounts.toml
cmp /srv/private-media/cars/7/photo.jpg "$photo"

# Purging leaves the private files and the audit, and nothing else.
apt-get purge --yes --quiet private-media
cmp /srv/private-media/cars/7/photo.jpg "$photo"
test -s /var/lib/private-media/audit.jsonl
rm /var/lib/private-media/audit.jsonl*
rmdir /var/lib/private-media
rm -r /tmp/next
left=$(find / -xdev -name '*private-media*')
if test "$left" != /srv/private-media; then
    printf 'left after purging:\n%s\n' "$left"
    exit 1
fi

# The Debian package in a Debian that boots, where booted.sh tests it.
checkout=$PWD
enable_only
cp "$photo" ~/photo.jpg
apt-get update --quiet
# COMMANDS OF THE PAGE

rm /usr/local/sbin/systemctl
cat > /etc/systemd/system/booted.service <<END
[Unit]
After=private-media.service
SuccessAction=exit
FailureAction=exit
FailureActionExitStatus=1

[Service]
Type=oneshot
WorkingDirectory=$checkout
ExecStart=/bin/sh -eu tests/install/booted.sh
StandardOutput=append:/output
StandardError=append:/output
TimeoutStartSec=180

[Install]
WantedBy=multi-user.target
END
systemctl enable booted

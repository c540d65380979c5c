# README's commands, up to the first photo.
serve() { private-media serve "$@" > /tmp/listening 2> /tmp/log & }
mkdir ~/Pictures
cp "$photo" ~/Pictures/photo.jpg
apt-get update --quiet > /dev/null
# WHAT THE READER HAS
# COMMANDS OF THE PAGE
check_photo
request 404 --user bob:hatchback-for-bob "$url/private/cars/7/photo.jpg"
private-media --version

# The commands of docs/tutorial.md are the lines below `# page`.

# page
mkdir ~/first-photo
cd ~/first-photo
mkdir -m 750 private
mkdir -p private/cars/7
cp ~/Pictures/photo.jpg private/cars/7/photo.jpg
echo 'roadster-for-alice' | private-media account add alice --id 7 --password-stdin
echo 'hatchback-for-bob' | private-media account add bob --id 8 --password-stdin
echo 'camper-for-carol' | private-media account add carol --id 9 --staff --password-stdin
private-media account list
# test
test "$(private-media account list | wc -l)" -ge 3
# page
cat > private-media.toml <<'END'
[[grant]]
path = "cars/{owner}/{*file}"
to = ["owner", "staff"]
END
private-media check alice cars/7/photo.jpg
private-media check carol cars/7/photo.jpg
# test
set +e
# page
private-media check bob cars/7/photo.jpg
private-media check anonymous cars/7/photo.jpg
# test
test $? = 1 || exit 1
private-media check bob cars/7/photo.jpg
test $? = 1 || exit 1
set -e
# page
private-media serve
# test
has_started
test "$(curl -s -o /dev/null -w '%{redirect_url}' -H 'Accept: text/html' "$PHOTO")" \
    = "http://127.0.0.1:$PORT/private/-/sign-in?next=/private/cars/7/photo.jpg"
# page
curl -I -u alice:roadster-for-alice http://127.0.0.1:8000/private/cars/7/photo.jpg
curl -I -u carol:camper-for-carol http://127.0.0.1:8000/private/cars/7/photo.jpg
curl -I -u bob:hatchback-for-bob http://127.0.0.1:8000/private/cars/7/photo.jpg
curl -I http://127.0.0.1:8000/private/cars/7/photo.jpg
# test
test "$(curl -s -u alice:roadster-for-alice "$PHOTO")" = 'the photo'
test "$(status -u alice:roadster-for-alice "$PHOTO")" = 200
test "$(status -u carol:camper-for-carol "$PHOTO")" = 200
test "$(status -u bob:hatchback-for-bob "$PHOTO")" = 404
test "$(status "$PHOTO")" = 404
denied=$(curl -s -u bob:hatchback-for-bob "$PHOTO")
missing=$(curl -s -u bob:hatchback-for-bob http://127.0.0.1:8000/private/cars/7/none.jpg)
test "$denied" = "$missing"
# The browser's way: a form, a session cookie, and a sign-out that ends it.
FORM='name=alice&password=roadster-for-alice&next=/private/cars/7/photo.jpg'
test "$(status -c cookies -d "$FORM" http://127.0.0.1:8000/private/-/sign-in)" = 303
test "$(status -b cookies "$PHOTO")" = 200
cp cookies copy
test "$(status -b cookies -c cookies -d 'next=/' http://127.0.0.1:8000/private/-/sign-out)" = 303
test "$(status -b copy "$PHOTO")" = 404
grep -q '"decision":"allowed","grant":"owner, by grant cars/{owner}/{\*file}"' "$TEST/access.log"
grep -q '"user":"8".*"decision":"denied"' "$TEST/access.log"
kill "$(cat "$TEST/id")"

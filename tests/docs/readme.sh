# The commands of the section "A private photo in three minutes" of README.md are the lines below `# page`.

# page
mkdir -m 750 -p ~/garage/private
mkdir -p ~/garage/private/cars/7
cp ~/Pictures/photo.jpg ~/garage/private/cars/7/photo.jpg
cd ~/garage
echo 'roadster-for-alice' | private-media account add alice --id 7 --password-stdin
echo 'hatchback-for-bob' | private-media account add bob --id 8 --password-stdin
private-media serve --grant 'cars/{owner}/{*file}=owner,staff'
# test
has_started
test "$(curl -s -o /dev/null -w '%{redirect_url}' -H 'Accept: text/html' "$PHOTO")" \
    = "http://127.0.0.1:$PORT/private/-/sign-in?next=/private/cars/7/photo.jpg"
FORM='next=/private/cars/7/photo.jpg'
test "$(status -c alice -d "$FORM&name=alice&password=roadster-for-alice" http://127.0.0.1:8000/private/-/sign-in)" = 303
test "$(status -c bob -d "$FORM&name=bob&password=hatchback-for-bob" http://127.0.0.1:8000/private/-/sign-in)" = 303
test "$(curl -s -b alice "$PHOTO")" = 'the photo'
test "$(status -b bob "$PHOTO")" = 404
kill "$(cat "$TEST/id")"

//! Files are stored, linked, served and downloaded under their own names, for any name.

use private_media::storage::conformance::NAMES;
use private_media::storage::{SaveOptions, Storage, content};
use private_media::{LocalStorage, MediaPath, Permit};

use crate::support::Place;

#[tokio::test]
async fn downloads_have_the_stored_name() {
    let place = Place::new();
    let storage = LocalStorage::open_root(place.path("private")).unwrap();
    let gateway = place.serve(&[]);
    let longest = [format!("{}.jpg", "é".repeat(125) + "x"), "x".repeat(255)];
    for name in NAMES.iter().copied().chain(longest.iter().map(String::as_str)) {
        let path = MediaPath::new(&format!("cars/7/names/{name}")).unwrap();
        let permit = Permit::trusted(path.clone());
        let used =
            storage.save(&permit, content(name.as_bytes().to_vec()), &SaveOptions::default()).await.unwrap();
        assert_eq!(used, path, "stored under its own name");
        assert_eq!(std::fs::read(place.path("private").join(path.as_str())).unwrap(), name.as_bytes());
        for query in ["", "?download"] {
            let response = gateway.get(&format!("/private/{}{query}", path.to_url()), "alice");
            assert_eq!((response.status, response.body.as_slice()), (200, name.as_bytes()), "{name:?}");
            assert_eq!(downloaded(response.header("content-disposition").unwrap()), name);
        }
        assert_eq!(gateway.get(&format!("/private/{}", path.to_url()), "bob").status, 404, "{name:?}");
    }
}

/// Returns the name under which a browser saves the file (RFC 6266 section 4.3).
fn downloaded(disposition: &str) -> String {
    let Some((_, encoded)) = disposition.split_once("filename*=UTF-8''") else {
        return disposition.split_once("filename=\"").unwrap().1.strip_suffix('"').unwrap().to_owned();
    };
    let mut bytes = Vec::new();
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
        } else {
            byte
        });
    }
    String::from_utf8(bytes).unwrap()
}

//! What another client stores is served, and what is saved can be read by others.

use std::time::{Duration, UNIX_EPOCH};

use private_media::{Permit, SaveOptions, Storage};

use crate::server::Server;
use crate::support::{bytes, get, path, patient, respond, save, service, storage_at};

#[tokio::test(flavor = "multi_thread")]
async fn boto3_and_the_storage_read_each_other() {
    let Some(server) = Server::start() else { return };
    server.python(
        "
import io
s3.upload_fileobj(io.BytesIO(bytes(range(256)) * 50_000), 'uploads', 'private/cars/7/film.mp4')
s3.put_object(Bucket='uploads', Key='private/cars/7/page.html', Body=b'<script>', ContentType='image/png')
s3.put_object(Bucket='uploads', Key='private/old.txt', Body=b'old', Metadata={'mtime': '1700000000.5'})
s3.put_object(Bucket='uploads', Key='private/future.txt', Body=b'x', Metadata={'mtime': '99000000000'})
",
    );
    let storage = storage_at(server.port, patient());
    let media = service(storage.clone());
    let response = respond(&media, "GET /cars/7/film.mp4", &[]).await;
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    let stored =
        server.python("result = s3.head_object(Bucket='uploads', Key='private/cars/7/film.mp4')['ETag']");
    assert_eq!(format!("\"{}\"", tag.replace('"', "\\\"")), stored);
    assert!(tag.ends_with("-2\""), "{tag}");
    let (status, body) = get(&media, "/cars/7/film.mp4", &[("if-none-match", &tag)]).await;
    assert_eq!((status, body.unwrap().len()), (304, 0));
    let (status, body) =
        get(&media, "/cars/7/film.mp4", &[("range", "bytes=8388600-8388615"), ("if-range", &tag)]).await;
    let expected: Vec<u8> = (8_388_600..=8_388_615_u32).map(|at| u8::try_from(at % 256).unwrap()).collect();
    assert_eq!((status, body.unwrap().to_vec()), (206, expected));

    // The type is that of the name, whatever the object says.
    let response = respond(&media, "GET /cars/7/page.html", &[]).await;
    assert_eq!(response.headers()["content-type"], "text/html");
    assert_eq!(response.headers()["content-security-policy"], "sandbox; default-src 'none'");

    let modified = async |name: &str| {
        storage
            .metadata(&Permit::trusted(path(name)))
            .await
            .unwrap()
            .modified
            .duration_since(UNIX_EPOCH)
            .unwrap()
    };
    assert_eq!(modified("old.txt").await, Duration::from_millis(1_700_000_000_500));
    assert!(modified("future.txt").await < Duration::from_secs(90_000_000_000));

    let time = UNIX_EPOCH + Duration::new(1_600_000_000, 250_000_000);
    save(&storage, "copy.html", &bytes(1000), SaveOptions::new().modified(time)).await.unwrap();
    assert_eq!(modified("copy.html").await, Duration::new(1_600_000_000, 250_000_000));
    let head = server.python(
        "
h = s3.head_object(Bucket='uploads', Key='private/copy.html')
result = [h['ContentType'], h['ContentLength'], h['Metadata']['mtime']]
",
    );
    assert_eq!(head, "[\"text/html\", 1000, \"1600000000.250000000\"]");
    let (_, body) = get(&media, "/copy.html", &[]).await;
    assert_eq!(body.unwrap(), bytes(1000));
}

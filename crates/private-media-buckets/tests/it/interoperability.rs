//! What another client stores is served, and what is saved can be read by others.

use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use private_media::{Permit, SaveOptions, Storage};

use crate::server::{Server, credentials};
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

/// Runs a program that copies files to and from the bucket. `None` if this machine does not have it, which is a failure if all tests are
/// required.
fn run(program: &str, arguments: &[&str], server: &Server) -> Option<()> {
    let mut command = Command::new(program);
    let (key, secret) = credentials();
    let variables = [
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("RCLONE_CONFIG", String::new()),
        ("RCLONE_S3_PROVIDER", "Other".to_owned()),
        ("RCLONE_S3_ENV_AUTH", "true".to_owned()),
        ("RCLONE_S3_ENDPOINT", format!("http://127.0.0.1:{}", server.port)),
    ];
    // rclone cannot use a bundle of certificates that another program needs.
    let output = command.args(arguments).envs(variables).env_remove("AWS_CA_BUNDLE").output();
    if output.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        assert!(std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(), "no {program}: install it");
        eprintln!("skipped: no {program}");
        return None;
    }
    let output = output.unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

/// Both upload the large file in parts.
#[tokio::test(flavor = "multi_thread")]
async fn programs_and_the_storage_read_each_other() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // Longer than 8 MiB of the AWS client, and longer than a part of the storage.
    let (small, large) = (bytes(1000), bytes(20 << 20));
    std::fs::write(file("small"), &small).unwrap();
    std::fs::write(file("large"), &large).unwrap();
    let storage = storage_at(server.port, patient());
    let media = service(storage.clone());
    for (name, content) in [("small", &small), ("large", &large)] {
        save(&storage, &format!("ours/{name}"), content, SaveOptions::new()).await.unwrap();
    }
    let endpoint = format!("--endpoint-url=http://127.0.0.1:{}", server.port);
    for program in ["aws", "rclone"] {
        for (name, content) in [("small", &small), ("large", &large)] {
            let copy = |from: &str, to: &str| {
                let bucket = |place: &str| match program {
                    "rclone" => place.replace("s3://", ":s3:"),
                    _ => place.to_owned(),
                };
                let (from, to) = (bucket(from), bucket(to));
                let arguments = match program {
                    "rclone" => {
                        ["copyto", "--s3-upload-cutoff=5Mi", "--s3-chunk-size=5Mi", &from, &to].to_vec()
                    }
                    _ => ["s3", "cp", "--only-show-errors", &endpoint, &from, &to].to_vec(),
                };
                run(program, &arguments, &server)
            };
            let Some(()) = copy(&file(name), &format!("s3://uploads/private/theirs/{program}-{name}")) else {
                continue;
            };
            let (status, body) = get(&media, &format!("/theirs/{program}-{name}"), &[]).await;
            assert!(status == 200 && body.unwrap() == **content, "{program} {name}");
            let range = [("range", "bytes=900-999")];
            let (status, body) = get(&media, &format!("/theirs/{program}-{name}"), &range).await;
            assert!(status == 206 && body.unwrap() == content[900..1000], "{program} {name}");
            let back = file(&format!("{program}-{name}"));
            copy(&format!("s3://uploads/private/ours/{name}"), &back);
            assert!(std::fs::read(back).unwrap() == *content, "{program} {name}");
        }
    }
    if Command::new("aws").arg("--version").output().is_ok() {
        let head = "result = s3.head_object(Bucket='uploads', Key='private/theirs/aws-large')['ETag']";
        assert!(server.python(head).contains("-3"), "it was uploaded in parts");
    }
}

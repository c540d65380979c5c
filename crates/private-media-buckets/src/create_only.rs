//! Completes multipart uploads only if no object has their key.

use async_trait::async_trait;
use http::header::{HeaderValue, IF_NONE_MATCH};
use http::{Method, Uri};
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};

use crate::clients::PerRuntime;

/// Connects with the header `If-None-Match: *` in each request that completes a multipart upload. `object_store` has no option for that.
#[derive(Debug)]
pub(crate) struct CreateOnly;

impl HttpConnector for CreateOnly {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = PerRuntime.connect(options)?;
        Ok(HttpClient::new(CreateOnlyClient(client)))
    }
}

#[derive(Debug)]
struct CreateOnlyClient(HttpClient);

#[async_trait]
impl HttpService for CreateOnlyClient {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if completes_upload(request.method(), request.uri()) {
            // The signature need not cover this header.
            request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        self.0.execute(request).await
    }
}

/// Returns whether a request of S3 completes a multipart upload.
fn completes_upload(method: &Method, uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    *method == Method::POST && query.split('&').any(|pair| pair.starts_with("uploadId="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_completion_is_conditional() {
        for (method, uri, expected) in [
            (Method::POST, "https://s3.example/b/k?uploadId=x", true),
            (Method::POST, "https://s3.example/b/k?uploads=", false),
            (Method::PUT, "https://s3.example/b/k?partNumber=1&uploadId=x", false),
            (Method::DELETE, "https://s3.example/b/k?uploadId=x", false),
            (Method::POST, "https://s3.example/b?delete", false),
            (Method::PUT, "http://169.254.169.254/latest/api/token", false),
        ] {
            assert_eq!(completes_upload(&method, &uri.parse().unwrap()), expected, "{method} {uri}");
        }
    }
}

//! Uploads in parts that were neither completed nor aborted: what a killed run leaves behind. Nobody sees them, and they cost money.

use std::time::Duration;

use futures::TryStreamExt;
use object_store::ClientOptions;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpRequestBody, HttpResponse};
use object_store::gcp::GcpCredentialProvider;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::bucket::Access;
use crate::transport::{Transport, is_busy};

/// How long to wait before a request is made again, each time.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_secs(1), Duration::from_secs(3)];

/// Lists the unfinished uploads of a bucket, as S3 does and Google after it.
pub(super) struct UploadList {
    http: Option<HttpClient>,
    /// The bucket's URL.
    url: String,
    region: String,
    signer: Signer,
}

enum Signer {
    Nobody,
    S3(AwsCredentialProvider),
    Google(GcpCredentialProvider),
}

/// An upload in parts that was neither completed nor aborted: of a killed run, or of one that is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The object's key.
    pub(super) key: String,
    /// What the service calls the upload.
    pub(super) id: String,
}

impl UploadList {
    /// Of a bucket of S3.
    pub(super) fn of_s3(access: &Access, builder: &AmazonS3Builder, transport: &Transport) -> Self {
        let said = |key: AmazonS3ConfigKey| builder.get_config_value(&key);
        let region = said(AmazonS3ConfigKey::Region).or_else(|| said(AmazonS3ConfigKey::DefaultRegion));
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = said(AmazonS3ConfigKey::S3Endpoint).or_else(|| said(AmazonS3ConfigKey::Endpoint));
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let is_virtual = said(AmazonS3ConfigKey::VirtualHostedStyleRequest).is_some_and(|value| value == "true");
        let endpoint = endpoint.trim_end_matches('/');
        let url = if is_virtual { endpoint.to_owned() } else { format!("{endpoint}/{}", access.bucket) };
        Self { http: connect(transport), url, region, signer: Signer::Nobody }
    }

    /// Of a bucket of Google; `base` is the service's URL, if it is not the usual one.
    pub(super) fn of_google(access: &Access, base: &str, transport: &Transport) -> Self {
        let base = if base.is_empty() { "https://storage.googleapis.com" } else { base.trim_end_matches('/') };
        let url = format!("{base}/{}", access.bucket);
        Self { http: connect(transport), url, region: String::new(), signer: Signer::Nobody }
    }

    pub(super) fn signed_by_s3(self, access: &Access, credentials: &AwsCredentialProvider) -> Self {
        let signer = if access.anonymous { Signer::Nobody } else { Signer::S3(credentials.clone()) };
        Self { signer, ..self }
    }

    pub(super) fn signed_by_google(self, access: &Access, credentials: &GcpCredentialProvider) -> Self {
        let signer = if access.anonymous { Signer::Nobody } else { Signer::Google(credentials.clone()) };
        Self { signer, ..self }
    }

    /// Those of keys that start so. An error says why they can't be told.
    pub(super) async fn all(&self, prefix: &str) -> Result<Vec<Unfinished>, String> {
        let (mut found, mut marker) = (Vec::new(), String::new());
        loop {
            let text = self.page(prefix, &marker).await?;
            found.extend(uploads(&text));
            match next_page(&text) {
                Some(next) if next != marker => marker = next,
                _ => return Ok(found),
            }
        }
    }

    async fn page(&self, prefix: &str, marker: &str) -> Result<String, String> {
        let http = self.http.as_ref().ok_or("no connection can be made")?;
        let uri = format!("{}?{marker}prefix={}&uploads=", self.url, encoded(prefix));
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = uri.parse().map_err(|_| "the service's URL can't be read")?;
        match &self.signer {
            Signer::Nobody => {}
            Signer::S3(credentials) => {
                let credential = credentials.get_credential().await.map_err(|_| "there are no credentials")?;
                AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
            }
            Signer::Google(credentials) => {
                let credential = credentials.get_credential().await.map_err(|_| "there are no credentials")?;
                let value = format!("Bearer {}", credential.bearer);
                let value = value.parse().map_err(|_| "the credentials can't be sent")?;
                request.headers_mut().insert("authorization", value);
            }
        }
        let response = answered(http, &request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("unfinished uploads can't be listed: {status}"));
        }
        let chunks: Vec<bytes::Bytes> =
            response.into_body().bytes_stream().try_collect().await.map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&chunks.concat()).into_owned())
    }
}

/// Makes a request that changes nothing, a few times if it must: what is asked for can wait until the next run.
async fn answered(http: &HttpClient, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
    let mut pauses = PAUSES.iter();
    loop {
        let answer = http.execute(request.clone()).await;
        let is_final = answer.as_ref().is_ok_and(|answer| !is_busy(answer));
        match pauses.next() {
            Some(pause) if !is_final => tokio::time::sleep(*pause).await,
            _ => return answer,
        }
    }
}

fn connect(transport: &Transport) -> Option<HttpClient> {
    transport.connect(&ClientOptions::new().with_allow_http(true)).ok()
}

/// The text of the first element of this name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

fn uploads(text: &str) -> Vec<Unfinished> {
    let of = |one: &str| Some(Unfinished { key: plain(element(one, "Key")?), id: plain(element(one, "UploadId")?) });
    text.split("<Upload>").skip(1).filter_map(of).collect()
}

/// The query of the next page, if there is one, with `&` at its end.
fn next_page(text: &str) -> Option<String> {
    let is_cut = element(text, "IsTruncated") == Some("true");
    let marker = |name: &str| element(text, name).map(|value| encoded(&plain(value)));
    let (key, id) = (marker("NextKeyMarker")?, marker("NextUploadIdMarker").unwrap_or_default());
    is_cut.then(|| format!("key-marker={key}&")).map(|query| match id.is_empty() {
        true => query,
        false => format!("{query}upload-id-marker={id}&"),
    })
}

/// A text of XML without its escapes.
fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

/// A text as part of a query.
fn encoded(text: &str) -> String {
    const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, &ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_uploads_are_read_from_a_listing_page_by_page() {
        let upload = |key: &str, id: &str| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>");
        let text = format!("<R><IsTruncated>false</IsTruncated>{}{}</R>", upload("a&amp;b", "1"), upload("c", "2+/="));
        let found = uploads(&text);
        let due = [("a&b", "1"), ("c", "2+/=")];
        assert_eq!(found, due.map(|(key, id)| Unfinished { key: key.to_owned(), id: id.to_owned() }));
        assert_eq!(next_page(&text), None);
        let cut = "<IsTruncated>true</IsTruncated><NextKeyMarker>c/d</NextKeyMarker>\
                   <NextUploadIdMarker>2+</NextUploadIdMarker>";
        assert_eq!(next_page(cut).as_deref(), Some("key-marker=c%2Fd&upload-id-marker=2%2B&"));
        assert!(uploads("<R></R>").is_empty());
    }
}

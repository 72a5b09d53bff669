//! A client of servers that are busy, cut connections, ignore conditions, or refuse.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

/// What a client asked.
#[derive(Default)]
struct Asked {
    method: String,
    target: String,
    range: Option<Range<usize>>,
    if_match: Option<String>,
    if_none_match: bool,
    length: usize,
}

/// An answer: status, headers, body, and how much of the body is sent.
struct Answer(&'static str, String, Vec<u8>, usize);

fn answer(status: &'static str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
    Answer(status, headers.to_owned(), body.as_ref().to_vec(), usize::MAX)
}

/// Starts a server; gives its URL. It ends with the process.
fn serve(respond: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let respond = Arc::new(respond);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, respond) = (stream.unwrap(), respond.clone());
            thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                let Some(asked) = read_head(&mut reader) else { return };
                let _ = reader.read_exact(&mut vec![0; asked.length]);
                let Answer(status, headers, body, sent) = respond(&asked);
                let head = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
                    body.len()
                );
                let shown = if asked.method == "HEAD" { &[] } else { &body[..sent.min(body.len())] };
                let _ = stream.write_all(&[head.as_bytes(), shown].concat());
            });
        }
    });
    url
}

fn read_head(stream: &mut impl BufRead) -> Option<Asked> {
    let mut lines = stream.by_ref().lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let mut asked = Asked { method: words.next()?, target: words.next()?, ..Asked::default() };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let (start, end) = value.strip_prefix("bytes=")?.split_once('-')?;
                asked.range = Some(start.parse().ok()?..end.parse::<usize>().ok()? + 1);
            }
            "if-none-match" => asked.if_none_match = value == "*",
            "content-length" => asked.length = value.parse().ok()?,
            "if-match" => asked.if_match = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(asked)
}

const CONTENT: &[u8] = b"0123456789";

/// Answers with a content, or the range of it that is asked for.
fn content(asked: &Asked, etag: &str) -> Answer {
    let headers = format!("ETag: \"{etag}\"\r\nLast-Modified: Mon, 02 Nov 2026 10:00:00 GMT\r\n");
    if asked.if_match.as_ref().is_some_and(|wanted| *wanted != format!("\"{etag}\"")) {
        return answer("412 Precondition Failed", "", "");
    }
    match &asked.range {
        None => answer("200 OK", &headers, CONTENT),
        Some(range) => {
            let place = format!("Content-Range: bytes {}-{}/{}\r\n", range.start, range.end - 1, CONTENT.len());
            answer("206 Partial Content", &(headers + &place), &CONTENT[range.clone()])
        }
    }
}

fn access(service: Service, bucket: &str, endpoint: Option<&str>) -> Access {
    let (bucket, endpoint) = (bucket.to_owned(), endpoint.map(str::to_owned));
    Access { service, bucket, region: None, endpoint, anonymous: true, patience: Duration::from_secs(1) }
}

fn web(respond: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Client {
    Client::open(&access(Service::Web, &serve(respond), None)).unwrap()
}

fn s3(respond: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Client {
    Client::open(&access(Service::S3, "sales", Some(&serve(respond)))).unwrap()
}

fn read(client: &Client, object: &Object, ranges: &[(u64, u64)]) -> Result<Vec<(u64, Bytes)>, ObjectError> {
    let ranges: Vec<Range<u64>> = ranges.iter().map(|(start, end)| *start..*end).collect();
    let mut read = Vec::new();
    client
        .read(object, &ranges, &mut |start, bytes| {
            read.push((start, bytes));
            Ok(())
        })
        .unwrap()?;
    read.sort_by_key(|(start, _)| *start);
    Ok(read)
}

#[test]
fn ranges_are_read_under_the_tag_that_was_found() {
    let client = web(|asked| content(asked, "one"));
    let object = client.find("data/a b.txt").unwrap();
    assert_eq!((object.size, object.etag.as_deref()), (10, Some("\"one\"")));
    let ranges = read(&client, &object, &[(0, 3), (7, 10)]).unwrap();
    assert_eq!(ranges, [(0, Bytes::from("012")), (7, Bytes::from("789"))]);
    let other = Object { etag: Some("\"two\"".to_owned()), ..object };
    assert_eq!(read(&client, &other, &[(0, 3)]), Err(ObjectError::Changed));
}

#[test]
fn a_server_that_ignores_conditions_cannot_hand_out_another_version() {
    let client = web(|asked| content(&Asked { range: asked.range.clone(), ..Asked::default() }, "two"));
    let object = Object { etag: Some("\"one\"".to_owned()), ..client.find("a").unwrap() };
    assert_eq!(read(&client, &object, &[(0, 3)]), Err(ObjectError::Changed));
}

#[test]
fn a_service_that_is_too_busy_is_asked_again_for_a_while() {
    let asked = AtomicUsize::new(0);
    let client = web(move |request| match asked.fetch_add(1, Ordering::SeqCst) % 3 {
        2 => content(request, "one"),
        _ => answer("503 Service Unavailable", "", "<Error><Code>SlowDown</Code></Error>"),
    });
    let object = client.find("a").unwrap();
    assert_eq!(read(&client, &object, &[(2, 4)]).unwrap(), [(2, Bytes::from("23"))]);
    let busy = web(|_| answer("503 Service Unavailable", "", "<Error><Code>SlowDown</Code></Error>"));
    let error = read(&busy, &object, &[(0, 2)]).unwrap_err();
    assert_eq!(error, ObjectError::Busy { seconds: 1, reason: "503 Service Unavailable, SlowDown".to_owned() });
}

#[test]
fn a_connection_that_is_cut_is_made_again_where_it_was() {
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = starts.clone();
    let client = web(move |asked| {
        let Answer(status, headers, body, _) = content(asked, "one");
        let mut seen = seen.lock().unwrap();
        seen.extend(asked.range.as_ref().map(|range| range.start));
        Answer(status, headers, body, if seen.len() == 1 { 4 } else { usize::MAX })
    });
    let object = client.find("a").unwrap();
    assert_eq!(read(&client, &object, &[(0, 10)]).unwrap(), [(0, Bytes::from(CONTENT))]);
    assert_eq!(*starts.lock().unwrap(), [0, 4]);
}

#[test]
fn a_server_without_ranges_gives_whole_objects() {
    let client = web(|asked| content(&Asked { method: asked.method.clone(), ..Asked::default() }, "one"));
    let object = client.find("a").unwrap();
    assert_eq!(read(&client, &object, &[(2, 4)]), Err(ObjectError::NoRanges));
    let mut all = Vec::new();
    let read = client.read_all(&object, &mut |at, bytes| {
        assert_eq!(at, all.len() as u64);
        all.extend_from_slice(&bytes);
        Ok(())
    });
    assert_eq!((read.unwrap(), &all[..]), (Ok(()), CONTENT));
}

#[test]
fn what_is_not_there_or_not_allowed_is_told() {
    let error = |status: &'static str, code: &'static str| {
        let client =
            s3(move |_| answer(status, "", format!("<Error><Code>{code}</Code><Message>No.</Message></Error>")));
        client.list("", true, &mut drop).unwrap_err()
    };
    let reason = |text: &str| text.to_owned();
    let no_bucket = ObjectError::NoBucket { reason: reason("404 Not Found, NoSuchBucket, No.") };
    assert_eq!(error("404 Not Found", "NoSuchBucket"), no_bucket);
    let denied = ObjectError::Denied { reason: reason("403 Forbidden, AccessDenied, No.") };
    assert_eq!(error("403 Forbidden", "AccessDenied"), denied);
    let expired = ObjectError::Expired { reason: reason("400 Bad Request, ExpiredToken, No.") };
    assert_eq!(error("400 Bad Request", "ExpiredToken"), expired);
    assert_eq!(error("301 Moved Permanently", "PermanentRedirect"), ObjectError::Region { found: None });
    assert_eq!(web(|_| answer("404 Not Found", "", "")).find("a"), Err(ObjectError::NoObject));
    let nobody = Client::open(&access(Service::Web, "http://127.0.0.1:1", None)).unwrap().find("a").unwrap_err();
    assert!(
        matches!(&nobody, ObjectError::Unreachable { reason } if reason.contains("Connection refused")),
        "{nobody:?}"
    );
}

#[test]
fn listings_go_on_from_page_to_page_and_a_page_that_is_cut_is_asked_for_again() {
    const PAGES: usize = 100;
    let cut = Mutex::new(vec![0, 7]);
    let client = s3(move |asked| {
        let (_, query) = asked.target.split_once('?').unwrap();
        assert!(query.contains("prefix=2026%2F"), "{query}");
        let token = query.split('&').find_map(|pair| pair.strip_prefix("continuation-token="));
        let page: usize = token.map_or(0, |token| token.parse().unwrap());
        let entry = |number: usize| {
            format!(
                "<Contents><Key>2026/{page:03}/{number:04}.csv</Key><LastModified>2026-11-02T10:00:00.000Z</LastModified>\
                 <ETag>\"{page}-{number}\"</ETag><Size>{number}</Size></Contents>"
            )
        };
        let entries: String = (0..1000).map(entry).collect();
        let next = if page + 1 < PAGES {
            format!("<NextContinuationToken>{}</NextContinuationToken>", page + 1)
        } else {
            String::new()
        };
        let whole = answer("200 OK", "", format!("<ListBucketResult>{entries}{next}</ListBucketResult>"));
        let mut cut = cut.lock().unwrap();
        match cut.iter().position(|cut| *cut == page) {
            Some(at) => {
                cut.remove(at);
                Answer(whole.0, whole.1, whole.2, 10_000)
            }
            None => whole,
        }
    });
    let (mut count, mut last) = (0, None);
    client
        .list("2026/", true, &mut |object| {
            count += 1;
            last = Some(object);
        })
        .unwrap();
    let last = last.unwrap();
    assert_eq!((count, last.key.as_str(), last.size), (100 * 1000, "2026/099/0999.csv", 999));
    assert_eq!(last.identity(), "etag 99-999");
}

/// Requests: their methods, targets, and whether they hold where there is nothing yet.
type Seen = Arc<Mutex<Vec<(String, String, bool)>>>;

/// A server that takes uploads in parts. `fails` says which requests it is too busy for; what was asked is noted.
fn uploads(fails: impl Fn(&Asked) -> bool + Send + Sync + 'static) -> (Arc<Client>, Seen) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let client = s3(move |asked| {
        noted.lock().unwrap().push((asked.method.clone(), asked.target.clone(), asked.if_none_match));
        let query = asked.target.split_once('?').map_or("", |(_, query)| query);
        match (asked.method.as_str(), query) {
            _ if fails(asked) => answer("503 Service Unavailable", "", "<Error><Code>SlowDown</Code></Error>"),
            ("POST", "uploads") | ("POST", "uploads=") => answer("200 OK", "", "<R><UploadId>id</UploadId></R>"),
            ("POST", _) => answer("200 OK", "", "<R><ETag>\"all\"</ETag></R>"),
            ("DELETE", _) => answer("204 No Content", "", ""),
            _ => answer("200 OK", "ETag: \"part\"\r\n", ""),
        }
    });
    (Arc::new(client), seen)
}

#[test]
fn an_object_in_parts_is_completed_under_its_condition() {
    let (client, seen) = uploads(|_| false);
    let mut upload = client.begin("a/b.csv").unwrap();
    (0..6).for_each(|_| upload.add(Bytes::from_static(b"part")).unwrap());
    let object = upload.complete(&Condition::Absent).unwrap();
    assert_eq!((object.size, object.identity()), (24, "etag all".to_owned()));
    let seen = seen.lock().unwrap();
    let (last, others) = seen.split_last().unwrap();
    assert!(last.0 == "POST" && last.1.contains("uploadId=id") && last.2, "{last:?}");
    assert!(others.len() == 7 && others.iter().all(|(_, _, is_conditional)| !is_conditional), "{others:?}");
}

#[test]
fn an_upload_that_fails_is_aborted() {
    let (client, seen) = uploads(|asked| asked.target.contains("partNumber=2"));
    let mut upload = client.begin("a.csv").unwrap();
    (0..2).for_each(|_| upload.add(Bytes::from_static(b"part")).unwrap());
    let error = upload.complete(&Condition::Always).unwrap_err();
    assert!(matches!(error, ObjectError::Busy { .. }), "{error:?}");
    let last = seen.lock().unwrap().last().cloned().unwrap();
    assert!(last.0 == "DELETE" && last.1.contains("uploadId=id"), "{last:?}");
}

#[test]
fn what_could_not_be_deleted_is_counted() {
    let keys: Vec<String> = (0..1500).map(|number| format!("a/{number}")).collect();
    let refused = "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>";
    let error = s3(move |_| answer("403 Forbidden", "", refused)).delete(&keys).unwrap_err();
    assert!(matches!((error.count, &error.error), (1500, ObjectError::Denied { .. })), "{error:?}");
    let one =
        "<DeleteResult><Error><Key>a/3</Key><Code>AccessDenied</Code><Message>No.</Message></Error></DeleteResult>";
    let error = s3(move |_| answer("200 OK", "", one)).delete(&keys[..10]).unwrap_err();
    assert_eq!(error.count, 1);
    s3(|_| answer("200 OK", "", "<DeleteResult></DeleteResult>")).delete(&keys).unwrap();
}

#[test]
fn a_condition_that_does_not_hold_is_a_change() {
    for status in ["412 Precondition Failed", "409 Conflict"] {
        let client = s3(move |_| answer(status, "", ""));
        let put = |condition| client.put("a", Bytes::from_static(b"x"), &condition).unwrap_err();
        let before =
            Object { key: "a".to_owned(), size: 1, etag: Some("\"x\"".to_owned()), version: None, modified_ms: 0 };
        assert_eq!(
            [put(Condition::Absent), put(Condition::Unchanged(before))],
            [ObjectError::Changed, ObjectError::Changed]
        );
    }
    let client = s3(|_| answer("501 Not Implemented", "", "<Error><Code>NotImplemented</Code></Error>"));
    let error = client.put("a", Bytes::new(), &Condition::Absent).unwrap_err();
    assert!(matches!(error, ObjectError::NoConditions { .. }), "{error:?}");
}

#[test]
fn a_service_that_has_never_answered_is_given_up_before_patience_ends() {
    let endless = Access { patience: Duration::from_secs(100_000), ..access(Service::Web, "http://127.0.0.1:1", None) };
    let error = Client::open(&endless).unwrap().find("a").unwrap_err();
    assert!(matches!(error, ObjectError::Unreachable { .. }), "{error:?}");
}

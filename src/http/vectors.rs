//! Tests alone: the HTTP vectors of the folder beside the repository, when it is there.

use super::{HeadLimits, HeadScanner, HeaderStorage, HttpError, Request, Scan};

/// One request of the collection and what is known of it.
pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) expect: String,
    pub(crate) request: Vec<u8>,
}

/// The collection, or nothing (said aloud) where it is not there.
pub(crate) fn load() -> Vec<Vector> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vectors/http11.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: no vectors at {path}");
        return Vec::new();
    };
    let strings = json_strings(&text);
    let (mut id, mut expect, mut vectors) = (String::new(), String::new(), Vec::new());
    for pair in strings.windows(2).take_while(|pair| pair[0] != "not_extracted") {
        match pair[0].as_str() {
            "id" => id.clone_from(&pair[1]),
            "expect" => expect.clone_from(&pair[1]),
            "request" => {
                let request = pair[1].replace("{HOST}", "localhost:8080").into_bytes();
                vectors.push(Vector { id: id.clone(), expect: expect.clone(), request });
            }
            _ => {}
        }
    }
    assert_eq!(vectors.len(), 165);
    vectors
}

/// All strings of a JSON text, keys and values alike.
fn json_strings(text: &str) -> Vec<String> {
    let (mut strings, mut chars) = (Vec::new(), text.chars());
    while chars.by_ref().any(|char| char == '"') {
        let mut string = String::new();
        loop {
            match chars.next().expect("a closing quote") {
                '"' => break,
                '\\' => string.push(escaped(&mut chars)),
                char => string.push(char),
            }
        }
        strings.push(string);
    }
    strings
}

fn escaped(chars: &mut std::str::Chars<'_>) -> char {
    match chars.next().expect("an escape") {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let digits: String = chars.by_ref().take(4).collect();
            u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).expect("a code point")
        }
        other => other,
    }
}

/// Feeds a request as a connection would, cut into pieces of this length; nothing when its head does not end.
pub(crate) fn feed<T>(
    bytes: &[u8],
    piece: usize,
    read: impl FnOnce(&Request<'_>) -> T,
) -> Option<Result<T, HttpError>> {
    let (limits, mut scanner) = (HeadLimits::default(), HeadScanner::new());
    let ends = (1..bytes.len()).filter(|end| end % piece == 0).chain([bytes.len()]);
    for end in ends {
        match scanner.scan(&bytes[..end], &limits) {
            Ok(Scan::Partial) => {}
            Ok(Scan::Complete { head_len }) => {
                let mut storage = HeaderStorage::new();
                let request = Request::parse(&bytes[..head_len], &mut storage, &limits);
                return Some(request.map(|request| read(&request)));
            }
            Err(error) => return Some(Err(error)),
        }
    }
    None
}

/// Attacks whose head is right: the fault, if any, is in the chunks or in the bytes after the body.
const DECIDED_BY_THE_BODY: [&str; 20] = [
    "MAL-CHUNK-SIZE-OVERFLOW",
    "MAL-POST-CL-HUGE-NO-BODY",
    "SMUG-CHUNK-BARE-SEMICOLON",
    "SMUG-CHUNK-EXT-INVALID-TOKEN",
    "SMUG-CHUNK-HEX-PREFIX",
    "SMUG-CHUNK-INVALID-SIZE-DESYNC",
    "SMUG-CHUNK-LEADING-SP",
    "SMUG-CHUNK-MISSING-TRAILING-CRLF",
    "SMUG-CHUNK-NEGATIVE",
    "SMUG-CHUNK-SIZE-PLUS",
    "SMUG-CHUNK-SIZE-TRAILING-OWS",
    "SMUG-CHUNK-SPILL",
    "SMUG-CHUNK-UNDERSCORE",
    "SMUG-CL0-BODY-POISON",
    "SMUG-TRAILER-AUTH",
    "SMUG-TRAILER-CL",
    "SMUG-TRAILER-CONTENT-TYPE",
    "SMUG-TRAILER-HOST",
    "SMUG-TRAILER-TE",
    "SMUG-PIPELINE-SAFE",
];

/// Filed under attacks and legal by the letter: white space around a value, a body of a length that is said, escapes
/// in a path that nobody here decodes. The collection lets a server accept each of them.
const LEGAL: [&str; 12] = [
    "MAL-CL-TAB-BEFORE-VALUE",
    "MAL-URL-PERCENT-CRLF",
    "MAL-URL-PERCENT-NULL",
    "SMUG-CL-EXTRA-LEADING-SP",
    "SMUG-CL-TRAILING-SPACE",
    "SMUG-EXPECT-100-CL",
    "SMUG-EXPECT-100-CL-DESYNC",
    "SMUG-GET-CL-BODY-DESYNC",
    "SMUG-HEAD-CL-BODY",
    "SMUG-OPTIONS-CL-BODY",
    "SMUG-OPTIONS-CL-BODY-DESYNC",
    "MAL-INCOMPLETE-REQUEST",
];

#[test]
fn r6_no_attack_on_the_head_is_accepted() {
    for vector in
        load().iter().filter(|vector| vector.id.starts_with("SMUG-") || vector.id.starts_with("MAL-"))
    {
        let accepted = matches!(feed(&vector.request, usize::MAX, |_| ()), Some(Ok(())));
        let excused = DECIDED_BY_THE_BODY.contains(&&*vector.id) || LEGAL.contains(&&*vector.id);
        assert!(excused || !accepted, "{}", vector.id);
    }
}

#[test]
fn what_must_be_answered_with_400_is_and_what_must_be_accepted_is() {
    for vector in load().iter().filter(|vector| !DECIDED_BY_THE_BODY.contains(&&*vector.id)) {
        let verdict = feed(&vector.request, usize::MAX, |_| ());
        if vector.expect.starts_with("Exact") {
            assert!(matches!(verdict, Some(Err(_))), "{}: {verdict:?}", vector.id);
            assert_eq!(
                verdict.and_then(Result::err).map(|error| error.status().code()),
                Some(400),
                "{}",
                vector.id
            );
        }
        if vector.expect.starts_with("Range2xx") || vector.expect.starts_with("2xx") {
            assert_eq!(verdict, Some(Ok(())), "{}", vector.id);
        }
    }
}

#[test]
fn the_verdict_on_a_head_does_not_depend_on_how_it_was_cut() {
    for vector in load() {
        let summary = |request: &Request<'_>| (request.target().to_owned(), request.headers().count());
        let whole = feed(&vector.request, usize::MAX, summary);
        for piece in 1..=7 {
            assert_eq!(feed(&vector.request, piece, summary), whole, "{} in pieces of {piece}", vector.id);
        }
    }
}
